from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, sem, t
from statsmodels.regression.linear_model import OLS

from kosmos_eval.statistics.intervals import Estimate, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[], tuple[list[float], list[str]]]

VQA_VALUES = [0.0, 0.3, 0.6, 0.9, 1.0]


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def coverage(draw: Draw, truth: float, repeats: int = 600) -> float:
    """Return the share of intervals that cover the truth; its own standard error is 0.009 at 95 %."""
    intervals = [ends(mean_interval(*draw())) for _ in range(repeats)]
    return sum(low <= truth <= high for low, high in intervals) / repeats


def naive_coverage(draw: Draw, truth: float, repeats: int = 600) -> float:
    """Return the same for mean ± 1.96 standard errors that know no clusters."""
    covered = 0
    for _ in range(repeats):
        values, _ = draw()
        covered += abs(math.fsum(values) / len(values) - truth) <= 1.96 * float(sem(values))
    return covered / repeats


def proportions(seed: int, p: float, n: int) -> Draw:
    rng = random.Random(seed)
    return lambda: ([float(rng.random() < p) for _ in range(n)], [""] * n)


def clustered(seed: int, p: float, groups: int, size: int, correlation: float) -> Draw:
    """Draw 0/1 values whose probability is the cluster's own, beta-distributed about p."""
    rng = random.Random(seed)
    weight = (1 - correlation) / correlation

    def draw() -> tuple[list[float], list[str]]:
        chances = [rng.betavariate(p * weight, (1 - p) * weight) for _ in range(groups)]
        pairs = [(float(rng.random() < chance), f"image {place}") for place, chance in enumerate(chances * size)]
        return [value for value, _ in pairs], [f"image {place % groups}" for place in range(len(pairs))]

    return draw


@pytest.mark.parametrize(("p", "n"), [(0.95, 30), (0.5, 30), (0.99, 100), (0.8, 300)])
def test_independent_proportions_are_covered(p: float, n: int) -> None:
    covered = 0.0  # exactly: over every number of right answers, by its probability
    for right in range(n + 1):
        low, high = ends(mean_interval([1.0] * right + [0.0] * (n - right), [""] * n))
        covered += float(binom.pmf(right, n, p)) * (low <= p <= high)
    assert covered >= 0.92


def test_a_high_proportion_of_few_is_covered_where_plus_or_minus_two_standard_errors_is_not() -> None:
    assert naive_coverage(proportions(2, 0.95, 30), 0.95) < 0.85


@pytest.mark.parametrize(
    ("p", "groups", "size", "correlation"),
    [(0.6, 40, 5, 0.5), (0.95, 40, 5, 0.5), (0.5, 10, 10, 0.3), (0.5, 5, 20, 0.3)],
)
def test_clustered_proportions_are_covered_where_the_naive_interval_fails(
    p: float, groups: int, size: int, correlation: float
) -> None:
    assert coverage(clustered(3, p, groups, size, correlation), p) >= 0.92
    assert naive_coverage(clustered(4, p, groups, size, correlation), p) < 0.85


def test_few_clusters_are_covered_and_not_by_intervals_too_wide() -> None:
    covered = [coverage(clustered(12, p, 10, 10, 0.3), p, 300) for p in (0.1, 0.5, 0.9)]
    assert 0.94 <= math.fsum(covered) / len(covered) <= 0.98


def test_vqa_accuracies_are_covered() -> None:
    rng = random.Random(5)
    weights = [0.3, 0.1, 0.1, 0.1, 0.4]
    truth = math.fsum(value * weight for value, weight in zip(VQA_VALUES, weights, strict=True))
    assert coverage(lambda: (rng.choices(VQA_VALUES, weights, k=30), [""] * 30), truth) >= 0.93


@pytest.mark.parametrize(("right", "n"), [(0, 1000), (0, 5), (5, 5), (1, 30), (29, 30), (15, 30), (700, 1000)])
def test_independent_proportions_have_wilson_s_interval(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    estimate = mean_interval([1.0] * right + [0.0] * (n - right), [""] * n)
    assert ends(estimate) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (estimate.value, estimate.count, estimate.clusters) == (right / n, n, n)


def test_all_right_in_clusters_is_as_sure_as_if_samples_of_a_cluster_correlated_by_half() -> None:
    clusters = [f"image {place // 5}" for place in range(100)]
    together = ends(mean_interval([1.0] * 100, clusters))
    # Student's quantile with 19 degrees of freedom in Wilson's formula for 100 / (1 + 4 / 2) samples, by hand.
    square = float(t.ppf(0.975, 19)) ** 2
    assert together == pytest.approx((100 / 3 / (100 / 3 + square), 1.0))


@pytest.mark.parametrize(("groups", "size"), [(10, 10), (20, 5), (100, 5), (50, 10)])
def test_all_right_leaves_out_only_what_would_seldom_be_all_right(groups: int, size: int) -> None:
    low, _ = ends(mean_interval([1.0] * (groups * size), [f"image {place // size}" for place in range(groups * size)]))

    def all_right(correlation: float) -> float:
        """Return the probability of it, exactly, for clusters whose chances are beta-distributed about `low`."""
        weight = (1 - correlation) / correlation
        return math.prod((low * weight + each) / (weight + each) for each in range(size)) ** groups

    assert all_right(0.5) <= 0.025
    assert low**groups <= 0.15  # of copies
    independent, _ = ends(mean_interval([1.0] * (groups * size), [""] * (groups * size)))
    assert low < independent


def test_one_wrong_answer_moves_an_interval_of_right_ones_only_a_little() -> None:
    clusters = [f"image {place // 5}" for place in range(100)]
    sure, _ = ends(mean_interval([1.0] * 100, clusters))
    less, _ = ends(mean_interval([1.0] * 99 + [0.0], clusters))
    partly, _ = ends(mean_interval([1.0] * 99 + [0.9], clusters))
    assert less == pytest.approx(sure, abs=0.06)
    assert partly == pytest.approx(sure, abs=0.02)


def test_fully_correlated_clusters_count_once() -> None:
    single = [1.0] * 30 + [0.0] * 20
    copies = [value for value in single for _ in range(4)]
    names = [f"image {place}" for place in range(50)]
    once = ends(mean_interval(single, names))
    often = ends(mean_interval(copies, [name for name in names for _ in range(4)]))
    assert often == pytest.approx(once, abs=0.01)


def test_stderr_is_the_usual_one_for_independent_samples_and_grows_with_clusters() -> None:
    values = random.Random(6).choices(VQA_VALUES, k=40)
    alone = mean_interval(values, [""] * 40).stderr
    assert alone == pytest.approx(float(sem(values)))
    pairs = mean_interval([value for value in values for _ in range(2)], [str(place // 2) for place in range(80)])
    assert pairs.stderr == pytest.approx(alone)


def test_clusters_have_the_stderr_and_the_unbounded_interval_of_statsmodels() -> None:
    rng = random.Random(13)
    clusters = [str(rng.randrange(12)) for _ in range(50)]
    levels = {name: rng.gauss(0, 1) for name in clusters}
    values = [levels[name] + rng.gauss(5, 1) for name in clusters]
    fitted = OLS(values, [1.0] * 50).fit(
        cov_type="cluster", cov_kwds={"groups": [int(name) for name in clusters]}, use_t=True
    )
    found = mean_interval(values, clusters, lower=-math.inf, upper=math.inf)
    assert found.stderr == pytest.approx(float(fitted.bse[0]), rel=1e-12)
    assert ends(found) == pytest.approx(tuple(fitted.conf_int()[0]), rel=1e-12)


def test_a_narrow_spread_gives_a_narrow_interval() -> None:
    rng = random.Random(7)
    values = [rng.betavariate(20, 40) for _ in range(2000)]
    low, high = ends(mean_interval(values, [""] * 2000))
    assert high - low < 1.2 * 2 * 1.96 * float(sem(values))


def test_unbounded_values_have_student_s_interval_cut_at_a_finite_bound() -> None:
    rng = random.Random(8)
    values = [rng.gauss(5, 1) for _ in range(12)]
    margin = float(t.ppf(0.975, 11)) * float(sem(values))
    mean = math.fsum(values) / 12
    free = mean_interval(values, [""] * 12, lower=-math.inf, upper=math.inf)
    assert ends(free) == pytest.approx((mean - margin, mean + margin))
    spread = [0.0, 0.0, 0.0, 9.0]
    assert ends(mean_interval(spread, [""] * 4, upper=math.inf))[0] == 0.0


def test_other_bounds_scale_the_interval() -> None:
    values = random.Random(9).choices(VQA_VALUES, k=25)
    low, high = ends(mean_interval(values, [""] * 25))
    scaled = mean_interval([20 * value - 10 for value in values], [""] * 25, lower=-10, upper=10)
    assert ends(scaled) == pytest.approx((20 * low - 10, 20 * high - 10))


def test_more_confidence_is_wider() -> None:
    values = [1.0] * 12 + [0.0] * 8
    inner, outer = (ends(mean_interval(values, [""] * 20, confidence=level)) for level in (0.5, 0.99))
    assert outer[0] < inner[0] < 0.6 < inner[1] < outer[1]


def test_no_values_are_no_number() -> None:
    assert mean_interval([], []) == Estimate(None, None, None, None, 0, 0)


@pytest.mark.parametrize("values", [[0.3], [1.0, 0.0, 1.0]])
def test_a_single_cluster_has_a_mean_and_no_interval(values: list[float]) -> None:
    estimate = mean_interval(values, ["image 1"] * len(values))
    assert estimate == Estimate(math.fsum(values) / len(values), None, None, None, len(values), 1)


samples = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", "a", "b", "c"])), max_size=30)


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_bit(pairs: list[tuple[float, str]], rng: random.Random) -> None:
    mixed = rng.sample(pairs, len(pairs))
    first, second = (mean_interval([v for v, _ in each], [c for _, c in each]) for each in (pairs, mixed))
    assert first == second


@given(samples)
def test_the_interval_stays_inside_the_bounds_and_holds_the_mean(pairs: list[tuple[float, str]]) -> None:
    estimate = mean_interval([value for value, _ in pairs], [cluster for _, cluster in pairs])
    if estimate.low is not None:
        low, high = ends(estimate)
        assert estimate.value is not None
        assert 0 <= low <= estimate.value <= high <= 1
        assert low < high


@pytest.mark.parametrize(
    ("values", "clusters", "options", "message"),
    [
        ([1.0], [], {}, "1 values and 0 clusters"),
        ([0.5, 1.5], ["", ""], {}, r"got 1\.5 at place 1"),
        ([math.nan], [""], {}, "got nan"),
        ([math.inf], [""], {"upper": math.inf}, "got inf"),
        ([0.5], [""], {"lower": 1.0}, "lower to be below upper"),
        ([0.5], [""], {"confidence": 95}, "confidence"),
    ],
)
def test_senseless_input_is_refused(
    values: list[float], clusters: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mean_interval(values, clusters, **options)


def test_a_subset_covers_the_mean_of_its_split_with_less_width() -> None:
    rng, covered = random.Random(10), 0
    split = [1.0] * 108 + [0.0] * 12
    for _ in range(400):
        drawn = rng.sample(split, 60)
        low, high = ends(mean_interval(drawn, [""] * 60, population=120))
        covered += low <= 0.9 <= high
    assert 0.92 * 400 <= covered <= 0.99 * 400
    wide, narrow = (ends(mean_interval([1.0, 0.0] * 50, [""] * 100, population=each)) for each in (None, 200))
    assert narrow[1] - narrow[0] == pytest.approx((wide[1] - wide[0]) * math.sqrt(100 / 199), rel=0.05)


def test_a_subset_s_proportion_has_wilson_s_interval_at_the_corrected_count() -> None:
    estimate = mean_interval([1.0] * 40 + [0.0] * 10, [f"image {place // 5}" for place in range(50)], population=200)
    square = 1.959963984540054**2 / (50 * 199 / 150)
    centre, arm = 0.8 + square / 2, math.sqrt(square * 0.8 * 0.2 + square**2 / 4)
    assert ends(estimate) == pytest.approx(((centre - arm) / (1 + square), (centre + arm) / (1 + square)))
    assert (estimate.method, estimate.clusters) == ("wilson-split", 50)
    assert estimate.stderr == pytest.approx(math.sqrt(0.8 * 0.2 / 49 * 150 / 200))


def test_a_whole_split_s_mean_is_known_and_what_was_seen_of_it_is_certain() -> None:
    values = [1.0] * 9 + [0.0]
    known = mean_interval(values, [""] * 10, population=10)
    assert (known.value, known.low, known.high, known.stderr) == (0.9, 0.9, 0.9, 0.0)
    low, high = ends(mean_interval(values, [""] * 10, population=11))
    assert 9 / 11 <= low < 0.9
    assert high == pytest.approx(10 / 11)


def test_a_subset_of_unbounded_values_has_student_s_interval_with_the_correction() -> None:
    rng = random.Random(11)
    values = [rng.gauss(5, 1) for _ in range(12)]
    margin = float(t.ppf(0.975, 11)) * float(sem(values)) * math.sqrt(1 - 12 / 48)
    found = mean_interval(values, [""] * 12, lower=-math.inf, upper=math.inf, population=48)
    mean = math.fsum(values) / 12
    assert ends(found) == pytest.approx((mean - margin, mean + margin))
    assert found.method == "t-split"


def test_a_population_smaller_than_its_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a population of at least the 3 samples, got 2"):
        mean_interval([1.0] * 3, [""] * 3, population=2)
