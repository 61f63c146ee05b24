from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.reports.marks import interval_bar, scale_name, scale_top, scale_tops, shot_curve

if TYPE_CHECKING:
    from tests.reports.conftest import Make


def test_bar_places_value_interval_and_chance_on_one_scale(make: Make) -> None:
    bar = interval_bar(replace(make.metric, value=0.5, low=0.0, high=1.0, chance=0.25), top=1.0)
    assert bar is not None
    assert bar.chance is not None
    assert (bar.low, bar.high) == (bar.left, bar.right)
    assert bar.value == pytest.approx((bar.left + bar.right) / 2)
    assert bar.chance == pytest.approx((bar.left * 3 + bar.right) / 4)
    assert bar.label == "50.0 %, 95 % interval [0.0, 100.0], chance 25.0 %"


def test_bar_without_interval_is_a_stroke_and_without_value_nothing(make: Make) -> None:
    lone = interval_bar(replace(make.metric, low=None, high=None, chance=None), top=1.0)
    assert lone is not None
    assert lone.low == lone.value == lone.high
    assert lone.chance is None
    assert interval_bar(replace(make.metric, value=None), top=1.0) is None


def test_scale_ends_at_one_unless_a_score_lies_above(make: Make) -> None:
    assert scale_top([]) == 1.0
    assert scale_top([make.metric]) == 1.0
    assert scale_top([make.metric, replace(make.metric, value=1.1, high=1.2)]) == 1.5


def test_metrics_that_are_no_shares_or_may_lie_above_have_scales_of_their_own(make: Make) -> None:
    rank = replace(make.metric, name="rank", value=16.2, low=15.0, high=17.4, upper=100.0, percent=False, chance=None)
    cider = replace(make.metric, name="cider", value=1.1, low=1.0, high=1.2, upper=10.0)
    assert scale_tops([make.metric, rank, cider, replace(rank, high=31.0)]) == {"": 1.0, "rank": 40.0, "cider": 1.5}
    assert [scale_name(each) for each in (make.metric, rank, cider)] == ["", "rank", "cider"]
    assert scale_tops([]) == {"": 1.0}


def test_what_is_no_share_is_drawn_and_named_as_it_is(make: Make) -> None:
    rank = replace(make.metric, value=16.2, low=15.0, high=17.4, upper=100.0, percent=False, chance=None)
    bar = interval_bar(rank, top=20.0)
    assert bar is not None
    assert bar.label == "16.20, 95 % interval [15.00, 17.40]"
    curve = shot_curve([(0, rank), (2, replace(rank, value=12.0, low=11.0, high=13.0))])
    assert curve is not None
    assert (curve.unit, curve.label) == ("", "0 shots: 16.20; 2 shots: 12.00")
    assert [tick.text for tick in curve.scale] == ["10", "12", "14", "16", "18"]


def test_curve_rises_with_the_score_and_its_axis_encloses_all(make: Make) -> None:
    low = replace(make.metric, value=0.31, low=0.22, high=0.40, chance=0.25)
    high = replace(low, value=0.52, low=0.43, high=0.61)
    curve = shot_curve([(0, low), (4, high), (32, high)])
    assert curve is not None
    first, second, third = curve.points
    assert first.x < second.x < third.x
    assert second.x - first.x == pytest.approx(third.x - second.x)
    assert first.y > second.y == third.y
    assert [tick.text for tick in curve.shots] == ["0", "4", "32"]
    assert [tick.text for tick in curve.scale] == ["20", "40", "60", "80"]
    for place in (curve.chance, *(end for point in curve.points for end in (point.low, point.high))):
        assert place is not None
        assert curve.top <= place <= curve.bottom
    assert len(curve.lines) == 2
    assert curve.label == "0 shots: 31.0 %; 4 shots: 52.0 %; 32 shots: 52.0 %"


def test_curve_breaks_where_a_value_is_missing(make: Make) -> None:
    none = replace(make.metric, value=None, low=None, high=None)
    curve = shot_curve([(0, make.metric), (2, none), (4, make.metric), (8, make.metric)])
    assert curve is not None
    assert (len(curve.points), len(curve.lines), len(curve.shots)) == (3, 1, 4)


def test_one_value_makes_no_curve(make: Make) -> None:
    assert shot_curve([(0, make.metric)]) is None
    assert shot_curve([(0, make.metric), (4, replace(make.metric, value=None))]) is None


@pytest.mark.parametrize("value", [0.0, 0.6, 1.0, 3.7, 40.0, 0.60001])
def test_equal_scores_still_have_an_axis(make: Make, value: float) -> None:
    flat = replace(make.metric, value=value, low=value, high=value, chance=None)
    curve = shot_curve([(0, flat), (4, flat)])
    assert curve is not None
    assert 2 <= len(curve.scale) <= 5
    assert curve.top <= curve.points[0].y <= curve.bottom
