"""The difference between two runs over the same samples, with its interval and a test of no difference.

Each sample's difference is other minus base. Samples of one cluster (questions about one picture) differ together, so
clusters are the units of everything below.

The interval of bounded values is Tango's score interval for paired proportions, generalised as `intervals.py`
generalises Wilson's. Tango asks, for each possible difference, whether the one that was seen is too far from it, given
how many samples must differ for it to be possible at all. So two runs without a single differing sample have an
interval: one sample in some hundreds may still differ. It needs the shares of gains and of losses, here the sums of
the positive and of the negative differences by n times the greatest possible one, and the number of samples, here

    n_eff = n (n v + 1) / (S + r n / G),        v = gains + losses - (gains - losses)², and G the number of clusters,

where S is n² times the cluster-robust variance of the mean difference (times (n - 1)/n), in squares of the greatest
difference, and r = (sum of squares + 1) / (sum of sizes + 1) of the differences, how large those are that there are.
This is as if one more sample had been seen to differ, together with all of its cluster. So n_eff is n for independent
0/1 samples (Tango's own interval, exactly), G when nothing differs, and v / variance as the data outweigh the one.
Where the variance is estimated and does not follow from the shares, the interval's arms are longer by Student's
quantile with G - 1 degrees of freedom over the normal one. Values without bounds have Student's interval.

The test asks whether the two runs could have changed places, cluster by cluster: given the sizes of the clusters' sums
of differences, each sign is as likely as the other. All signs are counted through where there are few, or where all
sizes are equal: for independent right and wrong that is McNemar's exact test. Otherwise 10,000 of them are drawn; of
more than 512 different sizes those of the largest are, and the others' sum is drawn from the normal with its variance.
That moves no probability by more than 0.0003, where drawing itself moves one of 5 % by 0.002.

How the two go together. The test is exact and so never claims too much; the interval is right on average. Both
condition on nothing but the clusters, and nearly always agree; near the limit the interval may leave out 0 while the
p-value is still a little above 1 - confidence, since few outcomes are possible: then the p-value is the careful one.
Where so few clusters differ that no outcome could be significant (fewer than 6 at 95 %), the interval always holds 0.

Of a split. With `population`, the difference is asked for the N samples of a split of which these n were drawn at
random: see `intervals.py`. No test goes with it: of a whole split the difference is known.

Metrics of the whole corpus have the BCa bootstrap of other minus base, the same drawn clusters for both, and the
p-value that inverts it: the level at which the interval would end at 0. The two never disagree.

Sources: T. Tango, Statistics in Medicine 17 (1998), for the interval; Q. McNemar, Psychometrika 12 (1947); sign
changes of clusters as in I. A. Canay, J. P. Romano and A. M. Shaikh, Econometrica 85 (2017); drawn ones counted with
the one that was seen, as in B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010); E. Miller, "Adding
Error Bars to Evals", arXiv 2411.00640, for pairing. The formulas for n_eff and r are our choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import bdtr, stdtrit

from kosmos_eval.corpus import difference_of
from kosmos_eval.statistics.bootstrap import RESAMPLES, Bounded, bootstrap
from kosmos_eval.statistics.intervals import STUDENT, Drawn, check_values, cluster_sums, clustered_stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kosmos_eval.corpus import Floats, Weighed

TANGO = "tango-clustered"
SPLIT_TANGO = "tango-split"
SPLIT_STUDENT = "t-split"
MCNEMAR = "mcnemar-exact"
SIGN_FLIP = "sign-flip"
BOOTSTRAP = "bootstrap"

_COUNTED_THROUGH = 14
"""So many clusters have 16,384 ways to give them signs."""
_FLIPS = 10_000
_SIGNS_AT_A_TIME = 1 << 21
_LARGEST = 512
"""So many different sizes have signs of their own."""
_EQUAL = 1e-12
"""Sums that differ by less, as a share of all sizes, are the same, added in another order."""
_HALVINGS = 60
"""Of an interval of width 2: beyond a float's precision."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How another run differs from the base over the same samples.

    Attributes:
        value: other minus base, in the metric's own unit; `None` without data.
        low, high: confidence interval; `None` without data, with a single cluster, or where all differences are alike
            and no bounds say how large another could be.
        stderr: standard error; `None` without data or with a single cluster. It is 0 when all differences are alike:
            read the interval.
        p_value: two-sided, of no difference; `None` where there is no test.
        count: samples.
        clusters: independent groups among them; all samples, where they were drawn from a known number.
        better, worse, same: samples whose value rose, fell, stayed; whether higher is better is the caller's to know.
            All 0 for a metric of the whole corpus.
        method: of the interval: `tango-clustered`, `t-clustered`, `bca-bootstrap`, or `tango-split` and `t-split`
            where it is of a split; empty when there is none.
        test: behind the p-value: `mcnemar-exact`, `sign-flip`, `bootstrap`; empty when there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    stderr: float | None
    p_value: float | None
    count: int
    clusters: int
    better: int
    worse: int
    same: int
    method: str = ""
    test: str = ""


def paired_difference(
    base: Sequence[float],
    other: Sequence[float],
    clusters: Sequence[str],
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    confidence: float = 0.95,
    seed: int = 0,
    population: int | None = None,
) -> Difference:
    """Return the mean of other minus base with its cluster-robust interval and a test of no difference.

    Args:
        base: one value for each sample.
        other: the other run's value of the same sample, in the same order.
        clusters: one for each sample: equal names err together, and an empty name stands alone. The order of the
            samples changes no bit.
        lower: least possible value; with it or `upper` infinite, the interval is Student's.
        upper: greatest possible value.
        confidence: probability that the interval covers the true difference.
        seed: of the drawn signs.
        population: number of samples of which these were drawn at random, for the interval of their difference alone
            and no test; by default it is of all samples that could have been asked.

    Raises:
        ValueError: lengths differ, a value is outside the bounds or no number, or an option makes no sense.

    Example:
        >>> found = paired_difference([1, 0, 0, 1], [1, 1, 1, 1], ["", "", "", ""])
        >>> found.value, found.p_value, found.test
        (0.5, 0.5, 'mcnemar-exact')
    """
    gaps = _gaps(base, other)
    for values in (base, other):
        check_values(values, clusters, lower, upper, confidence)
    drawn = Drawn(len(gaps), population)
    if not gaps:
        return Difference(None, None, None, None, None, 0, 0, 0, 0, 0)
    gains, losses = [gap for gap in gaps if gap > 0], [gap for gap in gaps if gap < 0]
    sums = cluster_sums(gaps, drawn.apart(clusters))
    binary = len(sums) == len(gaps) and {*base, *other} <= {lower, upper}
    flips = _Flips(tuple(sorted(abs(each) for each in sums if each)), abs(math.fsum(gaps)))
    interval = _interval(gaps, drawn.apart(clusters), drawn, upper - lower, confidence, plain=binary)
    tested = len(sums) > 1 and population is None
    if tested:
        interval = _holding_nought(interval, flips, 1 - confidence)
    return Difference(
        math.fsum(gaps) / len(gaps),
        interval.low,
        interval.high,
        interval.stderr,
        flips.p_value(seed) if tested else None,
        len(gaps),
        len(sums),
        len(gains),
        len(losses),
        len(gaps) - len(gains) - len(losses),
        interval.method,
        (MCNEMAR if binary else SIGN_FLIP) if tested else "",
    )


def _gaps(base: Sequence[float], other: Sequence[float]) -> list[float]:
    if len(base) != len(other):
        message = f"expected two values for each sample, got {len(base)} of base and {len(other)} of other"
        raise ValueError(message)
    return [after - before for before, after in zip(base, other, strict=True)]


class _Interval(NamedTuple):
    low: float | None
    high: float | None
    stderr: float | None
    method: str


class _Flips(NamedTuple):
    """The test that changes the signs of the clusters' sums of differences.

    Attributes:
        sizes: of the sums that are not 0, the least first.
        seen: size of their total.
    """

    sizes: tuple[float, ...]
    seen: float

    @property
    def least(self) -> float:
        """The least p-value that any outcome could have."""
        return min(1.0, 2 * 0.5 ** len(self.sizes))

    def p_value(self, seed: int) -> float:
        """Return the probability of a total at least as large as the one seen, of all signs or of drawn ones."""
        if not self.sizes:
            return 1.0
        total = math.fsum(self.sizes)
        sizes, counts = _alike(np.array(self.sizes), total)
        if len(sizes) == 1:
            fewer = (len(self.sizes) - round(self.seen / self.sizes[0])) // 2
            return min(1.0, 2 * float(bdtr(fewer, len(self.sizes), 0.5)))
        enough = self.seen - _EQUAL * total
        if len(self.sizes) <= _COUNTED_THROUGH:
            totals = np.zeros(1)
            for size in self.sizes:
                totals = np.concatenate([totals - size, totals + size])
            return float(np.mean(np.abs(totals) >= enough))
        generator = np.random.Generator(np.random.PCG64(seed))
        small = list(zip(sizes[:-_LARGEST].tolist(), counts[:-_LARGEST].tolist(), strict=True))
        sizes, many = sizes[-_LARGEST:], counts[-_LARGEST:]
        rising = _rising(sizes[many == 1], generator)
        for size, count in zip(sizes[many > 1].tolist(), many[many > 1].tolist(), strict=True):
            rising += size * generator.binomial(count, 0.5, _FLIPS)
        if small:
            spread = math.sqrt(math.fsum(size * size * count for size, count in small)) / 2
            rising += math.fsum(size * count for size, count in small) / 2 + spread * generator.standard_normal(_FLIPS)
        return (1 + int(np.count_nonzero(np.abs(2 * rising - total) >= enough))) / (1 + _FLIPS)


def _alike(sizes: Floats, total: float) -> tuple[Floats, NDArray[np.int64]]:
    """Return the sizes that differ by more than rounding of their total, and how many there are of each."""
    _, places, counts = np.unique(np.round(sizes / total / _EQUAL), return_index=True, return_counts=True)
    return sizes[places], counts.astype(np.int64)


def _rising(sizes: Floats, generator: np.random.Generator) -> Floats:
    """Return the total of the sizes that drawn signs make positive, [flips]."""
    rows = max(1, _SIGNS_AT_A_TIME // max(1, len(sizes)))
    parts = []
    for start in range(0, _FLIPS, rows):
        signs = generator.integers(0, 2, (min(rows, _FLIPS - start), len(sizes)), dtype=np.int8)
        # Not a matrix product: BLAS adds in another order at another number of threads.
        parts.append(np.einsum("rc,c->r", signs.astype(np.float64), sizes))
    return np.concatenate(parts)


def _interval(
    gaps: Sequence[float], clusters: Sequence[str], drawn: Drawn, width: float, confidence: float, *, plain: bool
) -> _Interval:
    """Return the interval of the mean difference, as the module says.

    Args:
        gaps: the differences, one or more.
        clusters: of the samples.
        drawn: what part of a population they are.
        width: the greatest possible difference; may be infinite.
        confidence: of the interval.
        plain: whether samples are independent and either right or wrong.
    """
    count, mean = len(gaps), math.fsum(gaps) / len(gaps)
    bounded, split = math.isfinite(width), drawn.population is not None
    method = (SPLIT_TANGO if split else TANGO) if bounded else (SPLIT_STUDENT if split else STUDENT)
    if drawn.whole:
        return _Interval(mean, mean, 0.0, method)
    sums = cluster_sums([gap - mean for gap in gaps], clusters)
    groups = len(sums)
    if groups == 1:
        return _Interval(None, None, None, "")
    stderr = clustered_stderr(sums, count)
    tail = (1 + confidence) / 2
    normal = NormalDist().inv_cdf(tail)
    student = normal if plain else float(stdtrit(groups - 1, tail))
    final = stderr * math.sqrt(drawn.unseen)
    if not bounded:
        if not stderr:
            return _Interval(None, None, 0.0, "")
        return _Interval(mean - student * final, mean + student * final, final, method)
    gains = math.fsum(gap for gap in gaps if gap > 0) / (count * width)
    losses = math.fsum(-gap for gap in gaps if gap < 0) / (count * width)
    effective = _effective_count(gaps, gains, losses, width=width, stderr=stderr, groups=groups) / drawn.left
    stretch = student / normal
    low, high = _tango(gains, losses, effective, normal)
    share = gains - losses
    low, high = mean - width * (share - low) * stretch, mean + width * (high - share) * stretch
    # By algebra the mean lies inside; rounding must not say otherwise.
    low, high = max(min(low, mean), drawn.bound(mean, -width)), min(max(high, mean), drawn.bound(mean, width))
    return _Interval(low, high, final, method)


def _effective_count(
    gaps: Sequence[float], gains: float, losses: float, *, width: float, stderr: float, groups: int
) -> float:
    """Return the number of independent 0/1 samples that would be as informative, as the module says."""
    count = len(gaps)
    squares = math.fsum((gap / width) ** 2 for gap in gaps)
    sizes = count * (gains + losses)
    spread = (stderr / width) ** 2 * count * (count - 1)
    differing = count * (gains + losses - (gains - losses) ** 2)
    return count * (differing + 1) / (spread + (squares + 1) / (sizes + 1) * count / groups)


def _tango(gains: float, losses: float, effective: float, quantile: float) -> tuple[float, float]:
    """Return Tango's interval for gains - losses, all shares of `effective` samples."""
    return _tango_low(gains, losses, effective, quantile), -_tango_low(losses, gains, effective, quantile)


def _tango_low(gains: float, losses: float, effective: float, quantile: float) -> float:
    """Return the least difference from which the one that was seen is at most `quantile` standard errors away.

    The standard error is the one under that difference, with the share of losses that is then the most likely.
    """
    seen = gains - losses
    low, high = -1.0, seen
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        linear = (2 - gains + losses) * middle - gains - losses
        root = math.sqrt(max(linear**2 + 8 * losses * middle * (1 - middle), 0.0))
        variance = max((root - linear) / 2 + middle * (1 - middle), 0.0)
        if seen - middle > quantile * math.sqrt(variance / effective):
            low = middle
        else:
            high = middle
    return low


def _holding_nought(interval: _Interval, flips: _Flips, level: float) -> _Interval:
    """Return the interval, reaching to 0 where no outcome of so few differing clusters could be significant."""
    if interval.low is None or interval.high is None or flips.least <= level:
        return interval
    return interval._replace(low=min(interval.low, 0.0), high=max(interval.high, 0.0))


def paired_corpus_difference(
    base: Weighed,
    other: Weighed,
    clusters: Sequence[str],
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Return how a metric of the whole corpus differs between two runs over the same samples, by a paired bootstrap.

    Where every resample says that nothing differs, the interval is Tango's for clusters of which none differs.

    Args:
        base: the metric of the one run as a function of the samples' weights.
        other: of the other run, over the same samples in the same order.
        clusters: one for each sample: equal names err together, and an empty name stands alone.
        lower: least possible value of the metric.
        upper: greatest possible value; both may be infinite.
        confidence: probability that the interval covers the true difference.
        resamples: how many are drawn.
        seed: of the draws.

    Raises:
        ValueError: the runs and the clusters are not of the same samples, a metric is outside its bounds, or an option
            makes no sense.
    """
    if base.count != other.count:
        message = f"expected both metrics to be of the same samples, got {base.count} and {other.count} samples"
        raise ValueError(message)
    width = upper - lower
    change = Bounded(difference_of(base, other), -width, width)
    (drawn,) = bootstrap((change,), clusters, confidence=confidence, resamples=resamples, seed=seed)
    found, p_value = drawn.estimate(confidence), drawn.p_value()
    low, high, method = found.low, found.high, found.method
    if p_value is not None and low is None and math.isfinite(width):
        tail = (1 + confidence) / 2
        normal = NormalDist().inv_cdf(tail)
        arm = width * _tango(0.0, 0.0, found.clusters, normal)[1] * float(stdtrit(found.clusters - 1, tail)) / normal
        low, high, method = max(-arm, -width), min(arm, width), TANGO
    return Difference(
        found.value,
        low,
        high,
        found.stderr,
        p_value,
        found.count,
        found.clusters,
        0,
        0,
        0,
        method,
        "" if p_value is None else BOOTSTRAP,
    )
