"""The HTML report as values: all that the page says, worked out and written as text; the template only sets it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kosmos_eval.control_differences import control_changes
from kosmos_eval.controls import CONTROLS, blind_cells
from kosmos_eval.table import (
    NO_NUMBER,
    missing_reason,
    near_ties,
    shown,
    shown_interval,
    spread_texts,
    unavailable_part,
)
from kosmos_eval.trials import gather_trials, trial_name

from .badges import Badge, failed_badges, stand_in_badges, subset_badges, warnings_of
from .command import run_command
from .controlled import Beside, anchor_of, beside
from .marks import interval_bar, scale_name, scale_tops, shot_curve
from .pictures import Album
from .samples import Fact, build_samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.record import CellResult, MetricResult, RunRecord

    from .marks import IntervalBar, ShotCurve
    from .pictures import Picture
    from .samples import SamplesView

CATEGORY_LIMIT = 100
_TITLE_TASKS = 4
_HEAD = (
    ("model", ("model.name", "config.model")),
    ("model fingerprint", ("model.fingerprint",)),
    ("data", ("config.data",)),
    ("seed", ("config.seed",)),
    ("exemplars", ("config.exemplars",)),
    ("date", ("launches.0.started",)),
    ("version", ("environment.kosmos-eval",)),
    ("device", ("model.facts.device", "config.device")),
    ("dtype", ("model.facts.dtype", "config.dtype")),
)
_FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a cell, or of one category of it, as text.

    Attributes:
        name: of the metric or the category.
        tag: that a metric is not in percent; empty when it is.
        made_with: what computed it, where that is a choice.
        value, interval, chance: in percent, or as they are where the metric is no share.
        stderr: in percentage points, or as it is.
        bar: the same drawn; `None` without a value.
        reason: why value or interval is missing; empty when neither is.
        brief: the same without the cure.
        count, clusters, unparsed, truncated, failed: with thousands marked.
    """

    name: str
    tag: str
    made_with: str
    value: str
    interval: str
    stderr: str
    chance: str
    bar: IntervalBar | None
    reason: str
    brief: str
    count: str
    clusters: str
    unparsed: str
    truncated: str
    failed: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The headline metric by the categories of one breakdown.

    Attributes:
        name: of the breakdown.
        unit: `%`, or nothing where the metric is shown as it is.
        rows: one a category, in the record's order.
        left_out: how many of the smallest categories are not shown.
    """

    name: str
    unit: str
    rows: tuple[Row, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class CellView:
    """A task at one shot count, in one trial of its exemplars, perhaps under an input control.

    Attributes:
        anchor: its id within the page.
        task: the label.
        control: name of the control; empty without.
        under: the same with what it does, in words.
        beside: what stands beside each metric in the overview.
        overview: whether the cell has lines there; one that stands beside another has none.
        shots: number of exemplars.
        run: shots and trial in short, `4#2`.
        trial: which of how many trials this is, in words; empty where there is one.
        split: that was evaluated.
        badges: warnings that hold for its scores.
        asked: how many samples were asked, and how many have no truth, in words.
        failed: whether some of them failed.
        near_ties: how many, and their share.
        headline: what the breakdowns show; empty when there is no metric.
        rows: one a metric, the headline first.
        breakdowns: of the headline.
        samples: some of them, and the margins over all.
        settings, fingerprints: of the cell.
    """

    anchor: str
    task: str
    control: str
    under: str
    beside: tuple[Beside, ...]
    overview: bool
    shots: int
    run: str
    trial: str
    split: str
    badges: tuple[Badge, ...]
    asked: str
    failed: bool
    near_ties: str
    headline: str
    rows: tuple[Row, ...]
    breakdowns: tuple[Breakdown, ...]
    samples: SamplesView
    settings: tuple[Fact, ...]
    fingerprints: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class SpreadRow:
    """A metric over the trials of a shot count, as text."""

    shots: str
    name: str
    mean: str
    deviation: str
    count: str
    values: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task's cells, in rising order of shots, and their headline drawn over the shot counts.

    Where a shot count has several trials, their mean is drawn, without an interval, and each metric has a spread. Cells
    under a control are not drawn. `blind` and `controlled` say whether the overview has something beside scores.
    """

    task: str
    badges: tuple[Badge, ...]
    cells: tuple[CellView, ...]
    spreads: tuple[SpreadRow, ...]
    curve: ShotCurve | None
    curve_metric: str
    blind: bool
    controlled: bool


@dataclass(frozen=True, slots=True)
class Page:
    """The report.

    Attributes:
        title: of the page.
        head: what ran.
        command: does the same work again; empty when the record does not say.
        warnings: stand-in data, subsets and failed samples, when any score of the page is of them.
        tasks: in the order they were asked for.
        pictures: every picture of the page, once.
        controlled: whether any cell was asked under a control.
        details: all else that the run recorded, by chapter.
    """

    title: str
    head: tuple[Fact, ...]
    command: str
    warnings: tuple[Badge, ...]
    tasks: tuple[TaskView, ...]
    pictures: tuple[Picture, ...]
    controlled: bool
    details: tuple[tuple[str, tuple[Fact, ...]], ...]


def build_page(record: RunRecord) -> Page:
    """Return all that the report of a run says.

    Raises:
        DataError: a file of the run folder cannot be read.
    """
    album = Album(record)
    tops = scale_tops(_all_metrics(record.cells))
    by_task: dict[str, list[CellView]] = {}
    cells: dict[str, list[CellResult]] = {}
    changes = control_changes(record)
    for cell in record.cells:
        view = _cell(record, cell, beside(cell, record.cells, changes), tops, album)
        by_task.setdefault(cell.task, []).append(view)
        cells.setdefault(cell.task, []).append(cell)
    model = _find(record.run, ("model.name", "config.model")) or "unnamed model"
    return Page(
        title=f"{model}: {_named(tuple(by_task))}",
        head=tuple(Fact(name, _head_text(name, _find(record.run, places))) for name, places in _HEAD),
        command=run_command(record.run.get("config", {})),
        warnings=warnings_of(record.cells),
        tasks=tuple(_task(name, cells[name], views) for name, views in by_task.items()),
        pictures=album.pictures,
        controlled=any(cell.control for cell in record.cells),
        details=tuple((name, tuple(_flat(value))) for name, value in record.run.items() if value not in (None, {}, [])),
    )


def _named(tasks: Sequence[str]) -> str:
    """Return the tasks as a title has them: by name while they are few, else their number."""
    if len(tasks) > _TITLE_TASKS:
        return f"{len(tasks)} tasks"
    return ", ".join(tasks) or "no results"


def _all_metrics(cells: Sequence[CellResult]) -> Iterator[MetricResult]:
    for cell in cells:
        yield from cell.metrics
        for categories in cell.groups.values():
            yield from categories.values()


def _task(name: str, cells: Sequence[CellResult], views: Sequence[CellView]) -> TaskView:
    order = sorted(range(len(cells)), key=lambda index: (cells[index].shots, cells[index].trial))
    metric = next((cell.metrics[0].name for cell in cells if cell.metrics), "")
    trials = sorted(gather_trials(cells), key=lambda each: each.shots)
    means = {each.shots: each.metrics[0].mean for each in trials if each.metrics and not each.control}
    series = [
        (cells[index].shots, _of_all_trials(each, cells[index], means))
        for index in order
        for each in cells[index].metrics
        if each.name == metric and not cells[index].trial and not cells[index].control
    ]
    return TaskView(
        task=name,
        badges=stand_in_badges(cells[0]),
        cells=tuple(views[index] for index in order),
        spreads=tuple(
            SpreadRow(f"{each.shots} {each.control}".strip(), *spread_texts(spread))
            for each in trials
            for spread in each.metrics
        ),
        curve=shot_curve(series),
        curve_metric=metric,
        blind=any(each.blind for view in views for each in view.beside),
        controlled=any(each.change for view in views if view.overview for each in view.beside),
    )


def _of_all_trials(metric: MetricResult, cell: CellResult, means: Mapping[int, float | None]) -> MetricResult:
    return replace(metric, value=means[cell.shots], low=None, high=None) if cell.shots in means else metric


def _trial(cell: CellResult, cells: Sequence[CellResult]) -> str:
    """Return which of a task's trials at one shot count a cell is, in words; empty where there is one."""
    trials = sum((each.task, each.shots, each.control) == (cell.task, cell.shots, cell.control) for each in cells)
    return f"trial {cell.trial + 1} of {trials}, exemplars drawn with seed {cell.exemplar_seed}" if trials > 1 else ""


def _cell(
    record: RunRecord, cell: CellResult, asides: tuple[Beside, ...], tops: Mapping[str, float], album: Album
) -> CellView:
    unlabelled = f", {cell.unlabelled:,} of them without a known truth" if cell.unlabelled else ""
    return CellView(
        anchor=anchor_of(cell, record.cells),
        task=cell.task,
        control=cell.control,
        under=f"{cell.control}: {CONTROLS[cell.control]}" if cell.control else "",
        beside=asides,
        overview=cell.name not in {each.name for each in blind_cells(record.cells).values()},
        shots=cell.shots,
        run=trial_name(cell.shots, cell.trial),
        trial=_trial(cell, record.cells),
        split=cell.split,
        badges=stand_in_badges(cell) + subset_badges(cell) + failed_badges(cell),
        asked=f"{cell.samples:,} samples asked{unlabelled}",
        failed=cell.failed > 0,
        near_ties=near_ties(cell),
        headline=cell.metrics[0].name if cell.metrics else "",
        rows=tuple(_row(metric.name, metric, missing_reason(cell, metric), tops) for metric in cell.metrics),
        breakdowns=tuple(_breakdown(name, categories, tops) for name, categories in cell.groups.items()),
        samples=build_samples(cell, record.samples(cell), album),
        settings=tuple(_flat({"version": cell.version, **cell.settings, **_methods(cell)})),
        fingerprints=tuple(_flat(cell.fingerprints)),
    )


def _row(name: str, metric: MetricResult, reason: str, tops: Mapping[str, float]) -> Row:
    points = 100 if metric.percent else 1
    return Row(
        name=name,
        tag="" if metric.percent else "not in %",
        made_with=metric.made_with,
        value=shown(metric.value, metric),
        interval=shown_interval(metric),
        stderr=NO_NUMBER if metric.stderr is None else f"{metric.stderr * points:.2f}",
        chance=shown(metric.chance, metric),
        bar=interval_bar(metric, tops[scale_name(metric)]),
        reason=reason,
        brief=unavailable_part(metric) if metric.unavailable else reason,
        count=f"{metric.count:,}",
        clusters=f"{metric.clusters:,}",
        unparsed=f"{metric.unparsed:,}",
        truncated=f"{metric.truncated:,}",
        failed=f"{metric.failed:,}",
    )


def _methods(cell: CellResult) -> dict[str, str]:
    """Return how the metrics' intervals were made, by metric."""
    return {f"interval of {metric.name}": metric.interval for metric in cell.metrics if metric.interval}


def _breakdown(name: str, categories: Mapping[str, MetricResult], tops: Mapping[str, float]) -> Breakdown:
    largest = set(sorted(categories, key=lambda category: -categories[category].count)[:CATEGORY_LIMIT])
    rows = tuple(
        _row(category, metric, _missing_of_category(metric), tops)
        for category, metric in categories.items()
        if category in largest
    )
    unit = "%" if all(metric.percent for metric in categories.values()) else ""
    return Breakdown(name, unit, rows, len(categories) - len(rows))


def _missing_of_category(metric: MetricResult) -> str:
    if metric.value is not None or metric.unavailable:
        return unavailable_part(metric) if metric.unavailable else ""
    return "undefined for these samples" if metric.count else "nothing was scored"


def _find(run: Mapping[str, Any], places: Sequence[str]) -> object:
    """Return the first value that stands at one of the dotted places; `None` when none does."""
    for place in places:
        value: object = run
        for key in place.split("."):
            if isinstance(value, list) and key.isdigit():
                value = value[int(key)] if int(key) < len(value) else None
            else:
                value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _head_text(name: str, value: object) -> str:
    if value is None:
        return "not recorded"
    if name == "date" and isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return str(value)[:_FINGERPRINT_DIGITS] if name == "model fingerprint" else str(value)


def _flat(value: object, name: str = "") -> Iterator[Fact]:
    """Yield a value's leaves, each named by the dotted path to it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and all(isinstance(each, str | int | float) for each in value):
        yield Fact(name, ", ".join(str(each) for each in value) or "none")
    else:
        yield Fact(name, "not set" if value is None else str(value))
