"""A sample's content covers every field and pixel, and its images are found wherever they are."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping


def image(shade: int, name: str = "") -> Image:
    return Image(lambda: PIL.Image.new("RGB", (2, 2), (shade, 0, 0)), name or f"shade {shade}")


@dataclass(frozen=True)
class Turn:
    said: str
    shown: Image


@dataclass(frozen=True, kw_only=True)
class Page(Sample):
    picture: Image
    others: tuple[Image, ...]
    named: Mapping[str, Any]
    turns: tuple[Turn, ...]
    prompt: Prompt
    answers: tuple[str, ...]
    weight: float


PAGE = Page(
    key="7",
    cluster="book",
    groups={"kind": "page"},
    chance=0.25,
    picture=image(1),
    others=(image(2), image(3)),
    named={"left": image(4), "nested": {"right": [image(5)]}},
    turns=(Turn("look", image(6)),),
    prompt=Prompt.of("before", image(7)),
    answers=("a", "b"),
    weight=1.0,
)

CHANGES: dict[str, Any] = {
    "key": "8",
    "cluster": "shelf",
    "groups": {"kind": "cover"},
    "chance": None,
    "labelled": False,
    "picture": image(99),
    "others": (image(3), image(2)),
    "named": {"left": image(4), "nested": {"right": [image(99)]}},
    "turns": (Turn("look", image(99)),),
    "prompt": Prompt.of("before", image(99)),
    "answers": ("ab",),
    "weight": 2.0,
}


def test_images_are_found_in_the_order_of_the_fields_wherever_they_are() -> None:
    assert [each.name for each in PAGE.images] == [f"shade {shade}" for shade in range(1, 8)]


def test_a_sample_without_images_has_none() -> None:
    assert Sample(key="1").images == ()


@pytest.mark.parametrize("name", [each.name for each in fields(Page)])
def test_the_content_covers_every_field(name: str) -> None:
    assert replace(PAGE, **{name: CHANGES[name]}).content != PAGE.content


def test_the_content_does_not_depend_on_file_names_or_the_order_of_a_mapping() -> None:
    renamed = replace(PAGE, picture=image(1, "moved.png"), groups=MappingProxyType({"kind": "page"}))
    assert renamed.content == PAGE.content
    swapped = replace(PAGE, named={"nested": {"right": [image(5)]}, "left": image(4)})
    assert swapped.content == PAGE.content


def test_a_corrupt_image_is_named_when_the_content_is_taken() -> None:
    with pytest.raises(DataError, match="image broken"):
        _ = replace(PAGE, others=(Image.from_bytes(b"no", "broken"),)).content


def test_a_field_that_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError, match="expected sample fields to be plain values, images or containers of them"):
        _ = replace(PAGE, answers={"a", "b"}).content  # type: ignore[arg-type]  # a set has no order
