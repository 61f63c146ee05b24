"""Paired differences: as published and foreign ones, with intervals that cover, the same bits in any order."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from kosmos_eval.corpus import Change, Summed, difference_of, mean_of
from kosmos_eval.statistics.bootstrap import bootstrap_interval
from kosmos_eval.statistics.paired import Difference, paired_corpus_difference, paired_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.corpus import Floats

VQA_VALUES = [0.0, 0.3, 0.6, 0.9, 1.0]


def ends(difference: Difference) -> tuple[float, float]:
    assert difference.low is not None
    assert difference.high is not None
    return difference.low, difference.high


def right_and_wrong(rose: int, fell: int, count: int) -> tuple[list[float], list[float]]:
    same = [1.0] * (count - rose - fell)
    return [0.0] * rose + [1.0] * fell + same, [1.0] * rose + [0.0] * fell + same


def alone(rose: int, fell: int, count: int) -> Difference:
    return paired_difference(*right_and_wrong(rose, fell, count), [""] * count)


def test_independent_pairs_have_tango_s_published_interval() -> None:
    # Airway hyper-responsiveness (Bentur et al., 2009), in Fagerland, Lydersen and Laake, Stat. Med. 33 (2014).
    assert ends(alone(1, 7, 21)) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_pairs_that_never_differ_have_tango_s_interval_in_closed_form() -> None:
    arm = 1.959964**2 / (50 + 1.959964**2)
    assert ends(alone(0, 0, 50)) == pytest.approx((-arm, arm), rel=1e-6)


@pytest.mark.parametrize(("rose", "fell", "count"), [(9, 4, 60), (30, 11, 200), (6, 1, 12), (8, 0, 9)])
def test_the_ends_are_where_the_score_statistic_is_the_quantile(rose: int, fell: int, count: int) -> None:
    for end in ends(alone(rose, fell, count)):
        grid = np.linspace(max(0.0, -end), (1 - end) / 2 if end > 0 else (1 + abs(end)) / 2, 20_001)
        lost, won = grid, grid + end  # all shares that differ by the end; the likeliest decides
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = np.nan_to_num(rose * np.log(won), nan=0.0, neginf=-1e300) + np.nan_to_num(
                fell * np.log(lost), nan=0.0, neginf=-1e300
            )
            likelihood += (count - rose - fell) * np.log(np.maximum(1 - won - lost, 1e-300))
        best = int(np.argmax(likelihood))
        variance = (won[best] + lost[best] - end**2) / count
        assert abs((rose - fell) / count - end) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-3)


@pytest.mark.parametrize(("rose", "fell"), [(5, 0), (9, 2), (30, 31), (400, 350), (1, 1)])
def test_right_and_wrong_have_mcnemar_s_exact_test(rose: int, fell: int) -> None:
    found = alone(rose, fell, rose + fell + 40)
    assert found.p_value == pytest.approx(scipy.stats.binomtest(rose, rose + fell).pvalue)
    assert found.p_value == pytest.approx(mcnemar([[20, fell], [rose, 20]], exact=True).pvalue)
    assert (found.test, found.better, found.worse, found.same) == ("mcnemar-exact", rose, fell, 40)


def test_few_clusters_have_scipy_s_permutation_test() -> None:
    rng = random.Random(1)
    base, other = rng.choices(VQA_VALUES, k=27), rng.choices(VQA_VALUES, k=27)
    clusters = [str(place // 3) for place in range(27)]
    sums = [math.fsum(other[at : at + 3]) - math.fsum(base[at : at + 3]) for at in range(0, 27, 3)]
    foreign = scipy.stats.permutation_test(
        (np.array(sums),), np.sum, permutation_type="samples", vectorized=False, n_resamples=np.inf
    )
    found = paired_difference(base, other, clusters)
    assert found.p_value == pytest.approx(float(foreign.pvalue))
    assert (found.test, found.clusters) == ("sign-flip", 9)


@pytest.mark.parametrize("values", [VQA_VALUES, None])
def test_drawn_signs_are_near_all_signs(values: list[float] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    base = [0.5] * 16
    other = rng.choices(values, k=16) if values else [rng.random() ** 0.5 for _ in range(16)]
    sums = [after - before for before, after in zip(base, other, strict=True)]
    every = [abs(sum(signs)) for signs in itertools.product(*((each, -each) for each in sums))]
    expected = sum(each >= abs(sum(sums)) - 1e-9 for each in every) / len(every)
    assert paired_difference(base, other, [""] * 16).p_value == pytest.approx(expected, abs=0.01)
    monkeypatch.setattr("kosmos_eval.statistics.paired._COUNTED_THROUGH", 16)
    assert paired_difference(base, other, [""] * 16).p_value == pytest.approx(expected, abs=1e-9)


def test_clusters_whose_sums_are_equally_large_are_as_single_samples() -> None:
    base, other = right_and_wrong(9, 2, 30)
    before, after = ([value for value in values for _ in range(3)] for values in (base, other))
    found = paired_difference(before, after, [str(place // 3) for place in range(90)])
    assert found.p_value == pytest.approx(scipy.stats.binomtest(9, 11).pvalue)
    assert found.test == "sign-flip"


def test_the_seed_moves_drawn_signs_alone_and_global_random_state_is_left_alone() -> None:
    rng, state = random.Random(3), repr(np.random.get_state())  # noqa: NPY002  what must not be touched
    base, other = [rng.random() for _ in range(40)], [rng.random() for _ in range(40)]
    first, again, moved = (paired_difference(base, other, [""] * 40, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.p_value != moved.p_value
    assert ends(first) == ends(moved)
    assert repr(np.random.get_state()) == state  # noqa: NPY002  as above


def test_graded_values_have_nearly_student_s_interval_and_permutation_p_value() -> None:
    rng = random.Random(4)
    base = rng.choices(VQA_VALUES, k=400)
    other = [rng.choice(VQA_VALUES) if rng.random() < 0.5 else value for value in base]
    gaps = [after - before for before, after in zip(base, other, strict=True)]
    student = scipy.stats.t.interval(0.95, 399, np.mean(gaps), scipy.stats.sem(gaps))
    found = paired_difference(base, other, [""] * 400)
    assert ends(found) == pytest.approx(student, abs=0.1 * float(scipy.stats.sem(gaps)))
    assert found.stderr == pytest.approx(float(scipy.stats.sem(gaps)))
    assert found.p_value == pytest.approx(scipy.stats.ttest_rel(other, base).pvalue, abs=0.02)


def test_values_without_bounds_have_student_s_interval() -> None:
    rng = random.Random(5)
    base = [rng.gauss(20, 5) for _ in range(12)]
    other = [value + rng.gauss(0.5, 1) for value in base]
    student = scipy.stats.ttest_rel(other, base).confidence_interval()
    found = paired_difference(base, other, [""] * 12, upper=math.inf)
    assert ends(found) == pytest.approx((student.low, student.high))
    assert found.method == "t-clustered"


@pytest.mark.parametrize("count", [2, 30, 1000])
def test_identical_runs_differ_surely_by_nothing_and_by_little_at_most(count: int) -> None:
    found = paired_difference([0.3] * count, [0.3] * count, [""] * count)
    low, high = ends(found)
    assert (found.value, found.p_value, found.stderr, found.same) == (0, 1.0, 0, count)
    assert low == -high
    assert 1.9 / (count + 4) < high <= 1


def test_identical_values_without_bounds_have_no_interval() -> None:
    found = paired_difference([20.0] * 5, [20.0] * 5, [""] * 5, upper=math.inf)
    assert (found.value, found.low, found.high, found.p_value, found.method) == (0, None, None, 1.0, "")


def test_nothing_differing_in_clusters_is_as_sure_as_one_sample_a_cluster() -> None:
    together = paired_difference([1.0] * 100, [1.0] * 100, [str(place // 5) for place in range(100)])
    # Tango's arm without a difference, z² / (n + z²) for n clusters, stretched to Student's quantile.
    square, stretch = 1.959964**2, float(scipy.stats.t.ppf(0.975, 19)) / 1.959964
    assert ends(together)[1] == pytest.approx(stretch * square / (20 + square), rel=1e-6)


def test_an_interval_holds_nought_where_too_few_differ_for_any_significance() -> None:
    assert ends(alone(5, 0, 50))[0] == 0.0
    assert ends(alone(0, 5, 50))[1] == 0.0
    assert ends(alone(6, 0, 50))[0] > 0.0


def dirichlet_pairs(rng: np.random.Generator, rose: float, fell: float, groups: int, size: int) -> Floats:
    """Draw -1, 0, 1 whose probabilities are each cluster's own; intraclass correlation 0.3."""
    chances = rng.dirichlet(np.array([rose, fell, 1 - rose - fell]) * 0.7 / 0.3, groups).repeat(size, axis=0)
    drawn = rng.random(groups * size)
    return (drawn < chances[:, 0]).astype(float) - (drawn > 1 - chances[:, 1])


@pytest.mark.parametrize(("rose", "fell", "groups"), [(0.1, 0.1, 40), (0.05, 0.15, 40), (0.4, 0.1, 15)])
def test_clustered_differences_are_covered_where_unclustered_intervals_fail(
    rose: float, fell: float, groups: int
) -> None:
    rng, covered, naive, false_alarms = np.random.default_rng(6), 0, 0, 0
    clusters = [str(place // 5) for place in range(5 * groups)]
    for _ in range(150):
        gaps = dirichlet_pairs(rng, rose, fell, groups, 5)
        base, other = np.maximum(-gaps, 0).tolist(), np.maximum(gaps, 0).tolist()
        found = paired_difference(base, other, clusters)
        low, high = ends(found)
        covered += low <= rose - fell <= high
        low, high = ends(paired_difference(base, other, [""] * len(gaps)))
        naive += low <= rose - fell <= high
        false_alarms += (found.p_value or 0) <= 0.05
    assert covered >= 0.91 * 150
    assert naive <= 0.9 * 150
    if rose == fell:
        assert false_alarms <= 0.1 * 150


def test_few_gains_of_many_are_covered_where_student_s_interval_is_not() -> None:
    covered = student = 0.0  # exactly: over every number of gains, by its probability
    for rose in range(61):
        probability, found = float(scipy.stats.binom.pmf(rose, 60, 0.05)), alone(rose, 0, 60)
        low, high = ends(found)
        covered += probability * (low <= 0.05 <= high)
        student += probability * (abs(rose / 60 - 0.05) <= 2.0 * (found.stderr or 0))
    assert covered >= 0.94
    assert student <= 0.9


rows = st.lists(
    st.tuples(st.sampled_from(VQA_VALUES), st.floats(0, 1), st.sampled_from(["", "", "a", "b", "c"])), max_size=24
)


def columns(table: Sequence[tuple[float, float, str]]) -> tuple[list[float], list[float], list[str]]:
    return [row[0] for row in table], [row[1] for row in table], [row[2] for row in table]


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_samples_changes_no_bit(table: list[tuple[float, float, str]], rng: random.Random) -> None:
    assert paired_difference(*columns(table)) == paired_difference(*columns(rng.sample(table, len(table))))


@given(rows)
@settings(max_examples=25, deadline=None)
def test_swapped_runs_have_the_opposite_difference_to_the_bit(table: list[tuple[float, float, str]]) -> None:
    base, other, clusters = columns(table)
    there, back = paired_difference(base, other, clusters), paired_difference(other, base, clusters)
    assert (there.p_value, there.stderr, there.same) == (back.p_value, back.stderr, back.same)
    assert (there.better, there.worse) == (back.worse, back.better)
    if there.value is not None:
        assert there.value == -(back.value or 0)
    if there.low is not None:
        assert ends(there) == (-ends(back)[1], -ends(back)[0])


@given(rows)
@settings(max_examples=25, deadline=None)
def test_the_interval_stays_inside_the_bounds_and_holds_the_value(table: list[tuple[float, float, str]]) -> None:
    found = paired_difference(*columns(table))
    if found.low is not None:
        low, high = ends(found)
        assert found.value is not None
        assert -1 <= low <= found.value <= high <= 1
        assert low < high


def test_other_bounds_scale_the_difference() -> None:
    rng = random.Random(7)
    base, other = rng.choices(VQA_VALUES, k=25), rng.choices(VQA_VALUES, k=25)
    clusters = [str(place // 2) for place in range(25)]
    unit = paired_difference(base, other, clusters)
    scaled = paired_difference(
        [20 * value - 10 for value in base], [20 * value - 10 for value in other], clusters, lower=-10, upper=10
    )
    assert ends(scaled) == pytest.approx([20 * each for each in ends(unit)])
    assert scaled.value == pytest.approx(20 * (unit.value or 0))
    assert scaled.p_value == unit.p_value


def test_more_confidence_is_wider() -> None:
    base, other = right_and_wrong(12, 5, 40)
    inner, outer = (ends(paired_difference(base, other, [""] * 40, confidence=level)) for level in (0.5, 0.99))
    assert outer[0] < inner[0] < 7 / 40 < inner[1] < outer[1]


def test_nothing_has_no_difference() -> None:
    nothing = Difference(None, None, None, None, None, 0, 0, 0, 0, 0)
    assert paired_difference([], [], []) == nothing
    assert paired_corpus_difference(mean_of(np.zeros(0)), mean_of(np.zeros(0)), []) == nothing


def test_a_single_cluster_has_a_difference_and_neither_interval_nor_test() -> None:
    expected = Difference(0.5, None, None, None, None, 2, 1, 1, 0, 1)
    assert paired_difference([0.0, 1.0], [1.0, 1.0], ["x", "x"]) == expected


def test_of_a_split_clusters_play_no_part_and_the_interval_narrows_to_the_known_difference() -> None:
    rng = random.Random(8)
    base, other = rng.choices([0.0, 1.0], k=60), rng.choices([0.0, 1.0], k=60)
    clusters = [str(place // 6) for place in range(60)]
    widths = []
    for population in (60_000, 600, 120, 61, 60):
        found = paired_difference(base, other, clusters, population=population)
        assert (found.p_value, found.test, found.clusters, found.method) == (None, "", 60, "tango-split")
        low, high = ends(found)
        widths.append(high - low)
        assert found.value is not None
        assert abs(low - found.value) <= 2 * (1 - 60 / population) + 1e-12
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == 0
    apart = paired_difference(base, other, [""] * 60)
    assert widths[0] == pytest.approx(ends(apart)[1] - ends(apart)[0], rel=1e-3)


def test_the_difference_over_a_split_is_covered_by_subsets_of_it() -> None:
    rng, covered = random.Random(9), 0
    split = [(0.0, 1.0)] * 12 + [(1.0, 0.0)] * 24 + [(1.0, 1.0)] * 84
    for _ in range(300):
        drawn = rng.sample(split, 60)
        found = paired_difference([b for b, _ in drawn], [o for _, o in drawn], [""] * 60, population=120)
        low, high = ends(found)
        covered += low <= -0.1 <= high
    assert 0.91 * 300 <= covered <= 0.985 * 300


def test_a_corpus_mean_differs_as_its_samples_do() -> None:
    rng = np.random.default_rng(10)
    base = rng.uniform(0, 1, 80)
    other = np.clip(base + rng.normal(0.03, 0.1, 80), 0, 1)
    clusters = [str(place // 2) for place in range(80)]
    whole = paired_corpus_difference(mean_of(base), mean_of(other), clusters)
    means = paired_difference(base.tolist(), other.tolist(), clusters, lower=-math.inf)
    assert whole.value == pytest.approx(means.value)
    assert whole.stderr == pytest.approx(means.stderr, rel=0.05)
    # Student's quantile for 40 clusters is 2.02 standard errors; the bootstrap's, for symmetric draws, about 1.94.
    assert ends(whole) == pytest.approx(ends(means), abs=0.25 * (means.stderr or 0))
    assert whole.p_value == pytest.approx(means.p_value, abs=0.03)
    assert (whole.method, whole.test, whole.count, whole.clusters) == ("bca-bootstrap", "bootstrap", 80, 40)
    alone = bootstrap_interval(mean_of(base), clusters)
    assert ends(whole)[1] - ends(whole)[0] < 0.6 * ((alone.high or 0) - (alone.low or 0))


def test_the_p_value_of_a_corpus_metric_is_the_level_at_which_its_interval_ends_at_nought() -> None:
    rng = np.random.default_rng(11)
    base = rng.exponential(0.1, 50).clip(0, 1)
    other = (base + rng.exponential(0.03, 50) - 0.022).clip(0, 1)
    found = paired_corpus_difference(mean_of(base), mean_of(other), [""] * 50, resamples=4000)
    assert found.p_value is not None
    assert 0.001 < found.p_value < 0.9
    inside, outside = (
        ends(paired_corpus_difference(mean_of(base), mean_of(other), [""] * 50, resamples=4000, confidence=level))
        for level in (1 - found.p_value - 0.01, 1 - found.p_value + 0.01 * found.p_value + 0.0005)
    )
    assert not inside[0] <= 0 <= inside[1]
    assert outside[0] - 1e-4 <= 0 <= outside[1] + 1e-4


def test_swapped_corpus_runs_have_the_opposite_difference() -> None:
    rng = np.random.default_rng(12)
    base, other = mean_of(rng.uniform(0, 1, 30)), mean_of(rng.uniform(0, 1, 30))
    there = paired_corpus_difference(base, other, [""] * 30, resamples=500)
    back = paired_corpus_difference(other, base, [""] * 30, resamples=500)
    assert there.value == pytest.approx(-(back.value or 0))
    assert there.p_value == pytest.approx(back.p_value, abs=1e-3)
    assert ends(there) == pytest.approx((-ends(back)[1], -ends(back)[0]), abs=1e-3)


def test_identical_corpus_runs_have_a_p_value_of_one_and_an_interval_with_width() -> None:
    metric = mean_of(np.linspace(0, 1, 40))
    found = paired_corpus_difference(metric, metric, [""] * 40, resamples=100)
    assert (found.value, found.p_value, found.stderr) == (0, 1.0, 0)
    assert ends(found)[1] == -ends(found)[0] > 1.9 / 44
    unbounded = paired_corpus_difference(metric, metric, [""] * 40, resamples=100, upper=math.inf)
    assert (unbounded.low, unbounded.high, unbounded.p_value) == (None, None, 1.0)


class Unsummed:
    """The mean as a metric that is no `Summed`."""

    def __init__(self, held: Floats) -> None:
        self.held = held

    @property
    def count(self) -> int:
        return len(self.held)

    def values(self, weights: Floats) -> Floats:
        return np.asarray((weights * self.held).sum(axis=1) / weights.sum(axis=1), dtype=np.float64)


def test_metrics_of_sums_and_of_weights_have_the_same_difference() -> None:
    rng = np.random.default_rng(13)
    base, other = rng.uniform(0, 1, 20), rng.uniform(0, 1, 20)
    summed, general = difference_of(mean_of(base), mean_of(other)), difference_of(Unsummed(base), mean_of(other))
    assert isinstance(summed, Summed)
    assert isinstance(general, Change)
    weights = rng.integers(1, 4, (5, 20)).astype(np.float64)
    assert summed.values(weights) == pytest.approx(general.values(weights))
    assert summed.values(weights) == pytest.approx(((other - base) * weights).sum(axis=1) / weights.sum(axis=1))


@pytest.mark.parametrize(
    ("base", "other", "clusters", "options", "message"),
    [
        ([1.0], [], [""], {}, "got 1 of base and 0 of other"),
        ([1.0], [1.0], [], {}, "1 values and 0 clusters"),
        ([0.5], [1.5], [""], {}, r"got 1\.5 at place 0"),
        ([0.5, 1.0], [0.5, 1.0], ["", ""], {"population": 1}, "at least the 2 samples, got 1"),
    ],
)
def test_senseless_input_is_refused(
    base: list[float], other: list[float], clusters: list[str], options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(base, other, clusters, **options)  # type: ignore[arg-type]  # as parametrised


def test_corpus_metrics_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="same samples, got 3 and 4 samples"):
        paired_corpus_difference(mean_of(np.zeros(3)), mean_of(np.zeros(4)), [""] * 3)
