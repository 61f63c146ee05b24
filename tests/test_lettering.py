"""Text drawn as pictures."""

from __future__ import annotations

import hashlib
import string
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageFont
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval import lettering
from kosmos_eval.lettering import draw_text, drawable

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONG = "a film so long that its sentence has to be wrapped , and wrapped again , before it fits . " * 3


def ink(picture: PIL.Image.Image) -> NDArray[np.bool_]:
    dark: NDArray[np.bool_] = np.asarray(picture).astype(int).sum(-1) < 3 * 128
    return dark


def test_a_text_is_black_on_white_in_the_middle_and_keeps_to_a_margin() -> None:
    picture = draw_text("gorgeous and deceptively minimalist .", 200, 120, 20)
    assert (picture.size, picture.mode) == ((200, 120), "RGB")
    rows, columns = np.nonzero(ink(picture))
    assert rows.min() >= 6
    assert rows.max() < 114
    assert columns.min() >= 6
    assert columns.max() < 194
    assert abs((rows.min() + rows.max()) / 2 - 60) < 6
    assert abs((columns.min() + columns.max()) / 2 - 100) < 3


def test_colours_are_as_asked() -> None:
    colours = draw_text("II", 40, 40, 30, ink=(200, 0, 0), paper=(0, 0, 90)).getcolors(10_000)
    assert colours is not None
    assert {(200, 0, 0), (0, 0, 90)} <= {colour for _, colour in colours}


def test_a_long_text_is_wrapped_and_made_smaller_until_it_fits() -> None:
    small = ink(draw_text(LONG, 200, 200, 40))
    assert small.any()
    assert not small[:10].any()
    assert not small[-10:].any()
    assert not small[:, :10].any()
    assert not small[:, -10:].any()
    font = lettering._lay_out(drawable(LONG), 180, 180, 40).font
    assert isinstance(font, PIL.ImageFont.FreeTypeFont)
    assert lettering.SMALLEST < font.size < 40


def test_every_word_is_drawn_once_and_in_order() -> None:
    layout = lettering._lay_out(drawable(LONG), 180, 180, 40)
    assert " ".join(layout.lines) == drawable(LONG)


def test_what_fits_in_no_letters_is_an_error() -> None:
    with pytest.raises(ValueError, match="fits 27 x 27 pixels in letters of 6, got 'a film"):
        draw_text(LONG, 31, 31, 20)
    with pytest.raises(ValueError, match="in letters of 6"):
        draw_text("m" * 60, 100, 100, 20)


def test_drawing_is_the_same_on_every_machine() -> None:
    pixels = hashlib.sha256(draw_text(LONG, 128, 128, 16).tobytes())
    assert pixels.hexdigest()[:16] == "4da9e6bab9521aa9"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a cliché-ridden Almodóvar", "a cliche-ridden Almodovar"),
        ("one \N{EN DASH} two\N{EM DASH}three\N{NO-BREAK SPACE}four\tfive\n six ", "one - two-three four five six"),
        ("\N{LEFT DOUBLE QUOTATION MARK}so\N{RIGHT DOUBLE QUOTATION MARK}", "\u201cso\u201d"),
        ("«œuvre» Ærø ß", '"oeuvre" AEro ss'),
        ("\N{VULGAR FRACTION ONE HALF} \N{POUND SIGN} \N{SNOWMAN}", "1?2 ? ?"),
        ("\x00a\x85b", "a b"),
        ("", ""),
    ],
)
def test_letters_that_the_font_lacks_are_replaced(text: str, drawn: str) -> None:
    assert drawable(text) == drawn


def test_every_letter_that_is_kept_is_in_the_font_and_looks_like_no_other() -> None:
    font = PIL.ImageFont.load_default(24)
    kept = [letter for letter in string.printable if not letter.isspace()] + sorted(lettering._IN_FONT)
    looks = {letter: (font.getbbox(letter), bytes(font.getmask(letter))) for letter in [*kept, "\uffff"]}
    assert len(set(looks.values())) == len(looks)


@given(st.text(max_size=30))
def test_what_is_drawable_stays_as_it_is(text: str) -> None:
    assert drawable(drawable(text)) == drawable(text)
    assert all(letter in lettering._IN_FONT or (letter.isascii() and letter.isprintable()) for letter in drawable(text))
