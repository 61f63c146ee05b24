"""Dialogues about scenes."""

from __future__ import annotations

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.dialogues import CANDIDATES, DIALOGUES, ROUNDS, dialogues

ALL = {split: list(dialogues(split)) for split in DIALOGUES}


def test_a_dialogue_is_a_pure_function_of_its_split_and_number() -> None:
    assert [each.rounds for each in dialogues("val")] == [each.rounds for each in ALL["val"]]


def test_every_round_has_a_hundred_different_candidates_with_the_right_one_at_its_place() -> None:
    for dialogue in ALL["val"]:
        assert len(dialogue.rounds) == ROUNDS
        for each in dialogue.rounds:
            assert len(set(each.candidates)) == len(each.candidates) == CANDIDATES
            assert each.candidates[each.target] == each.answer


def test_the_place_of_the_right_candidate_tells_nothing() -> None:
    places = [each.target for dialogue in ALL["train"] for each in dialogue.rounds]
    assert len(set(places)) > 60
    assert 40 < sum(places) / len(places) < 60


def test_one_round_of_a_dialogue_has_relevances_and_the_right_answer_the_highest() -> None:
    for dialogue in ALL["val"]:
        judged = [each for each in dialogue.rounds if each.relevance]
        assert len(judged) == 1
        assert len(judged[0].relevance) == CANDIDATES
        assert max(judged[0].relevance) == judged[0].relevance[judged[0].target] >= 0.7
        assert sum(judged[0].relevance) == pytest.approx(1.0)
    assert len({each.relevance != () for dialogue in ALL["val"] for each in dialogue.rounds[:1]}) == 2


def test_no_picture_is_in_two_dialogues() -> None:
    pictures = [each.image.digest for split in ALL for each in ALL[split]]
    numbers = [each.image_id for split in ALL for each in ALL[split]]
    assert len(set(pictures)) == len(set(numbers)) == len(pictures) == sum(DIALOGUES.values())


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="split 'test': expected the embedded data's train, val"):
        dialogues("test")
