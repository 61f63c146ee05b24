"""What scores lose under input controls: a cell under a control, paired sample by sample with the one it controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.compare import compare_cells
from kosmos_eval.controls import main_name
from kosmos_eval.measurements import read_measurements

if TYPE_CHECKING:
    from kosmos_eval.comparison import MetricComparison
    from kosmos_eval.record import RunRecord

Changes = dict[tuple[str, str], "MetricComparison"]
"""Name of a cell under a control, and of a metric, to what changed."""


def control_changes(record: RunRecord) -> Changes:
    """Return what changed under each control of a run, from the cell without it; two cells are in memory at a time.

    A metric that cannot be compared, as where no sample was scored in both, is left out.

    Raises:
        DataError: the samples cannot be read.
    """
    changes: Changes = {}
    for main in record.cells:
        controlled = [cell for cell in record.cells if cell.control and main_name(cell) == main.name]
        if not controlled:
            continue
        base = read_measurements(record, main)
        for cell in controlled:
            found = compare_cells(base, read_measurements(record, cell), point=frozenset({"control"}))
            changes.update({(cell.name, each.name): each for each in found.metrics})
    return changes
