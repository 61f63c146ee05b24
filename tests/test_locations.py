"""Boxes become the location tokens that KOSMOS-2 was trained with, and come back as it was evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.locations import GRID, Box, Corners, box_of, location_text, locations_of


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((44, 863), (0.390625, 0.046875, 0.984375, 0.828125)),
        ((5, 911), (0.171875, 0.015625, 0.484375, 0.890625)),
    ],
)
def test_the_published_pairs_are_the_published_boxes_and_come_back(
    corners: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    assert box_of(Corners(*corners)) == box
    assert locations_of(Box(*box)) == locations_of(Box(*box), "transformers") == corners


@pytest.mark.parametrize(
    ("corners", "box"),
    [
        ((0, 0), (0, 0, 1, 1)),
        ((33, 38), (1, 1, 7, 2)),
        ((33, 193), (1, 1, 2, 7)),
    ],
)
def test_corners_in_one_row_or_column_mean_the_outer_edges(
    corners: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert box_of(Corners(*corners)) == tuple(side / GRID for side in box)


def test_a_corner_on_a_line_of_the_grid_is_where_the_two_rules_differ() -> None:
    quarter = Box(0.0, 0.0, 0.5, 0.5)
    assert locations_of(quarter) == (0, 528)
    assert locations_of(quarter, "transformers") == (0, 495)


def test_what_reaches_out_of_the_picture_is_cut_off() -> None:
    assert locations_of(Box(-0.5, -0.1, 1.5, 1.0)) == (0, 1023)
    assert locations_of(Box(-0.5, -0.1, 1.5, 1.0), "transformers") == (0, 1023)


@pytest.mark.parametrize("box", [(0.5, 0.1, 0.5, 0.9), (0.6, 0.1, 0.5, 0.9), (1.1, 0.1, 1.5, 0.9)])
def test_a_box_without_area_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="with an area inside the picture"):
        locations_of(Box(*box))


@pytest.mark.parametrize("corners", [(-1, 5), (0, 1024)])
def test_a_location_off_the_grid_is_refused(corners: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1023"):
        box_of(Corners(*corners))


sides = st.integers(0, GRID - 1)


@given(left=sides, top=sides, right=sides, bottom=sides)
def test_every_pair_of_cells_comes_back(left: int, top: int, right: int, bottom: int) -> None:
    left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    corners = Corners(top * GRID + left, bottom * GRID + right)
    assert locations_of(box_of(corners), "transformers") == corners
    if left != right and top != bottom:
        assert locations_of(box_of(corners)) == corners


shares = st.floats(0.0, 1.0)


@given(shares, shares, shares, shares)
def test_a_box_moves_by_less_than_a_cell(a: float, b: float, c: float, d: float) -> None:
    box = Box(min(a, c), min(b, d), max(a, c), max(b, d))
    if box.left < box.right and box.top < box.bottom:
        back = box_of(locations_of(box))
        assert all(abs(one - other) <= 1 / GRID + 1e-5 for one, other in zip(box, back, strict=True))


def test_locations_are_written_with_four_digits() -> None:
    assert location_text(Corners(5, 911)) == "<patch_index_0005><patch_index_0911>"
