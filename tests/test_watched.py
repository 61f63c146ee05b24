"""A run that a gate follows stops at the same unit whoever asks, and what stopped it is its verdict."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.baseline import MeasuredCell, MeasuredRun, measure_run, read_measured, save_baseline
from kosmos_eval.errors import DataError, RunRefusedError, UsageError
from kosmos_eval.gate import judge
from kosmos_eval.gate_policy import Policy, read_policy
from kosmos_eval.record import load
from kosmos_eval.run import evaluate, execute, prepare_resumed, rescore
from kosmos_eval.watched import in_random_order

if TYPE_CHECKING:
    from kosmos_eval.measurements import Measurements
    from kosmos_eval.record import RunRecord

PLUGINS = Path(__file__).parent / "plugins"
SIZE = 300


def ask(folder: Path, **settings: Any) -> RunRecord:  # noqa: ANN401  whatever RunConfig has a field for
    told: dict[str, Any] = {"include_path": [str(PLUGINS)], "report": [], "settings": {"letters": {"size": SIZE}}}
    return evaluate(tasks="letters", model="scripted", output_path=folder, **{**told, **settings})


def perfect(measurements: Measurements) -> Measurements:
    return replace(measurements, values={"accuracy": tuple(1.0 for _ in measurements.keys)})


def save_changed(run: MeasuredRun, path: Path) -> Path:
    """Write a baseline that had every answer right, so that the scripted model is a regression."""
    cells = tuple(MeasuredCell(perfect(each.measurements), "others", each.speed) for each in run.cells)
    save_baseline(replace(run, cells=cells), path)
    return path


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("gate")
    ask(folder / "base")
    (folder / "gate.toml").write_text("tolerance = 2")
    better = save_changed(read_measured(folder / "base"), folder / "better.json")
    return {"gate": str(folder / "gate.toml"), "baseline": str(better)}


@pytest.fixture(scope="module")
def stopped(gate: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ask(tmp_path_factory.mktemp("stopped") / "run", **gate).folder


def test_a_regression_ends_the_run_early_and_is_its_verdict(gate: dict[str, str], stopped: Path) -> None:
    record = load(stopped)
    (cell,) = record.cells
    assert cell.stopped is not None
    assert (cell.stopped.verdict, cell.stopped.verdicts) == ("regression", {"accuracy": "regression"})
    assert cell.samples == len(list(record.samples(cell))) < cell.stopped.planned == SIZE
    assert cell.metrics[0].split_low is None
    found = judge(read_measured(Path(gate["baseline"])), measure_run(record), read_policy(Path(gate["gate"])))
    assert (found.verdict, found.exit_code, found.error) == ("regression", 1, 0.05)
    metric = found.cells[0].metrics[0]
    assert (metric.p_value, metric.low) == (None, None)  # its own test would be biased by when it stopped


def test_another_policy_cannot_judge_what_was_stopped(gate: dict[str, str], stopped: Path) -> None:
    base = read_measured(Path(gate["baseline"]))
    found = judge(base, read_measured(stopped), Policy(tolerance=5))
    assert (found.verdict, found.exit_code) == ("not comparable", 3)
    assert "another policy or baseline" in found.cells[0].reasons[0]


def test_resuming_and_scoring_again_change_nothing(stopped: Path) -> None:
    before = (stopped / "results.json").read_bytes()
    units = len(list((stopped / "journal").iterdir()))
    execute(prepare_resumed(stopped, {}))
    assert (stopped / "results.json").read_bytes() == before
    assert len(list((stopped / "journal").iterdir())) == units
    rescore(stopped)
    assert (stopped / "results.json").read_bytes() == before


def test_a_run_that_died_half_way_ends_as_one_that_did_not(
    gate: dict[str, str], stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_FAIL_AFTER", "140")  # one unit, and some of the next
    with pytest.raises(DataError, match="told to fail"):
        ask(tmp_path / "run", **gate)
    monkeypatch.delenv("SCRIPTED_FAIL_AFTER")
    execute(prepare_resumed(tmp_path / "run", {}))
    assert (tmp_path / "run" / "results.json").read_bytes() == (stopped / "results.json").read_bytes()


def test_two_processes_stop_where_one_does(gate: dict[str, str], stopped: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kosmos_eval.cli", "run", "-q", "-j", "2", "--include_path", str(PLUGINS)]
    command += ["--tasks", "letters", "--model", "scripted", "--set", f"letters.size={SIZE}", "--report", ""]
    command += ["--gate", gate["gate"], "--baseline", gate["baseline"], "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == "verdict: regression (exit code 1)"
    assert (tmp_path / "run" / "results.json").read_bytes() == (stopped / "results.json").read_bytes()


def test_what_never_becomes_certain_is_asked_to_its_end(gate: dict[str, str], tmp_path: Path) -> None:
    base = str(Path(gate["baseline"]).parent / "base")
    record = ask(tmp_path / "run", gate=gate["gate"], baseline=base, settings={"letters": {"size": SIZE}})
    (cell,) = record.cells
    assert (cell.stopped, cell.samples) == (None, SIZE)
    assert judge(read_measured(Path(base)), measure_run(record), read_policy(Path(gate["gate"]))).verdict == "pass"


def test_a_baseline_that_changed_is_not_resumed(gate: dict[str, str], tmp_path: Path) -> None:
    policy = tmp_path / "gate.toml"
    policy.write_text("tolerance = 2")
    ask(tmp_path / "run", gate=str(policy), baseline=gate["baseline"])
    policy.write_text("tolerance = 3")
    with pytest.raises(RunRefusedError, match="the gate of letters@mini"):
        prepare_resumed(tmp_path / "run", {})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"gate": None}, "together"),
        ({"baseline": None}, "together"),
        ({"controls": ["image=none"]}, "no input controls"),
        ({"shots": 2}, "letters@mini|2: the baseline has no such cell"),
        ({"gate": "nowhere.toml"}, "nowhere.toml: cannot be read"),
    ],
)
def test_a_gate_that_cannot_follow_says_why(
    gate: dict[str, str], tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError) as refused:
        ask(tmp_path / "run", **{**gate, **changes})
    assert named in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_baseline_that_is_not_there_is_named(gate: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        ask(tmp_path / "run", gate=gate["gate"], baseline=str(tmp_path / "nothing.json"))


def test_the_order_is_drawn_by_the_seed_and_keeps_clusters_together(finished_run: Path) -> None:
    record = load(finished_run)
    samples: list[Any] = list(record.samples(record.cells[0]))
    orders = [in_random_order(samples, seed) for seed in ("0", "0", "1")]
    assert orders[0] == orders[1] != orders[2]
    names = [each.cluster for each in orders[0]]
    runs = [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]
    assert len(runs) == len(set(runs))
