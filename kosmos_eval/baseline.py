"""What a gate needs to know of a run, and the small file that keeps it beside the code.

A baseline file is JSON, so that a review sees which scores change when it is made anew; the samples are in columns,
each packed (JSON, zlib, base64). It holds each sample's key, values and cluster, and the beginnings of the digests of
its content and prompt: enough to pair it and to notice that it is another. Digests of all samples together are whole.
It holds no answers, prompts or pictures.

    {"kind": "kosmos-eval baseline", "schema": 1, "model": ..., "cells": [{"cell": ..., "columns": ...}]}
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kosmos_eval.errors import DataError
from kosmos_eval.fingerprint import digest_lines
from kosmos_eval.measurements import Measurements, Origin, read_measurements
from kosmos_eval.metrics.forms import Kept, weighed_of
from kosmos_eval.metrics.forms import kept as kept_of
from kosmos_eval.record import cell_from_json, check_once, load
from kosmos_eval.scoring import plain
from kosmos_eval.writing import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.corpus import Floats
    from kosmos_eval.gate_policy import Policy
    from kosmos_eval.record import RunRecord

KIND = "kosmos-eval baseline"
SCHEMA_VERSION = 1
_CONTENT_DIGITS = 4
"""Hex digits of each content's digest; that a sample of another content goes unnoticed has a chance of 1 in 65,536."""
_PROMPT_DIGITS = 2
"""As above; another wording changes the prompts of all samples, not of one."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCell:
    """A cell of a run, as a gate reads it.

    Attributes:
        measurements: of its samples.
        answers: SHA-256 of the samples' keys and answers.
        speed: samples a second; `None` where it was not recorded.
    """

    measurements: Measurements
    answers: str
    speed: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredRun:
    """A run, or the file that was made of one, as a gate reads it.

    Attributes:
        path: where it was read.
        origin: model, weights and settings.
        cells: in the run's order.
        memory: most that the model took, in bytes; `None` where it was not recorded.
        sequential: whether a gate followed the run while it was asked, with a part of its policy's error.
    """

    path: Path
    origin: Origin
    cells: tuple[MeasuredCell, ...]
    memory: float | None = None
    sequential: bool = False


def measure_run(record: RunRecord) -> MeasuredRun:
    """Return what a gate needs to know of a finished run.

    Raises:
        DataError: the samples cannot be read, or do not fit the results.
    """
    try:
        speeds = {name: _speed(timing) for name, timing in record.run.get("timings", {}).items()}
        memory = _number(record.run.get("model", {}).get("facts", {}).get("peak_memory"))
    except (KeyError, TypeError, AttributeError) as error:
        message = f"{record.folder / 'run.json'}: expected timings and facts in numbers ({type(error).__name__}: "
        message += f"{error}); make the run anew"
        raise DataError(message) from error
    cells = []
    for cell in record.cells:
        measurements = read_measurements(record, cell)
        cells.append(MeasuredCell(measurements, answers_digest(measurements), speeds.get(cell.name)))
    origin = cells[0].measurements.origin if cells else Origin(str(record.folder))
    followed = record.run.get("config", {}).get("gate") is not None
    return MeasuredRun(record.folder, origin, tuple(cells), memory, followed)


def _speed(timing: Mapping[str, float] | None) -> float | None:
    if not timing:
        return None
    samples, seconds = _number(timing["samples"]), _number(timing["seconds"])
    return samples / seconds if samples is not None and seconds else None


def answers_digest(measurements: Measurements) -> str:
    """Return the SHA-256 of the samples' keys and answers, in the order of the keys."""
    pairs = sorted(zip(measurements.keys, measurements.answers, strict=True), key=lambda pair: pair[0])
    return digest_lines(json.dumps(pair) for pair in pairs)


def gate_digest(base: MeasuredRun, policy: Policy) -> str:
    """Return the SHA-256 of what a gate's verdict depends on, besides the run."""
    lines = [json.dumps(policy.model_dump(mode="json"), sort_keys=True)]
    for each in base.cells:
        found = each.measurements
        if not found.cell.control:
            lines.append(json.dumps([found.cell.name, each.answers, found.keys, plain(found.values)], sort_keys=True))
    return digest_lines(lines)


def _check(measurements: Measurements, path: Path) -> None:
    """Raise `DataError` unless every sample is there once and every value is a number within its metric's bounds."""
    name = measurements.cell.name
    if twice := [key for key, count in Counter(measurements.keys).items() if count > 1]:
        message = (
            f"{path}: {name}: expected each sample once, got {twice[0]!r} {measurements.keys.count(twice[0])} times"
        )
        raise DataError(message)
    for metric in measurements.cell.metrics:
        if metric.value is not None and not math.isfinite(metric.value):
            message = f"{path}: {name}: expected {metric.name} to be a number, got {metric.value}; score the run again"
            raise DataError(message)
        lower = -math.inf if metric.lower is None else metric.lower
        upper = math.inf if metric.upper is None else metric.upper
        for key, value in zip(measurements.keys, measurements.values.get(metric.name, ()), strict=False):
            if value is not None and not (math.isfinite(value) and lower <= value <= upper):
                message = f"{path}: {name}: expected {metric.name} of sample {key} from {lower} to {upper}, got {value}"
                raise DataError(message)


def read_measured(path: Path) -> MeasuredRun:
    """Return a run folder, or a baseline file, as a gate reads it.

    Raises:
        DataError: there is neither, or it cannot be read.
    """
    if path.is_dir():
        return measure_run(load(path))
    if not path.exists():
        message = f"{path}: expected a run folder or a baseline file, found nothing there"
        raise DataError(message)
    return read_baseline(path)


def save_baseline(run: MeasuredRun, path: Path) -> None:
    """Write a run as a baseline file, whole or not at all; the same run gives the same bytes."""
    text = json.dumps(_to_json(run), indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def alike(base: Measurements, run: Measurements) -> tuple[Measurements, Measurements]:
    """Return two cells with the digests of their samples cut to one length: a baseline file keeps beginnings only."""
    contents = min((len(each) for side in (base, run) for each in side.contents), default=0)
    prompts = min((len(each) for side in (base, run) for each in side.asked), default=0)
    return _cut(base, contents, prompts), _cut(run, contents, prompts)


def _cut(measurements: Measurements, contents: int, prompts: int) -> Measurements:
    return replace(
        measurements,
        contents=tuple(each[:contents] for each in measurements.contents),
        asked=tuple(each[:prompts] for each in measurements.asked),
    )


def _to_json(run: MeasuredRun) -> dict[str, Any]:
    return {
        "kind": KIND,
        "schema": SCHEMA_VERSION,
        "origin": plain(replace(run.origin, run="")),  # the folder's name would change the bytes
        "memory": run.memory,
        **({"sequential": True} if run.sequential else {}),
        "cells": [_cell_to_json(each) for each in run.cells],
    }


def _cell_to_json(measured: MeasuredCell) -> dict[str, Any]:
    each = _cut(measured.measurements, _CONTENT_DIGITS, _PROMPT_DIGITS)
    cell = replace(each.cell, groups={}, shown=(), failures={})
    held = {name: kept for name, whole in each.corpus.items() if (kept := kept_of(whole)) is not None}
    statistics = {name: _packed_floats(kept.statistics) for name, kept in held.items()}
    distinct = list(dict.fromkeys(statistics.values()))  # four BLEUs are made of the same counts
    names = sorted(set(each.clusters))
    numbers = {name: number for number, name in enumerate(names)}
    return {
        "cell": plain(cell),
        "answers": measured.answers,
        "speed": measured.speed,
        "columns": {
            "keys": _packed(each.keys),
            "contents": _packed("".join(each.contents)),
            "asked": _packed("".join(each.asked)),
            "cluster_names": _packed(names),
            "clusters": _packed([numbers[name] for name in each.clusters]),
            "unscored": _packed(sorted({*range(len(each.keys))} - {*each.measured})),
            "failed": _packed(sorted(each.failed)),
        },
        "values": {name: _packed(column) for name, column in each.values.items()},
        "corpus": {
            name: {"form": held[name].form, "statistics": distinct.index(packed)} for name, packed in statistics.items()
        },
        "statistics": [{"columns": columns, "packed": packed} for columns, packed in distinct],
        "unkept": dict(each.unkept),
    }


def read_baseline(path: Path) -> MeasuredRun:
    """Return what a baseline file holds.

    Raises:
        DataError: the file cannot be read, is no baseline, is of another version, or does not fit together.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: cannot be read ({error})"
        raise DataError(message) from error
    if not isinstance(values, dict) or values.get("kind") != KIND:
        message = f"{path}: expected a baseline; make one with: kosmos-eval baseline save RUN -o {path}"
        raise DataError(message)
    if values.get("schema") != SCHEMA_VERSION:
        message = f"{path}: expected schema {SCHEMA_VERSION}, got {values.get('schema')!r}; another version wrote this "
        message += "baseline, make it anew with: kosmos-eval baseline save"
        raise DataError(message)
    try:
        origin = replace(Origin(**values["origin"]), run=str(path))
        cells = tuple(_cell_from_json(each, origin) for each in values["cells"])
        memory = _number(values["memory"])
        check_once([each.measurements.cell for each in cells])
        for each in cells:
            _check(each.measurements, path)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error, binascii.Error) as error:
        message = f"{path}: is damaged ({type(error).__name__}: {error}); make it anew with: kosmos-eval baseline save"
        raise DataError(message) from error
    return MeasuredRun(path, origin, cells, memory, bool(values.get("sequential")))


def _cell_from_json(values: Mapping[str, Any], origin: Origin) -> MeasuredCell:
    columns = values["columns"]
    keys = _unpacked(columns["keys"])
    names = _unpacked(columns["cluster_names"])
    statistics = [_unpacked_floats(each) for each in values["statistics"]]
    cell = cell_from_json(values["cell"])
    measurements = Measurements(
        cell=cell,
        keys=tuple(keys),
        contents=_split(_unpacked(columns["contents"]), len(keys)),
        clusters=tuple(names[number] for number in _unpacked(columns["clusters"])),
        answers=(None,) * len(keys),
        values={name: tuple(_unpacked(column)) for name, column in values["values"].items()},
        corpus={
            name: weighed_of(Kept(each["form"], statistics[each["statistics"]]))
            for name, each in values["corpus"].items()
        },
        measured=tuple(sorted({*range(len(keys))} - {*_unpacked(columns["unscored"])})),
        failed=frozenset(_unpacked(columns["failed"])),
        asked=_split(_unpacked(columns["asked"]), len(keys)),
        unkept=values["unkept"],
        origin=origin,
    )
    if not isinstance(measurements.unkept, dict):
        message = f"{cell.name}: expected reasons by metric, got {measurements.unkept!r:.60}"
        raise TypeError(message)
    lengths = {len(keys), len(measurements.clusters), *(len(column) for column in measurements.values.values())}
    scored = {len(measurements.measured), *(whole.count for whole in measurements.corpus.values())}
    if len(lengths) > 1 or len(scored) > 1:
        message = f"{measurements.cell.name}: expected columns of one length, got {sorted(lengths)}, {sorted(scored)}"
        raise ValueError(message)
    return MeasuredCell(measurements, values["answers"], _number(values["speed"]))


def _number(value: object) -> float | None:
    if not (value is None or (isinstance(value, int | float) and 0 <= value < math.inf)):
        message = f"expected a finite number from 0, got {value!r:.60}"
        raise TypeError(message)
    return value


def _packed(values: Sequence[object]) -> str:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def _unpacked(packed: str) -> Any:  # noqa: ANN401  JSON values have no narrower type
    return json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))


def _packed_floats(statistics: Floats) -> tuple[int, str]:
    """Return the number of columns, and the columns packed: one after the other, in which like stands beside like."""
    raw = np.ascontiguousarray(statistics.T, dtype="<f8").tobytes()
    return statistics.shape[1], base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def _unpacked_floats(values: Mapping[str, Any]) -> Floats:
    raw = zlib.decompress(base64.b64decode(values["packed"], validate=True))
    columns = np.frombuffer(raw, dtype="<f8").reshape(values["columns"], -1)
    return np.ascontiguousarray(columns.T, dtype=np.float64)


def _split(digits: str, count: int) -> tuple[str, ...]:
    """Return digests that were written one after the other; none where none were kept."""
    size, rest = divmod(len(digits), count) if count else (0, 0)
    if rest:
        message = f"expected digests of one length for {count} samples, got {len(digits)} digits"
        raise ValueError(message)
    return tuple(digits[place * size : (place + 1) * size] for place in range(count)) if size else ()
