"""Draws scenes with Pillow, four times too large and then reduced, so that edges are smooth."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from .scene import GRID, SIDE, Scene, Thing, make_scene

if TYPE_CHECKING:
    import PIL.Image

BACKGROUND = (246, 244, 238)
PALETTE = {
    "red": (206, 24, 36),
    "orange": (250, 132, 8),
    "yellow": (246, 220, 24),
    "green": (24, 150, 60),
    "blue": (28, 84, 220),
    "purple": (124, 36, 164),
    "pink": (248, 140, 196),
    "black": (24, 24, 24),
}
RADIUS = {"small": 6.5, "large": 12.5}  # pixels; a large thing at the end of its jitter still keeps to its cell

_SCALE = 4
_CELL = SIDE // GRID
_ARM = 0.36  # half the width of a cross's arm, in radii


def _ring(corners: int, inner: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Return corners on the unit circle clockwise from the top, every second one drawn in to the inner radius."""
    angles = (2 * math.pi * corner / corners for corner in range(corners))
    radii = (inner if corner % 2 else 1.0 for corner in range(corners))
    return tuple(
        (radius * math.sin(angle), -radius * math.cos(angle)) for angle, radius in zip(angles, radii, strict=True)
    )


# Corners in radii from the thing's centre, x to the right and y down. A circle has none.
_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    "triangle": ((0.0, -1.0), (1.0, 0.85), (-1.0, 0.85)),
    "star": _ring(10, inner=0.42),
    "diamond": ((0.0, -1.0), (0.72, 0.0), (0.0, 1.0), (-0.72, 0.0)),
    "cross": (
        (-_ARM, -1.0),
        (_ARM, -1.0),
        (_ARM, -_ARM),
        (1.0, -_ARM),
        (1.0, _ARM),
        (_ARM, _ARM),
        (_ARM, 1.0),
        (-_ARM, 1.0),
        (-_ARM, _ARM),
        (-1.0, _ARM),
        (-1.0, -_ARM),
        (-_ARM, -_ARM),
    ),
}


def _outline(thing: Thing, scale: int) -> list[tuple[int, int]]:
    """Return the thing's corners in whole pixels of a drawing that many times too large; two of them for a circle."""
    x = _CELL * thing.column + _CELL / 2 + thing.dx
    y = _CELL * thing.row + _CELL / 2 + thing.dy
    radius = RADIUS[thing.size]
    corners = _OUTLINES.get(thing.shape, ((-1.0, -1.0), (1.0, 1.0)))
    return [(round(scale * (x + radius * right)), round(scale * (y + radius * down))) for right, down in corners]


def draw_scene(scene: Scene) -> PIL.Image.Image:
    """Return the scene's picture: 96 x 96 pixels, RGB."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above

    large = PIL.Image.new("RGB", (SIDE * _SCALE, SIDE * _SCALE), BACKGROUND)
    pen = PIL.ImageDraw.Draw(large)
    for thing in scene.things:
        outline = _outline(thing, _SCALE)
        if thing.shape == "circle":
            pen.ellipse(outline, fill=PALETTE[thing.colour])
        else:
            pen.polygon(outline, fill=PALETTE[thing.colour])
    return large.reduce(_SCALE)


def box(thing: Thing) -> tuple[int, int, int, int]:
    """Return the box of the drawn thing in whole pixels: left, top, right and bottom, the last two just outside."""
    outline = _outline(thing, _SCALE)
    across, down = [x for x, _ in outline], [y for _, y in outline]
    return (  # Pillow draws the last row and column of an outline too, hence the 1
        min(across) // _SCALE,
        min(down) // _SCALE,
        -(-(max(across) + 1) // _SCALE),
        -(-(max(down) + 1) // _SCALE),
    )


def fingerprint() -> str:
    """Return the SHA-256 of the pixels of sixteen fixed scenes: it changes when another Pillow draws otherwise."""
    pixels = hashlib.sha256()
    for number in range(16):
        pixels.update(draw_scene(make_scene(f"fingerprint|{number}")).tobytes())
    return pixels.hexdigest()
