from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.metrics.squad import exact_match, f1, normalise

GOLDEN = Path(__file__).with_name("golden") / "squad.json"

answers = st.text(alphabet="aAthe .,'\"-$€é12 ", max_size=12)


def test_every_golden_case_equals_the_official_script_to_the_last_bit() -> None:
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(cases) > 300
    for prediction, right, exact, overlap in cases:
        assert (exact_match(prediction, right), f1(prediction, right)) == (exact, float.fromhex(overlap)), prediction


@pytest.mark.parametrize(
    ("answer", "normalised"),
    [
        ("The  Two Towers.", "two towers"),
        ("14.5 gal.", "145 gal"),
        ("an-a", "ana"),
        ("theatre", "theatre"),
        ("\u201cno\u201d", "\u201cno\u201d"),  # curly quotes are no ASCII punctuation
        ("$35.00", "3500"),
        ("€ 20", "€ 20"),
        ('63 "', "63"),
        ("The", ""),
        (" \t\n", ""),
    ],
)
def test_normalising_keeps_the_script_s_oddities(answer: str, normalised: str) -> None:
    assert normalise(answer) == normalised


@pytest.mark.parametrize(
    ("prediction", "right", "exact", "overlap"),
    [
        ("Penguin Books", ["Penguin Books Ltd."], 0.0, 0.8),
        ("penguin books, ltd", ["Penguin Books Ltd."], 1.0, 1.0),
        ("red red", ["red"], 0.0, 2 / 3),  # a word counts as often as it occurs
        ("red red", ["blue", "red red red"], 0.0, 0.8),  # the best of the right answers counts
        ("", ["red"], 0.0, 0.0),
        ("", [""], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
        ("a", ["The"], 1.0, 1.0),
        ("red", ["The", "red"], 1.0, 1.0),  # of which nothing is left is no right answer
        ("", ["The", "red"], 0.0, 0.0),
        ("Yes.", ["yes"], 1.0, 1.0),
    ],
)
def test_worked_cases(prediction: str, right: list[str], exact: float, overlap: float) -> None:
    assert exact_match(prediction, right) == exact
    assert f1(prediction, right) == pytest.approx(overlap, abs=1e-12)


@given(answers, st.lists(answers, max_size=3))
def test_f1_is_at_least_exact_match_and_one_for_a_right_answer(prediction: str, right: list[str]) -> None:
    assert 0.0 <= exact_match(prediction, right) <= f1(prediction, right) <= 1.0
    assert f1(prediction, [prediction, *right]) == 1.0 or (normalise(prediction) == "" and any(map(normalise, right)))
    assert f1(prediction, right) == f1(prediction, right[::-1])
