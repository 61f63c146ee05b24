"""How results are written for people: percentages, intervals, warnings, and the table that the terminal shows.

Every report writes its numbers through this module, so that a score looks the same wherever it stands.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from kosmos_eval.controls import BLIND, CONTROLS, blind_cells
from kosmos_eval.trials import gather_trials, trial_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from kosmos_eval.comparison import MetricComparison
    from kosmos_eval.control_differences import Changes
    from kosmos_eval.record import CellResult, MetricResult
    from kosmos_eval.trials import Spread
    from kosmos_eval.verdicts import Stopped


class InPercent(Protocol):
    """A metric, of which it is known whether it is shown in percent."""

    @property
    def percent(self) -> bool:
        """Whether it is; else as it is."""
        ...


NO_NUMBER = "—"
STAND_IN_SUFFIX = "@mini"
STAND_IN_NOTE = "@mini: procedural stand-in data, not comparable with published numbers"

_HEADINGS = (
    "task",
    "shots",
    "control",
    "metric",
    "%",
    "95 % interval",
    "chance",
    "blind",
    "change",
    "n",
    "clusters",
    "unparsed",
    "truncated",
    "near ties",
    "failed",
    "note",
)
_RIGHT_ALIGNED = frozenset(_HEADINGS) - {"task", "control", "metric", "note"}
_WHERE_NEEDED = frozenset({"control", "blind", "change", "note"})
"""Columns that are left out where no row has anything in them."""


def percent(value: float | None, places: int = 1) -> str:
    """Return a share as percent with one decimal and no sign: `62.5`; `—` where there is no value.

    0.0 and 100.0 are written only when they are exactly true: 0.9997 is `> 99.9` and 0.0002 is `< 0.1`.

    Args:
        value: the share.
        places: decimals.

    Raises:
        ValueError: the value is infinite or not a number.

    Example:
        >>> percent(0.625), percent(0.9997), percent(1.0), percent(0.9997, 2)
        ('62.5', '> 99.9', '100.0', '99.97')
    """
    if value is None:
        return NO_NUMBER
    if not math.isfinite(value):
        message = f"expected a share to be finite, got {value}"
        raise ValueError(message)
    text, least = f"{value * 100:.{places}f}", 10.0**-places
    none, whole = f"{0:.{places}f}", f"{100:.{places}f}"
    if value not in (0, 1) and text in (none, f"-{none}", whole):
        most = f"{100 - least:.{places}f}" if value < 1 else whole
        return {none: f"< {least:.{places}f}", f"-{none}": f"> -{least:.{places}f}", whole: f"> {most}"}[text]
    return text.replace("-", "") if value == 0 else text


def as_is(value: float | None) -> str:
    """Return what is no share, such as a mean rank, with two decimals: `16.21`; `—` where there is no value."""
    return NO_NUMBER if value is None else f"{value:,.2f}"


def points(value: float | None, metric: InPercent) -> str:
    """Return a change of a metric with its sign, in percentage points or as it is: `-3.1`; `—` where there is none.

    0.0 is written only where it is exactly true: a change of 0.0002 is `< +0.1`.
    """
    if value is None:
        return NO_NUMBER
    text, least = (f"{value * 100:+.1f}", "0.1") if metric.percent else (f"{value:+,.2f}", "0.01")
    if text.strip("+-0."):
        return text
    return text[1:] if value == 0 else f"< +{least}" if value > 0 else f"> -{least}"


def points_interval(metric: MetricComparison) -> str:
    """Return the interval of a metric's change: `[+1.0, +5.2]`; `—` where there is none."""
    return points_between(metric.difference.low, metric.difference.high, metric)


def points_between(low: float | None, high: float | None, metric: InPercent) -> str:
    """Return an interval of changes of a metric: `[+1.0, +5.2]`; `—` where an end is missing."""
    if low is None or high is None:
        return NO_NUMBER
    return f"[{points(low, metric)}, {points(high, metric)}]"


def p_text(p_value: float | None) -> str:
    """Return a p-value with three decimals: `0.013`, `< 0.001`; `—` where there was no test."""
    if p_value is None:
        return NO_NUMBER
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"  # noqa: PLR2004  what three decimals can say


def shown(value: float | None, metric: MetricResult) -> str:
    """Return a value of a metric as it is shown: in percent, or as it is where the metric is no share."""
    return percent(value) if metric.percent else as_is(value)


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of shares in percent: `[58.1, 66.7]`; `—` where there is none."""
    if low is None or high is None:
        return NO_NUMBER
    return f"[{percent(low)}, {percent(high)}]"


def shown_interval(metric: MetricResult) -> str:
    """Return a metric's interval as it is shown: `[58.1, 66.7]`; `—` where there is none."""
    if metric.percent or metric.low is None or metric.high is None:
        return interval(metric.low, metric.high)
    return f"[{as_is(metric.low)}, {as_is(metric.high)}]"


def is_stand_in(cell: CellResult) -> bool:
    """Whether the cell was measured on the embedded stand-in data."""
    return cell.task.endswith(STAND_IN_SUFFIX)


def subset_note(cell: CellResult) -> str:
    """Return `subset: 100 of 214,354 samples`, or how a gate ended it; empty when the whole split was asked."""
    if cell.stopped is not None:
        return f"stopped: {stopped_text(cell.stopped, cell.samples)}"
    return f"subset: {cell.samples:,} of {cell.total:,} samples" if cell.subset else ""


def stopped_text(stopped: Stopped, samples: int) -> str:
    """Return `regression certain after 320 of 1,000 samples`."""
    return f"{stopped.verdict} certain after {samples:,} of {stopped.planned:,} samples"


def failed_note(cell: CellResult) -> str:
    """Return `3 of 200 samples failed and are in no score`; empty when none did."""
    return f"{cell.failed:,} of {cell.samples:,} samples failed and are in no score" if cell.failed else ""


def near_ties(cell: CellResult) -> str:
    """Return how many samples are near ties, and their share of those whose margin is known: `12 (6.0 %)`."""
    if cell.margins is None or not cell.margins.count:
        return NO_NUMBER
    return f"{cell.margins.near_ties:,} ({percent(cell.margins.near_tie_share)} %)"


def unavailable_part(metric: MetricResult) -> str:
    """Return what a metric lacks that says why it does: `not available`, or `no interval` beside a value."""
    return "not available" if metric.value is None else "no interval"


def missing_reason(cell: CellResult, metric: MetricResult) -> str:
    """Return why the metric has no value, or no interval; empty when it has both."""
    if metric.unavailable:
        return f"{unavailable_part(metric)}: {metric.unavailable}"
    if metric.value is None:
        return "undefined for these samples" if metric.count else _unscored_reason(cell)
    if metric.low is None or metric.high is None:
        if metric.clusters == 1:
            return "no interval from a single cluster"
        return "no interval: all resamples are alike" if metric.stderr == 0 else "no interval"
    return ""


def _unscored_reason(cell: CellResult) -> str:
    if cell.samples == 0:
        return "no samples"
    if cell.unlabelled == cell.samples:
        return "no labelled samples"
    return "every sample failed" if cell.failed == cell.samples else "nothing was scored"


def results_table(cells: Sequence[CellResult], changes: Changes | None = None) -> str:
    """Return the results as aligned plain text: a line for each metric of each cell, footnotes below.

    What is not available is named in its line, and the footnotes say once why and how to get it. A cell under control
    `image=none` stands in the column `blind` of the cell that it controls.

    Args:
        cells: of the run.
        changes: under its controls, as `kosmos_eval.control_differences` finds them; `None` shows none.
    """
    if not cells:
        return "no results"
    blind = blind_cells(cells)
    beside = {cell.name for cell in blind.values()}
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for cell in cells:
        if cell.name not in beside:
            rows += [_row(cell, metric, blind.get(cell.name), changes or {}) for metric in cell.metrics]
    if not any(cell.failed for cell in cells):
        place = _HEADINGS.index("failed")
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
    footnotes = list(_footnotes(cells))
    tables = [aligned(rows, _RIGHT_ALIGNED), *_trials_table(cells)]
    return "\n".join(["\n\n".join(tables), *([""] if footnotes else []), *footnotes])


def _trials_table(cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield a table of the metrics over the trials of tasks that have several; nothing where none has."""
    rows = [
        (each.task, f"{each.shots} {each.control}".strip(), *spread_texts(spread))
        for each in gather_trials(cells)
        for spread in each.metrics
    ]
    if rows:
        headings = ("task", "shots", "metric", "mean", "std. dev.", "trials", "each")
        yield "over trials, which differ in their exemplars:\n" + aligned(
            [headings, *rows], {*headings[1:2], *headings[3:6]}
        )


def spread_texts(spread: Spread) -> tuple[str, ...]:
    """Return a metric's name, mean and standard deviation over trials, their number, and each one's value."""
    write = percent if spread.percent else as_is
    return (
        spread.name,
        write(spread.mean),
        NO_NUMBER
        if spread.standard_deviation is None
        else as_is(spread.standard_deviation * (100 if spread.percent else 1)),
        f"{spread.count:,}",
        ", ".join(map(write, spread.values)),
    )


def _footnotes(cells: Sequence[CellResult]) -> Iterator[str]:
    about: dict[str, dict[str, None]] = {}  # a note to the metrics that it is about
    for each in (metric for cell in cells for metric in cell.metrics):
        if each.unavailable:
            about.setdefault(f"{unavailable_part(each)}: {each.unavailable}", {})[each.name] = None
        if not each.percent:
            about.setdefault("shown as it is, not in %", {})[each.name] = None
        if each.made_with:
            about.setdefault(f"made with {each.made_with}", {})[each.name] = None
    yield from (f"{', '.join(names)}: {note}" for note, names in about.items())
    if blind_cells(cells):
        yield f"blind: the same {CONTROLS[BLIND]}, and by how much that changed the score, with its 95 % interval"
    if any(is_stand_in(cell) for cell in cells):
        yield STAND_IN_NOTE


def aligned(rows: Sequence[Sequence[str]], right: Collection[str]) -> str:
    """Return rows as aligned plain text, with a rule below the headings.

    Args:
        rows: of equal length, the headings first; columns `note`, `control`, `blind` and `change` are left out where no
            row has anything in them.
        right: headings of the columns that are aligned to the right.
    """
    columns = [column for column in zip(*rows, strict=True) if column[0] not in _WHERE_NEEDED or any(column[1:])]
    lines = [
        "  ".join(text.rjust(width) if at_right else text.ljust(width) for text, width, at_right in line).rstrip()
        for line in zip(*(_measured(column, right) for column in columns), strict=True)
    ]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def _measured(column: Sequence[str], right: Collection[str]) -> list[tuple[str, int, bool]]:
    width = max(len(text) for text in column)
    return [(text, width, column[0] in right) for text in column]


def changed(cell: CellResult, metric: str, changes: Changes) -> str:
    """Return a metric's change under a cell's control, with its interval: `-3.1 [-5.2, -1.0]`; empty if not known."""
    change = changes.get((cell.name, metric))
    return f"{points(change.difference.value, change)} {points_interval(change)}" if change is not None else ""


def blind_text(blind: CellResult | None, metric: str, changes: Changes) -> str:
    """Return a metric without the pictures, and its change: `34.3 (-12.1 [-15.0, -9.2])`; empty where not asked."""
    found = next((each for each in blind.metrics if each.name == metric), None) if blind is not None else None
    if blind is None or found is None:
        return ""
    change = changed(blind, metric, changes)
    return f"{shown(found.value, found)} ({change})" if change else shown(found.value, found)


def _row(cell: CellResult, metric: MetricResult, blind: CellResult | None, changes: Changes) -> tuple[str, ...]:
    notes = (subset_note(cell), unavailable_part(metric) if metric.unavailable else missing_reason(cell, metric))
    return (
        cell.task,
        trial_name(cell.shots, cell.trial),
        cell.control,
        metric.name,
        shown(metric.value, metric),
        shown_interval(metric),
        shown(metric.chance, metric),
        blind_text(blind, metric.name, changes),
        changed(cell, metric.name, changes),
        f"{metric.count:,}",
        f"{metric.clusters:,}",
        f"{metric.unparsed:,}",
        f"{metric.truncated:,}",
        near_ties(cell),
        f"{metric.failed:,}",
        "; ".join(note for note in notes if note),
    )
