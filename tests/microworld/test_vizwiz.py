"""The embedded questions on poor pictures."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.mini import SPLITS, vqa_items
from kosmos_eval.microworld.questions import PLACES
from kosmos_eval.microworld.scene import SIDE
from kosmos_eval.microworld.vizwiz import PICTURES, QUALITIES, UNANSWERABLE, vizwiz_items

# Of all items' truth. It never changes: whoever must change it sets it anew and raises the task's version.
TRUTH = "026c880be49fc305c492f6568d7011e134a079e47ba8e6478c99ec60733354a8"


def test_the_embedded_questions_do_not_drift() -> None:
    truth = [
        (item.key, item.quality, item.question.text, item.question.answers)
        for split in SPLITS
        for item in vizwiz_items(split)
    ]
    assert hashlib.sha256(json.dumps(truth).encode()).hexdigest() == TRUTH


@pytest.mark.parametrize("split", SPLITS)
def test_about_a_third_of_the_questions_has_no_answer_and_every_quality_has_both_kinds(split: str) -> None:
    items = list(vizwiz_items(split))
    assert len(items) == len({item.key for item in items}) == PICTURES[split]
    counts = Counter((item.quality, item.answerable) for item in items)
    assert set(counts) == {(quality, answerable) for quality in QUALITIES for answerable in (True, False)}
    assert 0.2 < sum(not item.answerable for item in items) / len(items) < 0.5


def test_at_least_seven_of_ten_annotators_give_the_truth() -> None:
    for item in vizwiz_items("val"):
        assert len(item.question.answers) == 10
        assert item.question.answers.count(item.question.answer) >= 7
        assert (item.question.answer_type == UNANSWERABLE) == (item.question.answer == UNANSWERABLE)


def test_on_a_crop_nothing_is_asked_that_cropping_changes() -> None:
    words = [*(words for row in PLACES for words in row), "small", "large", "size"]
    crops = [item for item in vizwiz_items("val") if item.quality == "cropped"]
    assert not [item.question.text for item in crops if any(each in item.question.text for each in words)]


def test_pictures_are_of_one_size_and_no_two_splits_share_one_with_each_other_or_with_vqa() -> None:
    digests: dict[str, set[str]] = {}
    for split in SPLITS:
        images = [item.image for item in vizwiz_items(split)]
        assert images[0].load().size == images[2].load().size == (SIDE, SIDE)
        digests[split] = {image.digest for image in images}
    assert len(set().union(*digests.values())) == sum(PICTURES.values())
    shown = {item.image.digest for item in vqa_items("train")}
    assert shown.isdisjoint(digests["val"] | digests["test"])


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UsageError, match="split 'dev'"):
        vizwiz_items("dev")
