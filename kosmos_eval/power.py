"""How small a drop a run's tasks can show, and how many samples it takes to see a given one.

What decides is how far the paired differences of two runs scatter. With a second run of the same work that is
measured. With one run it is not known, and taken from the run's own scatter and an assumed correlation between the
runs' values of a sample: at 0, as if the runs erred apart, which is more samples than a real pair needs (between
models, Miller 2024, arXiv 2411.00640, section 4.2, found 0.3 to 0.7; a checkpoint and the next are nearer).

Where all values, or all differences, are alike there is no scatter to go by; then the interval tells it, which knows
that another sample could still differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from kosmos_eval.compare import CONFIDENCE, compare_cells
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.gate_policy import fits
from kosmos_eval.measurements import read_measurements
from kosmos_eval.scoring import plain
from kosmos_eval.statistics.power import ALPHA, POWER, detectable_difference, difference_stderr, samples_needed
from kosmos_eval.table import NO_NUMBER, aligned, as_is, missing_reason
from kosmos_eval.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.record import CellResult, MetricResult, RunRecord
    from kosmos_eval.statistics.paired import Difference
    from kosmos_eval.statistics.power import Sides

_HEADINGS = ("cell", "metric", "n", "clusters", "split", "smallest drop", "n needed", "note")
_RIGHT_ALIGNED = _HEADINGS[2:-1]
_FEWEST = 2
"""Clusters: a single one does not say how far others lie from it."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a comparison is to find.

    Attributes:
        drop: of a metric, in its own unit: 0.01 is one point of a metric in percent.
        power: probability of finding it.
        alpha: probability of finding one where there is none.
        sides: 2 for a comparison, that looks for any difference; 1 for a gate, that looks for a drop.
    """

    drop: float = 0.01
    power: float = POWER
    alpha: float = ALPHA
    sides: Sides = 2


@dataclass(frozen=True, slots=True)
class CellPower:
    """What a cell's headline metric can show.

    Attributes:
        cell: its name.
        metric: name of the headline metric; empty where the cell has none.
        count: samples that were scored, in both runs if there are two.
        clusters: independent groups among them.
        total: samples of the split.
        stderr: of the paired difference; `None` where it is not known.
        detectable: the smallest drop that is found with so many samples; `None` as above.
        needed: samples with which the drop that was asked for is found; `None` as above.
        percent: tables show the metric times 100.
        note: why there are no numbers, or why the number of samples cannot be had.
    """

    cell: str
    metric: str
    count: int
    clusters: int
    total: int
    stderr: float | None = None
    detectable: float | None = None
    needed: int | None = None
    percent: bool = True
    note: str = ""


def power_of(
    run: RunRecord, aim: Aim, *, against: RunRecord | None = None, correlation: float = 0.0, tasks: Sequence[str] = ()
) -> list[CellPower]:
    """Return what each cell of a run can show.

    Args:
        run: the baseline.
        aim: what is to be found.
        against: another run of the same work, to measure paired differences; `None` assumes `correlation`.
        correlation: between two runs' values of a sample; has no say with `against`.
        tasks: names or globs of cells; all of them by default.

    Raises:
        DataError: a run's samples cannot be read.
        UnknownNameError: a name fits no cell of the run.
        ValueError: a number of the aim, or the correlation, makes no sense.
    """
    for name in tasks:
        if not any(fits(name, cell) for cell in run.cells):
            kind = "task of this run"
            raise UnknownNameError(kind, name, {cell.task for cell in run.cells})
    chosen = [cell for cell in run.cells if not tasks or any(fits(name, cell) for name in tasks)]
    if against is None:
        return [_alone(cell, aim, correlation) for cell in chosen]
    return [_paired(run, cell, against, aim) for cell in chosen]


def _alone(cell: CellResult, aim: Aim, correlation: float) -> CellPower:
    if not cell.metrics:
        return CellPower(cell.name, "", 0, 0, cell.total, note="the cell has no metric")
    metric = cell.metrics[0]
    stderr = _stderr(metric)
    if stderr is None:
        note = missing_reason(cell, metric) or "no interval"
        return CellPower(cell.name, metric.name, metric.count, metric.clusters, cell.total, note=note)
    return _powered(cell, metric, metric, difference_stderr(stderr, correlation), aim)


def _paired(run: RunRecord, cell: CellResult, against: RunRecord, aim: Aim) -> CellPower:
    other = next((each for each in against.cells if each.name == cell.name), None)
    name = cell.metrics[0].name if cell.metrics else ""
    if other is None:
        return CellPower(cell.name, name, 0, 0, cell.total, note="the other run has no such cell")
    found = compare_cells(read_measurements(run, cell), read_measurements(against, other))
    if found.main is None:
        note = "; ".join(found.reasons) or found.missing.get(name, "no metric could be compared")
        return CellPower(cell.name, name, found.common, 0, cell.total, note=note)
    difference = found.main.difference
    stderr = _stderr(difference)
    if stderr is None:
        note = "no interval of the difference"
        return CellPower(cell.name, name, difference.count, difference.clusters, cell.total, note=note)
    return _powered(cell, cell.metrics[0], difference, stderr, aim)


def _stderr(estimate: MetricResult | Difference) -> float | None:
    """Return a standard error, by the interval where all values are alike; `None` where there is none to go by."""
    if estimate.stderr is None or estimate.clusters < _FEWEST:
        return None
    if estimate.stderr > 0:
        return estimate.stderr
    if estimate.low is None or estimate.high is None or not estimate.low < estimate.high:
        return None
    return (estimate.high - estimate.low) / (2 * NormalDist().inv_cdf((1 + CONFIDENCE) / 2))


def _powered(
    cell: CellResult, metric: MetricResult, estimate: MetricResult | Difference, stderr: float, aim: Aim
) -> CellPower:
    if metric.percent and aim.drop > 1:
        message = f"{cell.name}: expected a drop of {metric.name} of at most 1, all of it, got {aim.drop:g}; "
        message += f"{aim.drop:g} points are {aim.drop / 100:g}"
        raise UsageError(message)
    count, clusters = estimate.count, estimate.clusters
    needed = samples_needed(
        aim.drop, stderr, count, alpha=aim.alpha, power=aim.power, sides=aim.sides, clusters=clusters
    )
    return CellPower(
        cell=cell.name,
        metric=metric.name,
        count=count,
        clusters=clusters,
        total=cell.total,
        stderr=stderr,
        detectable=detectable_difference(stderr, alpha=aim.alpha, power=aim.power, sides=aim.sides, clusters=clusters),
        needed=needed,
        percent=metric.percent,
        note="more than the split has" if needed > cell.total else "",
    )


def as_text(found: Sequence[CellPower], aim: Aim, basis: str) -> str:
    """Return a table of what cells can show, and below it what the numbers rest on.

    Args:
        found: a cell each.
        aim: what was to be found.
        basis: where the scatter of the differences comes from, a line.
    """
    rows = [_HEADINGS, *map(_row, found)]
    return "\n".join([aligned(rows, _RIGHT_ALIGNED), "", *_footnotes(aim), basis])


def as_json(found: Sequence[CellPower], aim: Aim, basis: str) -> dict[str, Any]:
    """Return the same as plain JSON values."""
    return {"aim": plain(aim), "basis": basis, "cells": [plain(each) for each in found]}


def _row(found: CellPower) -> tuple[str, ...]:
    drop = NO_NUMBER
    if found.detectable is not None:
        drop = f"{found.detectable * 100:.2f}" if found.percent else as_is(found.detectable)
    return (
        visible_line(found.cell),
        visible_line(found.metric),
        f"{found.count:,}",
        f"{found.clusters:,}",
        f"{found.total:,}",
        drop,
        NO_NUMBER if found.needed is None else f"{found.needed:,}",
        visible_line(found.note),
    )


def _footnotes(aim: Aim) -> Iterator[str]:
    sided = "two-sided" if aim.sides == 2 else "one-sided"  # noqa: PLR2004  one of two
    yield (
        f"smallest drop: in points, found {aim.power:.0%} of the time with n samples by a {sided} test at {aim.alpha:g}"
    )
    yield f"n needed: samples that find a drop of {aim.drop:g} ({aim.drop * 100:g} points of a percentage) as often"
