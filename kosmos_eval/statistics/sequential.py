"""Whether a comparison is decided before all samples were asked: a confidence sequence that may be looked at all along.

An interval that holds with 95 % after all samples holds far less often at the worst of many looks. A confidence
sequence holds at every look at once: the probability that it ever leaves out the true value is at most alpha, whatever
makes one stop. Here the true value is the full split's mean paired difference: what running to the end would show.
It is no statement about other samples of the same kind; that is what the intervals of a whole run are for.

How. Clusters (samples on one picture) are asked in random order. For each candidate m a gambler bets that the mean is
above m. Were it m, the sums Z = sum of the cluster's differences - m * samples of the cluster would add up to nought
over the split, so the next one would on average be

    mu = -(sum of Z so far) / clusters left,

and a stake of lambda before each cluster multiplies the wealth by 1 + lambda (Z - mu): fair at m, unfavourable below.
By Ville's inequality wealth that begins at 1 ever reaches 1 / alpha with probability at most alpha; a candidate for
which it does is refuted for good, and so are all below it, for wealth falls as m grows. The upper bound is the same
with all signs turned. When all clusters were seen there is nothing left to bet on: both bounds are the mean itself.

Stakes. The wealth is shared among three gamblers that never trade, who stake what is best if the matter is decided
after 1/2, 1/6 or 1/18 of the clusters: sqrt(2 log(1/alpha) / (variance * clusters * share)), with the variance of the
sums seen before. No stake risks more than 0.8 of the wealth if the worst possible cluster comes.

Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024),
arXiv 2010.09686: capital processes, sampling without replacement, mixtures of bets. Ours are the three horizons, the
share at risk, and clusters of unequal size, which enter by their sums as in a ratio estimate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kosmos_eval.corpus import Floats
    from kosmos_eval.statistics.power import Sides

_CANDIDATES = 2_000
"""On either side of 0: a bound is a candidate, and so wider than it need be by 1/2000 of the range at most."""
_HORIZONS = np.array([[1 / 2], [1 / 6], [1 / 18]])
_AT_RISK = 0.8
_NOTHING = 1e-200
"""Wealth below is given up: as numbers without full precision it would slow every product down."""
_ROUNDING = 1e-9


class Bounds(NamedTuple):
    """The full split's mean paired difference is neither below `low` nor above `high`."""

    low: float
    high: float


class ConfidenceSequence:
    """Bounds of the full split's mean paired difference, that hold at every time at once.

    Guarantee: P(there is a time at which the mean is outside) <= 1 - confidence, whatever rule stops the asking, if
    the clusters come in an order that is drawn uniformly at random and not by what is in them. `sides` says what the
    probability is of: 2 is for both bounds together, 1 for each bound alone. One is enough for a gate with a margin:
    below it only a pass would be wrong and above it only a regression, so either verdict errs with 1 - confidence at
    most. Bounds that cross refute each other, which happens no more often than either errs.

    Cost: some 0.2 milliseconds a cluster. The same differences in the same order give the same bits.

    Example:
        >>> sequence = ConfidenceSequence([1] * 1000, confidence=0.95)
        >>> for _ in range(100):
        ...     bounds = sequence.add([-1.0])
        >>> bounds.high < -0.5
        True
    """

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
            sizes: samples of each cluster of the full split, in any order. Clusters of one size, or nearly, are decided
                soonest; any blocks of samples will do that are asked in random order.
            lower: least possible value of a sample.
            upper: greatest possible value; a difference lies within `upper - lower` of 0.
            confidence: probability that the bounds always hold.
            sides: 2 if that is of both bounds together, 1 if of each alone.

        Raises:
            ValueError: there is no cluster, one is empty, a bound is infinite, or an option makes no sense.
        """
        _check(sizes, lower, upper, confidence, sides)
        self._clusters, self._samples, self._largest = len(sizes), sum(sizes), max(sizes)
        self._reach = float(upper - lower)
        refuting = sides / (1 - confidence)
        self._below = _Wealth(refuting, self._clusters, self._largest, self._reach)
        self._above = _Wealth(refuting, self._clusters, self._largest, self._reach)
        self._sums: list[float] = []
        self._asked = 0
        self._total = 0.0
        self._squares = (self._largest * self._reach) ** 2 / 4  # as if one cluster had been seen before

    @property
    def clusters(self) -> int:
        """Number of clusters that were added."""
        return len(self._sums)

    @property
    def samples(self) -> int:
        """Number of samples that were added."""
        return self._asked

    @property
    def value(self) -> float | None:
        """Mean of the differences so far; `None` before the first one."""
        return math.fsum(self._sums) / self._asked if self._asked else None

    @property
    def bounds(self) -> Bounds:
        """As they are now; they only ever narrow, and are the mean itself once every cluster was added."""
        if self.clusters == self._clusters and (value := self.value) is not None:
            return Bounds(value, value)
        left = (self._samples - self._asked) * self._reach  # what the others add up to at most, one way or the other
        low = max(self._below.refuted, (self._total - left) / self._samples)
        high = min(-self._above.refuted, (self._total + left) / self._samples)
        return Bounds(low, high)

    def add(self, differences: Sequence[float]) -> Bounds:
        """Add the next cluster in random order, and return the bounds.

        Args:
            differences: other minus base, one for each of the cluster's samples that has both values; fewer than were
                announced where some failed, even none.

        Raises:
            ValueError: there are more clusters or samples than were announced, or a difference is none.
        """
        size, total = len(differences), math.fsum(differences)
        self._check_cluster(differences)
        left = self._clusters - self.clusters
        variance = self._squares / (self.clusters + 1)
        before = _Before(self._total, self._asked, left, variance)
        self._below.bet(total, size, before)
        self._above.bet(-total, size, before._replace(total=-self._total))
        self._sums.append(total)
        self._asked += size
        self._total += total
        self._squares += total * total
        return self.bounds

    def _check_cluster(self, differences: Sequence[float]) -> None:
        if self.clusters == self._clusters:
            message = f"expected {self._clusters} clusters, got another one"
            raise ValueError(message)
        size = len(differences)
        if size > self._largest or self._asked + size > self._samples:
            left = min(self._largest, self._samples - self._asked)
            message = f"expected a cluster of at most {left} samples, got {size}"
            raise ValueError(message)
        for each in differences:
            if not abs(each) <= self._reach * (1 + _ROUNDING):
                message = f"expected differences from {-self._reach} to {self._reach}, got {each}"
                raise ValueError(message)


class _Before(NamedTuple):
    """What is known before a cluster is asked.

    Attributes:
        total: of all differences.
        samples: that were asked.
        left: clusters that are left.
        variance: of the clusters' totals.
    """

    total: float
    samples: int
    left: int
    variance: float


class _Wealth:
    """What the gamblers have who bet, for each candidate, that the mean is above it.

    Attributes:
        refuted: the greatest candidate that the mean is above, beyond reasonable doubt.
    """

    def __init__(self, refuting: float, clusters: int, largest: int, reach: float) -> None:
        """Begin with a wealth of 1 at each candidate.

        Args:
            refuting: wealth that refutes a candidate.
            clusters: of the full split.
            largest: samples of a cluster.
            reach: greatest possible difference of a sample.
        """
        self.refuted = -reach
        self._refuting = refuting
        self._worst = largest * reach
        self._largest = largest
        self._odds = 2 * math.log(refuting) / (clusters * _HORIZONS)  # [gamblers, 1]
        self._candidates: Floats = np.arange(-_CANDIDATES, _CANDIDATES + 1) / _CANDIDATES * reach
        self._wealth: Floats = np.full((len(_HORIZONS), len(self._candidates)), 1 / len(_HORIZONS))

    def bet(self, total: float, size: int, before: _Before) -> None:
        """Bet on a cluster, and note which candidates are refuted.

        Args:
            total: of the cluster's differences.
            size: samples of the cluster.
            before: what the bet may depend on.
        """
        expected = (before.samples * self._candidates - before.total) / before.left
        loss = np.maximum(expected + self._worst + self._largest * self._candidates, _ROUNDING * self._worst)
        stakes = np.minimum(np.sqrt(self._odds / before.variance), _AT_RISK / loss)
        self._wealth *= 1 + stakes * (total - size * self._candidates - expected)
        self._wealth[self._wealth < _NOTHING] = 0.0
        refuted = np.flatnonzero(self._wealth.sum(axis=0) >= self._refuting)
        if len(refuted):
            self.refuted = float(self._candidates[refuted[-1]])
            self._candidates = self._candidates[refuted[-1] + 1 :]
            self._wealth = self._wealth[:, refuted[-1] + 1 :]


def _check(sizes: Collection[int], lower: float, upper: float, confidence: float, sides: int) -> None:
    if not sizes or min(sizes) < 1:
        message = f"expected at least one cluster, each of at least one sample, got {sorted(sizes)[:3]}"
        raise ValueError(message)
    if not (lower < upper and math.isfinite(upper - lower)):
        message = f"expected finite bounds, lower below upper, got {lower} and {upper}"
        raise ValueError(message)
    if not 0 < confidence < 1:
        message = f"expected confidence to be between 0 and 1, got {confidence}"
        raise ValueError(message)
    if sides not in (1, 2):
        message = f"expected 1 or 2 sides, got {sides}"
        raise ValueError(message)
