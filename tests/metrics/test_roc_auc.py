"""ROC AUC, beside scipy's Mann-Whitney test and scikit-learn's score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from kosmos_eval.metrics.roc_auc import RocAuc, roc_auc

SCORES = st.one_of(
    st.integers(-3, 3).map(float),  # ties
    st.floats(allow_nan=False),
)
BOTH = st.lists(st.tuples(SCORES, st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


def by_pairs(scores: list[float], labels: list[bool], weights: list[float]) -> float:
    """Return the area by its definition: each positive against each negative."""
    won = pairs = 0.0
    for score, label, weight in zip(scores, labels, weights, strict=True):
        for other, other_label, other_weight in zip(scores, labels, weights, strict=True):
            if label and not other_label:
                pairs += weight * other_weight
                won += weight * other_weight * (0.5 * (score == other) + (score > other))
    return won / pairs if pairs else math.nan


def split(pairs: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [score for score, _ in pairs], [label for _, label in pairs]


@pytest.mark.parametrize(
    ("scores", "labels", "area"),
    [
        ([1, 2, 3, 4], [False, False, True, True], 1.0),
        ([4, 3, 2, 1], [False, False, True, True], 0.0),
        ([5, 5, 5], [True, False, True], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 0.75),
        ([1, 1, 2], [True, False, False], 0.25),
        ([math.inf, -math.inf, 0], [True, False, True], 1.0),
        ([math.inf, math.inf], [True, False], 0.5),
    ],
)
def test_hand_made_cases(scores: list[float], labels: list[bool], area: float) -> None:
    assert roc_auc(scores, labels) == area


@given(BOTH)
def test_it_is_mann_whitney_s_statistic_over_the_number_of_pairs(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    positive = [score for score, label in pairs if label]
    negative = [score for score, label in pairs if not label]
    ranked = {score: float(rank) for rank, score in enumerate(sorted(set(scores)))}  # scipy warns of infinities
    statistic = mannwhitneyu(
        [ranked[each] for each in positive], [ranked[each] for each in negative], method="asymptotic"
    ).statistic
    assert roc_auc(scores, labels) == pytest.approx(statistic / (len(positive) * len(negative)), abs=1e-12)


def test_it_is_what_scikit_learn_computes_with_sample_weights_too() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draws = np.random.default_rng(5)
    for decimals in (0, 1, 12):  # many ties, some, none
        scores = np.round(draws.normal(size=500), decimals)
        labels = draws.random(500) < 0.3
        weights = np.stack([np.ones(500), draws.integers(0, 4, 500), draws.random(500)]).astype(np.float64)
        expected = [metrics.roc_auc_score(labels, scores, sample_weight=row) for row in weights]
        got = RocAuc(scores.tolist(), labels.tolist()).values(weights)
        assert got == pytest.approx(expected, abs=1e-12)


@given(BOTH, st.data())
def test_a_weight_is_how_often_a_sample_counts(pairs: list[tuple[float, bool]], data: st.DataObject) -> None:
    scores, labels = split(pairs)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    listed = [pair for pair, weight in zip(pairs, weights, strict=True) for _ in range(weight)]
    got = float(RocAuc(scores, labels).values(np.asarray([weights], dtype=np.float64))[0])
    assert got == pytest.approx(by_pairs(scores, labels, [float(each) for each in weights]), abs=1e-12, nan_ok=True)
    assert got == pytest.approx(roc_auc(*split(listed)), abs=1e-12, nan_ok=True)


@given(BOTH)
def test_the_order_of_samples_and_the_scale_of_scores_do_not_matter(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    assert roc_auc(scores[::-1], labels[::-1]) == pytest.approx(roc_auc(scores, labels), abs=1e-12)
    ranks = {score: rank for rank, score in enumerate(sorted(set(scores)))}
    assert roc_auc([ranks[each] for each in scores], labels) == roc_auc(scores, labels)


@given(BOTH)
def test_turned_labels_turn_the_area(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    assert roc_auc(scores, [not each for each in labels]) == pytest.approx(1 - roc_auc(scores, labels), abs=1e-12)


@pytest.mark.parametrize("labels", [[True, True], [False, False], []])
def test_a_single_class_has_no_area(labels: list[bool]) -> None:
    assert math.isnan(roc_auc([float(place) for place in range(len(labels))], labels))


def test_a_row_of_weights_without_one_class_is_not_a_number_and_leaves_the_others() -> None:
    metric = RocAuc([1, 2, 3], [False, True, True])
    weights = np.asarray([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 2]], dtype=np.float64)
    assert metric.values(weights) == pytest.approx([math.nan, math.nan, math.nan, 1.0], nan_ok=True)
    assert metric.values(np.empty((0, 3))).shape == (0,)


def test_rows_are_the_same_in_blocks_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(1)
    metric = RocAuc(draws.normal(size=30).tolist(), (draws.random(30) < 0.5).tolist())
    weights = draws.integers(0, 3, (40, 30)).astype(np.float64)
    whole = metric.values(weights)
    monkeypatch.setattr("kosmos_eval.metrics.roc_auc._BLOCK", 70)
    assert metric.values(weights).tolist() == whole.tolist()
    assert metric.count == 30


def test_what_cannot_be_ranked_is_an_error() -> None:
    with pytest.raises(ValueError, match="as many labels as scores, got 1 and 2"):
        RocAuc([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="got NaN for sample 1"):
        RocAuc([1.0, math.nan], [True, False])
