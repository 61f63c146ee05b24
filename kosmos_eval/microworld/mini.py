"""The embedded pictures and questions: what `--data mini` reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.errors import UsageError
from kosmos_eval.prompt import Image

from .questions import Question, make_questions
from .scene import Scene, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

PICTURES = 200
QUESTIONS = 5
_FIRST_IDS = {"train": 100_000, "val": 200_000, "test": 300_000}
SPLITS = tuple(_FIRST_IDS)


@dataclass(frozen=True, slots=True)
class VQAItem:
    """A question about a picture of the microworld.

    Attributes:
        key: id of the question, a number as text.
        image_key: id of the picture, likewise; questions on one picture share it.
        image: drawn when it is opened.
        question: with its answers.
    """

    key: str
    image_key: str
    image: Image
    question: Question


def mini_subject(split: str, number: int) -> str:
    """Return the subject of a picture of the embedded data; no other data may use subjects that begin with `mini|`."""
    return f"mini|{split}|{number}"


def check_split(split: str) -> None:
    """Do nothing for a split of the embedded data.

    Raises:
        UsageError: the embedded data has no such split.
    """
    if split not in SPLITS:
        message = f"split {split!r}: expected the embedded data's {', '.join(SPLITS)}"
        raise UsageError(message)


def vqa_items(split: str) -> Iterator[VQAItem]:
    """Yield the split's 1,000 items, five for each picture, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return _vqa_items(split)


def _vqa_items(split: str) -> Iterator[VQAItem]:
    for number in range(PICTURES):
        subject = mini_subject(split, number)
        scene = make_scene(subject)
        image_key = _FIRST_IDS[split] + number
        image = Image(partial(_draw, scene), f"microworld picture {image_key}")
        for place, question in enumerate(make_questions(scene, subject, QUESTIONS)):
            yield VQAItem(str(image_key * 1000 + place), str(image_key), image, question)


def _draw(scene: Scene) -> PIL.Image.Image:
    from .drawing import draw_scene  # noqa: PLC0415  truth is read without drawing

    return draw_scene(scene)
