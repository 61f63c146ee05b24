"""Says of a finished run which samples failed, and what to do about it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from kosmos_eval.errors import IncompleteRunError

if TYPE_CHECKING:
    from kosmos_eval.record import RunRecord

_NAMED = 5


def require_complete(record: RunRecord) -> None:
    """Raise unless every sample of the run was answered.

    Raises:
        IncompleteRunError: some failed; the message names the first of them, why, and how to ask them again.
    """
    failed = sum(cell.failed for cell in record.cells)
    if not failed:
        return
    named = list(islice(((cell.name, key, why) for cell in record.cells for key, why in cell.failures.items()), _NAMED))
    names = ", ".join(f"{cell} {key}" for cell, key, _ in named)
    more = f" and {failed - len(named):,} more" if failed > len(named) else ""
    why = " ".join(named[0][2].split())
    message = (
        f"{failed:,} of {sum(cell.samples for cell in record.cells):,} samples failed and are in no score: "
        f"{names}{more} ({why}); to ask them again, on a machine with more memory if that is what they lack: "
        f"kosmos-eval run --resume {record.folder}"
    )
    raise IncompleteRunError(message, record)
