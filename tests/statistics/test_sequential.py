"""The confidence sequence holds at every look, closes at the truth, and is soon done with what is clear."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kosmos_eval.statistics.sequential import Bounds, ConfidenceSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def looks(clusters: Iterable[Sequence[float]], sequence: ConfidenceSequence) -> list[Bounds]:
    return [sequence.add(cluster) for cluster in clusters]


def changes(count: int, worse: int, better: int, seed: int) -> list[list[float]]:
    """Return differences of right and wrong in random order, one a cluster."""
    values = np.zeros(count)
    values[:worse], values[worse : worse + better] = -1, 1
    return [[value] for value in np.random.default_rng(seed).permutation(values).tolist()]


@pytest.mark.parametrize(
    "clusters",
    [
        [(-1.0, -1.0, -1.0), (0.5,), (0.0, 1.0), (-0.25, -0.5), (0.0, -1.0)],
        [(1.0, 1.0, 1.0, 1.0), (-1.0,), (-1.0,), (-0.5,), (0.0,)],
    ],
)
def test_over_all_orders_the_truth_is_ever_left_out_no_more_often_than_stated(
    clusters: list[tuple[float, ...]],
) -> None:
    sizes = [len(each) for each in clusters]
    truth = math.fsum(itertools.chain(*clusters)) / sum(sizes)
    orders = list(itertools.permutations(clusters))
    left_out = np.zeros(3)
    for order in orders:
        both = looks(order, ConfidenceSequence(sizes, confidence=0.4))
        one = looks(order, ConfidenceSequence(sizes, confidence=0.4, sides=1))
        left_out += [
            any(not low <= truth <= high for low, high in both[:-1]),
            any(low > truth for low, _ in one[:-1]),
            any(high < truth for _, high in one[:-1]),
        ]
    assert (left_out / len(orders) <= 0.6).all()
    assert left_out.any()  # or it could not fail


def test_it_holds_under_continuous_looking_where_an_interval_at_every_look_does_not() -> None:
    sequential = naive = 0
    for seed in range(40):
        order = changes(100, 15, 15, seed)
        sequential += any(not low <= 0 <= high for low, high in looks(order, ConfidenceSequence([1] * 100)))
        values, sizes = np.array(order)[:, 0], np.arange(1, 101)
        means, squares = np.cumsum(values) / sizes, np.cumsum(values**2) / sizes
        naive += bool((np.abs(means) > 1.96 * np.sqrt((squares - means**2) / sizes))[10:90].any())
    assert sequential <= 2
    assert naive >= 6


@pytest.mark.parametrize(("count", "discordant", "drop"), [(1000, 0.1, 0.05), (1000, 0.2, 0.1), (2000, 0.2, 0.05)])
def test_a_clear_regression_is_certain_after_a_third_of_the_samples(count: int, discordant: float, drop: float) -> None:
    worse, better = round(count * (discordant + drop) / 2), round(count * (discordant - drop) / 2)
    needed = []
    for seed in range(5):
        sequence = ConfidenceSequence([1] * count, sides=1)
        order = changes(count, worse, better, seed)
        needed.append(next(place for place, each in enumerate(order, 1) if sequence.add(each).high < 0))
    assert np.mean(needed) <= count / 3


def test_equal_runs_are_certain_not_to_be_worse_by_a_margin_before_the_end() -> None:
    sequence = ConfidenceSequence([1] * 1000, sides=1)
    order = changes(1000, 25, 25, 3)
    assert next(place for place, each in enumerate(order, 1) if sequence.add(each).low > -0.03) < 700


def test_at_the_end_both_bounds_are_the_mean_itself() -> None:
    clusters = [(-0.1, 0.3), (0.7,), (0.0, 0.0, 0.2), (-1.0,)]
    sequence = ConfidenceSequence([2, 1, 3, 1])
    found = looks(clusters, sequence)
    mean = math.fsum([-0.1, 0.3, 0.7, 0.2, -1.0]) / 7
    assert found[-1] == Bounds(mean, mean)
    assert sequence.value == mean
    assert (sequence.clusters, sequence.samples) == (4, 7)
    assert all(low <= mean <= high for low, high in found)


def test_samples_that_failed_are_in_no_mean() -> None:
    sequence = ConfidenceSequence([2, 2, 2])
    found = looks([(), (0.5,), (-1.0, 0.0)], sequence)
    assert found[0].low <= -0.99
    assert found[-1] == Bounds(-0.5 / 3, -0.5 / 3)
    nothing = ConfidenceSequence([1])
    assert nothing.add(()) == Bounds(-1.0, 1.0)
    assert nothing.value is None


def test_the_bounds_narrow_only_and_hold_what_can_still_come() -> None:
    order = [(-1.0, 0.0), (1.0,), (0.0, 0.5, 0.5)] * 20
    sizes = [len(each) for each in order]
    found = looks(order, ConfidenceSequence(sizes))
    lows, highs = np.array(found).T
    assert (np.diff(lows) >= 0).all()
    assert (np.diff(highs) <= 0).all()
    total = asked = 0.0
    for (low, high), cluster in zip(found, order, strict=True):
        total, asked = total + sum(cluster), asked + len(cluster)
        assert low >= (total - (sum(sizes) - asked)) / sum(sizes) - 1e-12
        assert high <= (total + (sum(sizes) - asked)) / sum(sizes) + 1e-12


def test_the_same_change_of_every_sample_is_never_left_out_however_unequal_the_clusters() -> None:
    sizes = np.random.default_rng(5).integers(1, 12, 60).tolist()
    found = looks([[-0.3] * size for size in sizes], ConfidenceSequence(sizes, confidence=0.5))
    assert all(low <= -0.3 + 1e-12 and high >= -0.3 - 1e-12 for low, high in found)
    assert found[40].high < 0


def test_what_was_seen_of_a_split_counts_for_certain() -> None:
    order = changes(400, 60, 20, 6)
    bounds = looks(order[:380], ConfidenceSequence([1] * 400))[-1]
    assert bounds.high - bounds.low < 0.06  # that the others are 20 of at most 1 each leaves 0.1


def test_with_signs_turned_the_bounds_are_turned() -> None:
    order = changes(300, 60, 20, 1)
    found = looks(order, ConfidenceSequence([1] * 300))
    turned = looks([[-value for value in each] for each in order], ConfidenceSequence([1] * 300))
    assert -np.array(turned)[:, ::-1] == pytest.approx(np.array(found))


def test_larger_units_of_the_same_differences_scale_the_bounds() -> None:
    order = changes(300, 60, 20, 1)
    found = looks(order, ConfidenceSequence([1] * 300))
    scaled = looks([[100 * value for value in each] for each in order], ConfidenceSequence([1] * 300, upper=100))
    assert np.array(scaled) == pytest.approx(100 * np.array(found), abs=0.1)


def test_wealth_falls_as_the_candidate_grows_so_that_what_is_refuted_is_an_interval() -> None:
    draw = np.random.default_rng(4)
    sizes = draw.integers(1, 6, 60).tolist()
    sequence = ConfidenceSequence(sizes, confidence=1 - 1e-9)
    for size in sizes[:-1]:
        sequence.add(draw.choice([-1.0, -0.3, 0.0, 1.0], size).tolist())
        for side in (sequence._below, sequence._above):
            wealth = side._wealth.sum(axis=0)
            low = (sequence._total * (1 if side is sequence._below else -1) - (sum(sizes) - sequence.samples)) / sum(
                sizes
            )
            possible = wealth[side._candidates >= low]
            assert (np.diff(possible) <= 1e-9 * possible[:-1] + 1e-12).all()


def test_more_confidence_and_more_sides_are_wider() -> None:
    order = changes(400, 60, 20, 2)[:200]
    sure = looks(order, ConfidenceSequence([1] * 400, confidence=0.99))[-1]
    usual = looks(order, ConfidenceSequence([1] * 400))[-1]
    one = looks(order, ConfidenceSequence([1] * 400, sides=1))[-1]
    assert sure.low < usual.low < one.low < one.high < usual.high < sure.high


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([], {}, "expected at least one cluster"),
        ([1, 0], {}, "each of at least one sample, got"),
        ([1], {"upper": math.inf}, "expected finite bounds"),
        ([1], {"lower": 1.0}, "lower below upper, got 1.0 and 1.0"),
        ([1], {"confidence": 1.0}, "expected confidence to be between 0 and 1, got 1.0"),
        ([1], {"sides": 0}, "expected 1 or 2 sides, got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(sizes: list[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConfidenceSequence(sizes, **options)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ((0.0, 0.0, 0.0), "expected a cluster of at most 2 samples, got 3"),
        ((1.5,), r"expected differences from -1\.0 to 1\.0, got 1\.5"),
        ((math.nan,), "expected differences from"),
    ],
)
def test_what_was_not_announced_is_refused_and_changes_nothing(cluster: tuple[float, ...], message: str) -> None:
    sequence, same = ConfidenceSequence([2, 1]), ConfidenceSequence([2, 1])
    with pytest.raises(ValueError, match=message):
        sequence.add(cluster)
    assert sequence.add((0.0, -1.0)) == same.add((0.0, -1.0))
    sequence.add((0.0,))
    with pytest.raises(ValueError, match="expected 2 clusters, got another one"):
        sequence.add((0.0,))
