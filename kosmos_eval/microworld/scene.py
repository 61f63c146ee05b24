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


def make_scene(subject: str) -> Scene:
    """Return the scene of a subject.

    Shapes and colours come from small palettes drawn for the scene, so that things often share them: a count of
    two or three is then as usual as a count of one.
    """
    draws = Draws(f"scene|{subject}")
    count = draws.choice(_HOW_MANY)
    shapes = draws.sample(SHAPES, 1 + max(draws.below(count), draws.below(count)))
    colours = draws.sample(COLOURS, 1 + max(draws.below(count), draws.below(count)))
    cells = sorted(draws.sample(range(GRID * GRID), count))
    return Scene(
        tuple(
            Thing(
                shape=draws.choice(shapes),
                colour=draws.choice(colours),
                size=draws.choice(SIZES),
                row=cell // GRID,
                column=cell % GRID,
                dx=draws.below(2 * JITTER + 1) - JITTER,
                dy=draws.below(2 * JITTER + 1) - JITTER,
            )
            for cell in cells
        )
    )
