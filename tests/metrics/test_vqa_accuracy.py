from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kosmos_eval.metrics.vqa_accuracy import normalise, vizwiz_accuracy, vqa_accuracy

GOLDEN = Path(__file__).with_name("golden") / "vqa_accuracy.jsonl.gz"


def test_every_golden_case_equals_the_official_script_to_the_last_bit() -> None:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    assert len(cases) > 2_000
    for prediction, answers, normalised, normalised_answers, accuracy in cases:
        assert normalise(prediction) == normalised, prediction
        assert [normalise(answer) for answer in answers] == normalised_answers
        assert vqa_accuracy(prediction, answers) == float.fromhex(accuracy), (prediction, answers)


@pytest.mark.parametrize(
    ("matching", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (5, 1.0), (9, 1.0)]
)
def test_ten_annotators_give_the_published_steps(matching: int, accuracy: float) -> None:
    answers = ["net"] * matching + [f"other {place}" for place in range(10 - matching)]
    assert vqa_accuracy("net", answers) == pytest.approx(accuracy, abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("The two dogs, isnt it?", "2 dogs isn't it"),
        ("none", "0"),
        ("a", ""),
        ("1,000 ft.", "1000 ft"),
        ("x-ray", "x ray"),  # no space beside the mark: it becomes one
        ("x-ray - old", "xray old"),  # a space beside one of them: all vanish
        ("1,000 x-rays", "1000 xrays"),  # a comma in a number: all marks vanish
        ("3.5.", "3.5"),
        ("U.S.A.", "usa"),
        ("." * 40, "." * 8),  # 32 full stops go, no more
        ("somebody'd", "somebodyd"),
        ("Im", "im"),
        ("4:30 o'clock", "4:30 o'clock"),
        ("  yes\n", "yes"),
    ],
)
def test_normalising_keeps_the_script_s_oddities(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


def test_unanimous_annotators_are_matched_to_the_letter() -> None:
    assert vqa_accuracy("yes", ["yes"] * 10) == 1.0
    assert vqa_accuracy(" yes\n", ["yes"] * 10) == 1.0
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0.0
    assert vqa_accuracy("Yes.", ["yes"] * 9 + ["no"]) == 1.0
    assert vqa_accuracy("a", ["a"] * 10) == 1.0


def test_an_empty_prediction_earns_what_empty_annotations_give_it() -> None:
    assert vqa_accuracy("", ["yes"] * 9 + ["no"]) == 0.0
    assert vqa_accuracy("", ["a"] * 4 + ["no"] * 6) == 1.0


@pytest.mark.parametrize(("count", "accuracy"), [(1, 0.0), (2, 1 / 3), (3, 2 / 3), (4, 1.0), (20, 1.0)])
def test_other_numbers_of_annotators_behave_as_in_the_script(count: int, accuracy: float) -> None:
    assert vqa_accuracy("net", ["net"] * count) == pytest.approx(accuracy)


def test_no_annotator_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one annotator"):
        vqa_accuracy("net", [])


@pytest.mark.parametrize(
    ("prediction", "answers", "accuracy"),
    [
        ("Unanswerable.", ["unanswerable"] * 10, 1.0),  # normalised though all agree
        ("the dog", ["the dog"] * 10, 0.0),  # the annotators' answers are not
        ("The dog!", ["dog"] * 2 + ["cat"] * 8, 0.6),
        ("two", ["2"] * 3 + ["two"] * 7, 0.9),
        ("", ["unanswerable"] * 10, 0.0),
        ("", [""] * 4 + ["text"] * 6, 1.0),
        ("net", ["net"], 0.0),
    ],
)
def test_the_vizwiz_script_normalises_the_prediction_and_no_annotator(
    prediction: str, answers: list[str], accuracy: float
) -> None:
    assert vizwiz_accuracy(prediction, answers) == pytest.approx(accuracy, abs=1e-12)


def test_no_annotator_is_an_error_by_the_vizwiz_script_too() -> None:
    with pytest.raises(ValueError, match="at least one annotator"):
        vizwiz_accuracy("net", [])
