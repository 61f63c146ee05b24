"""Whether a comparison is decided before all samples were asked: a confidence sequence that may be looked at all along.

(the method follows)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kosmos_eval.statistics.power import Sides


class Bounds(NamedTuple):
    """Between what the full split's mean paired difference lies."""

    low: float
    high: float


class ConfidenceSequence:
    """Bounds of the full split's mean paired difference, that hold at every time at once."""

    def __init__(
        self,
        sizes: Collection[int],
        *,
        lower: float = 0.0,
        upper: float = 1.0,
        confidence: float = 0.95,
        sides: Sides = 2,
    ) -> None:
        """Begin before the first cluster.

        Args:
            sizes: samples of each cluster of the full split, in any order.
            lower: least possible value of a sample; a difference lies within `upper - lower` of 0.
            upper: greatest possible value.
            confidence: probability that the bounds always hold: both together for two sides, each for one.
            sides: as above.
        """
        raise NotImplementedError

    @property
    def bounds(self) -> Bounds:
        """As they are now; equal to the mean itself once every cluster was added."""
        raise NotImplementedError

    def add(self, differences: Sequence[float]) -> Bounds:
        """Add the next cluster's differences (other minus base), in random order of clusters; return the bounds."""
        raise NotImplementedError
