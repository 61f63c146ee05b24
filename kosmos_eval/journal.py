"""Crash-safe record of every response: one SQLite file for each process, written a whole unit at a time.

A unit's rows, with those of the units that are asked together with it, are committed in one transaction and flushed
to disk, so whenever a process dies, they are in its journal whole or not at all. Readers look at all journals of a run
together; which process did a unit leaves no trace in what they read.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kosmos_eval.errors import DataError
from kosmos_eval.request import Failed, Response, response_from_json, response_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS units (unit TEXT PRIMARY KEY, samples INTEGER, requests INTEGER, started REAL, seconds REAL);
CREATE TABLE IF NOT EXISTS answers (unit TEXT, sample TEXT, exchanges TEXT, PRIMARY KEY (unit, sample)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (unit TEXT, sample TEXT, PRIMARY KEY (unit, sample)) WITHOUT ROWID;
"""
_BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request of a sample, by digest, and the response it got; a failure is a sample's last."""

    request: str
    response: Response | Failed


@dataclass(frozen=True, slots=True)
class UnitTiming:
    """How long a unit took.

    Attributes:
        samples, requests: how many it held.
        started: when, in seconds since the epoch.
        seconds: wall time of the model's work. Of units that were asked together, each has a share by its requests.
    """

    samples: int
    requests: int
    started: float
    seconds: float


class Journal:
    """The journal that one process writes."""

    def __init__(self, path: Path) -> None:
        """Open the journal, making it if it is new."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=DELETE")  # WAL needs memory that all share: one machine
        self._connection.execute("PRAGMA synchronous=EXTRA")  # with it, a power cut undoes no commit
        self._connection.executescript(_SCHEMA)

    def commit(self, unit: str, answers: Mapping[str, Sequence[Recorded]], timing: UnitTiming) -> None:
        """Write a whole unit, durably: see `commit_together`."""
        self.commit_together([(unit, answers, timing)])

    def commit_together(self, units: Iterable[tuple[str, Mapping[str, Sequence[Recorded]], UnitTiming]]) -> None:
        """Write whole units, durably and all at once.

        Args:
            units: id of each, sample key to its exchanges in order, and how long it took.

        Raises:
            DataError: the journal cannot be written, as on a full disk; nothing of the units is.
        """
        rows, failed, timings = [], [], []
        for unit, answers, timing in units:
            for key, done in answers.items():
                rows.append((unit, key, json.dumps([_to_json(each) for each in done])))
                if any(isinstance(each.response, Failed) for each in done):
                    failed.append((unit, key))
            timings.append((unit, timing.samples, timing.requests, timing.started, timing.seconds))
        with self._transaction() as cursor:
            cursor.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)
            cursor.executemany("INSERT INTO failures VALUES (?, ?)", failed)
            cursor.executemany("INSERT INTO units VALUES (?, ?, ?, ?, ?)", timings)

    def forget(self, units: Iterable[str]) -> None:
        """Take units out, durably and all at once: each will be asked anew, by whichever process.

        Raises:
            DataError: the journal cannot be written; it is as it was.
        """
        names = [(unit,) for unit in units]
        with self._transaction() as cursor:
            for table in ("answers", "failures", "units"):
                cursor.executemany(f"DELETE FROM {table} WHERE unit = ?", names)  # noqa: S608  names of our own tables

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """Lend a cursor, and make durable what is done with it, or undo it all."""
        with closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                cursor.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    message = f"journal {self._path}: cannot be written ({error}); make room, then resume the run"
                    raise DataError(message) from error
                raise

    def close(self) -> None:
        """Close the file; everything committed is already on disk."""
        self._connection.close()


def _to_json(recorded: Recorded) -> list[object]:
    return [recorded.request, response_to_json(recorded.response)]


class Answers(Protocol):
    """What holds the answers of units."""

    def unit(self, unit: str) -> Mapping[str, Sequence[Recorded]]:
        """Return a unit's answers: sample key to its exchanges in order."""
        ...


class JournalReader:
    """All journals of a run, read together."""

    def __init__(self, folder: Path) -> None:
        """Look at the journals of a run's `journal` folder; it may not exist yet."""
        self._folder = folder

    def timings(self) -> dict[str, UnitTiming]:
        """Return the units that are done, and how long each took."""
        done: dict[str, UnitTiming] = {}
        for path in self._files():
            for unit, *timing in _query(path, "SELECT unit, samples, requests, started, seconds FROM units", ()):
                done[unit] = UnitTiming(*timing)
        return done

    def unit(self, unit: str) -> dict[str, list[Recorded]]:
        """Return a unit's answers: sample key to its exchanges in order.

        Raises:
            DataError: no journal holds the unit.
        """
        for path in self._files():
            if rows := _query(path, "SELECT sample, exchanges FROM answers WHERE unit = ?", (unit,)):
                return {
                    key: [Recorded(request, response_from_json(response)) for request, response in json.loads(text)]
                    for key, text in rows
                }
        message = f"{self._folder}: expected unit {unit} in a journal, found it in none; finish the run with --resume"
        raise DataError(message)

    def forget_failures(self, together: Iterable[Sequence[str]] = ()) -> None:
        """Take out every unit that holds a failed sample, so that it is asked anew; for the owner of the run alone.

        A journal loses its units in one step, and nothing else holds them: whatever ends the run afterwards, each unit
        is in one journal or in none, and one that is in none is asked when the run is resumed.

        Args:
            together: ids of units that were asked together, and are taken out together; all others were asked alone.
        """
        bundles = [frozenset(bundle) for bundle in together]
        for path in self._files():
            if failed := {unit for (unit,) in _query(path, "SELECT DISTINCT unit FROM failures", ())}:
                failed.update(unit for bundle in bundles if not failed.isdisjoint(bundle) for unit in bundle)
                with closing(Journal(path)) as journal:
                    journal.forget(sorted(failed))

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.sqlite"))


def _query(path: Path, statement: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):  # the file's process died before it had made its tables
            return []
        message = f"journal {path}: cannot be read ({error})"
        raise DataError(message) from error
    except sqlite3.DatabaseError as error:
        message = f"journal {path}: is damaged ({error}); delete it and finish the run with --resume"
        raise DataError(message) from error
