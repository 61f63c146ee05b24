"""Boxes as pairs of location tokens, and back: KOSMOS-2's 32 x 32 grid (arXiv 2306.14824, section 2.1).

A box is (left, top, right, bottom) as shares of the picture's width and height, from 0 to 1. A location is
row * 32 + column; a box is written as the cell of its upper left corner and that of its lower right one.

Source: microsoft/unilm 768a3c87, kosmos-2/unilm/data/vl/obj_utils.py (encoding), and
kosmos-2/evaluation/refcoco/decode_string.py (decoding).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

GRID = 32

_MOST = 0.99999
"""The released code's last place inside the picture."""


class Box(NamedTuple):
    """A box, each side as a share of the picture's width or height."""

    left: float
    top: float
    right: float
    bottom: float


class Corners(NamedTuple):
    """The locations of a box's upper left and lower right corner."""

    first: int
    last: int


def has_area(box: Box) -> bool:
    """Return whether a box has an area inside the picture; one with a side that is not a number has none."""
    return max(box.left, 0.0) < min(box.right, 1.0) and max(box.top, 0.0) < min(box.bottom, 1.0)


def locations_of(box: Box, rule: Literal["unilm", "transformers"] = "unilm") -> Corners:
    """Return the two locations that stand for a box.

    Args:
        box: what reaches out of the picture is cut off.
        rule: `unilm` as the model was trained; `transformers` as that library encodes, which differs where the lower
            right corner lies on a line of the grid: (0, 0, 0.5, 0.5) is 0 and 528, or 0 and 495.

    Raises:
        ValueError: the box is empty, reversed, or outside the picture.

    Example:
        >>> locations_of(Box(0.0, 0.0, 0.5, 0.5))
        Corners(first=0, last=528)
    """
    left, top = max(box.left, 0.0), max(box.top, 0.0)
    right, bottom = min(box.right, 1.0), min(box.bottom, 1.0)
    if not has_area(box):
        message = f"expected a box (left, top, right, bottom) with an area inside the picture, got {tuple(box)}"
        raise ValueError(message)
    first = _place(_floor(left), _floor(top))
    if rule == "unilm":
        return Corners(first, _place(_floor(right), _floor(bottom)))
    return Corners(first, _place(math.ceil(right * GRID - 1), math.ceil(bottom * GRID - 1)))


def box_of(corners: Corners) -> Box:
    """Return the box that two locations stand for.

    It runs from cell centre to cell centre; where both corners share a row or a column, it would be flat, and runs
    from outer edge to outer edge instead.

    Raises:
        ValueError: a location is not one of the grid.

    Example:
        >>> box_of(Corners(44, 863))
        Box(left=0.390625, top=0.046875, right=0.984375, bottom=0.828125)
    """
    for each in corners:
        if not 0 <= each < GRID * GRID:
            message = f"expected a location from 0 to {GRID * GRID - 1}, got {each}"
            raise ValueError(message)
    return unchecked_box_of(corners)


def unchecked_box_of(corners: Corners) -> Box:
    """Return the box that two numbers stand for, as the released evaluators decode them: any whole numbers from 0.

    Numbers beyond the grid are rows below the picture, and a second corner above or left of the first is a box that is
    turned over.
    """
    top, left = divmod(corners.first, GRID)
    bottom, right = divmod(corners.last, GRID)
    near, far = (0.0, 1.0) if left == right or top == bottom else (0.5, 0.5)
    return Box((left + near) / GRID, (top + near) / GRID, (right + far) / GRID, (bottom + far) / GRID)


def location_text(corners: Corners) -> str:
    """Return a box as KOSMOS-2 reads and writes it: `<patch_index_0044><patch_index_0863>`."""
    return "".join(f"<patch_index_{each:04d}>" for each in corners)


def _floor(share: float) -> int:
    return math.floor(min(share, _MOST) * GRID)


def _place(column: int, row: int) -> int:
    return row * GRID + column
