"""`plan`, which is `run --dry-run`, says what a run would do and take, and writes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


@pytest.fixture
def work(plugins_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the flags of a small run, and stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    flags = ["--include-path", str(plugins_folder), "--tasks", "letters", "--model", "several"]
    return [*flags, "--set", "letters.size=12", "--report", ""]


@pytest.mark.parametrize("command", [("plan",), ("run", "--dry-run"), ("run", "--dry_run", "-o", "out")])
def test_the_work_is_shown_and_nothing_is_written(
    kosmos_eval: Command, work: list[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = kosmos_eval(*command, *work, "--shots", "0,1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split("  ")[0] == "task"
    # 12 samples, a unit, 4 pictures; a sequence has 12 words and tokens by the model's survey, 4 pictures have 40
    assert lines[2].split()[:8] == ["letters@mini", "0", "12", "1", "4", "144", "64", "2.2"]
    assert lines[2].split()[8] == "48"
    assert lines[3].split()[:4] == ["letters@mini", "1", "12", "1"]
    assert " of 12 samples in " in lines[2]
    assert lines[5].startswith("time: about ")
    assert " with 1 process: preparing " in lines[5]
    assert lines[6].endswith("in proportion to its tokens")
    assert lines[7].startswith("memory: ")
    assert lines[7].endswith("at most")
    assert "more than one request a sample, as tried: letters@mini|0 2.0, letters@mini|1 2.0" in lines[8]
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_counts_no_tokens_is_timed_by_samples(kosmos_eval: Command, work: list[str]) -> None:
    lines = kosmos_eval("plan", *work, "--model", "scripted").out.splitlines()
    assert lines[2].split()[:9] == ["letters@mini", "0", "12", "1", "4", "—", "—", "—", "—"]
    assert lines[5].endswith("in proportion to its samples")
    assert lines[6].endswith(" measured")


def test_several_processes_share_the_time_and_each_has_its_memory(
    kosmos_eval: Command, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    shown = kosmos_eval("plan", *work, "--processes", "4").out
    assert " with 4 processes: " in shown
    assert "4 processes on 2 cores or GPUs are no faster than 2" in shown
    (most, whole) = re.findall(r"([\d,]+) MiB(?: at most| in all)", shown)
    assert abs(int(whole.replace(",", "")) - 4 * int(most.replace(",", ""))) <= 4
    assert "at most, for each of 4 processes: " in shown


def test_what_fails_when_tried_is_named(kosmos_eval: Command, work: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVERAL_FAILS", "letter 4?")
    assert "letters@mini|0: 1 of those tried failed, first 4: too long" in kosmos_eval("plan", *work).out


def test_what_stops_a_run_stops_its_plan(kosmos_eval: Command, work: list[str]) -> None:
    refused = kosmos_eval("plan", *work, "--shots", "13")
    assert (refused.code, "expected 13 exemplars for sample" in refused.message) == (65, True)
    assert "expected --tasks" in kosmos_eval("plan").message


def test_a_finished_run_has_nothing_left(kosmos_eval: Command, finished_run: Path) -> None:
    assert kosmos_eval("plan", "--resume", finished_run).out == "nothing is left to ask\n"


def test_a_file_can_ask_for_a_dry_run(kosmos_eval: Command, work: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("dry-run: true\n", encoding="utf-8")
    done = kosmos_eval("run", *work, "--config", "run.yaml")
    assert (done.code, "time: about" in done.out) == (0, True)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_plan_takes_the_flags_of_run(kosmos_eval: Command) -> None:
    flags = {word.rstrip(",") for word in kosmos_eval("run", "--help").out.split() if word.startswith("--")}
    shown = kosmos_eval("plan", "--help").out
    assert [flag for flag in sorted(flags - {"--dry-run"}) if flag not in shown] == []
