from __future__ import annotations

from kosmos_eval.visible import unbroken, visible, visible_line


def test_what_cannot_be_seen_is_shown_and_line_ends_stay() -> None:
    assert visible("a\x00b\x1bc\u202ed\u2066e\ud800\x85") == "a␀b␛c⟨U+202E⟩d⟨U+2066⟩e⟨U+D800⟩⟨U+0085⟩"
    assert visible("one\n\ttwo \u200f\u05d0 \U0001f600") == "one\n\ttwo \u200f\u05d0 \U0001f600"
    assert visible(3) == 3


def test_nothing_of_an_unbroken_text_is_lost() -> None:
    assert unbroken(" one\n\ttwo \x1b") == " one␊␉two ␛"


def test_a_line_is_one_line() -> None:
    assert visible_line(" one\r\n\ttwo\u2028three\x1b[31m\u202e ") == "one two three␛[31m⟨U+202E⟩"
