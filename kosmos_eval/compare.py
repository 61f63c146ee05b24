"""Compares two runs sample by sample: what changed, how sure that is, and whether the two are alike enough to say so.

Samples are paired by key and content, never by their place. What differs between two cells besides the model (data,
prompts, scorer, shots, settings, exemplars, control) is refused by name, unless the caller says that it is the point
(`kosmos_eval.likeness`). Samples that only one run has are counted and left out, so that a subset can be held against
the whole; so are samples that failed in either. An unparsed answer earns what it earned.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kosmos_eval.comparison import CellComparison, Comparison, Flip, MetricComparison
from kosmos_eval.errors import UnknownNameError
from kosmos_eval.likeness import POINTS, check_point, unlike
from kosmos_eval.measurements import read_measurements
from kosmos_eval.metrics.forms import OF_ONE_CORPUS, kept
from kosmos_eval.statistics.multiple import holm
from kosmos_eval.statistics.paired import paired_corpus_difference, paired_difference
from kosmos_eval.statistics.power import detectable_difference
from kosmos_eval.table import subset_note
from kosmos_eval.trials import spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kosmos_eval.corpus import Weighed
    from kosmos_eval.measurements import Measurements, Origin
    from kosmos_eval.record import CellResult, MetricResult, RunRecord
    from kosmos_eval.trials import Spread

__all__ = [
    "POINTS",
    "CellComparison",
    "Comparison",
    "Flip",
    "MetricComparison",
    "compare",
    "compare_cells",
    "compare_runs",
]

CONFIDENCE = 0.95
_FEWEST = 2
"""Clusters: a single one does not say how far others lie from it."""


def compare_cells(
    base: Measurements,
    other: Measurements,
    *,
    point: frozenset[str] = frozenset(),
    confidence: float = CONFIDENCE,
) -> CellComparison:
    """Return what changed from one cell to another, over the samples that both have.

    Args:
        base: what it is compared with.
        other: what is compared.
        point: what may differ, of `POINTS`.
        confidence: of the intervals.

    Raises:
        UnknownNameError: `point` has another name.
    """
    check_point(point)
    at = {key: place for place, key in enumerate(other.keys)}
    pairs = [(place, at[key]) for place, key in enumerate(base.keys) if key in at]
    found = CellComparison(
        base=base.cell.name,
        other=other.cell.name,
        headline=base.cell.metrics[0].name if base.cell.metrics else "",
        only_base=len(base.keys) - len(pairs),
        only_other=len(other.keys) - len(pairs),
        notes=tuple(_notes(base, other)),
    )
    if differing := unlike(base, other, pairs, point):
        return replace(found, refused=tuple(e.name for e in differing), reasons=tuple(e.reason for e in differing))
    failed = base.failed | other.failed
    answered = [pair for pair in pairs if base.keys[pair[0]] not in failed]
    scored = frozenset(base.measured), frozenset(other.measured)
    usable = [pair for pair in answered if pair[0] in scored[0] and pair[1] in scored[1]]
    before, after = base.take([left for left, _ in usable]), other.take([right for _, right in usable])
    found = replace(
        found, common=len(usable), failed=len(pairs) - len(answered), unlabelled=len(answered) - len(usable)
    )
    return _with_metrics(found, before, after, confidence)


def _notes(base: Measurements, other: Measurements) -> Iterator[str]:
    if base.origin.dtype != other.origin.dtype:
        yield f"computed in {base.origin.dtype} and in {other.origin.dtype}"
    subsets = [subset_note(side.cell) for side in (base, other)]
    for name, note in {"the base run": subsets[0], "the other run": subsets[1]}.items():
        if note and subsets[0] != subsets[1]:
            yield f"{name}: {note}"
    if subsets[0] and subsets[0] == subsets[1]:
        yield f"both runs: {subsets[0]}"
    if base.cell.total != other.cell.total:
        yield f"the split has {base.cell.total:,} samples in one run and {other.cell.total:,} in the other"
    made_with = {metric.name: metric.made_with for metric in other.cell.metrics}
    for metric in base.cell.metrics:
        if metric.made_with != made_with.get(metric.name, metric.made_with):
            yield f"{metric.name}: made with {metric.made_with} and with {made_with[metric.name]}"


def _with_metrics(
    found: CellComparison, before: Measurements, after: Measurements, confidence: float
) -> CellComparison:
    """Return a comparison with its metrics and flips, of cells that have the same samples at the same places."""
    missing = {
        metric.name: reason for metric in before.cell.metrics if (reason := _missing(metric.name, found, before, after))
    }
    metrics = tuple(
        _compare_metric(metric, before, after, confidence)
        for metric in before.cell.metrics
        if metric.name not in missing
    )
    per_sample = (metric for metric in before.cell.metrics if metric.name not in missing)
    guide = next((each for each in per_sample if _values(each.name, before, after)), None)
    if guide is None:
        return replace(found, metrics=metrics, missing=missing)
    gained, lost = _flips(guide, before, after)
    return replace(found, metrics=metrics, missing=missing, flipped=guide.name, gained=gained, lost=lost)


def _missing(name: str, found: CellComparison, before: Measurements, after: Measurements) -> str:
    """Return why a metric cannot be compared; empty if it can."""
    if all(metric.name != name for metric in after.cell.metrics):
        return "the other run has no such metric"
    if not before.keys:
        return "no sample was scored in both"
    forms = {held.form for each in (before, after) if name in each.corpus and (held := kept(each.corpus[name]))}
    if found.only_base + found.only_other and forms & OF_ONE_CORPUS:
        return "a sample's worth depends on the others of its run, and the runs have others; run both on the same"
    if (name in before.corpus and name in after.corpus) or _values(name, before, after):
        return ""
    reasons = {side: each.unkept.get(name, "") for side, each in (("base", before), ("other", after))}
    if reasons["base"] and reasons["base"] == reasons["other"]:
        return f"in both runs: {reasons['base']}"
    said = [f"in the {side} run: {reason}" for side, reason in reasons.items() if reason]
    return "; ".join(said) or "some samples have no value"


def _values(name: str, before: Measurements, after: Measurements) -> tuple[list[float], list[float]] | None:
    """Return a metric's values of the samples in either cell; `None` where a sample has none, or there is no sample."""
    columns = [[value for value in each.values.get(name, ()) if value is not None] for each in (before, after)]
    if not before.keys or any(len(column) < len(before.keys) for column in columns):
        return None
    return columns[0], columns[1]


def _compare_metric(
    metric: MetricResult, before: Measurements, after: Measurements, confidence: float
) -> MetricComparison:
    name = metric.name
    lower = -math.inf if metric.lower is None else metric.lower
    upper = math.inf if metric.upper is None else metric.upper
    own_values = False
    if name in before.corpus and name in after.corpus:
        wholes = before.corpus[name], after.corpus[name]
        values = [_over_all(whole) for whole in wholes]
        difference = paired_corpus_difference(*wholes, before.clusters, lower=lower, upper=upper, confidence=confidence)
    else:
        columns = _values(name, before, after)
        assert columns is not None
        values = [math.fsum(column) / len(column) for column in columns]
        difference = paired_difference(*columns, before.clusters, lower=lower, upper=upper, confidence=confidence)
        own_values = name in before.unkept or name in after.unkept or name in {*before.corpus, *after.corpus}
    detectable = None
    if difference.stderr and difference.clusters >= _FEWEST:
        detectable = detectable_difference(difference.stderr, clusters=difference.clusters)
    return MetricComparison(
        name=name,
        base=values[0],
        other=values[1],
        difference=difference,
        detectable=detectable,
        higher_is_better=metric.higher_is_better,
        percent=metric.percent,
        own_values=own_values,
    )


def _over_all(whole: Weighed) -> float | None:
    value = float(whole.values(np.ones((1, whole.count)))[0])
    return None if math.isnan(value) else value


def _flips(
    metric: MetricResult, before: Measurements, after: Measurements
) -> tuple[tuple[Flip, ...], tuple[Flip, ...]]:
    """Return the samples that gained and that lost, the largest change first, then by key."""
    columns = _values(metric.name, before, after)
    assert columns is not None
    changed = [
        Flip(key, before.answers[place], after.answers[place], _target(before, after, place), base, other)
        for place, (key, base, other) in enumerate(zip(before.keys, *columns, strict=True))
        if base != other
    ]
    changed.sort(key=lambda flip: (-abs(flip.other - flip.base), flip.key))
    up = tuple(flip for flip in changed if flip.other > flip.base)
    down = tuple(flip for flip in changed if flip.other < flip.base)
    return (up, down) if metric.higher_is_better else (down, up)


def _target(before: Measurements, after: Measurements, place: int) -> str:
    return next((each.targets[place] for each in (before, after) if each.targets), "")


def compare(
    base_cells: Sequence[Measurements],
    other_cells: Sequence[Measurements],
    *,
    point: frozenset[str] = frozenset(),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Return the comparison of cells that pair by name, p-values adjusted over the pairs' headline metrics.

    Args:
        base_cells: what is compared with.
        other_cells: what is compared.
        point: what may differ, of `POINTS`; a cell without a namesake then pairs with those that it makes alike.
        confidence: of the intervals.

    Raises:
        UnknownNameError: `point` has another name.
    """
    before, after = (_Side([each.cell for each in side], side.__getitem__) for side in (base_cells, other_cells))
    return _compare(before, after, point, confidence)


def compare_runs(
    base: RunRecord,
    other: RunRecord,
    *,
    point: frozenset[str] = frozenset(),
    tasks: Sequence[str] = (),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Return the comparison of two runs, with one pair of cells in memory at a time.

    Args:
        base: what is compared with.
        other: what is compared.
        point: see `compare`.
        tasks: names of tasks (`vqav2`, `vqav2@mini`) or globs that are compared; all of them by default.
        confidence: of the intervals.

    Raises:
        DataError: a run's samples cannot be read.
        UnknownNameError: `point` or `tasks` has a name that there is not.
    """
    cells = [_chosen(side.cells, tasks) for side in (base, other)]
    for name in tasks:
        if not any(_chosen(side, (name,)) for side in cells):
            kind = "task of the two runs"
            raise UnknownNameError(kind, name, {cell.task for side in (base, other) for cell in side.cells})
    return _compare(
        _Side(cells[0], lambda place: read_measurements(base, cells[0][place])),
        _Side(cells[1], lambda place: read_measurements(other, cells[1][place])),
        point,
        confidence,
    )


def _chosen(cells: Sequence[CellResult], tasks: Sequence[str]) -> list[CellResult]:
    names = [(cell.task, cell.task.partition("@")[0]) for cell in cells]
    matched = (any(fnmatchcase(each, task) for task in tasks for each in name) for name in names)
    return [cell for cell, chosen in zip(cells, matched, strict=True) if chosen or not tasks]


class _Side(NamedTuple):
    """The cells of a run, and what gives their measurements by place."""

    cells: Sequence[CellResult]
    at: Callable[[int], Measurements]


def _compare(base: _Side, other: _Side, point: frozenset[str], confidence: float) -> Comparison:
    check_point(point)
    pairs = list(_pairs(base.cells, other.cells, point))
    found: list[CellComparison] = []
    origins: tuple[Origin | None, Origin | None] = (None, None)
    for left, right in pairs:
        before, after = base.at(left), other.at(right)
        origins = before.origin, after.origin
        found.append(compare_cells(before, after, point=point, confidence=confidence))
    found = _adjusted(found)
    paired = {left for left, _ in pairs}, {right for _, right in pairs}
    return Comparison(
        cells=tuple(found),
        only_base=tuple(cell.name for place, cell in enumerate(base.cells) if place not in paired[0]),
        only_other=tuple(cell.name for place, cell in enumerate(other.cells) if place not in paired[1]),
        trials=_spreads([base.cells[left] for left, _ in pairs], found),
        base=origins[0],
        other=origins[1],
        point=point,
    )


def _pairs(base: Sequence[CellResult], other: Sequence[CellResult], point: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of cells of one name, and of those left over that differ only in what may differ."""
    named = {cell.name: place for place, cell in enumerate(other)}
    names = {cell.name for cell in base}

    def identity(cell: CellResult) -> tuple[object, ...]:
        task = cell.task.partition("@")[0] if "data" in point else cell.task
        return task, "shots" in point or cell.shots, "control" in point or cell.control, cell.trial

    for place, cell in enumerate(base):
        if cell.name in named:
            yield place, named[cell.name]
            continue
        yield from (
            (place, right)
            for right, each in enumerate(other)
            if each.name not in names and identity(each) == identity(cell)
        )


def _adjusted(cells: Sequence[CellComparison]) -> list[CellComparison]:
    p_values = holm([None if cell.main is None else cell.main.difference.p_value for cell in cells])
    return [
        replace(
            cell,
            metrics=tuple(
                replace(metric, adjusted=p_value) if metric is cell.main else metric for metric in cell.metrics
            ),
        )
        for cell, p_value in zip(cells, p_values, strict=True)
    ]


def _spreads(base: Sequence[CellResult], found: Sequence[CellComparison]) -> dict[str, Spread]:
    """Return how far apart the headline's differences lie over trials, by the name of the first trial's cell."""
    together: dict[tuple[object, ...], list[tuple[CellResult, CellComparison]]] = {}
    for cell, comparison in zip(base, found, strict=True):
        together.setdefault((cell.task, cell.shots, cell.control), []).append((cell, comparison))
    return {
        trials[0][0].name: spread_of(
            trials[0][1].headline,
            [None if each.main is None else each.main.difference.value for _, each in trials],
            percent=trials[0][0].metrics[0].percent,
        )
        for trials in together.values()
        if any(cell.trial for cell, _ in trials)
    }
