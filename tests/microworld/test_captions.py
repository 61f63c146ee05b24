"""Reference sentences for scenes."""

from __future__ import annotations

import pytest

from kosmos_eval.microworld.captions import CAPTIONS, make_captions, named, read_caption
from kosmos_eval.microworld.questions import place
from kosmos_eval.microworld.scene import SHAPES, Scene, Thing, make_scene


def test_every_scene_has_five_different_sentences() -> None:
    for number in range(200):
        assert len(set(make_captions(make_scene(f"test|{number}")))) == CAPTIONS


def test_every_sentence_is_read_as_what_it_says() -> None:
    for number in range(200):
        scene = make_scene(f"test|{number}", novel=number % 2 == 0)
        assert all(read_caption(caption) == named(scene) for caption in make_captions(scene))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red thing",
        "a small red star",
        "a small red star in the sky",
        "a small red star at the top and",
        "red and",
    ],
)
def test_another_sentence_is_read_as_nothing(text: str) -> None:
    assert read_caption(text) is None


def test_a_wrong_sentence_is_told_from_a_right_one() -> None:
    scene = Scene((Thing("star", "red", "large", 1, 1, 0, 0),))
    assert read_caption("a large red star in the center") == named(scene)
    assert read_caption("a large red star in the center and a large red star in the center") != named(scene)
    assert read_caption("a small red star in the center") != named(scene)


def test_every_sentence_names_every_thing_with_its_attributes_and_no_other() -> None:
    for number in range(200):
        scene = make_scene(f"test|{number}")
        for caption in make_captions(scene):
            words = caption.replace(",", "").split()
            for thing in scene.things:
                assert place(thing) in caption
                assert {thing.size, thing.colour, thing.shape} <= set(words)
            assert sum(word in SHAPES for word in words) == len(scene.things)


def test_the_wording_is_plain() -> None:
    scene = Scene((Thing("circle", "orange", "small", 0, 0, 0, 0), Thing("star", "red", "large", 1, 1, 0, 0)))
    assert make_captions(scene) == (
        "a small orange circle in the top left and a large red star in the center",
        "there are a small orange circle in the top left and a large red star in the center",
        "a picture of a small orange circle in the top left and a large red star in the center",
        "in the top left a small orange circle and in the center a large red star",
        "a small circle in orange in the top left and a large star in red in the center",
    )
