"""Opinions to be rendered."""

from __future__ import annotations

from collections import Counter

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.opinions import OPINIONS, SENTIMENTS, SIDE, opinion_items, sentences

ITEMS = {split: list(opinion_items(split)) for split in OPINIONS}
EVERY = [item for items in ITEMS.values() for item in items]


def test_every_split_is_balanced_and_ids_are_unique() -> None:
    for split, items in ITEMS.items():
        assert len(items) == OPINIONS[split]
        assert Counter(item.sentiment for item in items) == dict.fromkeys(SENTIMENTS, len(items) // 2)
    assert len({item.key for item in EVERY}) == len(EVERY)


def test_no_sentence_is_in_two_splits_or_takes_both_sides() -> None:
    assert len({item.text for item in EVERY}) == len(EVERY)
    assert not set(sentences("positive")) & set(sentences("negative"))


def test_a_sentence_says_what_its_sentiment_is() -> None:
    by_text = {item.text: item.sentiment for item in EVERY}
    denials = [text for text in by_text if " never " in text or " hardly " in text or " anything but " in text]
    assert len(denials) > 50
    for text, sentiment in by_text.items():
        dull = any(
            word in text for word in ("dull", "clumsy", "tedious", "shallow", "noisy", "stale", "mess", "too long")
        )
        dull |= "hard to sit" in text
        assert (sentiment == "negative") is (dull is not (text in denials))


def test_single_words_of_most_sentences_are_used_on_both_sides() -> None:
    used = {
        side: Counter(word for item in EVERY if item.sentiment == side for word in item.text.split())
        for side in SENTIMENTS
    }
    assert all(used["positive"][word] and used["negative"][word] for word in ("dull", "funny", "is", "film", "never"))


def test_pictures_are_drawn_when_they_are_opened_and_differ() -> None:
    first, second = ITEMS["test"][:2]
    assert first.image.known_digest is None
    assert first.image.load().size == (SIDE, SIDE)
    assert first.image.digest != second.image.digest
    assert first.image.digest == next(opinion_items("test")).image.digest


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="'valid': expected the embedded data's train, val, test"):
        opinion_items("valid")
