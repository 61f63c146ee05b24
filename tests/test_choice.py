"""Choices among candidates."""

from __future__ import annotations

import math

import pytest

from kosmos_eval.choice import choose, weights_of
from kosmos_eval.request import LogLikelihood


def row(*logprobs: float, characters: int = 4) -> LogLikelihood:
    return LogLikelihood(tuple(range(len(logprobs))), logprobs, characters, greedy=False)


def test_candidates_are_weighed_by_the_sum_or_by_a_mean() -> None:
    rows = [row(-1.0, -2.0), row(-2.0, characters=8)]
    assert weights_of(rows) == (-3.0, -2.0)
    assert weights_of(rows, "per_token") == (-1.5, -2.0)
    assert weights_of(rows, "per_character") == (-0.75, -0.25)


def test_opposite_infinities_spoil_a_weight_and_raise_nothing() -> None:
    assert weights_of([row(-1.0, -math.inf, math.inf), row(-1.0)]) == (-math.inf, -1.0)
    assert choose((-math.inf, -1.0)) == choose((-math.inf, -2.0))
    assert choose((-1.0, math.nan)).spoilt == 1


def test_the_best_share_the_point_and_the_margin_is_to_the_next() -> None:
    single = choose((-3.0, -1.0, -2.5))
    assert (single.best, single.margin, single.share(1), single.share(0)) == ((1,), 1.5, 1.0, 0.0)
    tied = choose((-1.0, -2.0, -1.0))
    assert (tied.best, tied.margin, tied.share(0), tied.share(1)) == ((0, 2), 0.0, 0.5, 0.0)
    assert choose((-1.0,)).margin is None
    with pytest.raises(ValueError, match="at least one candidate"):
        choose(())
