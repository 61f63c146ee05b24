"""The embedded pictures, questions and matrices: what `--data mini` reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.errors import UsageError
from kosmos_eval.prompt import Image

from .matrices import CONTEXT, Panel, make_matrix
from .questions import Question, make_questions
from .scene import Scene, make_scene

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import PIL.Image

PICTURES = 200
QUESTIONS = 5
MATRICES = {"train": 64, "val": 200, "test": 200}
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


@dataclass(frozen=True, slots=True)
class RavenItem:
    """A matrix to be completed.

    Attributes:
        key: id of the matrix.
        context: its first eight panels, row by row, drawn when they are opened.
        candidates: eight panels for the ninth, likewise.
        target: index of the candidate that is right.
        rules: attribute to the name of the rule that governs it.
        configuration: `center`, `2x2` or `3x3`.
        panels: number of context panels.
    """

    key: str
    context: tuple[Image, ...]
    candidates: tuple[Image, ...]
    target: int
    rules: Mapping[str, str]
    configuration: str
    panels: int = CONTEXT


def mini_subject(split: str, number: int) -> str:
    """Return the subject of a picture of the embedded data; no other data may use subjects that begin with `mini|`."""
    return f"mini|{split}|{number}"


def check_split(split: str, known: Collection[str] = SPLITS) -> None:
    """Do nothing for a split of the embedded data.

    Args:
        split: that is asked for.
        known: splits that there are.

    Raises:
        UsageError: it is not one of them.
    """
    if split not in known:
        message = f"split {split!r}: expected the embedded data's {', '.join(known)}"
        raise UsageError(message)


def scene_image(scene: Scene, name: str) -> Image:
    """Return a scene's picture, drawn when it is opened.

    Args:
        scene: what it shows.
        name: how messages call it.
    """
    return Image(partial(_draw, scene), name)


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
        image = scene_image(scene, f"microworld picture {image_key}")
        for place, question in enumerate(make_questions(scene, subject, QUESTIONS)):
            yield VQAItem(str(image_key * 1000 + place), str(image_key), image, question)


def raven_items(split: str) -> Iterator[RavenItem]:
    """Yield the split's matrices, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return _raven_items(split)


def _raven_items(split: str) -> Iterator[RavenItem]:
    for number in range(MATRICES[split]):
        key = f"RAVEN_{number}_{split}"
        matrix = make_matrix(mini_subject(f"raven|{split}", number))
        yield RavenItem(
            key=key,
            context=_panel_images(matrix.context, f"microworld matrix {key} panel"),
            candidates=_panel_images(matrix.candidates, f"microworld matrix {key} candidate"),
            target=matrix.target,
            rules={name: rule.name for name, rule in matrix.rules.items()},
            configuration=matrix.configuration,
        )


def _panel_images(panels: tuple[Panel, ...], name: str) -> tuple[Image, ...]:
    return tuple(Image(partial(_draw_panel, panel), f"{name} {place}") for place, panel in enumerate(panels, start=1))


def _draw_panel(panel: Panel) -> PIL.Image.Image:
    from .panels import draw_panel  # noqa: PLC0415  as below

    return draw_panel(panel)


def _draw(scene: Scene) -> PIL.Image.Image:
    from .drawing import draw_scene  # noqa: PLC0415  truth is read without drawing

    return draw_scene(scene)
