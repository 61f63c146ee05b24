"""Small charts as geometry: a metric's interval on its scale, a difference, and a task's scores over shot counts.

Only numbers are made here, in SVG units; the template draws them. What the charts show stands in a table beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from kosmos_eval.table import shown, shown_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kosmos_eval.comparison import MetricComparison
    from kosmos_eval.record import MetricResult

_BAR_WIDTH = 120.0
_BAR_PAD = 4.0
_CURVE_WIDTH, _CURVE_HEIGHT = 250.0, 150.0
_CURVE_LEFT, _CURVE_RIGHT, _CURVE_TOP, _CURVE_BOTTOM = 40.0, 14.0, 10.0, 34.0
_STEPS = (0.05, 0.1, 0.2, 0.25, 0.5, *(step * 10.0**power for power in range(9) for step in (1.0, 2.0, 5.0)))
_TICKS = 5


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """A horizontal bar from the interval's low to its high end, a mark for the value and one for chance.

    Attributes:
        width: of the drawing.
        left, right: ends of the scale.
        value: place of the value.
        low, high: places of the interval's ends; both `value` where there is no interval.
        chance: place of chance; `None` where it is not known.
        label: the same in words.
    """

    width: float
    left: float
    right: float
    value: float
    low: float
    high: float
    chance: float | None
    label: str


@dataclass(frozen=True, slots=True)
class DifferenceBar:
    """A horizontal bar from the low to the high end of a difference's interval, on a scale with 0 in its middle.

    Attributes:
        width: of the drawing.
        left, right: ends of the scale.
        zero: place of no difference.
        value: place of the difference.
        low, high: places of the interval's ends; both `value` where there is no interval.
        label: the same in words.
    """

    width: float
    left: float
    right: float
    zero: float
    value: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what is written there."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A score over a shot count: its place, and those of its interval's ends."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurveLine:
    """A straight line between two neighbouring points."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class ShotCurve:
    """Scores of one task over its shot counts, evenly spaced in rising order.

    Attributes:
        width, height: of the drawing.
        left, right, top, bottom: edges of the plot.
        shots: ticks of the horizontal axis.
        scale: ticks of the vertical axis, in percent or as they are.
        points: one for each shot count that has a value.
        lines: join neighbouring shot counts that both have a value.
        chance: height of the chance line; `None` where it is not known or differs between shot counts.
        label: the same in words.
        unit: `%`, or nothing where the scores are shown as they are.
    """

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    shots: tuple[Tick, ...]
    scale: tuple[Tick, ...]
    points: tuple[CurvePoint, ...]
    lines: tuple[CurveLine, ...]
    chance: float | None
    label: str
    unit: str


def scale_top(metrics: Iterable[MetricResult]) -> float:
    """Return the upper end of a scale that holds all metrics: 1 unless a score lies above."""
    highest = max((value for metric in metrics for value in _extent(metric)), default=1.0)
    return max(1.0, math.ceil(highest * 2) / 2)


def scale_name(metric: MetricResult) -> str:
    """Return which scale a metric's bars are drawn on: one for all that end at 100 %, under an empty name.

    A metric that is no share (a mean rank) or may be above 1 (CIDEr) has a scale of its own, under its name.
    """
    return "" if metric.percent and metric.upper == 1 else metric.name


def scale_tops(metrics: Iterable[MetricResult]) -> dict[str, float]:
    """Return the upper ends of the scales that bars are drawn on, by `scale_name`."""
    by_scale: dict[str, list[MetricResult]] = {"": []}
    for metric in metrics:
        by_scale.setdefault(scale_name(metric), []).append(metric)
    return {
        name: _axis([0.0, *(value for metric in held for value in _extent(metric))])[-1] if name else scale_top(held)
        for name, held in by_scale.items()
    }


def interval_bar(metric: MetricResult, top: float) -> IntervalBar | None:
    """Return the bar of a metric on a scale from 0 to `top`; `None` when there is no value."""
    if metric.value is None:
        return None

    def place(value: float) -> float:
        share = min(max(value / top, 0.0), 1.0)
        return round(_BAR_PAD + share * (_BAR_WIDTH - 2 * _BAR_PAD), 2)

    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    unit = _unit(metric)
    words = f"{shown(metric.value, metric)}{unit}, 95 % interval {shown_interval(metric)}"
    return IntervalBar(
        width=_BAR_WIDTH,
        left=_BAR_PAD,
        right=_BAR_WIDTH - _BAR_PAD,
        value=place(metric.value),
        low=place(low),
        high=place(high),
        chance=None if metric.chance is None else place(metric.chance),
        label=words if metric.chance is None else f"{words}, chance {shown(metric.chance, metric)}{unit}",
    )


def difference_reach(compared: Iterable[MetricComparison]) -> dict[str, float]:
    """Return how far the scales of differences go from 0; all that are in percent share one, under an empty name."""
    reach: dict[str, float] = {}
    for each in compared:
        name = "" if each.percent else each.name
        reach[name] = max([reach.get(name, 0.0), *(abs(value) for value in _spread(each))])
    return {name: _axis([-far, far])[-1] if far else 1.0 for name, far in reach.items()}


def difference_bar(compared: MetricComparison, reach: Mapping[str, float], words: str) -> DifferenceBar | None:
    """Return the bar of a difference; `None` when there is none.

    Args:
        compared: with the difference.
        reach: of the scales, by `difference_reach`.
        words: that say the same.
    """
    found, far = compared.difference, reach["" if compared.percent else compared.name]
    if found.value is None:
        return None

    def place(value: float) -> float:
        share = min(max((value / far + 1) / 2, 0.0), 1.0)
        return round(_BAR_PAD + share * (_BAR_WIDTH - 2 * _BAR_PAD), 2)

    return DifferenceBar(
        width=_BAR_WIDTH,
        left=_BAR_PAD,
        right=_BAR_WIDTH - _BAR_PAD,
        zero=place(0.0),
        value=place(found.value),
        low=place(found.value if found.low is None else found.low),
        high=place(found.value if found.high is None else found.high),
        label=words,
    )


def _spread(compared: MetricComparison) -> list[float]:
    found = compared.difference
    return [value for value in (found.low, found.value, found.high) if value is not None]


def shot_curve(series: Sequence[tuple[int, MetricResult]]) -> ShotCurve | None:
    """Return the curve of one metric over shot counts; `None` with fewer than two values.

    Args:
        series: shot count and result, in rising order of shots.
    """
    valued = [(shots, metric, metric.value) for shots, metric in series if metric.value is not None]
    if len(valued) < 2:  # noqa: PLR2004  a curve joins two points
        return None
    ticks = _axis([value for _, metric, _ in valued for value in _extent(metric)])
    left, right = _CURVE_LEFT, _CURVE_WIDTH - _CURVE_RIGHT
    top, bottom = _CURVE_TOP, _CURVE_HEIGHT - _CURVE_BOTTOM
    order = [shots for shots, _ in series]
    inset = (right - left) * 0.08

    def across(shots: int) -> float:
        return round(left + inset + order.index(shots) / (len(order) - 1) * (right - left - 2 * inset), 2)

    def up(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(bottom - share * (bottom - top), 2)

    points = {
        shots: CurvePoint(
            x=across(shots),
            y=up(value),
            low=up(value if metric.low is None else metric.low),
            high=up(value if metric.high is None else metric.high),
        )
        for shots, metric, value in valued
    }
    chances = {metric.chance for _, metric in series}
    chance = chances.pop() if len(chances) == 1 else None
    return ShotCurve(
        width=_CURVE_WIDTH,
        height=_CURVE_HEIGHT,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        shots=tuple(Tick(across(shots), str(shots)) for shots in order),
        scale=tuple(Tick(up(value), f"{value * 100:.0f}" if series[0][1].percent else f"{value:g}") for value in ticks),
        points=tuple(points.values()),
        lines=tuple(
            CurveLine(points[a].x, points[a].y, points[b].x, points[b].y)
            for a, b in pairwise(order)
            if a in points and b in points
        ),
        chance=None if chance is None else up(chance),
        label="; ".join(f"{shots} shots: {shown(metric.value, metric)}{_unit(metric)}" for shots, metric in series),
        unit=_unit(series[0][1]).strip(),
    )


def _unit(metric: MetricResult) -> str:
    return " %" if metric.percent else ""


def _extent(metric: MetricResult) -> list[float]:
    return [value for value in (metric.low, metric.value, metric.high, metric.chance) if value is not None]


def _axis(values: Sequence[float]) -> list[float]:
    """Return evenly spaced round ticks, at least two, whose first and last enclose all values."""
    low, high = min(values), max(values)
    for step in _STEPS:
        first, last = math.floor(round(low / step, 9)), math.ceil(round(high / step, 9))
        if last - first < _TICKS:
            break
    else:
        step = (high - low) / (_TICKS - 1)
        first, last = math.floor(round(low / step, 9)), math.ceil(round(high / step, 9))
    if last - first < 2:  # noqa: PLR2004  a lone step would blow noise up to the full height
        first, last = (first - 1, last) if first > 0 else (first, first + 2)
    return [round(index * step, 9) for index in range(first, last + 1)]
