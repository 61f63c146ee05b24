"""Rendered words."""

from __future__ import annotations

import hashlib

import numpy as np

from kosmos_eval.microworld.drawing import BACKGROUND
from kosmos_eval.microworld.scene import GRID, SIDE
from kosmos_eval.microworld.words import (
    LONGEST,
    SHORTEST,
    SLOTS,
    RenderedWord,
    describe_word,
    draw_word,
    held_back,
    make_word,
    make_word_questions,
)

WORDS = [make_word(f"test|{number}") for number in range(400)]
NOVEL = [make_word(f"test|{number}", novel=True) for number in range(100)]


def test_the_same_subject_gives_the_same_word_and_another_subject_another() -> None:
    assert make_word("test|7") == WORDS[7]
    assert len({word.text for word in WORDS}) > 250


def test_only_novel_words_are_held_back() -> None:
    assert not any(held_back(word.text) for word in WORDS)
    assert all(held_back(word.text) for word in NOVEL)


def test_a_tenth_of_all_words_is_held_back() -> None:
    every = [a + b + c for a in "BCDFGHJKLMNPQRSTVWXYZ" for b in "AEIOU" for c in "BCDFGHJKLMNPQRSTVWXYZ"]
    assert 0.08 < sum(map(held_back, every)) / len(every) < 0.12


def test_every_letter_and_length_is_drawn_and_every_word_keeps_to_its_slots() -> None:
    assert set("".join(word.text for word in WORDS)) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert {len(word.text) for word in WORDS} == set(range(SHORTEST, LONGEST + 1))
    assert all(0 <= word.slot <= SLOTS - len(word.text) and 0 <= word.row < GRID for word in WORDS)
    assert "yellow" not in {word.colour for word in WORDS}


def test_ink_is_where_the_letters_are_and_nowhere_else() -> None:
    for word in WORDS[:60]:
        picture = np.asarray(draw_word(word)).astype(int)
        assert picture.shape == (SIDE, SIDE, 3)
        ink = np.abs(picture - np.asarray(BACKGROUND)).sum(-1) > 60
        rows, columns = np.nonzero(ink)
        third, pitch = SIDE // GRID, SIDE // SLOTS
        assert (rows // third == word.row).all()
        first, last = word.slot * pitch - 2, (word.slot + len(word.text)) * pitch + 2
        assert first <= columns.min() <= columns.max() <= last
        for place in range(word.slot, word.slot + len(word.text)):
            centre = round(pitch * (place + 0.5)) + word.dx
            assert ink[:, max(0, centre - 7) : centre + 8].any()


def test_different_letters_look_different() -> None:
    pictures = {
        draw_word(RenderedWord(letter * 3, "black", 1, 1, 0, 0)).tobytes() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    }
    assert len(pictures) == 26


def test_drawing_is_the_same_on_every_machine() -> None:
    pixels = hashlib.sha256()
    for word in WORDS[:16]:
        pixels.update(draw_word(word).tobytes())
    assert pixels.hexdigest()[:16] == "7241c6e116b9e90d"


def test_questions_tell_the_word_its_colour_and_its_length() -> None:
    word = RenderedWord("KIFO", "red", 0, 1, 0, 0)
    said, colour, letters = make_word_questions(word, "any")
    assert said.answer == "KIFO"
    assert colour == ("What color is the word?", "red")
    assert letters == ("How many letters are there?", "4")
    assert len({make_word_questions(word, f"test|{number}")[0].text for number in range(30)}) == 3
    assert describe_word(word) == "the word KIFO in red"
