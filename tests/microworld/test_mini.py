"""The embedded items."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import astuple

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.drawing import draw_scene
from kosmos_eval.microworld.matrices import make_matrix
from kosmos_eval.microworld.mini import MATRICES, PICTURES, QUESTIONS, SPLITS, mini_subject, raven_items, vqa_items
from kosmos_eval.microworld.scene import make_scene

# The truth of the embedded data, as texts. It never changes: a model's results on it are compared over years.
# Whoever must change it sets these anew, and raises the version of every task that reads it.
VQA_TRUTH = "7e1d656ba8f60eb47b6f4a6968bbcc98b3afddca4789337073f79e7f7771f707"
RAVEN_TRUTH = "bac696c8e6be9513bbdf28c128951dd74e3d922a3d53313e4fb2005245ea744f"


def digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def test_the_embedded_questions_do_not_drift() -> None:
    items = [item for split in SPLITS for item in vqa_items(split)]
    texts = [
        (item.key, item.image_key, item.question.text, item.question.answers, item.question.question_type)
        for item in items
    ]
    assert digest(texts) == VQA_TRUTH


def test_the_embedded_matrices_do_not_drift() -> None:
    truth = []
    for split in SPLITS:
        for number, item in enumerate(raven_items(split)):
            matrix = make_matrix(mini_subject(f"raven|{split}", number))
            assert (item.target, item.configuration, set(item.rules)) == (
                matrix.target,
                matrix.configuration,
                set(matrix.rules),
            )
            panels = [astuple(panel) for panel in (*matrix.context, *matrix.candidates)]
            truth.append((item.key, item.target, dict(item.rules), panels))
    assert digest(truth) == RAVEN_TRUTH


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_its_questions_five_for_each_picture(split: str) -> None:
    items = list(vqa_items(split))
    assert len(items) == len({item.key for item in items}) == PICTURES * QUESTIONS
    assert len({item.image_key for item in items}) == PICTURES
    assert all(item.key.isdecimal() and item.key.startswith(item.image_key) for item in items)
    assert len({id(item.image) for item in items}) == PICTURES


def test_a_picture_shows_the_scene_that_is_asked_about() -> None:
    item = next(vqa_items("val"))
    assert item.image.load().tobytes() == draw_scene(make_scene("mini|val|0")).tobytes()


def test_splits_share_no_key() -> None:
    keys = [item.key for split in SPLITS for item in vqa_items(split)]
    keys += [item.key for split in SPLITS for item in raven_items(split)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_its_matrices(split: str) -> None:
    items = list(raven_items(split))
    assert len(items) == MATRICES[split]
    for item in items:
        assert (len(item.context), len(item.candidates), item.panels) == (8, 8, 8)
    assert items[0].candidates[0].load().size == (96, 96)


def test_an_unknown_split_is_refused_with_the_names_of_the_known_ones() -> None:
    for items in (vqa_items, raven_items):
        with pytest.raises(UsageError, match="split 'dev': expected the embedded data's train, val, test"):
            items("dev")


def test_making_the_truth_imports_neither_pillow_nor_numpy() -> None:
    program = (
        "import sys\n"
        "from kosmos_eval.microworld.mini import raven_items, vqa_items\n"
        "list(vqa_items('val')), list(raven_items('train'))\n"
        "print([name for name in ('PIL', 'numpy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
