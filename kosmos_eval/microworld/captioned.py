"""Pictures with five captions each: a stand-in for caption benchmarks, other pictures for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .captions import make_captions
from .mini import check_split, mini_subject, scene_image
from .scene import make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.prompt import Image

PICTURES = {"train": 64, "val": 60, "test": 120}


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """A picture with its captions.

    Attributes:
        key: name of the picture.
        image: drawn when it is opened.
        captions: five true sentences.
    """

    key: str
    image: Image
    captions: tuple[str, ...]


def caption_items(benchmark: str, split: str) -> Iterator[CaptionItem]:
    """Yield the split's pictures for a benchmark, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return (_item(benchmark, split, number) for number in range(PICTURES[split]))


def _item(benchmark: str, split: str, number: int) -> CaptionItem:
    scene = make_scene(mini_subject(f"{benchmark}|{split}", number))
    key = f"mini_{split}_{number:06d}.png"
    return CaptionItem(key, scene_image(scene, f"microworld picture {key} of {benchmark}"), make_captions(scene))
