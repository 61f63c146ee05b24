"""Plain text about the microworld."""

from __future__ import annotations

import re

from kosmos_eval.microworld.prose import NUMBERS, describe, make_passage
from kosmos_eval.microworld.scene import HELD_BACK, make_scene
from kosmos_eval.microworld.words import held_back

PASSAGES = [make_passage(f"test|{number}") for number in range(400)]


def test_a_passage_is_fixed_by_its_subject_and_they_differ() -> None:
    assert make_passage("test|7") == PASSAGES[7]
    assert len(set(PASSAGES)) > 380


def test_sentences_begin_with_a_capital_and_end() -> None:
    for sentence in (sentence for passage in PASSAGES for sentence in passage):
        assert sentence[0].isupper()
        assert sentence.endswith(".") or sentence.startswith("Question: ")


def test_what_is_held_back_from_pictures_is_not_told_either() -> None:
    text = " ".join(sentence for passage in PASSAGES for sentence in passage if not sentence.startswith("Question"))
    assert not any(f" {colour} {shape} " in text for colour, shape in HELD_BACK)
    assert not any(held_back(word) for word in re.findall(r"\b[A-Z]{3,5}\b", text))


def test_a_description_names_every_thing() -> None:
    for number in range(50):
        scene = make_scene(f"test|{number}")
        assert len(describe(scene)) == len(scene.things)
        for said, thing in zip(describe(scene), scene.things, strict=True):
            assert f"{thing.size} {thing.colour} {thing.shape}" in said


def test_statements_are_true() -> None:
    counted = 0
    for passage in PASSAGES:
        if re.match(r"There is an? \w+ \w+ \w+ (in|at|on) ", passage[0]) is None:
            continue  # no scene described in sentences
        colours = [match[1] for sentence in passage if (match := re.match(r"There is an? \w+ (\w+) \w+ ", sentence))]
        for sentence in passage:
            if match := re.match(r"(\w+) of them (?:is|are) (\w+)\.", sentence):
                assert NUMBERS.index(match[1].lower()) == colours.count(match[2])
                counted += 1
            if match := re.match(r"Nothing is (\w+)\.", sentence):
                assert match[1] not in colours
                counted += 1
    assert counted > 30
