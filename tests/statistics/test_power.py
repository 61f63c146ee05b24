"""How small a difference is found, and with how many samples: as the tests' own distributions have it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, norm, t
from statsmodels.stats.power import NormalIndPower, TTestPower

from kosmos_eval.statistics.power import detectable_difference, difference_stderr, samples_needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.statistics.power import Sides


def power_of(difference: float, stderr: float, alpha: float, sides: int, clusters: float | None) -> float:
    """Return the probability that a test finds a difference, the wrong direction left out."""
    if clusters is None:
        return float(norm.sf(norm.isf(alpha / sides) - difference / stderr))
    return float(nct.sf(t.isf(alpha / sides, clusters - 1), clusters - 1, difference / stderr))


@pytest.mark.parametrize("clusters", [None, 2, 5, 30, 5000])
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.95), (0.2, 0.5)])
def test_the_detectable_difference_is_found_with_the_stated_power(
    clusters: int | None, sides: Sides, alpha: float, power: float
) -> None:
    found = detectable_difference(0.02, alpha=alpha, power=power, sides=sides, clusters=clusters)
    assert power_of(found, 0.02, alpha, sides, clusters) == pytest.approx(power, abs=1e-5)


def test_the_usual_figures() -> None:
    assert detectable_difference(1.0) == pytest.approx(2.8016, abs=1e-4)
    assert detectable_difference(1.0, sides=1) == pytest.approx(2.4865, abs=1e-4)
    # Cohen 1988, table 2.4.1: a paired t test of d = 0.5 at 0.05, two-sided, needs 34 pairs for a power of 0.80.
    assert samples_needed(0.5, 1 / math.sqrt(100), 100, clusters=100) == 34


spreads = st.tuples(st.floats(0.01, 0.5), st.floats(0.1, 1.0))
shapes = st.tuples(st.integers(1, 200), st.integers(1, 20))


@settings(max_examples=30)
@given(spreads, shapes, st.sampled_from([1, 2]), st.sampled_from(["normal", "student"]))
def test_so_many_samples_are_enough_and_one_less_is_not(
    spread_of: tuple[float, float], shape: tuple[int, int], sides: Sides, kind: str
) -> None:
    (difference, spread), (groups, size), plain = spread_of, shape, kind == "normal"
    count = groups * size
    clusters = None if plain else groups
    needed = samples_needed(difference, spread / math.sqrt(count), count, clusters=clusters, sides=sides)

    def found(samples: int) -> float:
        of = None if plain else groups * samples / count
        return detectable_difference(spread / math.sqrt(samples), sides=sides, clusters=of)

    assert found(needed) <= difference
    if needed > 1 and (plain or groups * (needed - 1) >= 2 * count):
        assert found(needed - 1) > difference


@pytest.mark.parametrize(("alternative", "sides"), [("two-sided", 2), ("larger", 1)])
@pytest.mark.parametrize("count", [8, 40, 2000])
def test_statsmodels_finds_the_same_differences_and_numbers(alternative: str, sides: Sides, count: int) -> None:
    asked = {"alpha": 0.05, "power": 0.8, "alternative": alternative}
    student = TTestPower().solve_power(nobs=count, **asked)
    assert detectable_difference(count**-0.5, sides=sides, clusters=count) == pytest.approx(student, rel=1e-4)
    normal = NormalIndPower(ddof=0).solve_power(nobs1=count, ratio=0, **asked)  # ratio 0 is one sample
    assert detectable_difference(count**-0.5, sides=sides) == pytest.approx(normal, rel=1e-4)
    for difference in (0.07, 0.3, 0.8):
        theirs = TTestPower().solve_power(effect_size=difference, **asked)
        ours = samples_needed(difference, count**-0.5, count, sides=sides, clusters=count)
        assert ours == pytest.approx(math.ceil(theirs), abs=1)


def test_few_clusters_need_more_than_the_normal_says() -> None:
    assert samples_needed(0.1, 0.05, 50, clusters=10) > samples_needed(0.1, 0.05, 50)
    assert detectable_difference(0.05, clusters=5) > 1.3 * detectable_difference(0.05)


def test_no_spread_needs_no_more_than_the_fewest_clusters() -> None:
    assert samples_needed(0.1, 0.0, 60, clusters=10) == 12
    assert detectable_difference(0.0) == 0


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.3, 0.9])
def test_the_stderr_of_a_difference_follows_from_one_run_s_and_the_correlation(correlation: float) -> None:
    covariance = 0.04 * np.array([[1, correlation], [correlation, 1]])
    contrast = np.array([-1, 1])
    assert difference_stderr(0.2, correlation) == pytest.approx(math.sqrt(contrast @ covariance @ contrast))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: detectable_difference(-0.1), "expected a standard error of 0 or more, got -0.1"),
        (lambda: detectable_difference(math.nan), "expected a standard error"),
        (lambda: detectable_difference(0.1, alpha=0.9), "expected 0 < alpha < power < 1, got alpha 0.9 and power 0.8"),
        (lambda: detectable_difference(0.1, power=1.0), "got alpha 0.05 and power 1.0"),
        (lambda: detectable_difference(0.1, sides=3), "expected 1 or 2 sides, got 3"),  # type: ignore[arg-type]  # on purpose
        (lambda: detectable_difference(0.1, clusters=1), "expected at least 2 clusters, got 1"),
        (lambda: samples_needed(0.0, 0.1, 10), "expected a difference above 0, got 0.0"),
        (lambda: samples_needed(math.inf, 0.1, 10), "expected a difference above 0, got inf"),
        (lambda: samples_needed(0.1, 0.1, 0), "expected at least 1 sample"),
        (lambda: difference_stderr(0.1, 1.0), "expected a correlation from -1 to below 1, got 1.0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(work: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        work()
