"""The difference between two runs over the same samples, with its interval and a test of no difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.statistics.bootstrap import RESAMPLES
from kosmos_eval.statistics.intervals import mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.corpus import Weighed


@dataclass(frozen=True, slots=True)
class Difference:
    """How another run differs from the base over the same samples.

    Attributes:
        value: other minus base, in the metric's own unit; `None` without data.
        low, high: confidence interval; `None` without data or with a single cluster.
        stderr: standard error; `None` as above.
        p_value: two-sided, of no difference; `None` where there is no test.
        count: samples.
        clusters: independent groups among them.
        better, worse, same: samples whose value rose, fell, stayed; whether higher is better is the caller's to know.
        method: of the interval, such as `tango-clustered`; empty when there is none.
        test: behind the p-value, such as `mcnemar-exact`; empty when there is none.
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
    seed: int = 0,  # noqa: ARG001  of the test that follows
    population: int | None = None,  # noqa: ARG001  follows
) -> Difference:
    """Return the mean difference other - base with its cluster-robust interval and a test of no difference."""
    gaps = [after - before for before, after in zip(base, other, strict=True)]
    width = upper - lower
    mean = mean_interval(gaps, clusters, lower=-width, upper=width, confidence=confidence)
    rose, fell = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    return Difference(
        mean.value,
        mean.low,
        mean.high,
        mean.stderr,
        None,
        mean.count,
        mean.clusters,
        rose,
        fell,
        len(gaps) - rose - fell,
        mean.method,
    )


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
    """Return how a corpus metric differs between two runs over the same samples, by a paired bootstrap."""
    raise NotImplementedError
