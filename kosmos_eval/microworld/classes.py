"""Pictures of one thing each, classed by its colour and shape: a stand-in for image classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .draws import Draws
from .mini import SPLITS, check_split, mini_subject, scene_image
from .scene import COLOURS, GRID, HELD_BACK, JITTER, SHAPES, SIZES, Scene, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.prompt import Image

CLASSES = tuple((colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_BACK)
"""Colour and shape of each class, those apart that only novel pictures show."""

NAMES = tuple(f"{colour} {shape}" for colour, shape in CLASSES)
PER_CLASS = {"train": 2, "val": 4, "test": 4}

_OFFSETS = tuple((dx, dy) for dx in range(-JITTER, JITTER + 1) for dy in range(-JITTER, JITTER + 1))


@dataclass(frozen=True, slots=True)
class ClassItem:
    """A picture with a class.

    Attributes:
        key: id of the picture.
        image: drawn when it is opened.
        target: index of its class in `CLASSES`.
    """

    key: str
    image: Image
    target: int


class _Place(NamedTuple):
    """How a class's thing can look: size, row, column and offset."""

    size: str
    row: int
    column: int
    offset: tuple[int, int]


def class_items(split: str) -> Iterator[ClassItem]:
    """Yield the split's pictures without drawing anything, every class in turn; no two of any split are alike.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return _class_items(split)


def _class_items(split: str) -> Iterator[ClassItem]:
    # Offsets are dealt out to the splits, so that none shows a picture of another.
    offsets = _OFFSETS[SPLITS.index(split) :: len(SPLITS)]
    looks = [
        _Place(size, row, column, offset)
        for size in SIZES
        for row in range(GRID)
        for column in range(GRID)
        for offset in offsets
    ]
    chosen = [
        Draws(mini_subject(f"class|{split}", target)).sample(looks, PER_CLASS[split]) for target in range(len(CLASSES))
    ]
    for turn in range(PER_CLASS[split]):
        for target, (colour, shape) in enumerate(CLASSES):
            size, row, column, (dx, dy) = chosen[target][turn]
            thing = Thing(shape=shape, colour=colour, size=size, row=row, column=column, dx=dx, dy=dy)
            key = f"{split}_{turn * len(CLASSES) + target:04d}"
            yield ClassItem(key, scene_image(Scene((thing,)), f"microworld picture {key} of a class"), target)
