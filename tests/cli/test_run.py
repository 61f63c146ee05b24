"""`run` measures what it was told to, by flags, by a file or by both; and says at once what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


@pytest.fixture
def work(plugins_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the flags of a small run, and stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    flags = ["--include-path", str(plugins_folder), "--tasks", "letters", "--model", "scripted"]
    return ["run", *flags, "--set", "letters.size=6", "--report", "", "-q"]


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]
    return config


def test_a_run_shows_its_table_and_where_its_results_are(kosmos_eval: Command, work: list[str], tmp_path: Path) -> None:
    done = kosmos_eval(*work, "--shots", "0,2", "-o", "out")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("letters")] == [
        ["letters@mini", "0"],
        ["letters@mini", "2"],
    ]
    assert lines[-1] == "results: out/results.json"
    assert (tmp_path / "out" / "samples" / "letters@mini_2shot.parquet").exists()


def test_a_run_without_a_folder_gets_a_new_one(kosmos_eval: Command, work: list[str], tmp_path: Path) -> None:
    for count in (1, 2):
        assert kosmos_eval(*work).code == 0
        assert len(list((tmp_path / "runs").glob("*-scripted-letters*/results.json"))) == count


def test_progress_goes_to_the_error_stream_unless_quiet(kosmos_eval: Command, work: list[str]) -> None:
    loud = [flag for flag in work if flag != "-q"]
    assert "6/6 samples" in kosmos_eval(*loud, "-o", "out").err


def test_trials_are_asked_for_by_number_by_seeds_or_in_a_file(
    kosmos_eval: Command, work: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("shots: 1\ntrial-seeds: 3, 5\n", encoding="utf-8")
    shown = [
        [line.split()[1] for line in kosmos_eval(*work, *flags).out.split("over trials")[0].splitlines()[2:4]]
        for flags in (
            ("--shots", "1", "--trials", "2", "-o", "number"),
            ("--shots", "1", "--trial-seeds", "3,5", "-o", "seeds"),
            ("--config", "c.yaml", "-o", "file"),
        )
    ]
    assert shown == [["1", "1#2"]] * 3
    configs = [config_of(tmp_path / name) for name in ("number", "seeds", "file")]
    assert [(each["trials"], each["trial_seeds"]) for each in configs] == [(2, None), (2, [3, 5]), (2, [3, 5])]


def test_a_dash_and_an_underscore_are_the_same(kosmos_eval: Command, work: list[str], tmp_path: Path) -> None:
    flags = ("--sample_order", "first", "--num-fewshot", "1", "--batch-size", "3", "--output-path", "out")
    assert kosmos_eval(*work, *flags).code == 0
    config = config_of(tmp_path / "out")
    assert (config["sample_order"], config["shots"], config["batch_size"]) == ("first", [1], 3)


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--tasks", ""), 64, "tasks: "),
        (("--tasks", "leters"), 64, "no task named 'leters'; did you mean 'letters'?"),
        (("--model", "script"), 64, "no model named 'script'; did you mean 'scripted'?"),
        (("--report", "htm"), 64, "no report named 'htm'; did you mean 'html'?"),
        (("--shots", "0,x"), 64, "expected whole numbers such as 0,4, got '0,x'"),
        (("--shots", "-1"), 64, "shots.0: "),
        (("--shots", "7"), 65, "letters: expected 7 exemplars for sample 0, but the exemplar split has only 6"),
        (("--limit", "0"), 64, "limit: "),
        (("--limit", "inf"), 64, "limit: expected a whole number of samples or a share below 1, got inf"),
        (("--limit", "many"), 64, "--limit"),
        (("--data", "hub"), 64, "letters cannot read --data hub; it reads --data mini"),
        (("--data", "nowhere"), 64, "--data nowhere: expected mini, hub or an existing folder"),
        (("--set", "letters.siz=3"), 64, "no setting of letters named 'siz'; did you mean 'size'?"),
        (("--set", "raven.split=x"), 64, "no task of this run named 'raven'"),
        (("--set", "size=3"), 64, "--set: expected TASK.SETTING=VALUE such as vqav2.split=val, got 'size=3'"),
        (
            ("--set", "letters.size=[1"),
            64,
            "--set letters.size: expected a YAML value such as 3, val or [a, b], got '[1'",
        ),
        (("--set", "letters.size="), 64, "setting letters.size: expected int such as 40, got None"),
        (("--model_args", "a"), 64, "expected key=value pairs, got 'a'"),
        (("--batch_size", "0"), 64, "--batch_size: expected auto or a whole number from 1, got '0'"),
        (("--processes", "0"), 64, "--processes"),
        (("--dtype", "int8"), 64, "'int8' is not one of 'float32', 'bfloat16', 'float16'"),
        (("--include-path", "none"), 64, "--include-path none: expected an existing folder"),
        (("--config", "none.yaml"), 64, "--config none.yaml: cannot be read"),
        (("--output_path", "taken"), 64, "expected --output_path taken to be a folder or a new name, got a file"),
        (("--output_path", "taken/run"), 64, "cannot make the run's folder taken/run"),
        (("--resume", "none"), 65, "none: expected a run folder, found no run.json in it"),
    ],
)
def test_a_mistake_ends_with_its_code_and_one_line_before_anything_is_made(
    kosmos_eval: Command, work: list[str], flags: tuple[str, str], code: int, message: str
) -> None:
    Path("taken").touch()
    refused = kosmos_eval(*work, *flags)
    assert refused.code == code
    assert message in refused.message
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_without_tasks_one_is_told_how_to_name_them(kosmos_eval: Command) -> None:
    refused = kosmos_eval("run")
    assert (refused.code, "expected --tasks, such as --tasks vqav2,raven" in refused.message) == (64, True)


def test_a_folder_that_holds_a_run_is_refused(kosmos_eval: Command, work: list[str], finished_run: Path) -> None:
    refused = kosmos_eval(*work, "-o", finished_run)
    assert refused.code == 64
    assert f"holds a run already (finished); resume it with --resume {finished_run}" in refused.message


def test_resuming_a_finished_run_changes_nothing(kosmos_eval: Command, finished_run: Path) -> None:
    before = (finished_run / "results.json").read_bytes()
    done = kosmos_eval("run", "--resume", finished_run, "-q")
    assert (done.code, (finished_run / "results.json").read_bytes() == before) == (0, True)


def test_resuming_as_other_work_is_refused(kosmos_eval: Command, finished_run: Path) -> None:
    refused = kosmos_eval("run", "--resume", finished_run, "--seed", "4")
    assert refused.code == 64
    assert refused.message.endswith("cannot resume with seed = 4, the run has 0")


def test_samples_that_fail_end_the_run_by_name_when_all_else_is_written(
    kosmos_eval: Command, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_TOO_BIG", "Generate letter 4?")
    failed = kosmos_eval(*work, "-o", "out")
    assert failed.code == 75
    heading, _, row = failed.out.splitlines()[:3]
    assert (heading.split()[-1], row.split()[-1]) == ("failed", "1")
    assert "results: out/results.json" in failed.out
    assert failed.message.startswith(
        "kosmos-eval: 1 of 6 samples failed and are in no score: letters@mini|0 4 (expected"
    )
    assert failed.message.endswith(": kosmos-eval run --resume out")
    again = kosmos_eval("rescore", "out")
    assert (again.code, again.message) == (75, failed.message)
    monkeypatch.delenv("SCRIPTED_TOO_BIG")
    done = kosmos_eval("run", "--resume", "out", "-q", "--batch_size", "1")
    assert (done.code, done.err, "failed" in done.out) == (0, "", False)


# --- a configuration file


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_flags_say_and_flags_win(
    kosmos_eval: Command, plugins_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = f"""
        tasks: letters
        model: scripted
        num-fewshot: 0,1
        include-path: {plugins_folder}
        sample-order: first
        limit: 5
        batch_size: auto
        report: []
        quiet: true
        output-path: {tmp_path / "out"}
        model_args: {{size: 3, depth: 4}}
        settings:
            letters: {{size: 7, split: train}}
    """
    path = written(tmp_path, lines)
    flags = ("--limit", "4", "--set", "letters.size=9", "--model_args", "depth=5")
    done = kosmos_eval("run", "-C", path, *flags)
    assert (done.code, done.err) == (0, "")
    config = config_of(tmp_path / "out")
    assert (config["shots"], config["limit"], config["sample_order"]) == ([0, 1], 4, "first")
    assert config["settings"] == {"letters": {"size": 9, "split": "train"}}
    assert config["model_args"] == {"size": "3", "depth": "5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shot: 3", "no setting in --config run.yaml named 'shot'; did you mean 'shots'?"),
        ("config: other.yaml", "no setting in --config run.yaml named 'config'"),
        ("shots: 0,x", "--config run.yaml: shots.1: "),
        ("limit: -1", "--config run.yaml: limit: "),
        ("tasks: []", "--config run.yaml: tasks: "),
        (
            "shots: 1\nnum_fewshot: 2",
            "--config run.yaml: expected either shots or num_fewshot, which are the same",
        ),
        ("processes: two", "--config run.yaml: processes: expected a whole number from 1, got 'two'"),
        ("processes: 0", "--config run.yaml: processes: expected a whole number from 1, got 0"),
        ("blind: 3", "--config run.yaml: blind: expected true or false, got 3"),
        ("quiet: 3", "--config run.yaml: quiet: expected true or false, got 3"),
        ("output_path: 3", "--config run.yaml: output_path: expected a folder, got 3"),
        ("settings: {letters: 3}", "--config run.yaml: settings.letters: "),
        ("- letters", "--config run.yaml: expected a mapping"),
        ("tasks: [", "--config run.yaml: cannot be read"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(
    kosmos_eval: Command, work: list[str], tmp_path: Path, text: str, message: str
) -> None:
    written(tmp_path, text)
    refused = kosmos_eval(*work, "-C", "run.yaml")
    assert refused.code == 64
    assert message in refused.message


def test_controls_are_named_by_flag_in_short_or_in_a_file(
    kosmos_eval: Command, work: list[str], tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("controls: image=blank\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("blind: true\ncontrols: image=blank\n", encoding="utf-8")
    for number, (flags, expected) in enumerate(
        {
            ("--blind",): ["image=none"],
            ("--controls", "image=noise,image=none"): ["image=noise", "image=none"],
            ("--controls", "image=noise", "--blind"): ["image=noise", "image=none"],
            ("--controls", "image=none", "--blind"): ["image=none"],
            ("--config", "c.yaml", "--blind"): ["image=blank", "image=none"],
            ("--config", "b.yaml"): ["image=blank", "image=none"],
        }.items()
    ):
        done = kosmos_eval(*work, *flags, "-o", f"out{number}")
        assert (done.code, done.err) == (0, "")
        assert config_of(tmp_path / f"out{number}")["controls"] == expected
        assert ("blind" in done.out.splitlines()[0].split()) == ("image=none" in expected)


def test_a_control_that_is_none_or_applies_to_nothing_ends_the_command(kosmos_eval: Command, work: list[str]) -> None:
    done = kosmos_eval(*work, "--controls", "image=nose")
    assert (done.code, done.message) == (64, "kosmos-eval: no control named 'image=nose'; did you mean 'image=noise'?")
    done = kosmos_eval(*work, "--controls", "text=none")
    assert done.code == 64
    assert "letters@mini: it does not say which text is asked about" in done.message


def test_a_run_is_resumed_with_the_controls_that_it_has(kosmos_eval: Command, work: list[str]) -> None:
    assert kosmos_eval(*work, "--blind", "-o", "out").code == 0
    assert kosmos_eval("run", "--resume", "out", "--blind", "-q").code == 0
    done = kosmos_eval("run", "--resume", "out", "--controls", "image=noise", "-q")
    assert done.code == 64
    assert "cannot resume with controls = ('image=noise',), the run has ('image=none',)" in done.message


def test_a_task_that_a_control_does_not_apply_to_is_named_once(kosmos_eval: Command, work: list[str]) -> None:
    done = kosmos_eval(*work, "--tasks", "letters,piqa", "--limit", "3", "--shots", "0,1", "--blind", "-o", "out")
    assert done.code == 0
    assert done.message == "kosmos-eval: piqa@mini is not asked under image=none: its samples have no pictures"
