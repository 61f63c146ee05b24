"""Boxes in text and their overlap, held against pycocotools, numpy and torch as the released evaluators use them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.locations import Box, Corners, box_of, location_text, locations_of
from kosmos_eval.metrics.boxes import (
    HIT,
    PhraseBox,
    Size,
    best_overlap,
    boxes_of,
    ceiling,
    in_pixels,
    in_shares,
    overlap,
    read_boxes,
    shown_box,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SNOWMAN, FIRE = Corners(44, 863), Corners(5, 911)
DELIMITER = "</delimiter_of_multi_objects/>"

pixels = st.floats(0, 640, width=32)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    across, down = sorted((draw(pixels), draw(pixels))), sorted((draw(pixels), draw(pixels)))
    return Box(across[0], down[0], across[1], down[1])


def with_area(box: Box) -> bool:
    return box.right - box.left > 0.01 and box.bottom - box.top > 0.01


def said(*pairs: Corners, phrase: str = "a snowman") -> str:
    return f"<phrase>{phrase}</phrase><object>{DELIMITER.join(map(location_text, pairs))}</object>"


def test_the_published_answer_has_the_published_boxes() -> None:
    text = (
        "An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> warming himself by"
        "<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>"
    )
    assert read_boxes(text) == (
        PhraseBox(" a snowman", Box(0.390625, 0.046875, 0.984375, 0.828125)),
        PhraseBox(" a fire", Box(0.171875, 0.015625, 0.484375, 0.890625)),
    )
    assert boxes_of(text, "a fire") == (box_of(FIRE),)


def test_several_boxes_of_a_phrase_come_in_their_order_wherever_they_stand() -> None:
    text = f"{said(SNOWMAN, FIRE)} beside {said(SNOWMAN, phrase='a tree')} and {said(FIRE)}"
    assert boxes_of(text, "a snowman") == (box_of(SNOWMAN), box_of(FIRE), box_of(FIRE))


@pytest.mark.parametrize(
    ("written", "asked", "found"),
    [
        (" a snowman ", "a snowman", 1),
        ("a snowman", " a snowman", 1),
        ("a  snowman", "a snowman", 0),
        ("A snowman", "a snowman", 0),
        ("a snow", "a snowman", 0),
        ("a <b", "a <b", 0),
    ],
)
def test_a_phrase_is_the_asked_one_to_the_letter_but_for_spaces_around_it(written: str, asked: str, found: int) -> None:
    assert len(boxes_of(said(SNOWMAN, phrase=written), asked)) == found


@pytest.mark.parametrize(
    "broken",
    [
        "<object><patch_index_0044><patch_index_0863>",
        "<object></object>",
        "<object><patch_index_0044></object>",
        "<object><patch_index_0044><patch_index_0863><patch_index_0001></object>",
        f"<object><patch_index_0044><patch_index_0863>{DELIMITER}</object>",
        f"<object>{DELIMITER}<patch_index_0044><patch_index_0863></object>",
        "<object><patch_index_0044> <patch_index_0863></object>",
        " <object><patch_index_0044><patch_index_0863></object>",
        "is<object><patch_index_0044><patch_index_0863></object>",
        "",
    ],
)
def test_what_is_no_list_of_pairs_right_behind_its_phrase_is_no_box(broken: str) -> None:
    text = f"<phrase>a snowman</phrase>{broken}"
    assert boxes_of(text, "a snowman") == ()
    assert boxes_of(f"{text} or {said(FIRE)}", "a snowman") == (box_of(FIRE),)


def test_an_object_without_a_phrase_is_nobody_s() -> None:
    assert read_boxes(f"<object>{location_text(FIRE)}</object>") == (PhraseBox(None, box_of(FIRE)),)


def test_a_box_that_is_turned_over_is_kept_and_meets_nothing() -> None:
    (turned, right) = boxes_of(said(Corners(863, 44), SNOWMAN), "a snowman")
    assert (turned.left > turned.right, turned.top > turned.bottom) == (True, True)
    truth = [box_of(SNOWMAN)]
    assert best_overlap([turned], truth) == 0
    assert best_overlap([turned, right], truth) == 1
    assert best_overlap([turned, right][:1], truth) == 0


def test_locations_off_the_grid_are_rows_below_the_picture() -> None:
    (box,) = boxes_of("<phrase>x</phrase><object><patch_index_0000><patch_index_2000></object>", "x")
    assert box == Box(0.5 / 32, 0.5 / 32, 16.5 / 32, 62.5 / 32)
    endless = f"<phrase>x</phrase><object><patch_index_0000><patch_index_{'9' * 5000}></object>"
    assert boxes_of(endless, "x")[0].bottom > 1e9


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 2, 2), (0, 0, 2, 1), 1 / 2),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),
        ((0, 0, 0, 0), (0, 0, 4, 2), 0),
        ((0, 0, 10, 10), (2, 3, 4, 5), 4 / 100),
    ],
)
def test_overlap_is_intersection_over_union_of_continuous_boxes(
    one: tuple[float, ...], other: tuple[float, ...], value: float
) -> None:
    assert overlap(Box(*one), Box(*other)) == pytest.approx(value)
    assert overlap(Box(*one), Box(*other), single=True) == pytest.approx(value)


@given(boxes().filter(with_area), boxes().filter(with_area))
def test_overlap_is_pycocotools_own(one: Box, other: Box) -> None:
    from pycocotools import mask  # type: ignore[import-untyped]  # noqa: PLC0415  compiled, untyped, of this test alone

    def sides(box: Box) -> list[list[float]]:
        return [[box.left, box.top, box.right - box.left, box.bottom - box.top]]

    assert overlap(one, other) == pytest.approx(float(mask.iou(sides(one), sides(other), [0])[0, 0]), abs=1e-6)


@given(boxes().filter(with_area), boxes().filter(with_area))
def test_overlap_is_a_share_is_alike_both_ways_and_does_not_know_units(one: Box, other: Box) -> None:
    value = overlap(one, other)
    assert 0 <= value <= 1
    assert value == overlap(other, one)
    assert overlap(one, one) == 1
    size = Size(512, 256)
    assert overlap(in_pixels(one, size), in_pixels(other, size)) == pytest.approx(value)


def released(predicted: Sequence[Box], truths: Sequence[Box], module: Any) -> Any:  # noqa: ANN401  numpy's or torch's
    """Return the overlaps as array libraries compute them, [predicted, truths]."""
    one = module.asarray([list(box) for box in predicted])[:, None]
    other = module.asarray([list(box) for box in truths])[None]
    across = module.minimum(one[..., 2], other[..., 2]) - module.maximum(one[..., 0], other[..., 0])
    down = module.minimum(one[..., 3], other[..., 3]) - module.maximum(one[..., 1], other[..., 1])
    both = across.clip(min=0) * down.clip(min=0)
    areas = [(each[..., 2] - each[..., 0]) * (each[..., 3] - each[..., 1]) for each in (one, other)]
    return both / (areas[0] + areas[1] - both)


any_box = st.builds(Box, pixels, pixels, pixels, pixels)


@given(st.lists(any_box, min_size=1, max_size=6), st.lists(boxes(), min_size=1, max_size=3), st.integers(1, 6))
def test_the_first_boxes_are_hits_where_numpy_finds_them(predicted: list[Box], truths: list[Box], k: int) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        hit = bool(released(predicted, truths, np)[:k].max() >= HIT)
    assert (best_overlap(predicted[:k], truths) >= HIT) is hit


@given(boxes().filter(with_area), st.sampled_from([0.5, 2.0, 0.49999997, 0.50000006, 1.0]), st.booleans())
def test_single_precision_is_torch_s_to_the_last_bit(truth: Box, share: float, upright: bool) -> None:  # noqa: FBT001  drawn
    width, height = truth.right - truth.left, truth.bottom - truth.top
    across, down = (1.0, share) if upright else (share, 1.0)
    predicted = Box(truth.left, truth.top, truth.left + across * width, truth.top + down * height)
    expected = released([predicted], [truth], torch)[0, 0]
    assert expected.dtype == torch.float32
    assert overlap(predicted, truth, single=True) == float(expected)


def test_no_box_and_no_number_are_a_miss() -> None:
    empty, truth = Box(0, 0, 0, 0), Box(0, 0, 4, 4)
    assert best_overlap([], [truth]) == 0
    assert math.isnan(overlap(empty, empty))
    assert best_overlap([truth, empty], [truth, empty]) == 0


def test_the_ceiling_falls_for_small_boxes_and_is_out_of_reach_of_none() -> None:
    size = Size(640, 480)
    assert ceiling([Box(100, 100, 400, 400)], size) > 0.9
    assert ceiling([Box(101, 101, 104, 104)], size) < HIT
    assert ceiling([Box(5, 5, 5, 80)], size) == 0
    assert ceiling([Box(101, 101, 104, 104), Box(100, 100, 400, 400)], size) > 0.9


@given(boxes().filter(with_area))
def test_the_ceiling_is_the_overlap_of_the_encoded_truth(truth: Box) -> None:
    size = Size(640, 640)
    answer = in_pixels(box_of(locations_of(in_shares(truth, size))), size)
    assert ceiling([truth], size) == best_overlap([answer], [truth])


def test_a_box_is_shown_in_whole_pixels() -> None:
    assert shown_box(Box(1.4, 2.6, 30, 40.2)) == "(1, 3, 30, 40)"
