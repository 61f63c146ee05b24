"""A unit is in the journal whole or not at all, and readers look at all journals as one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.journal import Journal, JournalReader, Recorded, UnitTiming
from kosmos_eval.request import Failed, Generated, LogLikelihood, Scored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMING = UnitTiming(samples=2, requests=3, started=1.5, seconds=0.25)
ANSWERS = {
    "a": [
        Recorded("1" * 64, Generated("été\u2028\n", (1, 2), (-0.5, float("-inf")), "stop")),
        Recorded("2" * 64, Scored((LogLikelihood((3,), (-1.0,), 4, greedy=True),))),
    ],
    "b": [Recorded("3" * 64, Generated("", (), (), "length"))],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    with closing(Journal(folder / "0000.sqlite")) as opened:
        yield opened


def test_a_unit_comes_back_as_it_was_while_its_writer_goes_on(journal: Journal, folder: Path) -> None:
    journal.commit("u/0", ANSWERS, TIMING)
    reader = JournalReader(folder)
    assert reader.unit("u/0") == ANSWERS
    assert reader.timings() == {"u/0": TIMING}
    journal.commit("u/1", ANSWERS, TIMING)
    assert set(reader.timings()) == {"u/0", "u/1"}


class PoweredOffError(Exception):
    pass


class Failing(dict[str, "list[Recorded]"]):
    """Answers that break off after the first sample."""

    def items(self) -> Iterator[tuple[str, list[Recorded]]]:  # type: ignore[override]  # a generator will do
        yield "a", ANSWERS["a"]
        raise PoweredOffError


def test_answers_that_break_off_leave_nothing(journal: Journal, folder: Path) -> None:
    with pytest.raises(PoweredOffError):
        journal.commit("u/0", Failing(), TIMING)
    assert JournalReader(folder).timings() == {}
    journal.commit("u/0", ANSWERS, TIMING)
    assert JournalReader(folder).unit("u/0") == ANSWERS


def test_a_failure_between_the_rows_of_a_unit_leaves_none_of_them(journal: Journal, folder: Path) -> None:
    journal._connection.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON units BEGIN SELECT RAISE(ABORT, 'no space'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="no space"):
        journal.commit("u/0", ANSWERS, TIMING)
    reader = JournalReader(folder)
    assert reader.timings() == {}
    with pytest.raises(DataError, match="expected unit u/0 in a journal, found it in none"):
        reader.unit("u/0")
    journal._connection.execute("DROP TRIGGER fault")
    journal.commit("u/0", ANSWERS, TIMING)
    assert reader.unit("u/0") == ANSWERS


def test_a_unit_is_never_written_twice_into_one_journal(journal: Journal, folder: Path) -> None:
    journal.commit("u/0", ANSWERS, TIMING)
    with pytest.raises(sqlite3.IntegrityError):
        journal.commit("u/0", {"a": ANSWERS["b"]}, TIMING)
    assert JournalReader(folder).unit("u/0") == ANSWERS


FAILED = {"a": ANSWERS["a"], "b": [*ANSWERS["a"], Recorded("4" * 64, Failed("too long", 7))]}


def test_units_that_hold_a_failure_are_forgotten_and_can_be_written_anew_elsewhere(folder: Path) -> None:
    for number, answers in enumerate((ANSWERS, FAILED, ANSWERS, FAILED)):
        with closing(Journal(folder / f"{number % 2:04d}.sqlite")) as journal:
            journal.commit(f"u/{number}", answers, TIMING)
    reader = JournalReader(folder)
    assert reader.unit("u/1") == FAILED
    reader.forget_failures()
    assert set(reader.timings()) == {"u/0", "u/2"}
    with pytest.raises(DataError, match="expected unit u/1"):
        reader.unit("u/1")
    for number in (1, 3):
        with closing(Journal(folder / f"{number // 2:04d}.sqlite")) as journal:
            journal.commit(f"u/{number}", ANSWERS, TIMING)
    reader.forget_failures()
    assert {unit: reader.unit(unit) for unit in reader.timings()} == {f"u/{number}": ANSWERS for number in range(4)}


def test_units_that_are_asked_together_are_written_together_or_not_at_all(journal: Journal, folder: Path) -> None:
    journal._connection.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON units WHEN NEW.unit = 'u/1' BEGIN SELECT RAISE(ABORT, 'power'); END"
    )
    both = [("u/0", ANSWERS, TIMING), ("u/1", ANSWERS, TIMING)]
    with pytest.raises(sqlite3.IntegrityError, match="power"):
        journal.commit_together(both)
    assert JournalReader(folder).timings() == {}
    journal._connection.execute("DROP TRIGGER fault")
    journal.commit_together(both)
    assert {unit: JournalReader(folder).unit(unit) for unit in ("u/0", "u/1")} == {"u/0": ANSWERS, "u/1": ANSWERS}


def test_units_that_were_asked_together_are_forgotten_together(folder: Path) -> None:
    with closing(Journal(folder / "0000.sqlite")) as journal:
        journal.commit_together([("u/0", ANSWERS, TIMING), ("u/0~", FAILED, TIMING)])
        journal.commit_together([("u/1", ANSWERS, TIMING), ("u/1~", ANSWERS, TIMING)])
    reader = JournalReader(folder)
    reader.forget_failures([("u/0", "u/0~"), ("u/1", "u/1~")])
    assert set(reader.timings()) == {"u/1", "u/1~"}


def test_forgetting_that_breaks_off_forgets_nothing(journal: Journal, folder: Path) -> None:
    journal.commit("u/0", FAILED, TIMING)
    journal.commit("u/1", FAILED, TIMING)
    journal._connection.execute(
        "CREATE TRIGGER fault BEFORE DELETE ON units WHEN OLD.unit = 'u/1' BEGIN SELECT RAISE(ABORT, 'power'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="power"):
        JournalReader(folder).forget_failures()
    assert {unit: JournalReader(folder).unit(unit) for unit in ("u/0", "u/1")} == {"u/0": FAILED, "u/1": FAILED}
    journal._connection.execute("DROP TRIGGER fault")
    JournalReader(folder).forget_failures()
    assert JournalReader(folder).timings() == {}


def test_a_journal_of_before_failures_were_kept_has_none(folder: Path) -> None:
    with closing(Journal(folder / "0000.sqlite")) as journal:
        journal.commit("u/0", ANSWERS, TIMING)
        journal._connection.execute("DROP TABLE failures")
    JournalReader(folder).forget_failures()
    assert JournalReader(folder).unit("u/0") == ANSWERS


def test_what_an_unfinished_transaction_wrote_is_not_read(journal: Journal, folder: Path) -> None:
    journal.commit("u/0", ANSWERS, TIMING)
    with closing(sqlite3.connect(folder / "0000.sqlite", isolation_level=None)) as dying:
        dying.execute("BEGIN IMMEDIATE")
        dying.execute("INSERT INTO answers VALUES ('u/1', 'a', '[]')")
        assert set(JournalReader(folder).timings()) == {"u/0"}
        with pytest.raises(DataError, match="expected unit u/1"):
            JournalReader(folder).unit("u/1")


def test_a_reopened_journal_goes_on_where_it_stopped(folder: Path) -> None:
    for number in range(3):
        with closing(Journal(folder / "0000.sqlite")) as journal:
            journal.commit(f"u/{number}", ANSWERS, TIMING)
    assert set(JournalReader(folder).timings()) == {"u/0", "u/1", "u/2"}


def test_the_journals_of_several_processes_are_read_as_one(folder: Path) -> None:
    for number in range(3):
        with closing(Journal(folder / f"{number:04d}.sqlite")) as journal:
            journal.commit(f"u/{number}", {f"sample {number}": ANSWERS["a"]}, TIMING)
    reader = JournalReader(folder)
    assert set(reader.timings()) == {"u/0", "u/1", "u/2"}
    assert reader.unit("u/2") == {"sample 2": ANSWERS["a"]}


def test_before_a_run_has_begun_nothing_is_done(folder: Path) -> None:
    assert JournalReader(folder).timings() == {}
    folder.mkdir()
    assert JournalReader(folder).timings() == {}


def test_a_file_whose_process_died_before_it_made_its_tables_is_empty(folder: Path) -> None:
    folder.mkdir()
    (folder / "0000.sqlite").touch()
    reader = JournalReader(folder)
    assert reader.timings() == {}
    with pytest.raises(DataError, match="expected unit u/0"):
        reader.unit("u/0")
    with closing(Journal(folder / "0000.sqlite")) as journal:
        journal.commit("u/0", ANSWERS, TIMING)
    assert reader.unit("u/0") == ANSWERS


@pytest.mark.parametrize("content", [b"not a database at all, but text", b"SQLite format 3\x00" + bytes(200)])
def test_a_damaged_journal_is_named_with_what_to_do(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "0001.sqlite").write_bytes(content)
    cure = r"journal .*0001\.sqlite: is damaged .*; delete it and finish the run with --resume"
    with pytest.raises(DataError, match=cure):
        JournalReader(folder).timings()


def test_answers_are_plain_text_that_other_programs_read(journal: Journal, folder: Path) -> None:
    journal.commit("u/0", ANSWERS, TIMING)
    with closing(sqlite3.connect(folder / "0000.sqlite")) as other:
        ((sample, exchanges),) = other.execute("SELECT sample, exchanges FROM answers WHERE sample = 'b'")
    ((digest, response),) = json.loads(exchanges)
    assert (sample, digest, response["stop_reason"]) == ("b", "3" * 64, "length")
