from __future__ import annotations

import math
import random

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_ind, ztest

from kosmos_eval.statistics.equivalence import equivalence
from kosmos_eval.statistics.intervals import mean_interval

ARM = 1.959963984540054


def verdict_of(right: int, count: int, published: float, margin: float = 0.02) -> str:
    found = mean_interval([1.0] * right + [0.0] * (count - right), [""] * count)
    return equivalence(found.value, found.low, found.high, published, margin=margin, rounding=0.0005).verdict


@pytest.mark.parametrize(
    ("right", "count", "verdict"),
    [
        (5100, 10_000, "equivalent"),
        (5130, 10_000, "equivalent"),
        (4600, 10_000, "different"),
        (5600, 10_000, "different"),
        (26, 50, "undecided"),
    ],
)
def test_a_score_at_the_published_one_is_equivalent_five_points_off_different_and_few_samples_undecided(
    right: int, count: int, verdict: str
) -> None:
    assert verdict_of(right, count, 0.51) == verdict


def test_p_values_are_the_normal_ones_of_both_tests() -> None:
    values = np.random.default_rng(1).normal(0.6, 0.2, 400)
    stderr = float(values.std(ddof=1)) / 20
    mean = float(values.mean())
    found = equivalence(mean, mean - ARM * stderr, mean + ARM * stderr, 0.59, margin=0.03)
    assert found.different_p == pytest.approx(float(ztest(values, value=0.59)[1]))
    sides = (ztest(values, value=0.56, alternative="larger")[1], ztest(values, value=0.62, alternative="smaller")[1])
    assert found.equivalent_p == pytest.approx(max(float(side) for side in sides))
    assert found.difference == pytest.approx(mean - 0.59)


def test_a_published_sample_s_error_is_that_of_two_samples() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(0.6, 0.2, 900), rng.normal(0.6, 0.2, 700)
    mean, stderr = float(ours.mean()), float(ours.std(ddof=1)) / 30
    found = equivalence(
        mean,
        mean - ARM * stderr,
        mean + ARM * stderr,
        float(theirs.mean()),
        margin=0.03,
        published_stderr=float(theirs.std(ddof=1)) / math.sqrt(700),
    )
    foreign = ttost_ind(ours, theirs, -0.03, 0.03, usevar="unequal")[0]
    assert found.equivalent_p == pytest.approx(float(foreign), abs=2e-3)


def test_equivalent_is_that_the_90_percent_interval_lies_within_the_margin() -> None:
    rng = random.Random(3)
    for _ in range(200):
        value, stderr = rng.uniform(0.4, 0.6), rng.uniform(0.001, 0.03)
        found = equivalence(value, value - ARM * stderr, value + ARM * stderr, 0.5, margin=0.04)
        inside = abs(value - 0.5) + 1.6448536 * stderr <= 0.04
        assert (found.verdict == "equivalent") == inside


def test_sides_of_a_lopsided_interval_count_for_themselves() -> None:
    # At 100 % there is nothing above: whether the score may be much lower is what decides.
    near = equivalence(1.0, 0.99, 1.0, 0.985, margin=0.02)
    assert near.verdict == "equivalent"
    assert equivalence(1.0, 0.9, 1.0, 0.985, margin=0.02).verdict == "undecided"


def test_rounding_of_the_printed_number_helps_neither_verdict() -> None:
    plain = equivalence(0.513, 0.505, 0.521, 0.51, margin=0.01)
    rounded = equivalence(0.513, 0.505, 0.521, 0.51, margin=0.01, rounding=0.002)
    assert (rounded.equivalent_p or 0) > (plain.equivalent_p or 0)
    assert (rounded.different_p or 0) > (plain.different_p or 0)
    within = equivalence(0.511, 0.505, 0.517, 0.51, margin=0.01, rounding=0.002)
    assert within.different_p == 1.0


def test_small_and_sure_differences_within_the_margin_are_equivalent() -> None:
    found = equivalence(0.515, 0.512, 0.518, 0.51, margin=0.01)
    assert found.verdict == "equivalent"
    assert (found.different_p or 1) < 0.05


def test_an_interval_without_width_knows() -> None:
    assert equivalence(0.5, 0.5, 0.5, 0.51, margin=0.02).verdict == "equivalent"
    assert equivalence(0.5, 0.5, 0.5, 0.51, margin=0.005).verdict == "different"


def test_without_a_score_or_its_interval_nothing_is_decided() -> None:
    missing = equivalence(None, None, None, 0.5, margin=0.01)
    assert (missing.verdict, missing.difference, missing.equivalent_p) == ("undecided", None, None)
    unsure = equivalence(0.6, None, None, 0.5, margin=0.01)
    assert (unsure.verdict, unsure.different_p) == ("undecided", None)
    assert unsure.difference == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.001, "rounding": 0.001}, "margin to be above the rounding"),
        ({"margin": 0.01, "rounding": -0.001}, "margin to be above the rounding"),
        ({"margin": 0.01, "published_stderr": -1.0}, "standard error not to be negative"),
        ({"margin": 0.01, "alpha": 5.0}, "between 0 and 1, got 5.0"),
        ({"margin": 0.01, "published": math.nan}, "expected the published number to be finite"),
        ({"margin": 0.01, "value": 0.7}, "expected the interval to hold the score"),
    ],
)
def test_senseless_numbers_are_refused(options: dict[str, float], message: str) -> None:
    given = {"value": 0.5, "low": 0.4, "high": 0.6, "published": 0.5, **options}
    with pytest.raises(ValueError, match=message):
        equivalence(**given)
