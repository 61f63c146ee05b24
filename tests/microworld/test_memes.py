"""Pictures with true and contradicting captions."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.drawing import draw_scene
from kosmos_eval.microworld.memes import MEMES, WIDTH, draw_meme, make_meme, meme_items
from kosmos_eval.microworld.questions import place, with_article
from kosmos_eval.microworld.scene import COLOURS, HELD_BACK, SHAPES, Scene

ITEMS = {split: list(meme_items(split)) for split in MEMES}
EVERY = [item for items in ITEMS.values() for item in items]


def truths(scene: Scene) -> set[str]:
    return {f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} {place(thing)}" for thing in scene.things}


def test_a_caption_is_true_unless_the_meme_contradicts() -> None:
    for item in EVERY:
        assert (item.meme.caption in truths(item.meme.scene)) is not item.meme.contradicts


def test_a_contradicting_caption_names_a_place_where_something_else_is() -> None:
    for item in EVERY:
        places = [place(thing) for thing in item.meme.scene.things]
        assert any(item.meme.caption.endswith(each) for each in places)


def test_half_of_every_split_contradicts_and_ids_are_unique() -> None:
    for split, items in ITEMS.items():
        assert len(items) == MEMES[split]
        assert sum(item.meme.contradicts for item in items) * 2 == len(items)
    assert len({item.key for item in EVERY}) == len(EVERY)


def test_no_two_items_of_any_splits_show_the_same() -> None:
    assert len({(item.meme.scene, item.meme.caption) for item in EVERY}) == len(EVERY)
    assert len({item.meme.scene for item in EVERY}) == len(EVERY)


def test_words_alone_do_not_tell_which_captions_contradict() -> None:
    said = {truth: Counter[str]() for truth in (True, False)}
    pairs = set()
    for item in EVERY:
        words = item.meme.caption.split()
        said[item.meme.contradicts].update(words[1:4])
        pairs.add((words[2], words[3]))
    assert not pairs & HELD_BACK  # no scene shows these: a caption that named one would be known to be false
    for word in (*COLOURS, *SHAPES):
        assert 0.5 < said[True][word] / said[False][word] < 2


def test_scene_and_place_of_the_caption_do_not_depend_on_the_truth() -> None:
    for number in range(20):
        true, false = (make_meme(f"test|{number}", contradicts=contradicts) for contradicts in (False, True))
        assert (true.scene, true.above) == (false.scene, false.above)
        assert true.caption != false.caption
    assert make_meme("test|3", contradicts=True) == make_meme("test|3", contradicts=True)


def test_the_picture_has_the_scene_and_a_strip_of_text() -> None:
    for item in itertools.islice(EVERY, 12):
        picture = np.asarray(draw_meme(item.meme)).astype(int)
        assert picture.shape == (WIDTH, WIDTH, 3)
        strip, scene = (picture[:48], picture[48:]) if item.meme.above else (picture[-48:], picture[:-48])
        assert {tuple(each) for each in strip[[0, 0, -1, -1], [0, -1, 0, -1]]} == {(255, 255, 255)}
        assert (strip.sum(-1) < 200).sum() > 100  # letters
        small = np.asarray(draw_scene(item.meme.scene)).astype(int)
        assert np.abs(scene[1::2, 25:-24:2] - small).mean() < 4


def test_pictures_are_drawn_when_they_are_opened() -> None:
    item = ITEMS["train"][0]
    assert item.image.known_digest is None
    assert item.image.load().tobytes() == draw_meme(item.meme).tobytes()


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="'val': expected the embedded data's train, dev_seen"):
        meme_items("val")
