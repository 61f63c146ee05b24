"""lm-eval's aggregations as functions of weights: weights of 1 give lm-eval's number, others that of repeated items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lm_eval.api import metrics

from kosmos_eval.lm_eval_tasks.metrics import MISSING, aggregation_name, corpus_score
from kosmos_eval.metrics.forms import kept, weighed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GOLD = ((1, 1), (0, 1), (1, 0), (0, 0), (1, 1), (0, 0), (1, 1))
TOTALS = (-1.5, -0.25, -3.0, -7.0, -0.5, -2.0, -1.0)
CHANCES = tuple((place % 2, (0.25 + place / 20, 0.75 - place / 20)) for place in range(7))
SUMS = [
    (metrics.mean, TOTALS),
    (metrics.nanmean, TOTALS),
    (metrics.perplexity, TOTALS),
    (metrics.weighted_perplexity, tuple((total, place + 1) for place, total in enumerate(TOTALS))),
    (metrics.bits_per_byte, tuple((total, place + 1) for place, total in enumerate(TOTALS))),
    (metrics.f1_score, GOLD),
    (metrics.matthews_corrcoef, GOLD),
    (metrics.brier_score, CHANCES),
]


@pytest.mark.parametrize(("aggregate", "items"), SUMS, ids=[each.__name__ for each, _ in SUMS])
def test_weights_are_how_often_an_item_is_there(
    aggregate: Callable[[Sequence[Any]], float], items: tuple[Any, ...]
) -> None:
    score = corpus_score(aggregate, items)
    assert score.weighed is not None
    weights = np.array([[1, 1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 0, 1, 1]], dtype=np.float64)
    repeated = [[item for item, often in zip(items, row, strict=True) for _ in range(int(often))] for row in weights]
    expected = [float(aggregate(each)) for each in repeated]
    assert score.weighed.values(weights).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("aggregate", "items"), SUMS, ids=[each.__name__ for each, _ in SUMS])
def test_a_record_can_hold_what_follows_from_sums(
    aggregate: Callable[[Sequence[Any]], float], items: tuple[Any, ...]
) -> None:
    weighed = corpus_score(aggregate, items).weighed
    assert weighed is not None
    held = kept(weighed)
    assert held is not None
    ones = np.ones((1, 7))
    assert weighed_of(held).values(ones) == weighed.values(ones)


def test_a_sample_without_an_item_is_in_no_sum() -> None:
    score = corpus_score(metrics.mean, [1.0, MISSING, 0.0, 1.0])
    assert score.weighed is not None
    assert score.own is not None
    assert score.weighed.count == 4
    assert score.weighed.values(np.ones((1, 4))).tolist() == [pytest.approx(2 / 3)]
    assert np.isnan(score.own).tolist() == [False, True, False, False]
    assert corpus_score(metrics.mean, [MISSING]).unavailable == "lm-eval's code gives no sample a value"


def test_what_is_no_number_leaves_a_mean_undefined_and_nanmean_passes_over_it() -> None:
    assert corpus_score(metrics.mean, [1.0, math.nan]).unavailable == "lm-eval's mean gives nan"
    score = corpus_score(metrics.nanmean, [1.0, math.nan])
    assert score.weighed is not None
    assert score.weighed.values(np.ones((1, 2))).tolist() == [1.0]


def test_other_aggregations_are_a_number_alone() -> None:
    score = corpus_score(metrics.median, TOTALS)
    assert (score.weighed, score.alone) == (None, -1.5)
    assert score.unavailable == "lm-eval's median is no function of how often each sample counts"
    three = corpus_score(metrics.matthews_corrcoef, [(0, 1), (2, 2), (1, 1)])
    assert three.alone == pytest.approx(metrics.matthews_corrcoef([(0, 1), (2, 2), (1, 1)]))


def test_an_aggregation_that_fails_says_so_and_bypass_is_no_number() -> None:
    def broken(items: Sequence[Any]) -> float:
        raise KeyError(items[0])

    assert corpus_score(broken, ["x"]).unavailable == "lm-eval's broken fails: KeyError: 'x'"
    assert corpus_score(metrics.bypass_agg, [None]).alone is None
    assert aggregation_name(metrics.chrfpp) == "chrf++"
