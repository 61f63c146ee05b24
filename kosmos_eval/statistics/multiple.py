"""Holm's correction of p-values: how sure each of several comparisons still is when all are looked at together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values adjusted for their number, in the given order.

    Calling "different" what has an adjusted value of at most alpha is wrong about any of them with a probability of at
    most alpha, however the tests depend on each other.

    Args:
        p_values: one for each comparison; `None` was not tested, stays `None` and is left out of the count.

    Raises:
        ValueError: a value is not from 0 to 1.

    Source: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6
        (1979).
    """
    for place, value in enumerate(p_values):
        if value is not None and not 0 <= value <= 1:
            message = f"expected p-values from 0 to 1, got {value} at place {place}"
            raise ValueError(message)
    tested = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    reached = -math.inf
    for rank, (value, place) in enumerate(tested):
        reached = max(reached, min(1.0, (len(tested) - rank) * value))
        adjusted[place] = reached
    return adjusted
