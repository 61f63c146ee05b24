"""Progress is what all processes say they did: a line that is drawn again on a terminal, plain lines in a log."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kosmos_eval import progress as progress_module
from kosmos_eval.journal import Journal, JournalReader, UnitTiming
from kosmos_eval.plan import Unit
from kosmos_eval.processes.heartbeat import Heart, Watch, call_roll
from kosmos_eval.progress import Progress, describe

if TYPE_CHECKING:
    from pathlib import Path

UNITS = [Unit(f"t|0/{number}", "t|0", ("a", "b")) for number in range(4)] + [Unit("t|4/0", "t|4", ("a",))]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def journal_of(folder: Path, done: int) -> JournalReader:
    with closing(Journal(folder / "0000.sqlite")) as journal:
        for unit in UNITS[:done]:
            journal.commit(unit.id, {key: [] for key in unit.keys}, UnitTiming(2, 2, 0.0, 1.0))
    return JournalReader(folder)


def watch_of(folder: Path, processes: int = 1) -> Watch:
    call_roll(folder, processes)
    return Watch(folder, range(processes), range(processes))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((0, 8, 0, 0.0), "[........................] 0/8 samples, 0.0/s, time left unknown, t|0"),
        ((4, 8, 4, 2.0), "[############............] 4/8 samples, 2.0/s, 0:02 left, t|0"),
        ((6, 8, 2, 2.0), "[##################......] 6/8 samples, 1.0/s, 0:02 left, t|0"),
        ((1, 9001, 1, 1.0), "[........................] 1/9001 samples, 1.0/s, 2:30:00 left, t|0"),
        ((8, 8, 8, 2.0), "[########################] 8/8 samples, 4.0/s, done, t|0"),
        ((0, 0, 0, 1.0), "[........................] 0/0 samples, 0.0/s, done, t|0"),
    ],
)
def test_a_line_says_how_much_is_done_how_fast_and_how_long_it_takes(
    arguments: tuple[int, int, int, float], line: str
) -> None:
    assert describe(*arguments, "t|0") == line


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert "." in describe(999_999, 1_000_000, 1, 1.0, "t|0").split("]")[0]


def test_a_log_gets_plain_lines_with_the_work_of_all_processes(tmp_path: Path) -> None:
    stream = io.StringIO()
    watch = watch_of(tmp_path / "claims", processes=2)
    progress = Progress(stream)
    progress.begin(UNITS, journal_of(tmp_path, 0), watch)
    with Heart(tmp_path / "claims", 0) as first, Heart(tmp_path / "claims", 1) as second:
        for heart, unit in ((first, UNITS[0]), (second, UNITS[1]), (first, UNITS[2])):
            heart.say(unit=unit.id)
            heart.say(done=len(unit.keys))
        second.say(unit=UNITS[3].id)
        watch.look()
        progress.end()
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("[################........] 6/9 samples")
    assert line.endswith("t|0")


def test_a_process_that_has_fallen_silent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress_module, "_SILENT_SECONDS", -1.0)
    watch = watch_of(tmp_path / "claims")
    progress = Progress(stream)
    with Heart(tmp_path / "claims", 0):
        watch.look()
        progress.begin(UNITS, journal_of(tmp_path, 0), watch)
        progress.end()
    assert "; no sign of rank 0 (" in stream.getvalue()


def test_a_resumed_run_says_what_was_done_before_and_does_not_count_it_as_speed(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin(UNITS, journal_of(tmp_path, 3), watch_of(tmp_path / "claims"))
    progress.end()
    before, after = stream.getvalue().splitlines()
    assert before == "resuming: 6 of 9 samples are done"
    assert "6/9 samples, 0.0/s, time left unknown" in after


def test_a_terminal_line_is_drawn_again_and_ended_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_TERMINAL_SECONDS", 0.0)
    stream = Terminal()
    progress = Progress(stream)
    progress.begin(UNITS, journal_of(tmp_path, 5), watch_of(tmp_path / "claims"))
    progress.end()
    first, second, rest = stream.getvalue().split("\n")
    assert (first, rest) == ("resuming: 9 of 9 samples are done", "")
    drawn = second.split("\r\x1b[K")
    assert drawn[0] == ""
    assert all(line.endswith("9/9 samples, 0.0/s, done, scoring") for line in drawn[1:])


def test_units_of_other_work_in_the_journal_do_not_count(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin(UNITS[:1], journal_of(tmp_path, 5), watch_of(tmp_path / "claims"))
    progress.end()
    assert "2/2 samples" in stream.getvalue()


def test_what_never_began_can_be_ended() -> None:
    Progress(io.StringIO()).end()
