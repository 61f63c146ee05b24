"""The mean of the samples' values with an interval that says how sure it is.

Samples of one cluster (questions about one picture) err together, so the standard error is cluster-robust. Where
values are bounded the interval is Wilson's, generalised: it stays inside the bounds, and 0 % and 100 % get an honest
one, where mean plus or minus two standard errors would have no width.

How Wilson's interval is generalised. For 0/1 values of independent samples it needs the mean and the number of
samples n. Otherwise n is replaced by the number of independent 0/1 samples that would be as informative,

    n_eff = n (n p (1 - p) + c) / (S + c d),        p the mean, scaled to 0..1,

where S is n² times the cluster-robust variance of the mean (times (n - 1)/n, so that S = n p (1 - p) exactly for
independent 0/1 samples), and c the variance of the pseudo-observations that Wilson's interval itself adds: t²/2 at
either bound, about their joint mean with the samples. These get the design effect d = 1 + (n / G - 1) / 2 of G clusters
whose samples correlate by one half. So n_eff is n for independent 0/1 samples (Wilson's own interval, exactly), n / d
when every value is 0 or every value is 1 (nothing was seen that tells samples of a cluster apart), and in between goes
over to p (1 - p) / variance as the data outweigh the pseudo-observations. A correlation of 1 for what was not seen
would cover more than asked wherever it is less; one of 0 would take copies of an answer for so many answers.

What the interval is of. By default of the mean over all samples that could have been asked: a full split is itself a
sample of the questions one could write, so asking all of it leaves an interval (Miller 2024). With `population`, the
number of samples of the split N of which n were drawn at random, the interval is of the mean over those N alone, the
number that the full run would print. Then the only chance is which samples were drawn. They are drawn one by one,
whatever they share, so clusters play no part: the variance is that of single samples, times 1 - n / N, and n_eff grows
by (N - 1) / (N - n), which makes Wilson's interval that for draws without replacement. What was seen is certain: the
interval does not go beyond what the N - n others at either bound would give, and has no width once nothing is left.

Sources: E. Miller, "Adding Error Bars to Evals", arXiv 2411.00640, for clustered standard errors, here with the
small-sample factor G/(G - 1); E. B. Wilson, JASA 22 (1927), for the interval; effective sample size from the design
effect as in E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998); W. G. Cochran, "Sampling Techniques" (1977),
sections 2.6 and 3.2, for finite populations. The formulas for c and d are our choice.

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
SPLIT_WILSON = "wilson-split"
SPLIT_STUDENT = "t-split"
_CORRELATION = 0.5
"""Of a cluster's samples, as far as nothing was seen of it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its uncertainty.

    Attributes:
        value: the mean; `None` when there is nothing to average: no data is no number.
        low, high: confidence interval; `None` when there is no value or a single cluster.
        stderr: cluster-robust standard error; `None` as above. It is 0 when all values are equal: read the interval.
        count: number of values.
        clusters: independent groups among them; all samples, where they were drawn from a known number.
        method: how the interval was made: `wilson-clustered`, `t-clustered`, `bca-bootstrap`, or `wilson-split` and
            `t-split` where it is of a split's mean; empty when there is none.
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
    population: int | None = None,
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
        population: number of samples of which these were drawn at random, for the interval of their mean alone; by
            default it is of all samples that could have been asked.

    Raises:
        ValueError: lengths differ, a value is outside the bounds or no number, or an option makes no sense.
    """
    check_values(values, clusters, lower, upper, confidence)
    count = len(values)
    drawn = Drawn(count, population)
    if not count:
        return Estimate(None, None, None, None, 0, 0)
    mean = min(max(math.fsum(values) / count, lower), upper)
    bounded = math.isfinite(lower) and math.isfinite(upper)
    methods = (WILSON, STUDENT) if population is None else (SPLIT_WILSON, SPLIT_STUDENT)
    method = methods[not bounded]
    sums = cluster_sums([value - mean for value in values], drawn.apart(clusters))
    groups = len(sums)
    if drawn.whole:
        return Estimate(mean, mean, mean, 0.0, count, groups, method)
    if groups == 1:
        return Estimate(mean, None, None, None, count, 1)
    stderr = clustered_stderr(sums, count)
    tail = (1 + confidence) / 2
    plain = groups == count and {*values} <= {lower, upper}
    quantile = NormalDist().inv_cdf(tail) if plain else float(stdtrit(groups - 1, tail))
    if bounded:
        width = upper - lower
        share = (mean - lower) / width
        effective = _effective_count(count, groups, share, stderr / width, quantile) / drawn.left
        low = lower + width * _wilson_low(share, effective, quantile)
        high = upper - width * _wilson_low(1 - share, effective, quantile)
    else:
        margin = quantile * stderr * math.sqrt(drawn.unseen)
        low, high = mean - margin, mean + margin
    # By algebra the mean lies inside, and all inside the bounds; rounding must not say otherwise.
    low, high = max(min(low, mean), drawn.bound(mean, lower)), min(max(high, mean), drawn.bound(mean, upper))
    return Estimate(mean, low, high, stderr * math.sqrt(drawn.unseen), count, groups, method)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What part of a population was seen.

    Attributes:
        count: samples that were seen.
        population: number of samples that they were drawn from, one by one; `None` is without end.

    Raises:
        ValueError: there are more samples than the population has.
    """

    count: int
    population: int | None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.population is not None and self.population < self.count:
            message = f"expected a population of at least the {self.count} samples, got {self.population}"
            raise ValueError(message)

    @property
    def whole(self) -> bool:
        """Whether nothing is left to see."""
        return self.population == self.count

    @property
    def unseen(self) -> float:
        """The share that was not seen, by which variance is multiplied: 1 - n / N."""
        return 1.0 if self.population is None else (self.population - self.count) / self.population

    @property
    def left(self) -> float:
        """The same for a proportion, whose variance has N - 1 where that of single samples has N."""
        return 1.0 if self.population is None else (self.population - self.count) / (self.population - 1)

    def apart(self, clusters: Sequence[str]) -> Sequence[str]:
        """Return the clusters; from a population samples are drawn one by one, and each stands alone."""
        return clusters if self.population is None else [""] * self.count

    def bound(self, mean: float, bound: float) -> float:
        """Return what the population's mean would be if all that was not seen were at the bound."""
        if self.population is None or math.isinf(bound):
            return bound
        return bound + (mean - bound) * (1 - self.unseen)


def check_values(
    values: Sequence[float], clusters: Sequence[str], lower: float, upper: float, confidence: float
) -> None:
    """Refuse values without a cluster each or outside their bounds, and options that make no sense.

    Raises:
        ValueError: saying which.
    """
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


def cluster_sums(values: Sequence[float], clusters: Sequence[str]) -> list[float]:
    """Return each cluster's sum of its values, an empty name standing alone; in no order that means anything."""
    alone: list[float] = []
    shared: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        (shared.setdefault(cluster, []) if cluster else alone).append(value)
    return alone + [math.fsum(inside) for inside in shared.values()]


def clustered_stderr(sums: Sequence[float], count: int) -> float:
    """Return the standard error of a mean of `count` values from the clusters' sums of deviations, two or more."""
    groups = len(sums)
    return math.sqrt(math.fsum(each * each for each in sums) * groups / (groups - 1)) / count


def _effective_count(count: int, groups: int, share: float, stderr: float, quantile: float) -> float:
    """Return the number of independent 0/1 samples that would be as informative, as the module says."""
    added = quantile**2 / 2
    joint = (count * share + added) / (count + 2 * added)
    doubt = added * (joint**2 + (1 - joint) ** 2)
    spread = stderr**2 * count * (count - 1)
    design = 1 + (count / groups - 1) * _CORRELATION
    return count * (count * share * (1 - share) + doubt) / (spread + doubt * design)


def _wilson_low(share: float, effective: float, quantile: float) -> float:
    """Return Wilson's lower end: the smaller root of (share - x)² = quantile² x (1 - x) / effective."""
    square = quantile**2 / effective
    linear = 2 * share + square
    root = math.sqrt(square * (square + 4 * share * (1 - share)))
    # The root in the form without cancellation: exactly 0 for a share of 0.
    return 2 * share**2 / (linear + root)
