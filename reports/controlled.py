"""What stands beside a score in a report: the same without the pictures, and what an input control changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.controls import blind_cells
from kosmos_eval.table import blind_text, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.control_differences import Changes
    from kosmos_eval.record import CellResult


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a metric of a cell.

    Attributes:
        blind: the metric without the pictures, and its change with an interval; empty where that was not asked.
        link: anchor of the cell without the pictures; empty as above.
        change: from the cell that this one's control is of, with its interval; empty without a control.
    """

    blind: str
    link: str
    change: str


def beside(cell: CellResult, cells: Sequence[CellResult], changes: Changes) -> tuple[Beside, ...]:
    """Return what stands beside each of a cell's metrics.

    Args:
        cell: one of the cells.
        cells: of the run.
        changes: under its controls.
    """
    blind = blind_cells(cells).get(cell.name)
    link = "" if blind is None else anchor_of(blind, cells)
    return tuple(
        Beside(
            text := blind_text(blind, metric.name, changes), link if text else "", changed(cell, metric.name, changes)
        )
        for metric in cell.metrics
    )


def anchor_of(cell: CellResult, cells: Sequence[CellResult]) -> str:
    """Return the id within the page of one of a run's cells."""
    return f"cell-{[each.name for each in cells].index(cell.name) + 1}"
