"""The warnings that stand beside scores in a report, and at its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.table import STAND_IN_NOTE, failed_note, is_stand_in, subset_note
from kosmos_eval.trials import trial_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.record import CellResult


@dataclass(frozen=True, slots=True)
class Badge:
    """A warning that stands beside a score.

    Attributes:
        kind: `stand-in`, `subset` or `failed`.
        text: the warning.
    """

    kind: str
    text: str


def stand_in_badges(cell: CellResult) -> tuple[Badge, ...]:
    """Return the warning of the embedded data, if the cell was measured on it."""
    return (Badge("stand-in", STAND_IN_NOTE),) if is_stand_in(cell) else ()


def subset_badges(cell: CellResult) -> tuple[Badge, ...]:
    """Return the warning of a subset, if the cell is of one."""
    return (Badge("subset", subset_note(cell)),) if cell.subset else ()


def failed_badges(cell: CellResult) -> tuple[Badge, ...]:
    """Return the warning of failed samples, if the cell has some."""
    return (Badge("failed", failed_note(cell)),) if cell.failed else ()


def warnings_of(cells: Sequence[CellResult]) -> tuple[Badge, ...]:
    """Return the stand-in warning once, each distinct subset warning with its tasks, and every cell's failures."""
    stand_in = next((stand_in_badges(cell) for cell in cells if is_stand_in(cell)), ())
    notes: dict[str, dict[str, None]] = {}
    for cell in cells:
        if cell.subset:
            notes.setdefault(subset_note(cell), {})[cell.task] = None
    subsets = tuple(Badge("subset", f"{', '.join(tasks)}: {note}") for note, tasks in notes.items())
    failures = tuple(
        Badge("failed", f"{cell.task}, {_run_name(cell)}: {failed_note(cell)}") for cell in cells if cell.failed
    )
    return stand_in + subsets + failures


def _run_name(cell: CellResult) -> str:
    return f"{trial_name(cell.shots, cell.trial)}-shot" + (f" under {cell.control}" if cell.control else "")
