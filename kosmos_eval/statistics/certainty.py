"""When the verdict of a whole run on one metric is certain before the run is whole.

The fixed gate (`kosmos_eval.gate`) would look once, at the difference D of all samples that the run is to ask:

- pass, if D - a > -m, where m is the tolerance and a the arm of its interval on that side;
- regression, if D < -b, b being the arm at the error that Holm leaves the strictest test, and D - a <= -m.

A confidence sequence (`statistics/sequential.py`) says all along that D lies in [L, U]. So pass is certain when
L - a > -m, and regression when U + b < 0 and U - a <= -m: whatever the other samples bring, the fixed gate would say
so.

The arms of the whole are not known yet. They are those of the clusters so far, from the same estimator
(`paired_difference`), shorter by the root of the share of clusters that were asked. Where longer is the safe side (a
for a pass, b) that is the score interval's arm, which is not 0 even if no sample differs; where shorter is (a for a
regression) it is the plain standard error's.

Errors. The bounds are looked at after every unit, and one of them is ever wrong with the error it was given, however
often that is. A part of the policy's error, `SPENT`, is theirs, shared alike by all metrics that are watched. The fixed
tests of the same run have the rest. A false alarm needs either a wrong bound or a false alarm of the fixed gate, so
both together are the policy's error at most; so it is with wrong passes. What was stopped is what the whole run would
have been called with a probability of 1 - SPENT * error at least, as far as the arms were well estimated: hence
`FEWEST_CLUSTERS`.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

from kosmos_eval.statistics.paired import paired_difference
from kosmos_eval.statistics.sequential import ConfidenceSequence

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kosmos_eval.statistics.paired import Difference

Certain = Literal["", "pass", "regression"]

SPENT = 0.2
"""Share of the policy's error that looking all along takes."""

FEWEST_CLUSTERS = 30
"""Fewer are too few to say how wide the whole run's interval will be."""


class Levels(NamedTuple):
    """How a policy's error is shared out.

    Attributes:
        bound: probability that a bound of one metric is ever wrong.
        fixed: error of the fixed tests of the same run.
        strictest: error of the fixed test of *worse* that Holm holds to most.
    """

    bound: float
    fixed: float
    strictest: float

    @classmethod
    def of(cls, error: float, *, gated: int, watched: int) -> Levels:
        """Return the levels for a policy's error.

        Args:
            error: of the policy.
            gated: metrics that are gated, over all cells.
            watched: those among them that are looked at all along.
        """
        fixed = fixed_error(error)
        return cls(SPENT * error / max(1, watched), fixed, fixed / max(1, gated))


def fixed_error(error: float) -> float:
    """Return what looking all along leaves of a policy's error."""
    return (1 - SPENT) * error


class Certainty:
    """What is certain of one metric's verdict, from differences that are turned so that up is better."""

    def __init__(
        self, sizes: Collection[int], *, width: float, tolerance: float, levels: Levels, min_samples: int
    ) -> None:
        """Begin before the first cluster.

        Args:
            sizes: samples of each cluster of the whole run, as far as the baseline has them.
            width: greatest possible difference.
            tolerance: what may be lost, in the metric's own unit.
            levels: the errors that are allowed.
            min_samples: nothing is certain before.
        """
        self._clusters, self._width, self._tolerance = len(sizes), width, tolerance
        self._levels, self._fewest = levels, min_samples
        self._sequence = ConfidenceSequence(sizes, upper=width, confidence=1 - levels.bound, sides=1)
        self._gaps: list[float] = []
        self._names: list[str] = []

    def add(self, differences: Sequence[float]) -> None:
        """Add the next cluster in random order: run minus baseline of its samples, fewer where some failed."""
        self._names += [str(self._sequence.clusters)] * len(differences)
        self._sequence.add(differences)
        self._gaps += differences

    @property
    def verdict(self) -> Certain:
        """What the whole run will be called for certain; empty as long as that is open, and at its end."""
        if not FEWEST_CLUSTERS <= self._sequence.clusters < self._clusters or len(self._gaps) < max(1, self._fewest):
            return ""
        low, high = self._sequence.bounds
        if low > -self._tolerance and low - self._arm(self._levels.fixed, below=True) > -self._tolerance:
            return "pass"
        if high < 0 and high + self._arm(self._levels.strictest, below=False) < 0:
            spread = NormalDist().inv_cdf(1 - self._levels.fixed) * (self._difference(0.05).stderr or 0.0)
            if high - spread * self._shorter <= -self._tolerance:
                return "regression"
        return ""

    @property
    def _shorter(self) -> float:
        return math.sqrt(self._sequence.clusters / self._clusters)

    def _arm(self, error: float, *, below: bool) -> float:
        """Return how far the whole run's bound at an error will lie from its difference; infinite if unknown."""
        found = self._difference(error)
        if found.value is None or found.low is None or found.high is None:
            return math.inf
        return self._shorter * (found.value - found.low if below else found.high - found.value)

    def _difference(self, error: float) -> Difference:
        losses, gains = [max(0.0, -gap) for gap in self._gaps], [max(0.0, gap) for gap in self._gaps]
        return paired_difference(losses, gains, self._names, upper=self._width, confidence=1 - 2 * error)
