"""The mean of the samples' values with an interval that says how sure it is.

Samples of one cluster (questions about one picture) err together, so the standard error is cluster-robust. Where
values are bounded the interval is Wilson's, generalised: it stays inside the bounds, and 0 % and 100 % get an honest
one, where mean plus or minus two standard errors would have no width.

How Wilson's interval is generalised. For 0/1 values of independent samples it needs the mean and the number of
samples n. Otherwise n is replaced by the number of independent 0/1 samples that would be as informative,

    n_eff = n (n p (1 - p) + c) / (S + c n / G),        p the mean, scaled to 0..1, and G the number of clusters,

where S is n² times the cluster-robust variance of the mean (times (n - 1)/n, so that S = n p (1 - p) exactly for
independent 0/1 samples), and c the variance of the pseudo-observations that Wilson's interval itself adds: t²/2 at
either bound, about their joint mean with the samples. So n_eff is n for independent 0/1 samples (Wilson's own
interval, exactly), G when every value is 0 or every value is 1 (nothing was seen that tells samples of a cluster
apart), and in between goes over to p (1 - p) / variance as the data outweigh the pseudo-observations.

Sources: E. Miller, "Adding Error Bars to Evals", arXiv 2411.00640, for clustered standard errors, here with the
small-sample factor G/(G - 1); E. B. Wilson, JASA 22 (1927), for the interval; effective sample size from the design
effect as in E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998). The formula for c is our choice.

Every sum is rounded once (`math.fsum`), so the order of the samples changes no bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

WILSON = "wilson-clustered"
STUDENT = "t-clustered"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its uncertainty.

    Attributes:
        value: the mean; `None` when there is nothing to average: no data is no number.
        low, high: confidence interval; `None` when there is no value or a single cluster.
        stderr: cluster-robust standard error; `None` as above. It is 0 when all values are equal: read the interval.
        count: number of values.
        clusters: independent groups among them.
        method: how the interval was made, such as `wilson-clustered`; empty when there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    stderr: float | None
    count: int
    clusters: int
    method: str = ""


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean of the values with its cluster-robust interval.

    Quantiles are the normal's for independent samples whose values are all at the two bounds (a plain proportion, whose
    variance follows from the mean), and else Student's with G - 1 degrees of freedom.

    Args:
        values: one for each sample.
        clusters: one for each sample: equal names err together, and an empty name stands alone.
        lower: least possible value. When it or `upper` is infinite, the interval is mean plus or minus t standard
            errors, cut at the finite bound.
        upper: greatest possible value.
        confidence: probability that the interval covers the true mean.

    Raises:
        ValueError: lengths differ, a value is outside the bounds or no number, or an option makes no sense.
    """
    _check(values, clusters, lower, upper, confidence)
    count = len(values)
    if not count:
        return Estimate(None, None, None, None, 0, 0)
    mean = min(max(math.fsum(values) / count, lower), upper)
    squares, groups = _squared_cluster_sums(values, clusters, mean)
    if groups == 1:
        return Estimate(mean, None, None, None, count, 1)
    stderr = math.sqrt(squares * groups / (groups - 1)) / count
    tail = (1 + confidence) / 2
    plain = groups == count and {*values} <= {lower, upper}
    quantile = NormalDist().inv_cdf(tail) if plain else float(stdtrit(groups - 1, tail))
    if math.isinf(lower) or math.isinf(upper):
        low, high = max(mean - quantile * stderr, lower), min(mean + quantile * stderr, upper)
        return Estimate(mean, low, high, stderr, count, groups, STUDENT)
    width = upper - lower
    share = (mean - lower) / width
    effective = _effective_count(count, groups, share, stderr / width, quantile)
    low = lower + width * _wilson_low(share, effective, quantile)
    high = upper - width * _wilson_low(1 - share, effective, quantile)
    # The mean lies inside, and all inside the bounds, by algebra; rounding must not say otherwise.
    return Estimate(mean, max(min(low, mean), lower), min(max(high, mean), upper), stderr, count, groups, WILSON)


def _check(values: Sequence[float], clusters: Sequence[str], lower: float, upper: float, confidence: float) -> None:
    if len(values) != len(clusters):
        message = f"expected a cluster for each value, got {len(values)} values and {len(clusters)} clusters"
        raise ValueError(message)
    if not lower < upper:
        message = f"expected lower to be below upper, got {lower} and {upper}"
        raise ValueError(message)
    if not 0 < confidence < 1:
        message = f"expected confidence to be between 0 and 1, got {confidence}"
        raise ValueError(message)
    for place, value in enumerate(values):
        if not (math.isfinite(value) and lower <= value <= upper):
            message = f"expected values from {lower} to {upper}, got {value} at place {place}"
            raise ValueError(message)


def _squared_cluster_sums(values: Sequence[float], clusters: Sequence[str], mean: float) -> tuple[float, int]:
    """Return the sum over clusters of the squared sum of deviations from the mean, and the number of clusters."""
    alone: list[float] = []
    shared: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        (shared.setdefault(cluster, []) if cluster else alone).append(value - mean)
    sums = alone + [math.fsum(deviations) for deviations in shared.values()]
    return math.fsum(each * each for each in sums), len(sums)


def _effective_count(count: int, groups: int, share: float, stderr: float, quantile: float) -> float:
    """Return the number of independent 0/1 samples that would be as informative, as the module says."""
    added = quantile**2 / 2
    joint = (count * share + added) / (count + 2 * added)
    doubt = added * (joint**2 + (1 - joint) ** 2)
    spread = stderr**2 * count * (count - 1)
    return count * (count * share * (1 - share) + doubt) / (spread + doubt * count / groups)


def _wilson_low(share: float, effective: float, quantile: float) -> float:
    """Return Wilson's lower end: the smaller root of (share - x)² = quantile² x (1 - x) / effective."""
    square = quantile**2 / effective
    linear = 2 * share + square
    root = math.sqrt(square * (square + 4 * share * (1 - share)))
    # The root in the form without cancellation: exactly 0 for a share of 0.
    return 2 * share**2 / (linear + root)
