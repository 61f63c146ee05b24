"""`gate` ends with the code of its verdict, writes it whole, and complains in one line about what it cannot read."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.baseline import MeasuredCell, MeasuredRun, read_measured, save_baseline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.measurements import Measurements

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def changed(run: MeasuredRun, change: Callable[[Measurements], Measurements], answers: str = "others") -> MeasuredRun:
    """Return a run with each cell's measurements changed, and other answers."""
    cells = tuple(MeasuredCell(change(each.measurements), answers, each.speed) for each in run.cells)
    return replace(run, cells=cells)


def perfect(measurements: Measurements) -> Measurements:
    return replace(measurements, values={"accuracy": tuple(1.0 for _ in measurements.keys)})


@pytest.fixture
def better_baseline(finished_run: Path, tmp_path: Path) -> Path:
    """Return a baseline that had every answer right, so that the finished run is a regression."""
    path = tmp_path / "better.json"
    save_baseline(changed(read_measured(finished_run), perfect), path)
    return path


def test_a_run_passes_beside_itself_as_a_folder_and_as_a_file(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path
) -> None:
    saved = kosmos_eval("baseline", "save", finished_run, "-o", tmp_path / "base.json")
    assert (saved.code, saved.err) == (0, "")
    assert "2 cells, 80 samples" in saved.out
    for base in (finished_run, tmp_path / "base.json"):
        done = kosmos_eval("gate", finished_run, "--baseline", base)
        assert (done.code, done.err) == (0, "")
        assert "no answer changed" not in done.out  # what passes needs no explanation
        assert done.out.splitlines()[-1] == "verdict: pass (exit code 0)"


def test_a_regression_ends_with_code_1_and_all_outputs_say_so(
    kosmos_eval: Command, finished_run: Path, better_baseline: Path, tmp_path: Path
) -> None:
    paths = {kind: tmp_path / f"gate.{kind}" for kind in ("junit", "markdown", "json")}
    flags = [part for kind, path in paths.items() for part in (f"--{kind}", path)]
    done = kosmos_eval("gate", finished_run, "--baseline", better_baseline, *flags)
    assert (done.code, done.err) == (1, "")
    assert "letters@mini|0: accuracy: significantly worse" in done.out
    suite = ET.parse(paths["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    assert [case.get("name") for case in suite] == ["letters@mini|0", "letters@mini|2"]
    markdown = paths["markdown"].read_text()
    assert markdown.startswith("## ❌ kosmos-eval gate: regression\n")
    assert "letters&#64;mini&#124;0" in markdown
    found = json.loads(paths["json"].read_text())
    assert (found["verdict"], found["exit_code"], len(found["cells"])) == ("regression", 1, 2)
    assert found["cells"][0]["metrics"][0]["base"] == 1.0


def test_an_inconclusive_verdict_ends_with_code_2_or_as_the_policy_says(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path
) -> None:
    base, policy = tmp_path / "base.json", tmp_path / "gate.toml"
    save_baseline(changed(read_measured(finished_run), lambda each: each), base)  # other answers of the same worth
    assert kosmos_eval("gate", finished_run, "--baseline", base).code == 2
    for choice, code in (("pass", 0), ("fail", 1)):
        policy.write_text(f'inconclusive = "{choice}"')
        done = kosmos_eval("gate", finished_run, "--baseline", base, "--policy", policy, "--junit", tmp_path / "j.xml")
        assert done.code == code
        assert done.out.splitlines()[-1] == f"verdict: inconclusive, which the policy lets {choice} (exit code {code})"
        assert ("<failure" in (tmp_path / "j.xml").read_text()) == (choice == "fail")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda each: replace(each, asked=("zz",) * 40, cell=replace(each.cell, fingerprints={"data": "d"})), "prompt"),
        (lambda each: replace(each, contents=("zzzz",) * 40), "data"),
        (lambda each: replace(each, cell=replace(each.cell, version=9)), "scorer"),
        (lambda each: replace(each, cell=replace(each.cell, settings={"split": "other"})), "setting"),
        (lambda each: replace(each, cell=replace(each.cell, task="other@mini")), "no such cell"),
    ],
)
def test_unlike_things_are_not_comparable_and_named(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path, change: Callable[[Measurements], Measurements], named: str
) -> None:
    save_baseline(changed(read_measured(finished_run), change), tmp_path / "base.json")
    done = kosmos_eval("gate", finished_run, "--baseline", tmp_path / "base.json")
    assert (done.code, done.err) == (3, "")
    assert named in done.out


def test_the_verdict_is_the_same_from_a_file_as_from_a_folder(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path, better_baseline: Path
) -> None:
    kosmos_eval("baseline", "save", finished_run, "-o", tmp_path / "base.json")
    verdicts = []
    for base in (finished_run, tmp_path / "base.json"):
        kosmos_eval("gate", better_baseline, "--baseline", base, "--json", tmp_path / "gate.json")
        verdicts.append({**json.loads((tmp_path / "gate.json").read_text()), "base": ""})
    assert verdicts[0] == verdicts[1]
    assert verdicts[0]["cells"][0]["metrics"][0]["better"] > 0


def test_hostile_names_are_inert_in_every_output(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>|x|`\x1b[31m\u202e@all ]]>&"
    base, run = tmp_path / "base.json", tmp_path / "run.json"

    def renamed(each: Measurements) -> Measurements:
        return replace(each, cell=replace(each.cell, task=name))

    save_baseline(changed(read_measured(finished_run), renamed), base)
    save_baseline(changed(read_measured(finished_run), lambda each: perfect(renamed(each)), "more"), run)
    flags = ["--junit", tmp_path / "g.xml", "--markdown", tmp_path / "g.md"]
    done = kosmos_eval("gate", base, "--baseline", run, *flags)
    assert done.code == 1
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "script" in ET.parse(tmp_path / "g.xml").getroot()[0].get("name", "")
    markdown = (tmp_path / "g.md").read_text()
    assert not {"<script", "`", "@", "\x1b", "\u202e", "|x|"} & {
        part for part in ("<script", "`", "@", "\x1b", "\u202e", "|x|") if part in markdown
    }
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


def refused(kosmos_eval: Command, run: Path, base: Path, code: int = 65) -> str:
    done = kosmos_eval("gate", run, "--baseline", base)
    assert done.code == code
    assert done.out == ""
    message: str = done.message
    return message


def test_what_is_no_run_is_one_line(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    assert "found nothing there" in refused(kosmos_eval, tmp_path / "none", finished_run)
    assert "found nothing there" in refused(kosmos_eval, finished_run, tmp_path / "none")
    assert "expected a run folder" in refused(kosmos_eval, tmp_path, finished_run)
    (tmp_path / "file").write_text("{}")
    assert "expected a baseline" in refused(kosmos_eval, finished_run, tmp_path / "file")
    (tmp_path / "file").write_bytes(b"\x1f\x8b\xff")
    assert "cannot be read" in refused(kosmos_eval, finished_run, tmp_path / "file")


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("results.json", None, "not finished"),
        ("results.json", lambda text: text[: len(text) // 2], "cannot be read"),
        ("results.json", lambda text: text.replace('"shots": 0', '"shoots": 0'), "this version"),
        (
            "results.json",
            lambda text: text.replace('"shots": 0', '"shots": "0"', 1),
            "shots: expected a count, got '0'",
        ),
        (
            "results.json",
            lambda text: text.replace('"clusters": ', '"clusters": -', 1),
            "accuracy: clusters: expected a",
        ),
        (
            "results.json",
            lambda text: text.replace('"shots": 2', '"shots": 0'),
            "expected each cell once, got letters@mini|0 2",
        ),
        ("results.json", lambda _: "[" * 20_000, "cannot be read"),
        (
            "run.json",
            lambda text: text.replace('"timings": {', '"timings": [], "other": {', 1),
            "expected timings to be a JSON",
        ),
        (
            "run.json",
            lambda text: text.replace('"samples": ', '"samples": "x", "other": ', 1),
            "expected timings and facts",
        ),
        ("run.json", None, "found no run.json"),
        ("run.json", lambda text: text.replace('"schema": 1', '"schema": 99', 1), "expected schema 1, got 99"),
    ],
)
def test_a_half_written_record_or_one_of_another_version_is_one_line(
    kosmos_eval: Command, finished_run: Path, file: str, damage: Callable[[str], str] | None, message: str
) -> None:
    path = finished_run / file
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage(path.read_text()))
    assert message in refused(kosmos_eval, finished_run, finished_run)


def test_a_score_that_is_not_a_number_is_one_line(kosmos_eval: Command, finished_run: Path) -> None:
    path = finished_run / "results.json"
    values = json.loads(path.read_text())
    values["cells"][0]["metrics"][0]["value"] = float("nan")
    path.write_text(json.dumps(values))
    message = refused(kosmos_eval, finished_run, finished_run)
    assert "accuracy" in message
    assert "nan" in message


def test_samples_that_are_missing_or_damaged_are_one_line(kosmos_eval: Command, finished_run: Path) -> None:
    path = finished_run / "samples" / "letters@mini_0shot.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert str(path) in refused(kosmos_eval, finished_run, finished_run)
    path.unlink()
    assert str(path) in refused(kosmos_eval, finished_run, finished_run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(schema=2), "expected schema 1, got 2"),
        (lambda values: values.update(cells=3), "is damaged"),
        (lambda values: values["cells"][0].pop("columns"), "is damaged"),
        (lambda values: values["cells"][0]["columns"].update(keys="?"), "is damaged"),
        (
            lambda values: values["cells"][0]["columns"].update(clusters=values["cells"][0]["values"]["accuracy"][:-8]),
            "is damaged",
        ),
        (lambda values: values["cells"][0]["cell"].update(shots="x", later=1), "is damaged"),
        (lambda values: values["cells"][0]["cell"]["metrics"][0].update(lower=0.5), "from 0.5 to 1.0, got 0.0"),
        (lambda values: values.update(memory="much"), "is damaged"),
        (lambda values: values["cells"][0].update(unkept=None), "is damaged"),
        (lambda values: values["cells"].append(values["cells"][0]), "expected each cell once"),
        (lambda values: values["cells"][0].update(speed="fast"), "is damaged"),
    ],
)
def test_a_damaged_baseline_is_one_line(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    base = tmp_path / "base.json"
    save_baseline(read_measured(finished_run), base)
    values = json.loads(base.read_text())
    change(values)
    base.write_text(json.dumps(values))
    assert message in refused(kosmos_eval, finished_run, base)


def test_a_sample_that_is_there_twice_is_one_line(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    def twice(each: Measurements) -> Measurements:
        return replace(each, keys=(each.keys[1], *each.keys[1:]))

    save_baseline(changed(read_measured(finished_run), twice), tmp_path / "base.json")
    assert "expected each sample once" in refused(kosmos_eval, finished_run, tmp_path / "base.json")


def test_an_empty_task_is_not_comparable(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    def emptied(each: Measurements) -> Measurements:
        return replace(each.take(()), cell=replace(each.cell, samples=0))

    save_baseline(changed(read_measured(finished_run), emptied), tmp_path / "base.json")
    done = kosmos_eval("gate", finished_run, "--baseline", tmp_path / "base.json")
    assert (done.code, done.err) == (3, "")


def test_how_the_command_is_typed_matters(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    assert kosmos_eval("gate", finished_run).code == 64
    assert kosmos_eval("gate").code == 64
    (tmp_path / "gate.toml").write_text("tolerence = 1")
    done = kosmos_eval("gate", finished_run, "--baseline", finished_run, "--policy", tmp_path / "gate.toml")
    assert done.code == 64
    assert "did you mean 'tolerance'" in done.message
    (tmp_path / "gate.toml").write_text("[tasks.letter]\ntolerance = 1")
    done = kosmos_eval("gate", finished_run, "--baseline", finished_run, "--policy", tmp_path / "gate.toml")
    assert done.code == 64
    assert "did you mean 'letters'" in done.message


@pytest.mark.parametrize("flag", ["--junit", "--markdown", "--json"])
def test_an_output_that_cannot_be_written_is_one_line(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path, flag: str
) -> None:
    gate = ("gate", finished_run, "--baseline", finished_run, flag)
    folder = kosmos_eval(*gate, tmp_path)
    assert (folder.code, folder.out, "is a directory" in folder.message) == (64, "", True)
    (tmp_path / "file").touch()
    within = kosmos_eval(*gate, tmp_path / "file" / "within")
    assert (within.code, "cannot be written" in within.message) == (65, True)
    assert "verdict: pass" in within.out
