"""Questions about scenes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from kosmos_eval.microworld.questions import ANNOTATORS, KINDS, Question, make_questions, place
from kosmos_eval.microworld.scene import COLOURS, SHAPES, SIZES, Scene, Thing, make_scene

ASKED = [
    (scene, question)
    for number in range(1500)
    for scene in [make_scene(f"test|{number}")]
    for question in make_questions(scene, f"test|{number}")
]


def fits(thing: Thing, words: str) -> bool:
    """Whether every word of a description holds for a thing."""
    where = re.fullmatch(r"thing ((?:in|on|at) the .+)", words)
    if where:
        return place(thing) == where.group(1)
    true = {"thing", thing.shape, thing.colour, thing.size}
    return all(word in true for word in words.split())


def the(scene: Scene, words: str) -> Thing:
    """The one thing that a description fits."""
    (thing,) = [thing for thing in scene.things if fits(thing, words)]
    return thing


def truth(scene: Scene, text: str) -> str:
    """The answer, read off the scene by someone who knows English and not how questions are made."""
    if match := re.fullmatch(r"How many (.+) are there\?", text):
        words = re.sub(r"(crosse|thing|circle|square|triangle|star|diamond)s$", r"\1", match.group(1))
        return str(sum(fits(thing, words.replace("crosse", "cross")) for thing in scene.things))
    if match := re.fullmatch(r"What (color|shape|size) is the (.+)\?", text):
        return str(getattr(the(scene, match.group(2)), match.group(1).replace("color", "colour")))
    if match := re.fullmatch(r"Is there an? (.+)\?", text):
        return "yes" if any(fits(thing, match.group(1)) for thing in scene.things) else "no"
    if match := re.fullmatch(r"Is the (.+) (above or below|left or right of) the (.+)\?", text):
        one, other = the(scene, match.group(1)), the(scene, match.group(3))
        if match.group(2) == "above or below":
            assert one.row != other.row
            return "above" if one.row < other.row else "below"
        assert one.column != other.column
        return "left" if one.column < other.column else "right"
    match = re.fullmatch(r"Is the (.+) (above|below|left of|right of) the (.+)\?", text)
    assert match, text
    one, other = the(scene, match.group(1)), the(scene, match.group(3))
    holds = {
        "above": one.row < other.row,
        "below": one.row > other.row,
        "left of": one.column < other.column,
        "right of": one.column > other.column,
    }
    return "yes" if holds[match.group(2)] else "no"


def test_every_answer_is_true_and_every_description_fits_one_thing() -> None:
    for scene, question in ASKED:
        assert question.answer == truth(scene, question.text), question.text


def test_five_different_questions_are_asked_of_every_scene_and_every_kind_is_usual() -> None:
    assert len(ASKED) == 1500 * 5
    kinds = Counter(question.kind for _, question in ASKED)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 0.1 * len(ASKED)
    scene = make_scene("many")
    texts = [question.text for question in make_questions(scene, "many", 10)]
    assert len(set(texts)) == len(texts) == 10


def test_a_subject_fixes_the_questions() -> None:
    scene = make_scene("pure")
    assert make_questions(scene, "pure") == make_questions(scene, "pure")
    assert make_questions(scene, "pure") != make_questions(scene, "other")


def test_answers_are_one_lower_case_word_or_a_number_up_to_four() -> None:
    for _, question in ASKED:
        if question.kind == "count":
            assert question.answer in {"0", "1", "2", "3", "4"}
        else:
            assert question.answer in {*COLOURS, *SHAPES, *SIZES, "yes", "no", "left", "right", "above", "below"}


@pytest.mark.parametrize("kind", ["exists", "relation"])
def test_yes_and_no_are_even(kind: str) -> None:
    answers = [question.answer for _, question in ASKED if question.kind == kind and question.answer_type == "yes/no"]
    assert abs(answers.count("yes") - len(answers) / 2) < 3 * (len(answers) / 4) ** 0.5  # three standard deviations


def test_the_best_answer_to_each_wording_is_right_in_less_than_half_of_the_cases() -> None:
    """Somebody who has read many questions with their answers, and sees no picture, does badly."""
    read: dict[str, Counter[str]] = defaultdict(Counter)
    for number in range(3000):
        for question in make_questions(make_scene(f"read|{number}"), f"read|{number}"):
            read[question.text][question.answer] += 1
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for _, question in ASKED:
        guess = read[question.text].most_common(1)
        right[question.kind] += bool(guess) and guess[0][0] == question.answer
        asked[question.kind] += 1
    assert right.total() / asked.total() < 0.35
    assert all(right[kind] / asked[kind] < 0.55 for kind in KINDS), right


def test_at_least_seven_of_ten_annotators_tell_the_truth_and_some_do_not() -> None:
    agreeing = Counter(question.answers.count(question.answer) for _, question in ASKED)
    assert set(agreeing) == {7, 8, 9, 10}
    assert all(len(question.answers) == ANNOTATORS for _, question in ASKED)


def test_types_are_vqas() -> None:
    answer_types = {"count": "number", "exists": "yes/no"}

    def right(question: Question) -> bool:
        expected = answer_types.get(question.kind, "yes/no" if question.answer in {"yes", "no"} else "other")
        return question.answer_type == expected and question.text.lower().startswith(question.question_type)

    assert all(right(question) for _, question in ASKED)
