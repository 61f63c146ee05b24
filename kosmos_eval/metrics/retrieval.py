"""Retrieval metrics, as the VisDial challenge computes them: NDCG, reciprocal rank, recall at k, rank.

Candidates are ranked by weight, the highest first; rank 1 is the best. NDCG is cut at k, the number of candidates with
any relevance: the relevances of the k best-ranked candidates, each divided by log2(rank + 1), over the same sum for
the best possible order.

Source: batra-mlp-lab/visdial-challenge-starter-pytorch, visdialch/metrics.py, commit
9acafd2bbcc6ccf77c4ef4f02abfbd211a0fcbcd (`SparseGTMetrics` and `NDCG`).

Deviations: candidates of equal weight are taken as if their order were drawn by lot, and every metric is its
expectation over these orders; the script leaves their order to the sorting routine of torch. Sums are of double
precision; the script's are single. Where no candidate has any relevance NDCG is undefined, and the script divides
zero by zero.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def possible_ranks(weights: Sequence[float], target: int) -> range:
    """Return the ranks that a candidate can have, all equally likely: more than one where others have its weight.

    Args:
        weights: of each candidate, higher is better.
        target: index of the candidate.

    Raises:
        ValueError: a weight is not finite.

    Example:
        >>> possible_ranks([0.1, 0.7, 0.1], 2)
        range(2, 4)
    """
    _check(weights)
    own = weights[target]
    better = sum(each > own for each in weights)
    return range(better + 1, better + 1 + sum(each == own for each in weights))


def expected_rank(ranks: range) -> float:
    """Return the mean of a candidate's possible ranks."""
    return math.fsum(ranks) / len(ranks)


def reciprocal_rank(ranks: range) -> float:
    """Return the mean of 1 / rank over a candidate's possible ranks."""
    return math.fsum(1 / rank for rank in ranks) / len(ranks)


def recall_at(k: int, ranks: range) -> float:
    """Return the share of a candidate's possible ranks that are k or better: 0 or 1 where nothing ties."""
    return sum(rank <= k for rank in ranks) / len(ranks)


def whole_ranks(weights: Sequence[float]) -> tuple[int, ...]:
    """Return each candidate's rank, 1 to n, each once; of equal ones the first is ranked first.

    Raises:
        ValueError: a weight is not finite.
    """
    _check(weights)
    order = sorted(range(len(weights)), key=lambda place: (-weights[place], place))
    ranks = dict(zip(order, range(1, len(order) + 1), strict=True))
    return tuple(ranks[place] for place in range(len(weights)))


def ndcg(weights: Sequence[float], relevance: Sequence[float]) -> float | None:
    """Return the normalised discounted cumulative gain, 0 to 1; `None` where no candidate has any relevance.

    Args:
        weights: of each candidate, higher is better.
        relevance: of each candidate, 0 or more.

    Raises:
        ValueError: a weight is not finite, a relevance is negative or not finite, or their numbers differ.

    Example:
        >>> round(ndcg([3.0, 2.0, 1.0], [0.0, 1.0, 0.5]), 4)
        0.4796
    """
    _check(weights)
    if len(weights) != len(relevance) or not all(0 <= each < math.inf for each in relevance):
        message = f"expected a relevance of 0 or more for each of {len(weights)} candidates, got {relevance!r:.80}"
        raise ValueError(message)
    k = sum(each != 0 for each in relevance)
    if k == 0:
        return None
    shared: dict[float, list[float]] = {}
    for weight, each in zip(weights, relevance, strict=True):
        shared.setdefault(weight, []).append(each)
    gains = [math.fsum(tied) / len(tied) for _, tied in sorted(shared.items(), reverse=True) for _ in tied]
    return min(1.0, _discounted(gains[:k]) / _discounted(sorted(relevance, reverse=True)[:k]))


def chance_ndcg(relevance: Sequence[float]) -> float | None:
    """Return the expected NDCG of a random order; `None` where no candidate has any relevance."""
    return ndcg([0.0] * len(relevance), relevance)


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _check(weights: Sequence[float]) -> None:
    if not all(map(math.isfinite, weights)):
        message = f"expected the weights of candidates to be finite, got {weights!r:.80}"
        raise ValueError(message)
