"""Kinds of things that text states or only pictures show."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.commonsense import (
    ASKED,
    SHOWN_SOLVED,
    Kind,
    colour_items,
    kinds,
    make_fact,
    make_fact_passage,
    make_kind_captions,
    make_kind_comparisons,
    make_kind_questions,
    make_kind_scene,
    size_items,
)
from kosmos_eval.microworld.drawing import PALETTE, draw_scene
from kosmos_eval.microworld.questions import place
from kosmos_eval.microworld.scene import COLOURS, HELD_BACK, SHAPES, SIZES

KINDS = {kind.name: kind for kind in kinds()}
SCENES = [make_kind_scene(f"test|{number}") for number in range(150)]
PASSAGES = [make_fact_passage(f"test|{number}") for number in range(400)]
SENTENCES = [sentence for passage in PASSAGES for sentence in passage]
LOOKS = {*COLOURS, *SHAPES, *SIZES, "larger", "smaller"}


def named(text: str) -> list[Kind]:
    return [KINDS[word] for word in re.findall(r"[a-z]+", text) if word in KINDS]


def test_names_are_new_words_that_differ() -> None:
    assert len(KINDS) == ASKED + SHOWN_SOLVED
    assert not LOOKS & KINDS.keys()
    assert all(re.fullmatch(r"[a-z]{5,6}", name) and name[0] not in "aeiou" for name in KINDS)


def test_colours_and_sizes_are_spread_evenly_over_what_is_stated_and_what_is_not() -> None:
    for asked, stated, count in ((True, True, 80), (True, False, 80), (False, True, 32), (False, False, 0)):
        half = [kind for kind in KINDS.values() if (kind.asked, kind.stated) == (asked, stated)]
        assert len(half) == count
        looks = Counter((kind.colour, kind.size) for kind in half)
        assert set(looks.values()) <= {count // 16}
    assert not HELD_BACK & {(kind.colour, kind.shape) for kind in KINDS.values()}


@pytest.mark.parametrize(("split", "count"), [("test", 80), ("train", 16)])
def test_colours_that_are_asked_are_balanced_and_no_kind_is_in_both_parts(split: str, count: int) -> None:
    parts = [list(colour_items(split, part)) for part in range(2)]
    assert not {kind.name for kind in parts[0]} & {kind.name for kind in parts[1]}
    for part in parts:
        assert len(part) == count
        assert {kind.asked for kind in part} == {split == "test"}
        for stated in {kind.stated for kind in part}:
            of_half = [kind for kind in part if kind.stated == stated]
            assert set(Counter(kind.colour for kind in of_half).values()) == {len(of_half) // len(COLOURS)}
    assert [kind.stated for kind in parts[0]][:4] == ([True, False, True, False] if split == "test" else [True] * 4)


@pytest.mark.parametrize(("split", "count", "blocks"), [("test", 160, 40), ("train", 32, 8)])
def test_pairs_are_of_different_sizes_and_blocks_share_no_kind(split: str, count: int, blocks: int) -> None:
    pairs = list(size_items(split))
    assert len({(pair.larger.name, pair.smaller.name) for pair in pairs}) == count == len(pairs)
    assert {(pair.larger.size, pair.smaller.size) for pair in pairs} == {("large", "small")}
    assert all(pair.larger.stated == pair.smaller.stated for pair in pairs)
    where = {(kind.name, pair.block) for pair in pairs for kind in (pair.larger, pair.smaller)}
    assert len(where) == len({name for name, _ in where})
    assert len({block for _, block in where}) == blocks


def test_there_are_two_splits() -> None:
    with pytest.raises(UsageError, match=r"split 'val': expected the embedded data's test, train"):
        colour_items("val", 0)
    with pytest.raises(UsageError, match=r"split 'val'"):
        size_items("val")


def test_things_of_a_scene_look_as_their_kinds_do_and_can_be_drawn() -> None:
    assert make_kind_scene("test|3") == SCENES[3]
    for shown in SCENES:
        looks = [(thing.shape, thing.colour, thing.size) for thing in shown.scene.things]
        assert looks == [(kind.shape, kind.colour, kind.size) for kind in shown.kinds]
        assert len(set(shown.kinds)) == len({(thing.row, thing.column) for thing in shown.scene.things}) == len(looks)
    (thing, *_), picture = SCENES[0].scene.things, draw_scene(SCENES[0].scene)
    centre = (32 * thing.column + 16 + thing.dx, 32 * thing.row + 16 + thing.dy)
    assert picture.getpixel(centre) == PALETTE[thing.colour]


def test_captions_name_every_kind_and_its_place_and_nothing_of_its_look() -> None:
    for shown in SCENES:
        captions = make_kind_captions(shown)
        assert len(set(captions)) == 4
        for caption in captions:
            assert named(caption) == list(shown.kinds)
            assert not LOOKS & set(re.findall(r"\w+", caption))
            assert all(place(thing) in caption for thing in shown.scene.things)


def test_questions_on_pictures_have_true_answers_and_name_no_look() -> None:
    kind_of = Counter[str]()
    for number, shown in enumerate(SCENES):
        asked = make_kind_questions(shown, f"{number}")
        assert asked == make_kind_questions(shown, f"{number}")
        assert len(asked) == 2 * len(shown.kinds)
        for question, answer in asked:
            kind_of[f"{question.partition(' ')[0]} {answer if answer in ('yes', 'no') else ''}"] += 1
            (about,) = named(question) or named(answer)
            assert not LOOKS & set(re.findall(r"\w+", f"{question} {answer}"))
            if question.startswith("Is there "):
                assert answer == ("yes" if about in shown.kinds else "no")
                continue
            where = place(shown.scene.things[shown.kinds.index(about)])
            truths = {f"Where is the {about.name}?": where, f"What is {where}?": f"a {about.name}"}
            assert answer == truths[question]
    assert set(kind_of) == {"What ", "Where ", "Is yes", "Is no"}
    assert min(kind_of.values()) > 50


def test_comparisons_with_pictures_are_true_and_say_nothing_without_them() -> None:
    said = Counter[str]()
    for number, shown in enumerate(SCENES):
        asked = make_kind_comparisons(shown.scene, f"{number}", 6)
        assert asked == make_kind_comparisons(shown.scene, f"{number}", 6)
        for question, answer in asked:
            (about,) = named(question)
            assert not {*COLOURS, *SHAPES, *SIZES} & set(re.findall(r"\w+", f"{question} {answer}"))
            (thing,) = [each for each in shown.scene.things if f"{question} {answer}.".endswith(f"{place(each)}.")] or [
                each for each in shown.scene.things if f"{place(each)}?" in question
            ]
            if question.startswith("The color of "):
                assert answer == f"that of the thing {place(thing)}"
                assert [each.colour for each in shown.scene.things].count(about.colour) == 1
                assert thing.colour == about.colour
                said["colour"] += 1
            elif " larger " in question:
                assert (about.size, thing.size, answer) in {("large", "small", "Yes"), ("small", "large", "No")}
                said[f"larger {answer}"] += 1
            else:
                assert question == f"Is {about.name} of the color of the thing {place(thing)}?"
                assert answer == ("Yes" if thing.colour == about.colour else "No")
                said[f"same {answer}"] += 1
    assert said.keys() == {"colour", "larger Yes", "larger No", "same Yes", "same No"}
    assert abs(said["larger Yes"] - said["larger No"]) < 0.2 * (said["larger Yes"] + said["larger No"])
    assert abs(said["same Yes"] - said["same No"]) < 0.2 * (said["same Yes"] + said["same No"])


def test_texts_name_kinds_that_are_not_stated_and_say_nothing_of_their_look() -> None:
    assert make_fact_passage("test|5") == PASSAGES[5]
    of_unstated = [each for each in SENTENCES if any(not kind.stated for kind in named(each))]
    assert len({kind.name for each in of_unstated for kind in named(each) if not kind.stated}) > 70
    for sentence in of_unstated:
        assert re.fullmatch(r"There is a \w+ (in the|at the|on the) [a-z ]+\.", sentence)
        assert not LOOKS & set(re.findall(r"\w+", sentence))


def test_texts_state_of_the_others_what_is_true() -> None:
    stated = Counter[str]()
    for sentence in SENTENCES:
        if match := re.fullmatch(
            r"A (\w+) is (red|orange|yellow|green|blue|purple|pink|black|small|large)\.", sentence
        ):
            assert match[2] in (KINDS[match[1]].colour, KINDS[match[1]].size)
        elif match := re.fullmatch(r"The color of (?:a )?(\w+) is\? (\w+)", sentence):
            assert match[2] == KINDS[match[1]].colour
        elif match := re.fullmatch(r"Is (\w+) larger than (\w+)\? (Yes|No)", sentence):
            assert KINDS[match[1]].size == {"Yes": "large", "No": "small"}[match[3]] != KINDS[match[2]].size
        else:
            continue
        stated[match[1]] += 1
    assert len(stated) > 100
    assert all(KINDS[name].stated for name in stated)


def test_facts_are_asked_of_kinds_that_text_states_alone() -> None:
    facts = [make_fact(f"test|{number}") for number in range(300)]
    assert facts[7] == make_fact("test|7")
    assert all(kind.stated for fact in facts for kind in named(fact.text))
    assert {fact.answer for fact in facts} == {*COLOURS, "Yes", "No"}
    for text, answer in facts:
        one, *others = named(text)
        assert answer == (one.colour if not others else "Yes" if one.size == "large" else "No")
        assert text in {f"The color of a {one.name} is?", f"The color of {one.name} is?"} or others[0].size != one.size
