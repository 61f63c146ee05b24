"""Pictures with a caption written above or below, which is true of them or contradicts them: a harmless meme.

As in the benchmark that it stands in for, neither part alone gives the answer away: the words are drawn alike for true
and for contradicting captions, and every picture could have either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.prompt import Image

from .draws import Draws
from .mini import check_split, mini_subject
from .questions import place, with_article
from .scene import COLOURS, HELD_BACK, SHAPES, SIDE, Scene, Thing, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

MEMES = {"train": 100, "dev_seen": 200, "dev_unseen": 200, "test_seen": 200, "test_unseen": 200}
"""Split to the number of its items."""

WIDTH = 240  # pixels, and as high
_STRIP = 48  # pixels
_FONT_SIZE = 17  # pixels


@dataclass(frozen=True, slots=True)
class Meme:
    """A scene and what is written beside it.

    Attributes:
        scene: what is seen.
        caption: what is written, about one thing of the scene.
        contradicts: whether it is false: there is something else in that place.
        above: whether the caption stands above the scene.
    """

    scene: Scene
    caption: str
    contradicts: bool
    above: bool


@dataclass(frozen=True, slots=True)
class MemeItem:
    """A meme with its picture.

    Attributes:
        key: its id, a number as text, unique among all splits.
        image: drawn when it is opened.
        meme: what it shows.
    """

    key: str
    image: Image
    meme: Meme


def make_meme(subject: str, *, contradicts: bool) -> Meme:
    """Return the meme of a subject, whose scene and place of the caption do not depend on whether it contradicts."""
    scene, draws = make_scene(subject), Draws(f"meme|{subject}")
    above, thing = draws.below(2) == 1, draws.choice(scene.things)
    if contradicts:
        thing = draws.choice(_others(thing))
    caption = f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} {place(thing)}"
    return Meme(scene, caption, contradicts, above)


def _others(thing: Thing) -> list[Thing]:
    """Return things of another colour or shape in the same place, those that no scene shows left out."""
    changed = [replace(thing, colour=colour) for colour in COLOURS if colour != thing.colour]
    changed += [replace(thing, shape=shape) for shape in SHAPES if shape != thing.shape]
    return [each for each in changed if (each.colour, each.shape) not in HELD_BACK]


def draw_meme(meme: Meme) -> PIL.Image.Image:
    """Return the meme's picture: 240 x 240 pixels, RGB, the scene twice as large as it is drawn alone."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it

    from kosmos_eval.lettering import draw_text  # noqa: PLC0415  as above

    from .drawing import BACKGROUND, draw_scene  # noqa: PLC0415  as above

    picture = PIL.Image.new("RGB", (WIDTH, WIDTH), BACKGROUND)
    scene = draw_scene(meme.scene).resize((2 * SIDE, 2 * SIDE), PIL.Image.Resampling.BICUBIC)
    picture.paste(scene, ((WIDTH - 2 * SIDE) // 2, _STRIP if meme.above else 0))
    strip = draw_text(meme.caption, WIDTH, _STRIP, _FONT_SIZE)
    picture.paste(strip, (0, 0 if meme.above else 2 * SIDE))
    return picture


def meme_items(split: str) -> Iterator[MemeItem]:
    """Yield the split's items, of which every second one contradicts, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split, MEMES)
    return _meme_items(split)


def _meme_items(split: str) -> Iterator[MemeItem]:
    first = 10_000 * (1 + list(MEMES).index(split))
    for number in range(MEMES[split]):
        key = str(first + number)
        meme = make_meme(mini_subject(f"memes|{split}", number), contradicts=number % 2 == 1)
        yield MemeItem(key, Image(partial(draw_meme, meme), f"microworld meme {key}"), meme)
