"""Draws the panels of a matrix: grey figures with a black outline on white."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from .matrices import TYPES, Panel, make_matrix
from .scene import SIDE

if TYPE_CHECKING:
    import PIL.Image

GREYS = (255, 208, 164, 118, 70, 0)  # by colour level
RADII = (0.42, 0.54, 0.66, 0.79, 0.93)  # by size, in halves of a cell

_SCALE = 4
_OUTLINE = 1.25  # pixels
_MARGIN = 2  # pixels around the grid
_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6}


def draw_panel(panel: Panel) -> PIL.Image.Image:
    """Return the panel's picture: 96 x 96 pixels, grey levels in RGB."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above

    large = PIL.Image.new("L", (SIDE * _SCALE, SIDE * _SCALE), 255)
    pen = PIL.ImageDraw.Draw(large)
    across = math.isqrt(panel.cells)
    cell = (SIDE - 2 * _MARGIN) / across
    radius = RADII[panel.size - 1] * cell / 2
    for place in range(panel.cells):
        if panel.position >> place & 1:
            x = _MARGIN + cell * (place % across + 0.5)
            y = _MARGIN + cell * (place // across + 0.5)
            _draw_entity(pen, (x, y), radius, TYPES[panel.type], GREYS[panel.colour])
    return large.reduce(_SCALE).convert("RGB")


def _draw_entity(
    pen: PIL.ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, kind: str, grey: int
) -> None:
    """Draw a figure in black and the same figure, smaller by the outline's width, in grey over it."""
    corners = _CORNERS.get(kind)
    # A polygon's sides are nearer to its centre than its corners are.
    inset = _OUTLINE / math.cos(math.pi / corners) if corners else _OUTLINE
    for reach, shade in ((radius, 0), (radius - inset, grey)):
        if corners is None:
            x, y = centre
            bounds = [(round(_SCALE * (x + side * reach)), round(_SCALE * (y + side * reach))) for side in (-1, 1)]
            pen.ellipse(bounds, fill=shade)
        else:
            pen.polygon(_polygon(centre, reach, corners), fill=shade)


def _polygon(centre: tuple[float, float], radius: float, corners: int) -> list[tuple[int, int]]:
    """Return the corners of a regular polygon, in pixels of the large drawing; a square stands on a side."""
    x, y = centre
    turn = 0.5 if corners % 2 == 0 else 0.0
    angles = [2 * math.pi * (corner + turn) / corners for corner in range(corners)]
    return [
        (round(_SCALE * (x + radius * math.sin(angle))), round(_SCALE * (y - radius * math.cos(angle))))
        for angle in angles
    ]


def fingerprint() -> str:
    """Return the SHA-256 of the pixels of eight fixed matrices: it changes when another Pillow draws otherwise."""
    pixels = hashlib.sha256()
    for number in range(8):
        for panel in make_matrix(f"fingerprint|{number}").context:
            pixels.update(draw_panel(panel).tobytes())
    return pixels.hexdigest()
