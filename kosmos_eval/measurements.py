"""Reads what a comparison needs of a run: each sample's values by its key, and what corpus metrics are made of.

Everything comes from `samples/STEM.parquet`, of which the exchanges are not read: hundreds of thousands of samples take
seconds and little memory, and neither the data nor a model is needed. What does not fit together (a sample twice, a
value that is no number, a mean that is not the results') is refused, for it would be compared as if it did.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kosmos_eval.corpus import part_of
from kosmos_eval.errors import DataError
from kosmos_eval.metrics.forms import Kept, weighed_of
from kosmos_eval.record import SAMPLES_KEY, SAMPLES_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.corpus import Weighed
    from kosmos_eval.record import CellResult, MetricResult, RunRecord

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_TEXTS = ("key", "content", "cluster", "groups", "answer", "target", "failed")
_ROUNDING = 1e-6
"""What sums in another order, and values cut to their bounds, leave open between a record's values and its result."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that a cell was measured in.

    Attributes:
        run: the folder as it was named.
        model: name of the model.
        weights: the model's fingerprint.
        dtype: of the weights and activations.
        exemplars: the policy by which few-shot exemplars were chosen.
    """

    run: str = ""
    model: str = ""
    weights: str = ""
    dtype: str = ""
    exemplars: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """One cell of a run, a sample a place: all that a comparison needs, and nothing that needs the data or a model.

    Attributes:
        cell: the cell's results.
        keys: of the samples, each once.
        contents: SHA-256 of each sample.
        clusters: what each sample shares with others; empty where it stands alone.
        answers: as read out of the responses; `None` is unparsed, or failed.
        values: metric name to one value a sample, `None` where it has none: unlabelled, failed, or of a corpus metric
            that gives this sample none of its own; without the corpus metrics that give none to any.
        corpus: name of each corpus metric that the record holds to the metric over the samples at `measured`.
        measured: places of the samples that were scored: labelled, and not failed.
        failed: keys of the samples that the model could not take.
        asked: SHA-256 of each sample's first request; empty in records of before it was kept.
        targets: the truth, for people.
        groups: breakdown to category, of each sample.
        unkept: name of each corpus metric that is not in `corpus`, to the reason; its samples may have `values`.
        origin: the run.
    """

    cell: CellResult
    keys: tuple[str, ...]
    contents: tuple[str, ...]
    clusters: tuple[str, ...]
    answers: tuple[str | None, ...]
    values: Mapping[str, tuple[float | None, ...]]
    corpus: Mapping[str, Weighed] = field(default_factory=lambda: _NOTHING)
    measured: tuple[int, ...] = ()
    failed: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    groups: tuple[Mapping[str, str], ...] = ()
    unkept: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    origin: Origin = Origin()

    def take(self, places: Sequence[int]) -> Measurements:
        """Return the samples at some places, in that order; all of them must be measured ones.

        Raises:
            ValueError: a place is of a sample that was not scored.
        """
        at = {place: number for number, place in enumerate(self.measured)}
        try:
            members = np.array([at[place] for place in places], dtype=np.int64)
        except KeyError as error:
            message = f"expected samples that were scored, got the one at place {error.args[0]}"
            raise ValueError(message) from None

        def taken(column: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(column[place] for place in places) if column else ()

        return replace(
            self,
            keys=taken(self.keys),
            contents=taken(self.contents),
            clusters=taken(self.clusters),
            answers=taken(self.answers),
            values={name: taken(column) for name, column in self.values.items()},
            corpus={name: part_of(whole, members) for name, whole in self.corpus.items()},
            measured=tuple(range(len(places))),
            failed=frozenset(),
            asked=taken(self.asked),
            targets=taken(self.targets),
            groups=taken(self.groups),
        )


class _KeptColumn(NamedTuple):
    """A corpus metric's column.

    Attributes:
        form: by name; empty where the record holds none.
        places: of the samples that add to it.
        statistics: what they add; [places, statistics].
    """

    form: str
    places: tuple[int, ...]
    statistics: np.ndarray[Any, np.dtype[np.float64]]


class _Columns(NamedTuple):
    """What is read of a samples' file.

    Attributes:
        texts: name of the column to one text a sample.
        values: metric name to one value a sample.
        corpus: name of each corpus metric to its column; `None` in files of before they were kept.
    """

    texts: Mapping[str, tuple[Any, ...]]
    values: Mapping[str, tuple[float | None, ...]]
    corpus: Mapping[str, _KeptColumn] | None


def read_measurements(record: RunRecord, cell: CellResult) -> Measurements:
    """Return a cell of a run as it was measured.

    Raises:
        DataError: the samples' file is missing, damaged or of another version, or does not fit the results.
    """
    path = record.folder / "samples" / f"{cell.file_stem}.parquet"
    try:
        columns = _read_columns(path, cell)
        return _measurements(record, cell, columns)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = str(error.args[0]) if isinstance(error, KeyError) else str(error)
        reason = " ".join(said.split())
        message = f"{path}: cannot be compared ({reason}); make it again with: kosmos-eval rescore {record.folder}"
        raise DataError(message) from error


def _measurements(record: RunRecord, cell: CellResult, columns: _Columns) -> Measurements:
    texts, keys = columns.texts, columns.texts["key"]
    _check_keys(texts, cell)
    failed = frozenset(key for key, reason in zip(keys, texts["failed"], strict=True) if reason is not None)
    corpus = columns.corpus or {}
    measured = _measured(columns)
    for metric in cell.metrics:
        _check_metric(metric, columns, measured)
    reasons = {metric.name: _unkept(metric, columns, record.folder) for metric in cell.metrics}
    unkept = {name: reason for name, reason in reasons.items() if reason}
    config, model = record.run.get("config", {}), record.run.get("model", {})
    return Measurements(
        cell=cell,
        keys=keys,
        contents=texts["content"],
        clusters=texts["cluster"],
        answers=texts["answer"],
        values={
            name: column
            for name, column in columns.values.items()
            if (name not in corpus and name not in unkept) or any(value is not None for value in column)
        },
        corpus={name: weighed_of(Kept(each.form, each.statistics)) for name, each in corpus.items() if each.form},
        measured=measured,
        failed=failed,
        asked=texts.get("asked", ()),
        targets=texts["target"],
        groups=_parsed_groups(texts["groups"]),
        unkept=unkept,
        origin=Origin(
            run=str(record.folder),
            model=str(model.get("name", config.get("model", ""))),
            weights=str(model.get("fingerprint", "")),
            dtype=str(config.get("dtype", "")),
            exemplars=str(config.get("exemplars", "")),
        ),
    )


def _read_columns(path: Path, cell: CellResult) -> _Columns:
    """Return what is read of a samples' file.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is no whole Parquet file, lacks a column, is of another version, or holds what it cannot.
    """
    import pyarrow as pa  # noqa: PLC0415  half a second to import, and only who compares needs it
    import pyarrow.parquet as pq  # noqa: PLC0415  as above

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            version = (schema.metadata or {}).get(SAMPLES_KEY.encode())
            if version not in (None, str(SAMPLES_VERSION).encode()):
                message = f"expected version {SAMPLES_VERSION} of the samples' columns, got {version!r:.20}"
                raise ValueError(message)
            texts = (*_TEXTS, "asked") if version else _TEXTS
            values = {metric.name: f"metric.{metric.name}" for metric in cell.metrics}
            corpus = {name: f"corpus.{name}" for name in values if f"corpus.{name}" in schema.names}
            wanted = (*texts, *values.values(), *corpus.values())
            if missing := [name for name in wanted if name not in schema.names]:
                message = f"expected the columns {', '.join(wanted)}, found no {', '.join(missing)}"
                raise ValueError(message)
            table = file.read(columns=list(wanted))
    except (pa.ArrowException, UnicodeDecodeError) as error:
        message = f"expected a whole Parquet file: {error}"
        raise ValueError(message) from error
    forms = {name: (schema.field(column).metadata or {}).get(b"form", b"").decode() for name, column in corpus.items()}
    return _Columns(
        texts={name: tuple(table.column(name).to_pylist()) for name in texts},
        values={name: tuple(table.column(column).to_pylist()) for name, column in values.items()},
        corpus={name: _kept_column(table.column(column), forms[name]) for name, column in corpus.items()}
        if version
        else None,
    )


def _kept_column(column: Any, form: str) -> _KeptColumn:  # noqa: ANN401  pyarrow has no types
    """Return a column of lists, all of one length, as an array.

    Raises:
        ValueError: lengths differ, or a number is missing.
    """
    rows = column.to_pylist()
    places = tuple(place for place, row in enumerate(rows) if row is not None)
    widths = {len(rows[place]) for place in places}
    if len(widths) > 1 or any(None in rows[place] for place in places):
        message = f"expected equally many statistics of each sample, got {sorted(widths)}"
        raise ValueError(message)
    statistics = np.array([rows[place] for place in places], dtype=np.float64).reshape(len(places), *widths or (0,))
    return _KeptColumn(form if places else "", places, statistics)


def _check_keys(texts: Mapping[str, tuple[Any, ...]], cell: CellResult) -> None:
    keys = texts["key"]
    if len(keys) != cell.samples:
        message = f"expected the {cell.samples} samples that results.json speaks of, found {len(keys)}"
        raise ValueError(message)
    for name in ("key", "content", "cluster", "groups", "target", *(["asked"] if "asked" in texts else [])):
        if None in texts[name]:
            message = f"expected each sample to have a {name}, found one without"
            raise ValueError(message)
    if len({*keys}) < len(keys):
        key, count = Counter(keys).most_common(1)[0]
        message = f"expected each sample once, found {key!r:.60} {count} times"
        raise ValueError(message)


def _measured(columns: _Columns) -> tuple[int, ...]:
    """Return the places of the samples that have any number: those that were labelled and did not fail."""
    places = {
        place for column in columns.values.values() for place, value in enumerate(column) if value is not None
    }.union(*(each.places for each in (columns.corpus or {}).values()))
    return tuple(sorted(places))


def _check_metric(metric: MetricResult, columns: _Columns, measured: Sequence[int]) -> None:
    """Raise `ValueError` unless a metric's values are numbers, within bounds, and make up the result.

    Args:
        metric: the result.
        columns: of its cell.
        measured: places of the samples that were scored.
    """
    if metric.value is not None and not math.isfinite(metric.value):
        message = f"expected {metric.name} in results.json to be a number, got {metric.value}"
        raise ValueError(message)
    lower = -math.inf if metric.lower is None else metric.lower
    upper = math.inf if metric.upper is None else metric.upper
    for value in columns.values[metric.name]:
        if value is not None and not (math.isfinite(value) and lower <= value <= upper):
            message = f"expected values of {metric.name} from {lower} to {upper}, found {value}"
            raise ValueError(message)
    if columns.corpus is None:  # which of the metrics are of the corpus is not known
        return
    held = columns.corpus.get(metric.name)
    if held is None:
        count, found = _mean(columns.values[metric.name])
    elif held.form:
        whole = weighed_of(Kept(held.form, held.statistics))
        count, found = whole.count, float(whole.values(np.ones((1, whole.count)))[0])
    else:
        return
    if count != len(measured) or not _same(metric.value, found):
        message = f"expected the samples to make up the {metric.name} that results.json has, {metric.value} of "
        message += f"{len(measured)}, found {found} of {count}"
        raise ValueError(message)


def _mean(values: Sequence[float | None]) -> tuple[int, float]:
    """Return how many values there are, and their mean; not a number without any."""
    known = [value for value in values if value is not None]
    return len(known), math.fsum(known) / len(known) if known else math.nan


def _same(value: float | None, found: float) -> bool:
    """Whether a value is the one that was found, but for rounding; `None` is not a number."""
    if value is None:
        return math.isnan(found)
    return math.isclose(value, found, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _unkept(metric: MetricResult, columns: _Columns, folder: Path) -> str:
    """Return why a corpus metric cannot be had from the record; empty if it can, and for a mean."""
    if columns.corpus is None:
        count, mean = _mean(columns.values[metric.name])
        if metric.unavailable or (count == metric.count and _same(metric.value, mean)):
            return metric.unavailable
        return f"the run was scored before its parts were kept; make them with: kosmos-eval rescore {folder}"
    held = columns.corpus.get(metric.name)
    if held is None or held.form or metric.unavailable:
        return metric.unavailable
    return "the task makes it in a way of its own, which a record cannot hold" if metric.count else "nothing was scored"


def _parsed_groups(texts: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """Return the breakdowns and categories that texts spell; equal texts share one mapping."""
    parsed = {text: json.loads(text) for text in {*texts}}
    if wrong := next((text for text, groups in parsed.items() if not isinstance(groups, dict)), None):
        message = f"expected groups to be a JSON object, found {wrong:.60}"
        raise ValueError(message)
    return tuple(parsed[text] for text in texts)
