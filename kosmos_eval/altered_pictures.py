"""Pictures made of pictures, for input controls: blank, noise, and the picture's own tiles in another order.

Each is an `Image` like any other, known by its pixels and made anew whenever it is opened. What is drawn is a pure
function of the subject and the picture's pixels, by hashing, on any machine: equal pictures have equal stand-ins.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.microworld.draws import Draws
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    import PIL.Image

GREY = (128, 128, 128)
"""Of a blank picture. No model's own mean colour, so that blank pictures are the same to all models."""

TILES = 8
"""Tiles along each side of a picture; fewer where it has fewer pixels."""

_CHANNELS = 3


def blank(image: Image) -> Image:
    """Return a mid-grey image of an image's size."""
    return Image(partial(_blank, image), f"{image.name}, blank")


def noise(image: Image, subject: str) -> Image:
    """Return an image of an image's size whose every red, green and blue is drawn from 0 to 255."""
    return Image(partial(_noise, image, subject), f"{image.name}, noise")


def shuffled(image: Image, subject: str) -> Image:
    """Return an image of the same tiles, `TILES` x `TILES` of equal size, of which none is where it was.

    What sides that do not divide leave over, at most seven pixels at the right and below, stays; so does a picture of
    a single pixel.
    """
    return Image(partial(_shuffled, image, subject), f"{image.name}, shuffled")


def _blank(image: Image) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  30 ms to import, and commands such as --help need no picture

    return PIL.Image.new("RGB", image.load().size, GREY)


def _noise(image: Image, subject: str) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  as above

    size = image.load().size
    drawn = hashlib.shake_256(f"{subject}|{image.digest}".encode()).digest(size[0] * size[1] * _CHANNELS)
    return PIL.Image.frombytes("RGB", size, drawn)


def _shuffled(image: Image, subject: str) -> PIL.Image.Image:
    picture = image.load()
    across, down = min(TILES, picture.width), min(TILES, picture.height)
    width, height = picture.width // across, picture.height // down
    boxes = [
        (column * width, row * height, (column + 1) * width, (row + 1) * height)
        for row in range(down)
        for column in range(across)
    ]
    made = picture.copy()
    for place, source in enumerate(_cycle(len(boxes), f"{subject}|{image.digest}")):
        made.paste(picture.crop(boxes[source]), boxes[place])
    return made


def _cycle(size: int, subject: str) -> list[int]:
    """Return a drawn order of 0..size-1 that is one cycle, so that nothing keeps its place (Sattolo)."""
    draws, order = Draws(subject), list(range(size))
    for last in range(size - 1, 0, -1):
        other = draws.below(last)
        order[last], order[other] = order[other], order[last]
    return order
