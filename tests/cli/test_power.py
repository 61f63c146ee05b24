"""`power` says how small a drop a run's tasks can show, by its own scatter or by that of two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.record import load
from kosmos_eval.run import evaluate
from kosmos_eval.statistics.power import detectable_difference, samples_needed

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def change_first_cell(folder: Path, **changes: object) -> None:
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["cells"][0]["metrics"][0].update(changes)
    path.write_text(json.dumps(results), encoding="utf-8")


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory, plugins_folder: Path) -> Path:
    """Return a run whose zero-shot answers are those of the finished run, and whose prompts of 2 shots are others."""
    folder = tmp_path_factory.mktemp("other") / "run"
    include = [str(plugins_folder)]
    evaluate(
        tasks="letters", model="scripted", shots=[0, 2], seed=1, include_path=include, report=[], output_path=folder
    )
    return folder


def test_one_run_s_scatter_stands_for_two_that_err_apart(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "power.json"
    ended = kosmos_eval("power", finished_run, "--drop", 0.1, "--json", path)
    assert (ended.code, ended.err) == (0, "")
    metric = load(finished_run).cells[0].metrics[0]
    stderr = (metric.stderr or 0) * 2**0.5
    drop = detectable_difference(stderr, clusters=metric.clusters)
    needed = samples_needed(0.1, stderr, metric.count, clusters=metric.clusters)
    lines = ended.out.splitlines()
    row = f"letters@mini|0  accuracy 40 14 40 {drop * 100:.2f} {needed} more than the split has"
    assert lines[2].split() == row.split()
    assert lines[3].startswith("letters@mini|2")
    assert "found 80% of the time with n samples by a two-sided test at 0.05" in ended.out
    assert lines[-1].endswith(f"assumed, from {finished_run} alone, at a correlation of 0")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["aim"] == {"drop": 0.1, "power": 0.8, "alpha": 0.05, "sides": 2}
    assert (found["cells"][0]["detectable"], found["cells"][0]["needed"]) == (pytest.approx(drop), needed)


def test_correlated_runs_one_side_and_less_power_see_smaller_drops(kosmos_eval: Command, finished_run: Path) -> None:
    def smallest(*flags: object) -> float:
        (line,) = kosmos_eval("power", finished_run, "--tasks", "letters@mini|0", *flags).out.splitlines()[2:3]
        return float(line.split()[5])

    usual = smallest()
    assert smallest("--correlation", 0.75) == pytest.approx(usual / 2, abs=0.01)
    assert smallest("--one-sided") < usual
    assert smallest("--power", 0.5) < usual
    assert smallest("--alpha", 0.01) > usual


def test_two_runs_of_the_same_work_are_measured(kosmos_eval: Command, finished_run: Path, other_seed: Path) -> None:
    ended = kosmos_eval("power", finished_run, "--against", other_seed)
    assert ended.code == 0
    alone, few_shot = ended.out.splitlines()[2:4]
    assert alone.split()[:5] == ["letters@mini|0", "accuracy", "40", "14", "40"]
    # Not a sample differs between the zero-shot cells, yet another one could: no drop is seen without end.
    assert 5 < float(alone.split()[5]) < 40
    assert "exemplars" in few_shot
    assert few_shot.split()[5] == "—"
    assert ended.out.splitlines()[-1].endswith(f"measured, {other_seed} against {finished_run}")


def test_a_run_that_is_always_right_still_has_an_answer(kosmos_eval: Command, finished_run: Path) -> None:
    change_first_cell(finished_run, value=1.0, low=0.8, high=1.0, stderr=0.0)
    line = kosmos_eval("power", finished_run).out.splitlines()[2]
    stderr = 0.2 / (2 * 1.959964) * 2**0.5
    assert float(line.split()[5]) == pytest.approx(100 * detectable_difference(stderr, clusters=14), abs=0.01)


def test_without_an_interval_there_is_no_number_and_a_reason(kosmos_eval: Command, finished_run: Path) -> None:
    change_first_cell(finished_run, low=None, high=None, stderr=None, clusters=1)
    line = kosmos_eval("power", finished_run).out.splitlines()[2]
    assert line.split()[5:7] == ["—", "—"]
    assert line.endswith("no interval from a single cluster")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--tasks", "leters"), 64, "no task of this run named 'leters'; did you mean 'letters@mini'?"),
        (("--power", "0.01"), 64, "expected 0 < --alpha < --power < 1, got 0.05 and 0.01"),
        (("--correlation", "1"), 64, "expected --correlation from -1 to below 1, got 1"),
        (("--correlation", "0.5", "--against", "x"), 64, "or --correlation, got both"),
        (("--drop", "0"), 64, "0.0 is not in the range"),
        (("--drop", "nan"), 64, "expected --drop from 1e-06 and finite, got nan"),
        (("--drop", "inf"), 64, "got inf"),
        (("--drop", "1e-300"), 64, "got 1e-300"),
        (("--drop", "5"), 64, "expected a drop of accuracy of at most 1, all of it, got 5; 5 points are 0.05"),
        (("--json", "."), 64, "is a directory"),
        (("--against", "missing"), 65, "missing: expected a run folder, found no run.json in it"),
    ],
)
def test_bad_input_is_one_line(
    kosmos_eval: Command, finished_run: Path, flags: tuple[str, ...], code: int, message: str
) -> None:
    ended = kosmos_eval("power", finished_run, *flags)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.message


def test_an_unfinished_run_and_the_same_one_twice_are_refused(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path
) -> None:
    assert kosmos_eval("power", finished_run, "--against", finished_run).message.endswith("twice")
    unfinished = Path(shutil.copytree(finished_run, tmp_path / "unfinished"))
    (unfinished / "results.json").unlink()
    ended = kosmos_eval("power", unfinished)
    assert (ended.code, "the run is not finished" in ended.message) == (65, True)
