"""The drawing of scenes."""

from __future__ import annotations

from itertools import combinations

from PIL import Image, ImageChops

from kosmos_eval.microworld.drawing import BACKGROUND, PALETTE, box, draw_scene, fingerprint
from kosmos_eval.microworld.scene import COLOURS, GRID, JITTER, SHAPES, SIDE, SIZES, Scene, Thing, make_scene

FINGERPRINT = "55818251d6486398545d6ce7c3431ca478307df3a8cba352ce5af5aec62744c6"  # the same under Pillow 10.4 and 13.0


def drawn_box(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """The smallest box of pixels that are not background."""
    return ImageChops.difference(picture, Image.new("RGB", picture.size, BACKGROUND)).getbbox()


def test_a_picture_is_square_rgb_and_always_the_same() -> None:
    scene = make_scene("picture")
    picture = draw_scene(scene)
    assert (picture.mode, picture.size) == ("RGB", (SIDE, SIDE))
    assert picture.tobytes() == draw_scene(scene).tobytes()


def test_the_pixels_are_those_that_were_published() -> None:
    """A new Pillow may draw otherwise: look at the pictures, then set the value anew."""
    assert fingerprint() == FINGERPRINT


def test_every_thing_fills_its_box_and_keeps_to_its_cell() -> None:
    cell = SIDE // GRID
    for shape in SHAPES:
        for size in SIZES:
            for dx, dy in ((-JITTER, JITTER), (0, 0), (JITTER, -JITTER)):
                thing = Thing(shape, "black", size, 1, 2, dx, dy)
                left, top, right, bottom = box(thing)
                assert drawn_box(draw_scene(Scene((thing,)))) == (left, top, right, bottom)
                assert 2 * cell <= left < right <= 3 * cell
                assert cell <= top < bottom <= 2 * cell


def test_a_thing_has_its_colour_at_its_centre() -> None:
    for colour in COLOURS:
        for shape in SHAPES:
            picture = draw_scene(Scene((Thing(shape, colour, "small", 1, 1, 0, 0),)))
            assert picture.getpixel((SIDE // 2, SIDE // 2)) == PALETTE[colour]


def test_colours_are_far_apart() -> None:
    for one, other in combinations([*PALETTE.values(), BACKGROUND], 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 70


def test_shapes_of_one_size_differ_in_many_pixels() -> None:
    for size in SIZES:
        pictures = [draw_scene(Scene((Thing(shape, "black", size, 1, 1, 0, 0),))) for shape in SHAPES]
        for one, other in combinations(pictures, 2):
            differing = sum(ImageChops.difference(one, other).convert("L").histogram()[64:])
            assert differing > (25 if size == "small" else 90)
