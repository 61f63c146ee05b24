"""Text drawn as a picture: wrapped at spaces, centred, and made smaller until it fits.

The font is the one that Pillow brings (Aileron, cut down to ASCII and a few marks), so nothing needs to be installed;
how its letters come out in pixels depends on the version of Pillow. Letters that it lacks are written without their
accents, or as the nearest ASCII, or as a question mark.
"""

from __future__ import annotations

import math
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageFont

    Font = PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont

Colour = tuple[int, int, int]

SMALLEST = 6  # pixels; below this, letters are no longer told apart
_LINE = 1.25  # line height in font sizes
_MARGIN = 0.05  # of the shorter side
_IN_FONT = frozenset(
    (
        "\N{LEFT SINGLE QUOTATION MARK}",
        "\N{RIGHT SINGLE QUOTATION MARK}",
        "\N{LEFT DOUBLE QUOTATION MARK}",
        "\N{RIGHT DOUBLE QUOTATION MARK}",
        "\N{HORIZONTAL ELLIPSIS}",
    )
)
"""Letters outside ASCII that the font has and texts use."""

_NEAREST = {
    **dict.fromkeys("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "-"),
    **dict.fromkeys("\N{DOUBLE LOW-9 QUOTATION MARK}«»", '"'),
    **dict.fromkeys("•·", "*"),
    **dict(
        zip(
            ("æ", "Æ", "œ", "Œ", "ø", "Ø", "ß", "ł", "Ł"),
            ("ae", "AE", "oe", "OE", "o", "O", "ss", "l", "L"),
            strict=True,
        )
    ),
}


class _Layout(NamedTuple):
    font: Font
    lines: tuple[str, ...]
    pitch: int


def drawable(text: str) -> str:
    """Return the text in letters that the font has, every run of white space a single space.

    Example:
        >>> drawable("a  cliché — by Søren")
        'a cliche - by Soren'
    """
    letters = (letter if letter in _IN_FONT else _plain(letter) for letter in text)
    return " ".join("".join(letters).split())


def _plain(letter: str) -> str:
    near = _NEAREST.get(letter) or unicodedata.normalize("NFKD", letter)
    kept = "".join(_NEAREST.get(each, each) for each in near if not unicodedata.combining(each))
    if kept.isspace() or not near.isprintable():
        return " "
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in kept)


def draw_text(
    text: str,
    width: int,
    height: int,
    font_size: int,
    *,
    ink: Colour = (0, 0, 0),
    paper: Colour = (255, 255, 255),
) -> PIL.Image.Image:
    """Return a picture of the text: width x height pixels, RGB.

    Args:
        text: what is written; see `drawable` for letters that the font lacks.
        width: of the picture, in pixels.
        height: likewise.
        font_size: in pixels; a smaller one is taken where the text does not fit.
        ink: colour of the letters.
        paper: colour of all else.

    Raises:
        ValueError: the text does not fit even in the smallest letters.
    """
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and truth is made without it
    import PIL.ImageDraw  # noqa: PLC0415  as above

    margin = math.ceil(_MARGIN * min(width, height))
    layout = _lay_out(drawable(text), width - 2 * margin, height - 2 * margin, font_size)
    picture = PIL.Image.new("RGB", (width, height), paper)
    pen = PIL.ImageDraw.Draw(picture)
    top = (height - layout.pitch * len(layout.lines)) // 2
    for number, line in enumerate(layout.lines):
        middle = top + layout.pitch * number + layout.pitch // 2
        pen.text((width // 2, middle), line, fill=ink, font=layout.font, anchor="mm")
    return picture


def _lay_out(text: str, width: int, height: int, font_size: int) -> _Layout:
    for size in range(font_size, SMALLEST - 1, -1):
        font, pitch = _font(size), math.ceil(_LINE * size)
        lines = _wrap(text, font, width)
        if pitch * len(lines) <= height and all(font.getlength(line) <= width for line in lines):
            return _Layout(font, lines, pitch)
    message = f"expected a text that fits {width} x {height} pixels in letters of {SMALLEST}, got {text!r:.80}"
    raise ValueError(message)


def _wrap(text: str, font: Font, width: int) -> tuple[str, ...]:
    """Return the lines: as many words on each as fit, and at least one."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


@cache
def _font(size: int) -> Font:
    import PIL.ImageFont  # noqa: PLC0415  as above

    return PIL.ImageFont.load_default(size)
