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
    make_fact_passage,
    make_kind_captions,
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


def test_questions_on_pictures_have_true_answers() -> None:
    kind_of = Counter[str]()
    for number, shown in enumerate(SCENES):
        assert make_kind_questions(shown, f"{number}") == make_kind_questions(shown, f"{number}")
        for question, answer in make_kind_questions(shown, f"{number}"):
            kind_of[question.partition(" ")[0]] += 1
            about = named(question) or named(answer)
            thing = shown.scene.things[shown.kinds.index(about[0])]
            if question.startswith("Is "):
                one, other = about
                assert answer == {("large", "small"): "yes", ("small", "large"): "no"}[one.size, other.size]
            elif question.startswith("What is "):
                assert (question, answer) == (f"What is {place(thing)}?", f"a {about[0].name}")
            else:
                truths = {"What color": thing.colour, "What size": thing.size, "Where is": place(thing)}
                assert answer == truths[" ".join(question.split()[:2])]
    assert set(kind_of) == {"What", "Where", "Is"}


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
        if match := re.fullmatch(r"A (\w+) is (\w+)\.", sentence):
            assert match[2] in (KINDS[match[1]].colour, KINDS[match[1]].size)
        elif match := re.fullmatch(r"The color of (?:a )?(\w+) is\? (\w+)", sentence):
            assert match[2] == KINDS[match[1]].colour
        elif match := re.fullmatch(r"A (\w+) is (larger|smaller) than a (\w+)\.", sentence):
            assert KINDS[match[1]].size == {"larger": "large", "smaller": "small"}[match[2]] != KINDS[match[3]].size
        elif match := re.fullmatch(r"Is (\w+) larger than (\w+)\? (Yes|No)", sentence):
            assert KINDS[match[1]].size == {"Yes": "large", "No": "small"}[match[3]] != KINDS[match[2]].size
        else:
            continue
        stated[match[1]] += 1
    assert len(stated) > 100
    assert all(KINDS[name].stated for name in stated)
