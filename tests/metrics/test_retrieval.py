from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.metrics.retrieval import (
    chance_ndcg,
    expected_rank,
    ndcg,
    possible_ranks,
    recall_at,
    reciprocal_rank,
    whole_ranks,
)

GOLDEN = Path(__file__).with_name("golden") / "retrieval.json"


def test_every_golden_case_equals_the_official_script_but_for_its_single_precision() -> None:
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(cases) > 50
    for case in cases:
        ranks = possible_ranks(case["weights"], case["target"])
        assert list(ranks) == [case["rank"]]
        assert reciprocal_rank(ranks) == pytest.approx(case["mrr"], abs=1e-6)
        assert [recall_at(k, ranks) for k in (1, 5, 10)] == case["recalls"]
        assert whole_ranks(case["weights"])[case["target"]] == case["rank"]
        assert ndcg(case["weights"], case["relevance"]) == pytest.approx(case["ndcg"], abs=1e-6)


def test_a_worked_ndcg() -> None:
    # Two relevant candidates, so the two best-ranked count: relevances 0 and 1, where 1 and 0.5 would be best.
    best = 1 / math.log2(2) + 0.5 / math.log2(3)
    assert ndcg([3.0, 2.0, 1.0], [0.0, 1.0, 0.5]) == pytest.approx((1 / math.log2(3)) / best)
    assert ndcg([1.0, 3.0, 2.0], [0.0, 1.0, 0.5]) == 1.0
    assert ndcg([3.0, 2.0, 1.0], [0.0, 0.0, 1.0]) == 0.0


def test_no_relevance_at_all_is_no_number() -> None:
    assert ndcg([1.0, 2.0], [0.0, 0.0]) is None
    assert chance_ndcg([0.0, 0.0]) is None


small = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=5)


@given(small)
def test_ties_are_worth_the_mean_over_all_their_orders(pairs: list[tuple[float, float]]) -> None:
    weights, relevance = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    orders = list(itertools.permutations([index / 10 for index in range(len(pairs))]))
    untied = [[weight + part for weight, part in zip(weights, parts, strict=True)] for parts in orders]
    if any(relevance):
        gains = [ndcg(each, relevance) or 0.0 for each in untied]
        assert ndcg(weights, relevance) == pytest.approx(sum(gains) / len(gains))
    for target in range(len(weights)):
        own = possible_ranks(weights, target)
        drawn = [possible_ranks(each, target)[0] for each in untied]
        assert expected_rank(own) == pytest.approx(sum(drawn) / len(drawn))
        assert reciprocal_rank(own) == pytest.approx(sum(1 / rank for rank in drawn) / len(drawn))
        assert recall_at(2, own) == pytest.approx(sum(rank <= 2 for rank in drawn) / len(drawn))


@given(small)
def test_the_order_of_candidates_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    weights, relevance = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    turned = ndcg(weights[::-1], relevance[::-1])
    assert turned == pytest.approx(ndcg(weights, relevance)) if any(relevance) else turned is None
    assert possible_ranks(weights[::-1], len(weights) - 1) == possible_ranks(weights, 0)


def test_chance_is_what_equal_weights_earn() -> None:
    assert chance_ndcg([1.0, 0.0]) == pytest.approx(0.5)
    assert chance_ndcg([1.0, 1.0]) == 1.0


def test_whole_ranks_rank_the_first_of_equal_candidates_first() -> None:
    assert whole_ranks([0.5, 0.9, 0.5, 0.1]) == (2, 1, 3, 4)


@pytest.mark.parametrize("weights", [[math.nan, 1.0], [-math.inf, 1.0]])
def test_weights_that_are_not_finite_are_an_error(weights: list[float]) -> None:
    for wrong in (lambda: possible_ranks(weights, 0), lambda: whole_ranks(weights), lambda: ndcg(weights, [1.0, 0.0])):
        with pytest.raises(ValueError, match="expected the weights of candidates to be finite"):
            wrong()


@pytest.mark.parametrize("relevance", [[1.0], [1.0, -0.1], [1.0, math.nan]])
def test_relevances_that_are_missing_or_negative_are_an_error(relevance: list[float]) -> None:
    with pytest.raises(ValueError, match="expected a relevance of 0 or more for each of 2 candidates"):
        ndcg([1.0, 2.0], relevance)
