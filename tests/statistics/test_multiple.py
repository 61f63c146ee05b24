from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from kosmos_eval.statistics.multiple import holm


def test_adjusted_values_are_those_of_a_worked_example() -> None:
    # 0.01 x 4, 0.005 is first: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 is no less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_statsmodels_adjusts_alike(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


@given(st.lists(st.floats(0, 1) | st.none(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_comparisons_changes_nothing(values: list[float | None], rng: random.Random) -> None:
    order = rng.sample(range(len(values)), len(values))
    adjusted = holm(values)
    assert holm([values[place] for place in order]) == [adjusted[place] for place in order]


def test_what_was_not_tested_stays_out_of_the_count() -> None:
    assert holm([0.02, None, 0.03, None]) == pytest.approx([0.04, None, 0.04, None])
    assert holm([None]) == [None]
    assert holm([]) == []


def test_any_false_alarm_among_many_is_as_rare_as_stated() -> None:
    rng = random.Random(1)
    alarms = sum(min(holm([rng.random() for _ in range(8)]), key=lambda p: p or 0) <= 0.05 for _ in range(1000))  # type: ignore[operator]  # none is None here
    assert 0.03 * 1000 <= alarms <= 0.07 * 1000


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"expected p-values from 0 to 1, got .* at place 1"):
        holm([0.5, value])
