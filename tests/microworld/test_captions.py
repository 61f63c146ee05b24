"""Reference sentences for scenes."""

from __future__ import annotations

from kosmos_eval.microworld.captions import CAPTIONS, make_captions
from kosmos_eval.microworld.questions import place
from kosmos_eval.microworld.scene import SHAPES, Scene, Thing, make_scene


def test_every_scene_has_five_different_sentences_fixed_by_its_subject() -> None:
    for number in range(200):
        scene = make_scene(f"test|{number}")
        captions = make_captions(scene, f"test|{number}")
        assert len(set(captions)) == CAPTIONS
        assert captions == make_captions(scene, f"test|{number}")


def test_every_sentence_names_every_thing_with_its_attributes_and_no_other() -> None:
    for number in range(200):
        scene = make_scene(f"test|{number}")
        for caption in make_captions(scene, "any"):
            words = caption.replace(",", "").split()
            for thing in scene.things:
                assert place(thing) in caption
                assert {thing.size, thing.colour, thing.shape} <= set(words)
            assert sum(word in SHAPES for word in words) == len(scene.things)


def test_the_wording_is_plain() -> None:
    scene = Scene((Thing("circle", "orange", "small", 0, 0, 0, 0), Thing("star", "red", "large", 1, 1, 0, 0)))
    assert make_captions(scene, "b") == (
        "a small orange circle in the top left and a large red star in the center",
        "there are a large red star in the center and a small orange circle in the top left",
        "a picture of a large red star in the center and a small orange circle in the top left",
        "in the top left a small orange circle and in the center a large red star",
        "a large star in red in the center and a small circle in orange in the top left",
    )
