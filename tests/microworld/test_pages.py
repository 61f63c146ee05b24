"""Pages of a shop."""

from __future__ import annotations

import re

import numpy as np
import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.drawing import BACKGROUND
from kosmos_eval.microworld.pages import PAGES, pages

ALL = {split: list(pages(split)) for split in PAGES}


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_a_page_is_a_pure_function_of_its_split_and_number() -> None:
    first, again = ALL["dev"], list(pages("dev"))
    assert [(each.html, each.questions) for each in again] == [(each.html, each.questions) for each in first]
    assert again[3].image.digest == first[3].image.digest


def test_an_answer_is_a_span_of_the_page_or_yes_or_no() -> None:
    for page in ALL["dev"]:
        assert len(page.questions) == 4
        assert len({each.text for each in page.questions}) == 4
        for each in page.questions:
            assert each.answer in (("yes", "no") if each.closed else words(page.html))


def test_yes_and_no_are_both_usual_and_true() -> None:
    closed = [
        (each, words(page.html)) for split in ALL for page in ALL[split] for each in page.questions if each.closed
    ]
    assert 0.3 < sum(each.answer == "yes" for each, _ in closed) / len(closed) < 0.7
    for each, text in closed:
        claimed = each.text.removesuffix("?").split()[-2]
        assert (f"Color {claimed} " in text) == (each.answer == "yes")


def test_the_picture_shows_the_thing_above_and_the_writing_below() -> None:
    pixels = np.asarray(ALL["dev"][0].image.load())
    assert pixels.shape == (384, 384, 3)
    drawn = (pixels != BACKGROUND).any(axis=2)
    assert drawn[:256].sum() > 1000
    assert drawn[256:].sum() > 1000
    assert not drawn[256:, 300:].any()


def test_no_page_is_in_two_splits() -> None:
    seen = [each.image.digest for split in ALL for each in ALL[split]]
    names = [each.page_id for split in ALL for each in ALL[split]]
    assert len(set(seen)) == len(set(names)) == len(seen) == sum(PAGES.values())


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="split 'test': expected the embedded data's train, dev"):
        pages("test")
