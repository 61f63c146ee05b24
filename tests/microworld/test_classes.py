"""Pictures of one thing each, with a class."""

from __future__ import annotations

from collections import Counter

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.classes import CLASSES, NAMES, PER_CLASS, class_items
from kosmos_eval.microworld.mini import SPLITS
from kosmos_eval.microworld.scene import HELD_BACK


def test_classes_have_different_names_and_none_is_held_back() -> None:
    assert len(set(NAMES)) == len(CLASSES) == 42
    assert not HELD_BACK & set(CLASSES)


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_is_shown_as_often(split: str) -> None:
    items = list(class_items(split))
    assert set(Counter(item.target for item in items).values()) == {PER_CLASS[split]}
    assert len({item.key for item in items}) == len(items) == 42 * PER_CLASS[split]


def test_no_picture_is_shown_twice_in_any_split() -> None:
    digests = Counter(item.image.digest for split in SPLITS for item in class_items(split))
    assert set(digests.values()) == {1}


def test_a_split_is_the_same_each_time_and_begins_with_every_class() -> None:
    first, again = list(class_items("val"))[:42], list(class_items("val"))[:42]
    assert first == again
    assert [item.target for item in first] == list(range(42))


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="embedded data's train, val, test"):
        class_items("dev")
