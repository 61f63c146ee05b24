"""Intervals for metrics of the whole corpus: the bias-corrected and accelerated bootstrap over whole clusters.

BLEU, CIDEr or ROC AUC is no mean of samples' values, so its uncertainty is found by drawing: as many clusters as
there are, with replacement, again and again, and each time the metric of what was drawn. A drawn cluster comes with
all of its samples, since they err together. The interval is Efron's BCa: percentiles of the drawn values, shifted for
the median's distance from the metric itself (bias) and for how its spread changes with its value (acceleration, from
leaving out each cluster in turn).

A metric is a function of the samples' weights (`kosmos_eval.corpus`), so nothing is computed again but sums: a drawn
cluster's samples weigh as often as it was drawn. Draws come from a generator of their own, clusters are numbered by
their names, and no sum is left to a library that adds in another order at another number of threads: the same scores
give the same bits.

Resamples that leave a metric undefined (a single class for AUC) are left out; with fewer than half of them defined, or
all of them equal, there is no interval: none is better than one without width.

Source: B. Efron, "Better Bootstrap Confidence Intervals", JASA 82 (1987), equations 2.3, 6.6 and 7.3 for BCa; whole
clusters as in A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kosmos_eval.corpus import Summed
from kosmos_eval.statistics.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from kosmos_eval.corpus import Floats, Weighed

    Places = NDArray[np.int64]

METHOD = "bca-bootstrap"
RESAMPLES = 10_000
_WEIGHTS_AT_A_TIME = 1 << 21
"""16 MiB of them, whatever the number of samples."""
_COUNTERS_AT_A_TIME = 1 << 14
"""Draws are counted faster where the counters fit into a core's cache."""
_EQUAL = 1e-12
"""Values that differ by less are the same, added in another order."""
_ROUNDING = 1e-6
"""A metric may lie outside its bounds by what float sums and an official program's printed digits leave open."""


class Bounded(NamedTuple):
    """A corpus metric and the least and greatest value that it can have, which may be infinite."""

    weighed: Weighed
    lower: float = 0.0
    upper: float = 1.0


def bootstrap_interval(
    weighed: Weighed,
    clusters: Sequence[str],
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return a corpus metric with its BCa interval; see `bootstrap_intervals`, which does several at a time."""
    metrics = (Bounded(weighed, lower, upper),)
    return bootstrap_intervals(metrics, clusters, confidence=confidence, resamples=resamples, seed=seed)[0]


def bootstrap_intervals(
    metrics: Sequence[Bounded],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Estimate]:
    """Return metrics of the same samples, each with its BCa interval; all from the same draws: see `bootstrap`."""
    found = bootstrap(metrics, clusters, confidence=confidence, resamples=resamples, seed=seed)
    return [each.estimate(confidence) for each in found]


@dataclass(frozen=True, eq=False)
class Resampled:
    """A metric and what it came to in the resamples.

    Attributes:
        metric: its value over all samples, without an interval.
        drawn: its values over drawn clusters, not a number where undefined; [resamples], empty for a single cluster.
        without: its values without each cluster in turn; [clusters], empty likewise.
    """

    metric: Estimate
    drawn: Floats
    without: Floats

    def estimate(self, confidence: float = 0.95) -> Estimate:
        """Return the metric with its BCa interval, as far as there is one."""
        defined, value = self._defined, self.metric.value
        if value is None or not len(defined):
            return self.metric
        if self._alike:
            return replace(self.metric, stderr=0.0)
        low, high = np.quantile(defined, _percentiles(value, defined, self.without, confidence))
        # BCa can leave out the value itself where the metric is far from its resamples; a reader could not place it.
        low, high = min(float(low), value), max(float(high), value)
        return replace(self.metric, low=low, high=high, stderr=float(np.std(defined, ddof=1)), method=METHOD)

    def p_value(self) -> float | None:
        """Return the two-sided level at which the interval would end at 0; `None` where there is no interval.

        Where all resamples are 0, it is 1. It is no less than what the number of resamples can tell.

        Source: the BCa interval inverted, as in B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap"
            (1993), sections 14.3 and 15.4.
        """
        defined, value = self._defined, self.metric.value
        if value is None or not len(defined):
            return None
        if self._alike:
            return 1.0 if abs(value) <= _EQUAL else None
        normal, least = NormalDist(), 1 / (1 + len(defined))
        bias, acceleration = _corrections(value, defined, self.without)
        gap = normal.inv_cdf(min(max(_below(defined, 0.0, _slack(value)), least), 1 - least)) - bias
        slope = 1 + acceleration * gap
        tail = normal.cdf(gap / slope - bias) if slope > 0 else 0.0
        return max(2 * min(tail, 1 - tail), least)

    @property
    def _defined(self) -> Floats:
        """The values that there are; none where more than half are undefined."""
        defined = self.drawn[~np.isnan(self.drawn)]
        return defined if 2 * len(defined) >= len(self.drawn) else defined[:0]

    @property
    def _alike(self) -> bool:
        return bool(np.ptp(self._defined) <= _slack(self.metric.value or 0.0))


def bootstrap(
    metrics: Sequence[Bounded],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Resampled]:
    """Return metrics of the same samples with what they came to in resamples; the same draws for all.

    Args:
        metrics: what is estimated.
        clusters: one for each sample: equal names err together, and an empty name stands alone. The result does not
            depend on the order of the samples as far as they are named.
        confidence: probability that an interval covers the metric of the population; checked here.
        resamples: how many are drawn.
        seed: of the draws.

    Raises:
        ValueError: metrics and clusters are not of the same samples, a metric is outside its bounds, or an option
            makes no sense.
    """
    _check(metrics, clusters, confidence, resamples)
    count, none = len(clusters), np.empty(0)
    if not count:
        return [Resampled(Estimate(None, None, None, None, 0, 0), none, none) for _ in metrics]
    values = [_within(each.weighed.values(np.ones((1, count))), each)[0] for each in metrics]
    places, groups = _numbered(clusters)
    points = [Estimate(_number(value), None, None, None, count, groups) for value in values]
    if groups == 1:
        return [Resampled(point, none, none) for point in points]
    rows = max(1, _WEIGHTS_AT_A_TIME // count)
    of_clusters = [_of_clusters(each, places, groups) for each in metrics]
    drawn: list[list[Floats]] = [[] for _ in metrics]
    for weights in _draws(groups, resamples, seed, rows):
        for each, held in zip(of_clusters, drawn, strict=True):
            held.append(each.values(weights))
    return [
        Resampled(point, np.concatenate(held), each.without_each(groups, rows))
        for point, each, held in zip(points, of_clusters, drawn, strict=True)
    ]


def _check(metrics: Sequence[Bounded], clusters: Sequence[str], confidence: float, resamples: int) -> None:
    for each in metrics:
        if each.weighed.count != len(clusters):
            message = f"expected a cluster for each sample, got {each.weighed.count} and {len(clusters)} clusters"
            raise ValueError(message)
        if not each.lower < each.upper:
            message = f"expected lower to be below upper, got {each.lower} and {each.upper}"
            raise ValueError(message)
    if not 0 < confidence < 1:
        message = f"expected confidence to be between 0 and 1, got {confidence}"
        raise ValueError(message)
    if resamples < 2:  # noqa: PLR2004  a spread needs two
        message = f"expected at least 2 resamples, got {resamples}"
        raise ValueError(message)


def _within(values: Floats, metric: Bounded) -> Floats:
    """Return the values with rounding errors outside the bounds cut off.

    Raises:
        ValueError: a value is outside by more.
    """
    wrong = (values < metric.lower - _ROUNDING) | (values > metric.upper + _ROUNDING) | np.isinf(values)
    if wrong.any():
        got = float(values[wrong][0])
        message = f"expected a metric from {metric.lower} to {metric.upper}, got {got}"
        raise ValueError(message)
    return np.clip(values, metric.lower, metric.upper)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _numbered(clusters: Sequence[str]) -> tuple[Places, int]:
    """Return each sample's cluster as a number, in the order of the names, and the number of clusters."""
    numbers = {name: number for number, name in enumerate(sorted({name for name in clusters if name}))}
    groups = len(numbers)
    places = np.empty(len(clusters), dtype=np.int64)
    for place, name in enumerate(clusters):
        if name:
            places[place] = numbers[name]
        else:
            places[place] = groups
            groups += 1
    return places, groups


@dataclass(frozen=True)
class _OfClusters:
    """A metric as a function of the clusters' weights; cut to its bounds.

    Attributes:
        metric: of the samples.
        places: cluster of each sample.
        sums: the clusters' own sums, for a metric that follows from sums.
    """

    metric: Bounded
    places: Places
    sums: Summed | None

    def values(self, weights: Floats) -> Floats:
        """Return the metric for each row of weights, [rows, clusters]."""
        found = self.metric.weighed.values(weights[:, self.places]) if self.sums is None else self.sums.values(weights)
        return _within(found, self.metric)

    def without_each(self, groups: int, rows: int) -> Floats:
        """Return the metric without each cluster in turn, [clusters]."""
        if self.sums is not None:
            sums = self.sums.statistics
            return _within(self.sums.combine(sums.sum(axis=0) - sums), self.metric)
        return np.concatenate([self.values(weights) for weights in _each_left_out(groups, rows)])


def _of_clusters(metric: Bounded, places: Places, groups: int) -> _OfClusters:
    weighed = metric.weighed
    if not isinstance(weighed, Summed):
        return _OfClusters(metric, places, None)
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(groups))
    # Sorted within a cluster as well, so that the order of its samples changes no bit of the sum.
    ranked = np.lexsort((*weighed.statistics.T[::-1], places)) if groups < len(places) else order
    sums = np.add.reduceat(weighed.statistics[ranked], starts, axis=0)
    return _OfClusters(metric, places, Summed(sums, weighed.combine))


def _draws(groups: int, resamples: int, seed: int, rows: int) -> Iterator[Floats]:
    """Yield how often each cluster was drawn in each resample, some rows at a time; [rows, clusters]."""
    generator = np.random.Generator(np.random.PCG64(seed))
    few = max(1, _COUNTERS_AT_A_TIME // groups)
    offsets = np.arange(few)[:, None] * groups
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        weights = np.empty((size, groups))
        for row in range(0, size, few):
            some = min(few, size - row)
            drawn = generator.integers(0, groups, (some, groups)) + offsets[:some]
            weights[row : row + some] = np.bincount(drawn.ravel(), minlength=some * groups).reshape(some, groups)
        yield weights


def _each_left_out(groups: int, rows: int) -> Iterator[Floats]:
    """Yield weights that leave out each cluster in turn, some rows at a time; [rows, clusters]."""
    for start in range(0, groups, rows):
        size = min(rows, groups - start)
        weights = np.ones((size, groups))
        weights[np.arange(size), np.arange(start, start + size)] = 0
        yield weights


def _slack(value: float) -> float:
    """Return how far values about this one may lie apart and still be the same."""
    return _EQUAL * max(1.0, abs(value))


def _below(bootstrap: Floats, value: float, slack: float) -> float:
    """Return the share of drawn values below a value, half of those at it."""
    below = np.count_nonzero(bootstrap < value - slack) + np.count_nonzero(bootstrap <= value + slack)
    return int(below) / (2 * len(bootstrap))


def _corrections(value: float, bootstrap: Floats, jackknife: Floats) -> tuple[float, float]:
    """Return BCa's bias and acceleration."""
    least = 0.5 / len(bootstrap)
    bias = NormalDist().inv_cdf(min(max(_below(bootstrap, value, _slack(value)), least), 1 - least))
    known = jackknife[~np.isnan(jackknife)]
    gaps = known.mean() - known if len(known) else known
    spread = float(np.sum(gaps**2))
    return bias, float(np.sum(gaps**3)) / (6 * spread**1.5) if spread > 0 else 0.0


def _percentiles(value: float, bootstrap: Floats, jackknife: Floats, confidence: float) -> tuple[float, float]:
    """Return which parts of the drawn values lie below the interval's ends: 0.025 and 0.975 without corrections."""
    normal = NormalDist()
    bias, acceleration = _corrections(value, bootstrap, jackknife)

    def corrected(quantile: float) -> float:
        shifted = bias + quantile
        slope = 1 - acceleration * shifted
        return normal.cdf(bias + shifted / slope) if slope > 0 else float(shifted > 0)

    tail = normal.inv_cdf((1 + confidence) / 2)
    return corrected(-tail), corrected(tail)
