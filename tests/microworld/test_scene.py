"""Scenes."""

from __future__ import annotations

from kosmos_eval.microworld.scene import COLOURS, GRID, JITTER, MOST_THINGS, SHAPES, SIZES, make_scene

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
