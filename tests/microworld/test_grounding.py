from __future__ import annotations

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.grounding import PICTURES, described_things, phrased_captions, referred_things
from kosmos_eval.microworld.mini import SPLITS
from kosmos_eval.microworld.scene import SIDE


def test_things_are_the_same_each_time() -> None:
    first, second = list(referred_things("x", "val")), list(referred_things("x", "val"))
    assert first[:9] == second[:9]
    assert 100 <= len(first) <= 2 * PICTURES


@pytest.mark.parametrize("split", SPLITS)
def test_each_thing_has_a_box_inside_its_picture_and_an_expression(split: str) -> None:
    for each in (*referred_things("x", split), *described_things("x", split)):
        left, top, right, bottom = each.box
        assert 0 <= left < right <= SIDE
        assert 0 <= top < bottom <= SIDE
        assert all(each.expressions)


def test_no_picture_is_in_two_splits() -> None:
    digests = [{each.image.digest for each in described_things("x", split)} for split in SPLITS]
    assert digests[0].isdisjoint(digests[1] | digests[2])
    assert digests[1].isdisjoint(digests[2])


def test_expressions_can_do_without_places() -> None:
    with_places = [each.expressions[0] for each in referred_things("x", "val")]
    without = [each.expressions[0] for each in referred_things("x", "val", places=False)]
    assert any("thing in the" in each for each in with_places)
    assert not any(f" {word} " in each for each in without for word in ("in", "on", "at"))


def test_descriptions_say_the_same_in_three_ways() -> None:
    for each in described_things("x", "val"):
        assert len(set(each.expressions)) == 3
        assert all(each.shape in expression for expression in each.expressions)


def test_a_phrase_is_said_once_in_its_caption() -> None:
    phrases = 0
    for caption in phrased_captions("x", "val"):
        for phrase in caption.phrases:
            phrases += 1
            words = caption.text[phrase.start : phrase.end]
            assert words.endswith(phrase.shape)
            assert caption.text.count(words) == 1
    assert phrases >= 100


def test_there_are_only_the_embedded_splits() -> None:
    with pytest.raises(UsageError, match="split 'dev'"):
        list(referred_things("x", "dev"))
