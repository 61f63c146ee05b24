"""The embedded pictures with captions."""

from __future__ import annotations

import hashlib
import json

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.captioned import PICTURES, caption_items
from kosmos_eval.microworld.captions import read_caption
from kosmos_eval.microworld.mini import SPLITS, vqa_items

BENCHMARKS = ("coco_caption", "flickr30k_caption")

# Of all items' captions. It never changes: whoever must change it sets it anew and raises the tasks' versions.
TRUTH = "11fe519ad5e3afc65c207b6553ac6e04b55f898d2bd0b431a30051cf22032c51"


def test_the_embedded_captions_do_not_drift() -> None:
    truth = [
        (item.key, item.captions) for name in BENCHMARKS for split in SPLITS for item in caption_items(name, split)
    ]
    assert hashlib.sha256(json.dumps(truth).encode()).hexdigest() == TRUTH


@pytest.mark.parametrize("split", SPLITS)
def test_every_picture_has_five_captions_that_say_the_same(split: str) -> None:
    items = list(caption_items("coco_caption", split))
    assert len(items) == len({item.key for item in items}) == PICTURES[split]
    assert all(len({*item.captions}) == 5 for item in items)
    assert all(len({tuple(sorted(read_caption(each) or ())) for each in item.captions}) == 1 for item in items)


def test_no_picture_is_in_two_splits_or_benchmarks() -> None:
    digests = [item.image.digest for name in BENCHMARKS for split in SPLITS for item in caption_items(name, split)]
    assert len(digests) == len(set(digests))
    assert {item.image.digest for item in vqa_items("train")}.isdisjoint(digests)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UsageError, match="split 'dev'"):
        caption_items("coco_caption", "dev")
