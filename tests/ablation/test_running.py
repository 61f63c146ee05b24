from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.ablation.running import ablate, execute, prepare, prepare_resumed
from kosmos_eval.ablation.spec import parse_spec
from kosmos_eval.compare import compare_runs
from kosmos_eval.errors import DataError, RunRefusedError, UnknownNameError, UsageError
from kosmos_eval.record import load

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.ablation.result import Ablation, ArmOutcome, Row
    from tests.ablation.conftest import Made


def row(ablation: Ablation, task: str, shots: int, category: str = "") -> Row:
    """Return the one row of a place."""
    found = [each for each in ablation.rows if (each.task, each.shots, each.category) == (task, shots, category)]
    assert len(found) == 1
    return found[0]


def arms(of: Row) -> dict[str, ArmOutcome]:
    return {each.arm: each for each in of.arms}


def test_a_model_is_one_run_whose_cells_are_its_arms(made: Made) -> None:
    runs = sorted(path.name for path in (made.ablation.folder / "runs").iterdir())
    assert runs == ["knowing", "scripted"]
    names = [cell.name for cell in load(made.ablation.folder / "runs" / "scripted").cells]
    assert "letters@mini|2~image=none" in names
    assert "words@mini|0" in names
    assert made.ablation.runs["scripted:image=none"] == made.ablation.runs["scripted"] == "runs/scripted"


def test_every_arm_has_its_runs_value_beside_the_reference(made: Made) -> None:
    record = load(made.ablation.folder / "runs" / "scripted")
    blind = next(cell for cell in record.cells if cell.name == "letters@mini|0~image=none")
    found = arms(row(made.ablation, "letters@mini", 0))
    assert found["scripted:image=none"].result == blind.metrics[0]
    assert found["scripted"].difference is None
    compared = found["scripted:image=none"].difference
    assert compared is not None
    assert compared.difference.count == 12
    assert compared.base == found["scripted"].result.value  # type: ignore[union-attr]  # it has one
    assert compared.other == blind.metrics[0].value


def test_models_are_compared_as_two_runs_are(made: Made) -> None:
    folder = made.ablation.folder / "runs"
    of_runs = compare_runs(load(folder / "scripted"), load(folder / "knowing"), point=frozenset({"model"}))
    expected = next(each.main for each in of_runs.cells if each.base == "words@mini|0")
    found = arms(row(made.ablation, "words@mini", 0))["knowing"].difference
    assert expected is not None
    assert found is not None
    assert found.difference == expected.difference
    assert found.difference.value == 1.0  # scripted never says yes or no
    assert found.difference.better == 30


def test_categories_have_paired_differences_of_their_own(made: Made) -> None:
    parts = [arms(row(made.ablation, "letters@mini", 0, name))["scripted:image=none"] for name in ("even", "odd")]
    whole = arms(row(made.ablation, "letters@mini", 0))["scripted:image=none"]
    assert [part.difference.difference.count for part in parts if part.difference] == [6, 6]
    values = [part.difference.difference.value for part in parts if part.difference]
    assert whole.difference is not None
    assert sum(value or 0 for value in values) / 2 == pytest.approx(whole.difference.difference.value)
    assert parts[0].result == load(made.ablation.folder / "runs" / "scripted").cells[1].groups["parity"]["even"]


def test_an_arm_that_cannot_be_asked_says_why_and_the_rest_goes_on(made: Made) -> None:
    blind = arms(row(made.ablation, "letters@mini", 2))["knowing"]
    assert (blind.applies, blind.result, blind.reason) == (False, None, "knowing reads no pictures")
    wordy = arms(row(made.ablation, "words@mini", 0))["scripted:image=none"]
    assert not wordy.applies
    assert wordy.reason == "image=none does not apply: its samples have no pictures"
    assert arms(row(made.ablation, "words@mini", 0))["knowing"].difference is not None


def test_p_values_are_corrected_over_the_whole_ablation(made: Made) -> None:
    found = [each.difference for of in made.ablation.rows for each in of.arms if each.difference]
    tested = sorted(each.difference.p_value for each in found if each.difference.p_value is not None)
    assert made.ablation.tests == len(tested) == len(made.ablation.rows)
    least = next(each for each in found if each.difference.p_value == tested[0])
    assert least.adjusted == pytest.approx(min(1.0, tested[0] * len(tested)))
    assert f"over all {len(tested)} tests" in made.ablation.family
    assert "categories of them, by parity" in made.ablation.family


def test_the_record_says_what_was_asked_and_found(made: Made) -> None:
    written = json.loads((made.ablation.folder / "ablation.json").read_text(encoding="utf-8"))
    assert written["finished"]
    assert written["spec"]["data"] == "mini"
    assert list(written["spec"]["arms"]) == ["scripted", "scripted:image=none", "knowing"]
    assert len(written["results"]) == len(made.ablation.rows)
    assert written["runs"][1]["left_out"]["letters@mini|0"] == "knowing reads no pictures"
    assert (made.ablation.folder / "report.html").stat().st_size > 1000


def test_what_is_missing_is_done_again_and_the_results_are_the_same(made_copy: Path, made: Made) -> None:
    before = json.loads((made_copy / "ablation.json").read_text(encoding="utf-8"))
    shutil.rmtree(made_copy / "runs" / "knowing")
    kept = (made_copy / "runs" / "scripted" / "run.json").read_bytes()
    again = execute(prepare_resumed(made_copy, {}))
    assert again.rows == made.ablation.rows
    assert json.loads((made_copy / "ablation.json").read_text(encoding="utf-8")) == before
    assert (made_copy / "runs" / "scripted" / "run.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"shots": [0]}, r"cannot resume with shots = \[0\], the ablation has \[0, 2\]"),
        ({"arms": ["scripted", "knowing"], "reference": "scripted"}, "cannot resume with arms"),
        ({"reference": "knowing"}, "cannot resume with reference = 'knowing', the ablation has 'scripted'"),
        ({"groups": []}, "cannot resume with groups"),
        ({"settings": {"letters": {"size": 13}}}, "cannot resume with settings"),
    ],
)
def test_other_work_is_not_resumed(made: Made, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(RunRefusedError, match=words):
        prepare_resumed(made.ablation.folder, overrides)


def test_how_it_is_computed_may_change_on_resuming(made: Made) -> None:
    ready = prepare_resumed(made.ablation.folder, {"batch_size": 3, "data": "mini"})
    assert ready.spec.run.batch_size == 3


def test_a_folder_without_an_ablation_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no ablation\.json"):
        prepare_resumed(tmp_path, {})


def test_an_unreadable_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "ablation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="expected schema 1"):
        prepare_resumed(tmp_path, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec", 3),
        ("runs", "x"),
        ("runs", [3]),
        ("runs", [{"name": "a"}]),
        ("runs", [{"name": "../a", "arms": [], "config": None, "left_out": {}}]),
    ],
)
def test_a_damaged_record_is_named(made: Made, tmp_path: Path, key: str, value: object) -> None:
    written = json.loads((made.ablation.folder / "ablation.json").read_text(encoding="utf-8"))
    (tmp_path / "ablation.json").write_text(json.dumps({**written, key: value}), encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        prepare_resumed(tmp_path, {})


def test_a_folder_that_is_taken_is_refused_before_anything_is_done(made: Made, tmp_path: Path) -> None:
    spec = parse_spec(made.asked, "here")
    with pytest.raises(RunRefusedError, match="holds an ablation already; resume it with --resume"):
        prepare(spec, made.ablation.folder)
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(RunRefusedError, match="a new or an empty folder, got one with files"):
        prepare(spec, tmp_path)
    with pytest.raises(UsageError, match="got a file"):
        prepare(spec, tmp_path / "notes")


def test_a_launchers_processes_are_not_taken_for_ones_own(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="expected one process, which starts others with --processes, got 2"):
        prepare(parse_spec(made.asked, "here"), tmp_path / "abl")
    with pytest.raises(UsageError, match="got 2 of a launcher"):
        prepare_resumed(made.ablation.folder, {})


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"arms": ["scripted", "scriptd"]}, UnknownNameError, "did you mean 'scripted'"),
        ({"tasks": ["leters"]}, UnknownNameError, "did you mean 'letters'"),
        ({"groups": ["party"]}, UnknownNameError, "no breakdown of these tasks named 'party'; did you mean 'parity'"),
        ({"arms": ["scripted", "knowing"], "tasks": ["letters"]}, UsageError, "knowing reads no pictures"),
        ({"arms": ["knowing", "scripted"], "tasks": ["letters"]}, UsageError, "expected knowing and another arm"),
        ({"arms": ["knowing", "knowing:image=none"], "tasks": ["words"]}, UsageError, "its samples have no pictures"),
        ({"arms": ["scripted", "knowing"], "exemplars": "rices"}, UsageError, "rices chooses others for each model"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_a_model_is_loaded(
    made: Made, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    values = {"arms": ["scripted", "knowing"], "tasks": ["letters", "words"], "shots": [0, 2]}
    with pytest.raises(error, match=words):
        ablate(**{**values, "include_path": made.asked["include_path"], **changes}, output_path=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_models_with_other_data_need_it_said(made: Made, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    with pytest.raises(UsageError, match="expected --data, as the models' own choices differ"):
        ablate(arms=["scripted", str(checkpoint)], tasks="letters", include_path=made.asked["include_path"])
