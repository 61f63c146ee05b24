"""Birds drawn from described parts: species in pairs, each species with a description that tells it from the other.

The pairs differ in what their names give away: of one pair they say the colour, of the next they name a mark, and of
the last they say nothing, so that only the descriptions help.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.prompt import Image

from .draws import Draws
from .mini import SPLITS, check_split, mini_subject
from .scene import JITTER, SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image
    import PIL.ImageDraw

PER_SPECIES = {"train": 10, "val": 20, "test": 20}
SPANS = (0.8, 0.9, 1.0)
"""How large a bird can be drawn."""

_SCALE = 4
_WHITE = (255, 255, 255)
_BEAK = (96, 84, 70)
_OFFSETS = tuple((dx, dy) for dx in range(-JITTER, JITTER + 1) for dy in range(-JITTER, JITTER + 1))


@dataclass(frozen=True, slots=True)
class Species:
    """What a kind of bird is called, and its parts; colours are names of `drawing.PALETTE`, or white.

    Attributes:
        name: in full, `red finch`.
        short: what tells it from the other species of its pair, `red`.
        description: one sentence on the parts that can be seen.
        body, head, wing: colours.
        crown, bib: colours; empty where there is none.
        spots: whether the wing has white spots.
        streaks: whether the breast is streaked.
    """

    name: str
    short: str
    description: str
    body: str
    head: str
    wing: str
    crown: str = ""
    bib: str = ""
    spots: bool = False
    streaks: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two species of a general category."""

    category: str
    species: tuple[Species, Species]


PAIRS = (
    Pair(
        "finch",
        (
            Species("red finch", "red", "It has a red body and a black wing.", "red", "red", "black"),
            Species("blue finch", "blue", "It has a blue body and a black wing.", "blue", "blue", "black"),
        ),
    ),
    Pair(
        "warbler",
        (
            Species(
                "spotted warbler",
                "spotted",
                "It has white spots on its green wing and a plain yellow breast.",
                "yellow",
                "green",
                "green",
                spots=True,
            ),
            Species(
                "streaked warbler",
                "streaked",
                "It has a plain green wing and black streaks on its yellow breast.",
                "yellow",
                "green",
                "green",
                streaks=True,
            ),
        ),
    ),
    Pair(
        "sparrow",
        (
            Species(
                "hill sparrow",
                "hill",
                "It has a purple crown and a white throat.",
                "pink",
                "pink",
                "purple",
                crown="purple",
                bib="white",
            ),
            Species(
                "lake sparrow",
                "lake",
                "It has a pink crown and a black bib on its throat.",
                "pink",
                "pink",
                "purple",
                bib="black",
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class BirdItem:
    """A picture of a bird.

    Attributes:
        key: id of the picture.
        image: drawn when it is opened.
        pair: what it may be.
        target: which species of the pair it is, 0 or 1.
    """

    key: str
    image: Image
    pair: Pair
    target: int


class Pose(NamedTuple):
    """How a bird stands in its picture: the way it looks, its size, and pixels from the middle."""

    left: bool
    span: float
    dx: int
    dy: int


def bird_items(split: str) -> Iterator[BirdItem]:
    """Yield the split's pictures without drawing anything, every species in turn; no two of any split are alike.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return _bird_items(split)


def _bird_items(split: str) -> Iterator[BirdItem]:
    # Offsets are dealt out to the splits, so that none shows a picture of another.
    offsets = _OFFSETS[SPLITS.index(split) :: len(SPLITS)]
    poses = [Pose(left, span, dx, dy) for left in (True, False) for span in SPANS for dx, dy in offsets]
    count = PER_SPECIES[split]
    chosen = {
        each.name: Draws(mini_subject(f"bird|{split}|{each.name}", 0)).sample(poses, count)
        for pair in PAIRS
        for each in pair.species
    }
    for turn in range(count):
        for pair in PAIRS:
            for target, species in enumerate(pair.species):
                key = f"{split}_{species.name.replace(' ', '_')}_{turn:02d}"
                image = Image(partial(draw_bird, species, chosen[species.name][turn]), f"microworld picture {key}")
                yield BirdItem(key, image, pair, target)


def draw_bird(species: Species, pose: Pose) -> PIL.Image.Image:
    """Return a bird's picture: 96 x 96 pixels, RGB, drawn four times too large and then reduced."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above

    from .drawing import BACKGROUND, PALETTE  # noqa: PLC0415  as above

    large = PIL.Image.new("RGB", (SIDE * _SCALE, SIDE * _SCALE), BACKGROUND)
    draw = _Brush(PIL.ImageDraw.Draw(large), pose)
    colours = {**PALETTE, "white": _WHITE}
    body, head, wing = (colours[name] for name in (species.body, species.head, species.wing))
    black = colours["black"]
    for leg in (-4, 6):
        draw.line(leg, 18, leg, 34, black)
    draw.polygon(((-20, -2), (-42, 4), (-42, 14), (-16, 14)), wing)  # the tail
    draw.ellipse(0, 4, 26, 18, body)
    draw.ellipse(22, -16, 13, 13, head)
    draw.polygon(((33, -20), (45, -14), (33, -11)), _BEAK)
    if species.crown:
        draw.chord(22, -16, 13, 13, colours[species.crown])
    if species.bib:
        draw.ellipse(27, -3, 7, 6, colours[species.bib])
    if species.streaks:
        for x, y in ((8, 13), (13, 10), (18, 6), (3, 15)):
            draw.line(x, y - 3, x - 2, y + 4, black)
    draw.ellipse(-6, 2, 17, 9, wing)
    if species.spots:
        for x, y in ((-16, 1), (-10, 4), (-5, -1), (0, 4), (5, 0)):
            draw.ellipse(x, y, 2.2, 2.2, _WHITE)
    draw.ellipse(26, -18, 3.4, 3.4, _WHITE)
    draw.ellipse(26, -18, 2.2, 2.2, black)
    return large.reduce(_SCALE)


class _Brush:
    """Draws in pixels from the middle of the bird, x to where it looks and y down."""

    def __init__(self, pen: PIL.ImageDraw.ImageDraw, pose: Pose) -> None:
        self._pen = pen
        self._pose = pose

    def _at(self, x: float, y: float) -> tuple[int, int]:
        across = -x if self._pose.left else x
        middle = SIDE / 2
        return (
            round(_SCALE * (middle + self._pose.dx + self._pose.span * across)),
            round(_SCALE * (middle + self._pose.dy + self._pose.span * y)),
        )

    def _box(self, x: float, y: float, wide: float, high: float) -> tuple[int, int, int, int]:
        (left, top), (right, bottom) = self._at(x - wide, y - high), self._at(x + wide, y + high)
        return min(left, right), top, max(left, right), bottom

    def ellipse(self, x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        self._pen.ellipse(self._box(x, y, wide, high), fill=colour)

    def chord(self, x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        self._pen.chord(self._box(x, y, wide, high), 195, 345, fill=colour)  # degrees clockwise from the right

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: tuple[int, int, int]) -> None:
        self._pen.line((*self._at(x, y), *self._at(to_x, to_y)), fill=colour, width=round(1.6 * _SCALE))

    def polygon(self, corners: tuple[tuple[float, float], ...], colour: tuple[int, int, int]) -> None:
        self._pen.polygon([self._at(x, y) for x, y in corners], fill=colour)
