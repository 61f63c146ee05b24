"""A copy is known though it was resized, recoded or lightened; other pictures of the microworld are no copies."""

from __future__ import annotations

import io
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from kosmos_eval.microworld.mini import raven_items, vqa_items
from kosmos_eval.near_copies import Look, difference_hash
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Callable


def pictures(count: int) -> list[Image]:
    return list(
        {item.image_key: item.image for item, _ in zip(vqa_items("val"), range(5 * count), strict=False)}.values()
    )


def jpeg(picture: PIL.Image.Image) -> PIL.Image.Image:
    held = io.BytesIO()
    picture.save(held, format="JPEG", quality=75)
    return PIL.Image.open(held)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
        lambda picture: picture.resize((2 * picture.width, 2 * picture.height)),
        jpeg,
        lambda picture: jpeg(picture.resize((picture.width // 2, picture.height // 2))),
        lambda picture: picture.point(lambda value: min(255, value + 1)),
    ],
    ids=["half", "double", "jpeg", "half jpeg", "lighter"],
)
def test_a_changed_copy_is_near(change: Callable[[PIL.Image.Image], PIL.Image.Image]) -> None:
    for image in pictures(20):
        large = image.load().resize((384, 384), PIL.Image.Resampling.BICUBIC)
        assert Look(Image(large.copy, "a picture")).near(Look(Image(partial(change, large), "a copy")))


def test_other_pictures_are_not_near() -> None:
    looks = [Look(image) for image in pictures(40)]
    assert [(one.image, two.image) for one, two in combinations(looks, 2) if one.near(two)] == []


def test_candidates_of_a_matrix_differ() -> None:
    looks = [Look(image) for image in next(iter(raven_items("val"))).candidates]
    assert not all(one.near(two) for one, two in combinations(looks, 2))


def test_the_hash_tells_where_it_gets_darker() -> None:
    ramp = PIL.Image.linear_gradient("L").rotate(90)
    assert difference_hash(ramp.rotate(180)) ^ difference_hash(ramp) == 2**64 - 1
    assert {difference_hash(ramp), difference_hash(ramp.rotate(180))} == {0, 2**64 - 1}
    assert difference_hash(PIL.Image.new("RGB", (40, 30), "red")) == 0
