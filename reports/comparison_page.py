"""What the page of a comparison says, ready to be laid out: rows, remarks, flipped samples, as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.comparison_report import (
    ComparedRow,
    cell_heading,
    compared_rows,
    flips_heading,
    remarks,
    said,
    sides,
    values_of,
)
from kosmos_eval.table import points, points_interval

from .marks import difference_bar, difference_reach
from .samples import Fact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kosmos_eval.comparison import CellComparison, Comparison, Flip, MetricComparison

    from .marks import DifferenceBar

_SURE = 0.05


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of a pair of cells.

    Attributes:
        text: its columns.
        bar: the change drawn; `None` without one.
        sure: whether the corrected p-value is at most 5 %.
    """

    text: ComparedRow
    bar: DifferenceBar | None
    sure: bool


@dataclass(frozen=True, slots=True)
class FlipRow:
    """A flipped sample.

    Attributes:
        gained: whether it got better.
        key: of the sample.
        before, after: the answers.
        target: the truth.
        values: in either run.
    """

    gained: bool
    key: str
    before: str
    after: str
    target: str
    values: str


@dataclass(frozen=True, slots=True)
class FlipTable:
    """The flipped samples of a pair of cells, or the first of them.

    Attributes:
        heading: of the list.
        rows: what gained, then what lost.
    """

    heading: str
    rows: tuple[FlipRow, ...]


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """The report of a comparison.

    Attributes:
        title: of the page.
        head: which runs were compared.
        rows: one a metric, cell by cell.
        remarks: what is to be known of the numbers.
        flips: one a pair of cells that has any.
    """

    title: str
    head: tuple[Fact, ...]
    rows: tuple[MetricRow, ...]
    remarks: tuple[Fact, ...]
    flips: tuple[FlipTable, ...]


def build_comparison_page(comparison: Comparison, flips: int) -> ComparisonPage:
    """Return all that the report of a comparison says.

    Args:
        comparison: of two runs.
        flips: at most so many samples of each cell are shown that gained, and as many that lost.
    """
    reach = difference_reach(metric for cell in comparison.cells for metric in cell.metrics)
    models = [origin.model for origin in (comparison.base, comparison.other) if origin is not None]
    return ComparisonPage(
        title=" and ".join(models) or "nothing in common",
        head=tuple(Fact(name, text) for name, text in sides(comparison)),
        rows=tuple(row for cell in comparison.cells for row in _rows(cell, reach)),
        remarks=tuple(Fact(name, text) for name, text in remarks(comparison)),
        flips=tuple(_flips(cell, flips) for cell in comparison.cells if cell.gained[:flips] or cell.lost[:flips]),
    )


def _rows(cell: CellComparison, reach: Mapping[str, float]) -> Iterator[MetricRow]:
    metrics: tuple[MetricComparison | None, ...] = cell.metrics or (None,)
    for metric, text in zip(metrics, compared_rows(cell), strict=True):
        if metric is None:
            yield MetricRow(text, None, sure=False)
            continue
        words = f"{cell_heading(cell)}, {metric.name}: change {points(metric.difference.value, metric)}, "
        words += f"95 % interval {points_interval(metric)}"
        sure = metric.adjusted is not None and metric.adjusted <= _SURE
        yield MetricRow(text, difference_bar(metric, reach, words), sure)


def _flips(cell: CellComparison, flips: int) -> FlipTable:
    gained, lost = cell.gained[:flips], cell.lost[:flips]
    rows = (*(_flip(each, gained=True) for each in gained), *(_flip(each, gained=False) for each in lost))
    return FlipTable(flips_heading(cell), rows)


def _flip(flip: Flip, *, gained: bool) -> FlipRow:
    return FlipRow(gained, flip.key, said(flip.before), said(flip.after), said(flip.target), values_of(flip))
