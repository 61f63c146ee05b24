"""Scenes."""

from __future__ import annotations

from kosmos_eval.microworld.scene import COLOURS, GRID, HELD_BACK, JITTER, MOST_THINGS, SHAPES, SIZES, make_scene

SCENES = [make_scene(f"test|{number}") for number in range(400)]


def test_the_same_subject_gives_the_same_scene_and_another_subject_another() -> None:
    assert make_scene("test|7") == SCENES[7]
    assert len(set(SCENES)) > 390


def test_a_scene_has_one_to_four_things_in_different_cells() -> None:
    assert {len(scene.things) for scene in SCENES} == set(range(1, MOST_THINGS + 1))
    for scene in SCENES:
        cells = [(thing.row, thing.column) for thing in scene.things]
        assert len(set(cells)) == len(cells)
        assert cells == sorted(cells)


def test_every_value_is_drawn_and_none_outside_its_range() -> None:
    things = [thing for scene in SCENES for thing in scene.things]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.size for thing in things} == set(SIZES)
    assert {thing.row for thing in things} == {thing.column for thing in things} == set(range(GRID))
    assert {thing.dx for thing in things} == {thing.dy for thing in things} == set(range(-JITTER, JITTER + 1))


def test_things_often_share_a_colour_or_a_shape() -> None:
    several = [scene for scene in SCENES if len(scene.things) > 1]
    sharing = sum(len({thing.colour for thing in scene.things}) < len(scene.things) for scene in several)
    assert 0.3 < sharing / len(several) < 0.9


def test_only_novel_scenes_show_a_pair_that_is_held_back() -> None:
    assert not any((thing.colour, thing.shape) in HELD_BACK for scene in SCENES for thing in scene.things)
    novel = [make_scene(f"test|{number}", novel=True) for number in range(200)]
    shown = [{(thing.colour, thing.shape) for thing in scene.things} & HELD_BACK for scene in novel]
    assert all(len(pairs) == 1 for pairs in shown)
    assert set().union(*shown) == HELD_BACK


def test_every_colour_and_shape_of_a_pair_that_is_held_back_is_seen_otherwise() -> None:
    things = [thing for scene in SCENES for thing in scene.things]
    for colour, shape in HELD_BACK:
        assert sum(thing.colour == colour for thing in things) > 50
        assert sum(thing.shape == shape for thing in things) > 50
