"""Trials: other exemplars before the same samples, their spread apart from the intervals, the first as if alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.errors import RunRefusedError
from kosmos_eval.record import CellResult, MetricResult, RunRecord, load
from kosmos_eval.run import evaluate, execute, prepare_resumed, rescore
from kosmos_eval.table import results_table
from kosmos_eval.trials import Spread, Trials, cell_name, gather_trials, trial_name

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["letters@mini|0", "letters@mini|2", "letters@mini|2#2", "letters@mini|2#3"]
METRIC = MetricResult("accuracy", 0.5, 0.4, 0.6, 0.05, 10, 10, 0, 0)
CELL = CellResult("t@mini", 2, 1, "val", (METRIC,), {}, 10, 10, 0, {}, {}, exemplar_seed=0)


def run(folder: Path, plugins: Path, **settings: Any) -> RunRecord:  # noqa: ANN401  as evaluate() has it
    arguments: dict[str, Any] = {"tasks": "letters", "model": "scripted", "include_path": [str(plugins)], "report": []}
    return evaluate(**{**arguments, "shots": [0, 2], "output_path": folder, **settings})


@pytest.fixture(scope="module")
def thrice(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> RunRecord:
    return run(tmp_path_factory.mktemp("thrice") / "run", request.path.parent / "plugins", trials=3, report=["html"])


def exemplars(record: RunRecord, place: int) -> dict[str, tuple[str, ...]]:
    return {sample.key: sample.exemplars for sample in record.samples(record.cells[place])}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "samples").iterdir()}


def test_few_shot_tasks_are_asked_once_a_trial_and_zero_shot_ones_once(thrice: RunRecord) -> None:
    assert [cell.name for cell in thrice.cells] == NAMES
    assert [(cell.trial, cell.exemplar_seed) for cell in thrice.cells] == [(0, None), (0, 0), (1, 1), (2, 2)]
    stems = ["letters@mini_0shot", "letters@mini_2shot", "letters@mini_2shot_trial2", "letters@mini_2shot_trial3"]
    assert [cell.file_stem for cell in thrice.cells] == stems
    assert set(files(thrice.folder)) == {f"{stem}.{kind}" for stem in stems for kind in ("jsonl", "parquet")}


def test_the_same_samples_stand_behind_other_exemplars(thrice: RunRecord) -> None:
    first, second, third = (exemplars(thrice, place) for place in (1, 2, 3))
    assert first.keys() == second.keys() == third.keys()
    for one, other in ((first, second), (second, third), (first, third)):
        assert sum(one[key] != other[key] for key in one) > 30


def test_the_first_trial_is_the_run_without_trials_byte_for_byte(thrice: RunRecord, finished_run: Path) -> None:
    alone = files(finished_run)
    assert {name: held for name, held in files(thrice.folder).items() if name in alone} == alone
    cells, before = (
        json.loads((folder / "results.json").read_text(encoding="utf-8"))["cells"]
        for folder in (thrice.folder, finished_run)
    )
    assert cells[:2] == before
    assert load(finished_run).trials == ()


def test_a_trial_s_seed_is_that_of_a_run_of_its_own(thrice: RunRecord, tmp_path: Path, plugins_folder: Path) -> None:
    seeded = run(tmp_path / "run", plugins_folder, trial_seeds=[2, 0])
    assert exemplars(seeded, 1) == exemplars(thrice, 3)
    assert exemplars(seeded, 2) == exemplars(thrice, 1)
    assert [cell.exemplar_seed for cell in seeded.cells] == [None, 2, 0]


def test_results_hold_the_spread_over_trials_apart_from_the_intervals(thrice: RunRecord) -> None:
    results = json.loads((thrice.folder / "results.json").read_text(encoding="utf-8"))
    values = [results["results"][name]["accuracy,none"] for name in NAMES[1:]]
    assert len(set(values)) > 1
    assert list(results["trials"]) == ["letters@mini|2"]
    trials = results["trials"]["letters@mini|2"]
    assert (trials["task"], trials["shots"], trials["seeds"]) == ("letters@mini", 2, [0, 1, 2])
    assert trials["cells"] == NAMES[1:]
    (accuracy,) = trials["metrics"]
    assert accuracy["values"] == values
    assert accuracy["mean"] == pytest.approx(mean(values))
    assert accuracy["standard_deviation"] == pytest.approx(stdev(values))
    assert accuracy["count"] == 3
    assert (results["config"]["trials"], results["config"]["trial_seeds"]) == (3, None)


def test_the_table_shows_each_trial_and_then_their_spread(thrice: RunRecord) -> None:
    table = results_table(thrice.cells)
    (trials,) = thrice.trials
    spread = trials.metrics[0]
    assert spread.mean is not None
    assert spread.standard_deviation is not None
    assert [line.split()[1] for line in table.splitlines() if line.startswith("letters")] == [
        "0",
        "2",
        "2#2",
        "2#3",
        "2",
    ]
    line = table.split("over trials")[1].splitlines()[3].split()
    assert line[2:6] == ["accuracy", f"{spread.mean * 100:.1f}", f"{spread.standard_deviation * 100:.2f}", "3"]
    assert "over trials" not in results_table(thrice.cells[:2])


def test_the_report_shows_each_trial_and_their_spread(thrice: RunRecord) -> None:
    page = (thrice.folder / "report.html").read_text(encoding="utf-8")
    assert "2-shot, trial 2 of 3" in page
    assert "exemplars drawn with seed 2" in page
    spread = thrice.trials[0].metrics[0]
    assert spread.mean is not None
    assert f"{spread.mean * 100:.1f}" in page.split("Over trials")[1].split("</table>")[0]
    assert "--trials 3" in page


def test_scoring_again_gives_the_same_bytes(thrice: RunRecord) -> None:
    before = {**files(thrice.folder), "results": (thrice.folder / "results.json").read_bytes()}
    rescore(thrice.folder)
    assert {**files(thrice.folder), "results": (thrice.folder / "results.json").read_bytes()} == before


def test_several_processes_and_resuming_change_no_byte(
    thrice: RunRecord, tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_FAIL_AFTER", "200")
    with pytest.raises(Exception, match="told to fail"):
        run(tmp_path / "run", plugins_folder, trials=3)
    monkeypatch.delenv("SCRIPTED_FAIL_AFTER")
    execute(prepare_resumed(tmp_path / "run", {}), processes=2)
    assert files(tmp_path / "run") == files(thrice.folder)
    again, once = ((folder / "results.json").read_bytes() for folder in (tmp_path / "run", thrice.folder))
    assert again == once


@pytest.mark.parametrize(("changed", "field"), [({"trials": 2}, "trials"), ({"trial_seeds": [4, 5, 6]}, "trial_seeds")])
def test_a_run_is_not_resumed_with_other_trials(thrice: RunRecord, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(RunRefusedError, match=f"cannot resume with {field} ="):
        prepare_resumed(thrice.folder, changed)


def test_names_of_the_first_trial_are_those_without_trials() -> None:
    assert (cell_name("t@mini", 4, 0), cell_name("t@mini", 4, 1)) == ("t@mini|4", "t@mini|4#2")
    assert (trial_name(4, 0), trial_name(4, 2)) == ("4", "4#3")


def test_a_trial_without_a_value_is_counted_out() -> None:
    values = (0.5, None, 0.7)
    cells = [
        replace(CELL, trial=trial, exemplar_seed=trial, metrics=(replace(METRIC, value=value),))
        for trial, value in enumerate(values)
    ]
    (trials,) = gather_trials(cells)
    assert isinstance(trials, Trials)
    (spread,) = trials.metrics
    assert (spread.values, spread.count) == (values, 2)
    assert spread.mean == pytest.approx(0.6)
    assert spread.standard_deviation == pytest.approx(math.sqrt(0.02))


def test_trials_without_any_value_have_no_number() -> None:
    nothing = replace(METRIC, value=None)
    (trials,) = gather_trials([replace(CELL, trial=trial, metrics=(nothing,)) for trial in range(2)])
    assert trials.metrics == (Spread("accuracy", (None, None), None, None, 0),)
