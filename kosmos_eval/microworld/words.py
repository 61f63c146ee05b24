"""Words to be read: pronounceable strings of capitals, some held back, drawn into a picture letter by letter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from .draws import Draws
from .scene import COLOURS, GRID, SIDE

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageFont

SHORTEST = 3
LONGEST = 5
SLOTS = 6
"""Places for a letter beside each other."""

JITTER = 2  # pixels

_VOWELS = "AEIOU"
_CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
_SHARE_HELD_BACK = 0.1
_PITCH = SIDE // SLOTS
_FONT_SIZE = 17  # pixels; capitals are then 13 high and, but for W, less wide than a slot
_SCALE = 4


@dataclass(frozen=True, slots=True)
class RenderedWord:
    """A word in a picture.

    Attributes:
        text: its capitals.
        colour: one of `COLOURS`, but never yellow, which would not stand out.
        row: the third of the picture that it stands in, from 0 at the top.
        slot: place of its first letter, from 0 at the left.
        dx, dy: pixels from the slots' centres to the letters', from -JITTER to JITTER.
    """

    text: str
    colour: str
    row: int
    slot: int
    dx: int
    dy: int


class Asked(NamedTuple):
    """A question and its answer."""

    text: str
    answer: str


def held_back(text: str) -> bool:
    """Return whether only novel pictures show the word: a tenth of all words, fixed by their letters."""
    return hashlib.sha256(f"word|{text}".encode()).digest()[0] < 256 * _SHARE_HELD_BACK


def make_word(subject: str, *, novel: bool = False) -> RenderedWord:
    """Return the word of a subject.

    Args:
        subject: decides all draws.
        novel: draw a word that is held back; without it none is.
    """
    draws = Draws(f"novel word|{subject}" if novel else f"word|{subject}")
    text = _spell(draws)
    while held_back(text) != novel:
        text = _spell(draws)
    return RenderedWord(
        text=text,
        colour=draws.choice([colour for colour in COLOURS if colour != "yellow"]),
        row=draws.below(GRID),
        slot=draws.below(SLOTS - len(text) + 1),
        dx=draws.below(2 * JITTER + 1) - JITTER,
        dy=draws.below(2 * JITTER + 1) - JITTER,
    )


def _spell(draws: Draws) -> str:
    """Return letters, consonants and vowels in turn."""
    length, first = SHORTEST + draws.below(LONGEST - SHORTEST + 1), draws.below(2)
    return "".join(draws.choice((_CONSONANTS, _VOWELS)[(first + place) % 2]) for place in range(length))


def make_word_questions(word: RenderedWord, subject: str) -> tuple[Asked, ...]:
    """Return what can be asked of a word's picture; the first question is what it says, in words that vary."""
    wordings = ("What word is this?", "What does the picture say?", "What is written here?")
    return (
        Asked(Draws(f"word question|{subject}").choice(wordings), word.text),
        Asked("What color is the word?", word.colour),
        Asked("How many letters are there?", str(len(word.text))),
    )


def describe_word(word: RenderedWord) -> str:
    """Return a caption without a prompt's `An image of`: `the word KIFO in red`."""
    return f"the word {word.text} in {word.colour}"


def draw_word(word: RenderedWord) -> PIL.Image.Image:
    """Return the word's picture: 96 x 96 pixels, RGB, in Pillow's own font."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above

    from .drawing import BACKGROUND, PALETTE  # noqa: PLC0415  as above

    large = PIL.Image.new("RGB", (SIDE * _SCALE, SIDE * _SCALE), BACKGROUND)
    pen = PIL.ImageDraw.Draw(large)
    y = SIDE // GRID * (word.row + 0.5) + word.dy
    for place, letter in enumerate(word.text, start=word.slot):
        x = _PITCH * (place + 0.5) + word.dx
        pen.text((_SCALE * x, _SCALE * y), letter, fill=PALETTE[word.colour], font=_font(), anchor="mm")
    return large.reduce(_SCALE)


@cache
def _font() -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    import PIL.ImageFont  # noqa: PLC0415  as above

    return PIL.ImageFont.load_default(_FONT_SIZE * _SCALE)
