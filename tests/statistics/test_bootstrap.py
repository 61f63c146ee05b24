"""Bootstrap intervals: as foreign libraries and known formulas have them, the same bits for the same scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.corpus import Part, Summed, mean_of, part_of
from kosmos_eval.statistics.bootstrap import Bounded, bootstrap_interval, bootstrap_intervals
from kosmos_eval.statistics.intervals import Estimate, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.corpus import Floats


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def skewed(count: int, seed: int = 1) -> Floats:
    return np.minimum(np.random.default_rng(seed).exponential(0.1, count), 1.0)


class Ratio:
    """A metric that is no `Summed`: the weighted mean of one column by that of another."""

    def __init__(self, above: Floats, below: Floats) -> None:
        self.above, self.below = above, below

    @property
    def count(self) -> int:
        return len(self.above)

    def values(self, weights: Floats) -> Floats:
        below = (weights * self.below).sum(axis=1)
        above = (weights * self.above).sum(axis=1)
        return np.asarray(np.where(below > 0, above / np.maximum(below, 1e-9), np.nan), dtype=np.float64)


def ratio_sums(above: Floats, below: Floats) -> Summed:
    return Summed(np.stack([above, below], axis=1), lambda sums: np.asarray(sums[:, 0] / sums[:, 1]))


def test_a_mean_has_nearly_student_s_interval() -> None:
    values = np.random.default_rng(2).normal(0.5, 0.05, 200)
    estimate = bootstrap_interval(mean_of(values), [""] * 200)
    sem = float(scipy.stats.sem(values))
    student = scipy.stats.t.interval(0.95, 199, values.mean(), sem)
    assert ends(estimate) == pytest.approx(student, abs=0.06 * sem)
    assert estimate.stderr == pytest.approx(sem, rel=0.03)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.count, estimate.clusters) == (200, 200)
    assert estimate.method == "bca-bootstrap"


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_independent_samples_have_the_interval_of_scipy(confidence: float) -> None:
    above, below = skewed(60), np.random.default_rng(3).uniform(0.5, 1.0, 60)
    estimate = bootstrap_interval(ratio_sums(above, below), [""] * 60, confidence=confidence, resamples=20_000)

    def ratio(a: Floats, b: Floats, axis: int) -> Floats:
        return np.asarray(a.sum(axis=axis) / b.sum(axis=axis))

    foreign = scipy.stats.bootstrap(
        (above, below),
        ratio,
        paired=True,
        n_resamples=20_000,
        rng=np.random.default_rng(4),
        confidence_level=confidence,
    )
    expected = foreign.confidence_interval
    assert ends(estimate) == pytest.approx((expected.low, expected.high), abs=0.12 * float(foreign.standard_error))
    assert estimate.stderr == pytest.approx(float(foreign.standard_error), rel=0.03)


def test_clusters_are_drawn_whole() -> None:
    values = np.repeat(skewed(50), 4)
    together = bootstrap_interval(mean_of(values), [str(place // 4) for place in range(200)])
    single = bootstrap_interval(mean_of(values[::4]), [str(place) for place in range(50)])
    apart = bootstrap_interval(mean_of(values), [""] * 200)
    assert ends(together) == pytest.approx(ends(single), abs=1e-12)
    assert together.clusters == 50
    assert together.stderr == pytest.approx(2 * (apart.stderr or 0), rel=0.05)


def test_clusters_of_unequal_sizes_have_about_the_standard_error_of_the_robust_formula() -> None:
    rng = np.random.default_rng(5)
    clusters = [f"image {place}" for place in range(80) for _ in range(1 + place % 5)]
    shifts = {name: rng.normal(0.5, 0.1) for name in sorted(set(clusters))}
    values = np.clip([shifts[name] + rng.normal(0, 0.05) for name in clusters], 0, 1)
    robust = mean_interval(values.tolist(), clusters).stderr
    assert bootstrap_interval(mean_of(values), clusters).stderr == pytest.approx(robust, rel=0.06)


def test_a_metric_of_weights_and_one_of_sums_have_the_same_interval() -> None:
    above, below = skewed(40), np.random.default_rng(6).uniform(0.5, 1, 40)
    clusters = [str(place // 3) for place in range(40)]
    sums = bootstrap_interval(ratio_sums(above, below), clusters, resamples=500)
    weights = bootstrap_interval(Ratio(above, below), clusters, resamples=500)
    assert ends(sums) == pytest.approx(ends(weights), abs=1e-12)


def test_several_metrics_have_the_intervals_that_each_has_alone() -> None:
    metrics = [Bounded(mean_of(skewed(30, seed)), 0, 1) for seed in (1, 2)]
    clusters = [str(place // 2) for place in range(30)]
    alone = [bootstrap_interval(each.weighed, clusters, resamples=300) for each in metrics]
    assert bootstrap_intervals(metrics, clusters, resamples=300) == alone


def test_the_same_seed_gives_the_same_bits_and_global_random_state_is_left_alone() -> None:
    state = repr(np.random.get_state())  # noqa: NPY002  what must not be touched
    first, again, other = (bootstrap_interval(mean_of(skewed(50)), [""] * 50, resamples=200, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert repr(np.random.get_state()) == state  # noqa: NPY002  as above


def test_how_many_resamples_are_in_memory_at_a_time_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = bootstrap_interval(mean_of(skewed(50)), [""] * 50, resamples=200)
    monkeypatch.setattr("kosmos_eval.statistics.bootstrap._WEIGHTS_AT_A_TIME", 350)
    assert bootstrap_interval(mean_of(skewed(50)), [""] * 50, resamples=200) == at_once


pairs = st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcde")), min_size=1, max_size=20)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_bit_of_the_interval(rows: list[tuple[float, str]], rng: object) -> None:
    mixed = rng.sample(rows, len(rows))  # type: ignore[attr-defined]  # hypothesis's random.Random
    first, second = (
        bootstrap_interval(mean_of(np.array([v for v, _ in each])), [c for _, c in each], resamples=50)
        for each in (rows, mixed)
    )
    assert first.value == pytest.approx(second.value, abs=1e-12)  # the plan has one order for the value itself
    assert (first.low is None) == (second.low is None)
    if first.low is not None:
        assert ends(first) == pytest.approx(ends(second), abs=1e-12)


@given(pairs)
def test_the_interval_stays_inside_the_bounds_and_holds_the_value(rows: list[tuple[float, str]]) -> None:
    estimate = bootstrap_interval(mean_of(np.array([v for v, _ in rows])), [c for _, c in rows], resamples=50)
    assert estimate.value is not None
    if estimate.low is not None:
        low, high = ends(estimate)
        assert 0 <= low <= estimate.value <= high <= 1


def test_a_skewed_ratio_of_clusters_is_covered_where_single_samples_drawn_fail() -> None:
    rng = np.random.default_rng(7)
    clusters = [str(place // 5) for place in range(500)]
    covered = naive = 0
    for repeat in range(200):
        values = np.repeat(rng.exponential(0.1, 100), 5) + rng.uniform(0, 0.1, 500)
        sizes = np.repeat(rng.integers(1, 5, 100), 5).astype(np.float64)
        ratio = ratio_sums((values * sizes).astype(np.float64), sizes)
        low, high = ends(bootstrap_interval(ratio, clusters, upper=10, resamples=300, seed=repeat))
        covered += low <= 0.15 <= high
        low, high = ends(bootstrap_interval(ratio, [""] * 500, upper=10, resamples=300, seed=repeat))
        naive += low <= 0.15 <= high
    assert covered >= 0.9 * 200
    assert naive <= 0.75 * 200


def test_more_confidence_is_wider() -> None:
    inner, outer = (ends(bootstrap_interval(mean_of(skewed(50)), [""] * 50, confidence=c)) for c in (0.5, 0.99))
    assert outer[0] < inner[0] < inner[1] < outer[1]


def test_a_skewed_mean_reaches_further_towards_its_tail() -> None:
    values = skewed(40)
    low, high = ends(bootstrap_interval(mean_of(values), [""] * 40))
    assert high - values.mean() > 1.2 * (values.mean() - low)


def test_nothing_has_no_value() -> None:
    assert bootstrap_interval(mean_of(np.zeros(0)), []) == Estimate(None, None, None, None, 0, 0)


def test_a_single_cluster_has_a_value_and_no_interval() -> None:
    assert bootstrap_interval(mean_of(np.array([0.0, 1.0])), ["x", "x"]) == Estimate(0.5, None, None, None, 2, 1)


def test_resamples_that_are_all_alike_give_no_interval_without_width() -> None:
    estimate = bootstrap_interval(mean_of(np.full(7, 0.3)), [""] * 7, resamples=100)
    assert estimate.value == pytest.approx(0.3)
    assert (estimate.low, estimate.high, estimate.stderr) == (None, None, 0.0)


def test_undefined_resamples_are_left_out() -> None:
    below = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    estimate = bootstrap_interval(Ratio(np.array([0.2, 0.9, 0, 0, 0]), below), [""] * 5, resamples=400)
    assert estimate.value == pytest.approx(0.55)
    assert ends(estimate) == pytest.approx((0.2, 0.9))


def test_with_most_resamples_undefined_there_is_no_interval() -> None:
    class Whole:
        count = 5

        def values(self, weights: Floats) -> Floats:
            return np.where((weights > 0).all(axis=1), 0.5, np.nan)

    assert bootstrap_interval(Whole(), [""] * 5) == Estimate(0.5, None, None, None, 5, 5)


def test_a_metric_that_is_undefined_for_all_samples_has_no_value_and_a_count() -> None:
    undefined = Ratio(np.zeros(4), np.zeros(4))
    assert bootstrap_interval(undefined, [""] * 4, resamples=50) == Estimate(None, None, None, None, 4, 4)


def test_rounding_errors_outside_the_bounds_are_cut_off() -> None:
    values = np.array([1 + 1e-9, 1.0, 1 + 1e-9, 0.5])
    estimate = bootstrap_interval(mean_of(values), [""] * 4, resamples=200)
    assert ends(estimate)[1] <= 1


@pytest.mark.parametrize("value", [1.1, -0.1, math.inf])
def test_a_metric_outside_its_bounds_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"expected a metric from 0\.0 to 1\.0, got"):
        bootstrap_interval(mean_of(np.full(3, value)), [""] * 3)


@pytest.mark.parametrize(
    ("clusters", "options", "message"),
    [
        (["", ""], {}, "expected a cluster for each sample, got 3 and 2 clusters"),
        (["", "", ""], {"confidence": 1.0}, "expected confidence to be between 0 and 1"),
        (["", "", ""], {"resamples": 1}, "expected at least 2 resamples, got 1"),
        (["", "", ""], {"lower": 1.0}, "expected lower to be below upper"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    clusters: Sequence[str], options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(mean_of(np.zeros(3)), clusters, **options)  # type: ignore[arg-type]  # as parametrised


def test_a_part_is_the_whole_with_the_others_weights_at_nought() -> None:
    above, below = skewed(10), np.linspace(0.5, 1, 10)
    members = np.array([1, 4, 5])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    sums, general = part_of(ratio_sums(above, below), members), part_of(Ratio(above, below), members)
    assert isinstance(sums, Summed)
    assert isinstance(general, Part)
    assert sums.count == general.count == 3
    assert sums.values(weights) == pytest.approx(Ratio(above[members], below[members]).values(weights))
    assert general.values(weights) == pytest.approx(sums.values(weights))
