"""Expressions that fit one thing only."""

from __future__ import annotations

from collections import Counter

from kosmos_eval.microworld.questions import place
from kosmos_eval.microworld.references import make_references
from kosmos_eval.microworld.scene import Scene, Thing, make_scene


def _fits(text: str, thing: Thing) -> bool:
    words = text.removeprefix("the ")
    noun, _, where = words.partition(" thing ") if " thing " in words else (words, "", "")
    if words.startswith("thing "):
        return words.removeprefix("thing ") == place(thing)
    assert not where
    return all(word in {thing.size, thing.colour, thing.shape, "thing"} for word in noun.split())


def test_an_expression_fits_its_thing_and_no_other() -> None:
    for number in range(200):
        scene = make_scene(f"test|{number}")
        for reference in make_references(scene, f"test|{number}", 5):
            assert [thing for thing in scene.things if _fits(reference.text, thing)] == [reference.thing]


def test_expressions_differ_and_are_fixed_by_scene_and_subject() -> None:
    for number in range(50):
        scene = make_scene(f"test|{number}")
        references = make_references(scene, "any", 4)
        assert references == make_references(scene, "any", 4)
        assert max(Counter(reference.text for reference in references).values()) == 1


def test_every_thing_can_be_referred_to() -> None:
    alike = Scene(tuple(Thing("star", "red", "small", 0, column, 0, 0) for column in range(3)))
    assert {reference.thing for reference in make_references(alike, "any", 99)} == set(alike.things)
