"""Birds drawn from described parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from kosmos_eval.errors import UsageError
from kosmos_eval.microworld.birds import PAIRS, PER_SPECIES, SPANS, Pose, Species, bird_items, draw_bird
from kosmos_eval.microworld.drawing import BACKGROUND, PALETTE
from kosmos_eval.microworld.mini import SPLITS
from kosmos_eval.microworld.scene import JITTER, SIDE

SPECIES = [species for pair in PAIRS for species in pair.species]
LARGEST = max(SPANS)


@pytest.mark.parametrize("split", SPLITS)
def test_every_species_is_shown_as_often(split: str) -> None:
    items = list(bird_items(split))
    shown = Counter((item.pair.category, item.target) for item in items)
    assert set(shown.values()) == {PER_SPECIES[split]}
    assert len(shown) == 6
    assert len({item.key for item in items}) == len(items)


def test_no_picture_is_shown_twice_in_any_split() -> None:
    digests = Counter(item.image.digest for split in SPLITS for item in bird_items(split))
    assert set(digests.values()) == {1}


def seen(bird: Species, colour: tuple[int, int, int]) -> int:
    """Return how many pixels of a bird have that colour."""
    picture = draw_bird(bird, Pose(left=False, span=LARGEST, dx=0, dy=0))
    return sum(picture.getpixel((x, y)) == colour for x in range(SIDE) for y in range(SIDE))


@pytest.mark.parametrize("bird", SPECIES, ids=lambda bird: bird.short)
def test_a_bird_has_its_colours(bird: Species) -> None:
    for colour in {bird.body, bird.head, bird.wing}:
        assert seen(bird, PALETTE[colour]) > 40


@pytest.mark.parametrize("bird", SPECIES, ids=lambda bird: bird.short)
def test_a_part_is_drawn_where_a_bird_has_it(bird: Species) -> None:
    bare = replace(bird, crown="", bib="", spots=False, streaks=False)
    white, black = (255, 255, 255), PALETTE["black"]
    if bird.crown:
        assert seen(bird, PALETTE[bird.crown]) > seen(bare, PALETTE[bird.crown]) + 20
    if bird.spots or bird.bib == "white":
        assert seen(bird, white) > seen(bare, white) + 20
    if bird.streaks or bird.bib == "black":
        assert seen(bird, black) > seen(bare, black) + 5


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(("dx", "dy"), [(-JITTER, -JITTER), (JITTER, JITTER)])
@pytest.mark.parametrize("bird", SPECIES, ids=lambda bird: bird.short)
def test_a_bird_keeps_within_its_picture(bird: Species, dx: int, dy: int, *, left: bool) -> None:
    picture = draw_bird(bird, Pose(left=left, span=LARGEST, dx=dx, dy=dy))
    assert picture.size == (SIDE, SIDE)
    rows = [picture.getpixel((x, y)) for x in range(SIDE) for y in (0, SIDE - 1)]
    assert set(rows) == {BACKGROUND}


def test_the_two_of_a_pair_differ_in_what_they_are_called_and_how_they_look() -> None:
    for pair in PAIRS:
        first, second = pair.species
        assert first.short != second.short
        assert first.description != second.description
        pose = Pose(left=True, span=LARGEST, dx=0, dy=0)
        assert draw_bird(first, pose).tobytes() != draw_bird(second, pose).tobytes()


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(UsageError, match="embedded data's train, val, test"):
        bird_items("dev")
