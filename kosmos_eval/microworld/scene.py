"""Scenes: a few coloured things on a 3x3 grid, each scene a pure function of the text that names it."""

from __future__ import annotations

from dataclasses import dataclass

from .draws import Draws

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "large")
GRID = 3
SIDE = 96  # pixels
JITTER = 3  # pixels
MOST_THINGS = 4

HELD_BACK = frozenset(
    {
        ("red", "star"),
        ("orange", "cross"),
        ("yellow", "circle"),
        ("green", "diamond"),
        ("blue", "triangle"),
        ("purple", "square"),
    }
)
"""Colours with shapes that only novel scenes show, so that a model can be asked about what it never saw together."""

_HOW_MANY = (1, 2, 2, 3, 3, 4, 4)  # few scenes of one thing: it can stand in no relation and is always one


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene.

    Attributes:
        shape: one of `SHAPES`.
        colour: one of `COLOURS`.
        size: one of `SIZES`.
        row, column: cell of the grid, from 0 at the top left.
        dx, dy: pixels from the cell's centre to the thing's, from -JITTER to JITTER.
    """

    shape: str
    colour: str
    size: str
    row: int
    column: int
    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Scene:
    """One to four things in different cells, from the top row down and from left to right."""

    things: tuple[Thing, ...]


def make_scene(subject: str, *, novel: bool = False) -> Scene:
    """Return the scene of a subject.

    Shapes and colours come from small palettes drawn for the scene, so that things often share them: a count of
    two or three is then as usual as a count of one.

    Args:
        subject: decides all draws.
        novel: make one of the things a pair of `HELD_BACK`; without it no scene shows such a pair.
    """
    draws = Draws(f"novel scene|{subject}" if novel else f"scene|{subject}")
    count = draws.choice(_HOW_MANY)
    pairs: list[tuple[str, str]] = []
    while not pairs:
        colours = draws.sample(COLOURS, 1 + max(draws.below(count), draws.below(count)))
        shapes = draws.sample(SHAPES, 1 + max(draws.below(count), draws.below(count)))
        pairs = [(colour, shape) for colour in colours for shape in shapes if (colour, shape) not in HELD_BACK]
    shown = [draws.choice(pairs) for _ in range(count)]
    if novel:
        shown[draws.below(count)] = draws.choice(sorted(HELD_BACK))
    cells = sorted(draws.sample(range(GRID * GRID), count))
    return Scene(
        tuple(
            Thing(
                shape=shape,
                colour=colour,
                size=draws.choice(SIZES),
                row=cell // GRID,
                column=cell % GRID,
                dx=draws.below(2 * JITTER + 1) - JITTER,
                dy=draws.below(2 * JITTER + 1) - JITTER,
            )
            for cell, (colour, shape) in zip(cells, shown, strict=True)
        )
    )
