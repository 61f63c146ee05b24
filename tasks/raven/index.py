"""Pictures of panels with an index: `index.jsonl`, a record a line, or `index.json`, a list of records.

A record is `{"id": "7", "context": ["7/a.png", ...], "candidates": ["7/1.png", ...], "target": 2}`, pictures named
from the index's folder and the target counted from 0. `target` may be missing or null: the matrix is then asked about
and not scored. `split`, `rules` (attribute to rule) and `configuration` are optional.

A set in which no record names a split, such as KOSMOS-1's fifty matrices, is there to be evaluated: it is val and
test alike, and has no train.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kosmos_eval.data.folder import read_field, read_json
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.prompt import Image

from .sample import make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .sample import RavenSample

INDEXES = ("index.jsonl", "index.json")

_FIELDS = {"id", "context", "candidates", "target", "split", "rules", "configuration"}
_UNNAMED_SPLITS = ("val", "test")


def read_index(index: Path, split: str) -> list[RavenSample]:
    """Return the matrices of a split in the index's order, pictures unopened.

    Raises:
        DataError: the index is no valid JSON, or a record is malformed, a repetition, or names a missing picture; all
            records are checked, whatever their split.
        UsageError: no record is of that split.
    """
    samples: list[tuple[str | None, RavenSample]] = []
    seen: set[str] = set()
    for where, record in _records(index):
        sample, named = _read(index, record, where)
        if sample.key in seen:
            message = f'{where}: expected each "id" once, got {sample.key!r} again; give it another'
            raise DataError(message)
        seen.add(sample.key)
        samples.append((named, sample))
    if not samples:
        message = f"{index}: expected at least one record, got none; see docs/data.md for what they hold"
        raise DataError(message)
    return [sample for named, sample in samples if named in _wanted(index, samples, split)]


def _wanted(index: Path, samples: list[tuple[str | None, RavenSample]], split: str) -> set[str | None]:
    """Return which names of splits the records of a split have."""
    names = {named for named, _ in samples}
    known = {named for named in names if named is not None}
    if known and None in names:
        key = next(sample.key for named, sample in samples if named is None)
        message = f'{index}: expected every record to name its "split" as others do, record {key!r} does not; add it'
        raise DataError(message)
    if not known and split in _UNNAMED_SPLITS:
        return {None}
    if not known:
        message = (
            f'{index} names no splits, so it has no split {split!r} (its records need a "split" for that); '
            f"to draw exemplars from the other matrices: --set raven.exemplar_split=val"
        )
        raise UsageError(message)
    if split not in known:
        kind = f"split of {index}"
        raise UnknownNameError(kind, split, known)
    return {split}


def _records(index: Path) -> Iterator[tuple[str, object]]:
    """Yield the records, each with file and place for messages."""
    if index.suffix == ".json":
        records = read_json(index)
        if not isinstance(records, list):
            message = f"{index}: expected a list of records, got {type(records).__name__}; see docs/data.md"
            raise DataError(message)
        yield from ((f"{index}: record {place}", record) for place, record in enumerate(records, start=1))
        return
    try:
        lines = index.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{index}: cannot be read ({error}); copy it again, in UTF-8"
        raise DataError(message) from error
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield f"{index}: line {place}", json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            message = f"{index}: line {place} is not valid JSON ({error}); write one record on each line"
            raise DataError(message) from error


def _read(index: Path, record: object, where: str) -> tuple[RavenSample, str | None]:
    """Return a record's sample and the split that it names."""
    if not isinstance(record, dict):
        message = f"{where}: expected an object, got {record!r:.40}; see docs/data.md for what it holds"
        raise DataError(message)
    unknown = sorted(set(record) - _FIELDS)
    if unknown:
        message = f'{where}: expected only {", ".join(sorted(_FIELDS))}, got "{unknown[0]}"; remove or rename it'
        raise DataError(message)
    key = str(read_field(record, "id", int if isinstance(record.get("id"), int) else str, where))
    context = _pictures(index, record, "context", 1, where)
    candidates = _pictures(index, record, "candidates", 2, where)
    target = None if record.get("target") is None else read_field(record, "target", int, where)
    if target is not None and not 0 <= target < len(candidates):
        message = f'{where}: expected "target" from 0 to {len(candidates) - 1}, got {target}; it counts from 0'
        raise DataError(message)
    rules = read_field(record, "rules", dict, where) if "rules" in record else {}
    if not all(isinstance(rule, str) for rule in rules.values()):
        message = (
            f'{where}: expected "rules" to give a text for each attribute, got {rules!r:.60}; write names of rules'
        )
        raise DataError(message)
    configuration = read_field(record, "configuration", str, where) if "configuration" in record else ""
    sample = make_sample(key, context, candidates, target, rules=rules, configuration=configuration)
    return sample, read_field(record, "split", str, where) if "split" in record else None


def _pictures(index: Path, record: object, name: str, least: int, where: str) -> tuple[Image, ...]:
    """Return the pictures that a field of a record lists, unopened."""
    files = read_field(record, name, list, where)
    if len(files) < least or not all(isinstance(file, str) and file for file in files):
        message = (
            f'{where}: expected "{name}" to list at least {least} names of pictures, got {files!r:.60}; mend the index'
        )
        raise DataError(message)
    for file in files:
        if not (index.parent / file).is_file():
            message = f'{where}: expected the picture {file} of "{name}" in {index.parent}, found none; copy it there'
            raise DataError(message)
    return tuple(Image.from_file(index.parent / file) for file in files)
