"""Questions on pictures that are plain, blurred or cropped, some of which nobody can answer: a stand-in for VizWiz.

A crop shows four of the nine cells, so that every thing is either whole or gone. What is asked stays true of what is
seen: on a crop, nothing is asked about places or sizes, which it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from kosmos_eval.prompt import Image

from .draws import Draws
from .mini import check_split, mini_subject
from .questions import ANNOTATORS, PLACES, Question, make_questions
from .scene import COLOURS, GRID, SHAPES, SIDE, SIZES, Scene, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

    from .scene import Thing

PICTURES = {"train": 64, "val": 150, "test": 60}
UNANSWERABLE = "unanswerable"
QUALITIES = ("plain", "blurred", "cropped")

_UNANSWERABLE_OF = 3  # one question in so many
_BLUR = 2.5  # pixels: colours and numbers stay clear
_CELLS = 2  # rows and columns of a crop
_QUESTIONS = 10  # to choose from
_MOST_DISSENT = 3
_ASKED = {"colour": ("color", "{shape}", COLOURS), "shape": ("shape", "{colour} thing", SHAPES)}
_CHANGED = tuple(words for row in PLACES for words in row) + SIZES


@dataclass(frozen=True, slots=True)
class VizWizItem:
    """A question on a picture of its own.

    Attributes:
        key: name of the picture.
        image: drawn when it is opened.
        question: with its answers; the truth is `unanswerable` where the picture does not say.
        quality: one of `QUALITIES`.
    """

    key: str
    image: Image
    question: Question
    quality: str

    @property
    def answerable(self) -> bool:
        """Whether the picture says what is asked."""
        return self.question.answer != UNANSWERABLE


@dataclass(frozen=True, slots=True)
class _Window:
    """The cells that a crop shows, from this row and column on."""

    row: int
    column: int

    def shows(self, thing: Thing) -> bool:
        return 0 <= thing.row - self.row < _CELLS and 0 <= thing.column - self.column < _CELLS


def vizwiz_items(split: str) -> Iterator[VizWizItem]:
    """Yield the split's items, one for each picture, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split)
    return (_item(split, number) for number in range(PICTURES[split]))


def _item(split: str, number: int) -> VizWizItem:
    subject = mini_subject(f"vizwiz|{split}", number)
    draws, scene = Draws(f"vizwiz|{subject}"), make_scene(subject)
    quality = QUALITIES[number % len(QUALITIES)]
    window = _window(scene, draws) if quality == "cropped" else None
    seen = scene if window is None else Scene(tuple(filter(window.shows, scene.things)))
    if draws.below(_UNANSWERABLE_OF) == 0:
        question = _unanswerable(scene, seen, draws)
    else:
        question = _answerable(seen, quality, subject, draws)
    key = f"mini_{split}_{number:08d}.png"
    return VizWizItem(key, Image(partial(_draw, scene, quality, window), key), question, quality)


def _window(scene: Scene, draws: Draws) -> _Window:
    """Return a drawn crop that shows a thing, and not all of them where that can be."""
    last = GRID - _CELLS + 1
    windows = [_Window(row, column) for row in range(last) for column in range(last)]
    counts = [sum(map(window.shows, scene.things)) for window in windows]
    most = len(scene.things) - 1
    partly = [window for window, count in zip(windows, counts, strict=True) if 0 < count <= most]
    return draws.choice(partly or [window for window, count in zip(windows, counts, strict=True) if count])


def _answerable(seen: Scene, quality: str, subject: str, draws: Draws) -> Question:
    """Return a question that the picture answers; on a blurred one, who dissents finds it unanswerable."""
    questions = make_questions(seen, subject, _QUESTIONS)
    if quality == "cropped":
        questions = tuple(each for each in questions if each.kind != "size" and not _mentions(each.text))
    question = draws.choice(questions)
    if quality != "blurred":
        return question
    answers = tuple(each if each == question.answer else UNANSWERABLE for each in question.answers)
    return replace(question, answers=answers)


def _mentions(text: str) -> bool:
    return any(words in text for words in _CHANGED)


def _unanswerable(scene: Scene, seen: Scene, draws: Draws) -> Question:
    """Return a question about something that is not seen: cropped away if the scene has such a thing, else absent."""
    kind = draws.choice(tuple(_ASKED))
    spelling, form, guesses = _ASKED[kind]
    visible = {form.format(shape=thing.shape, colour=thing.colour) for thing in seen.things}
    gone = [form.format(shape=thing.shape, colour=thing.colour) for thing in scene.things]
    named = [form.format(shape=value, colour=value) for value in (SHAPES if kind == "colour" else COLOURS)]
    words = draws.choice(
        [each for each in gone if each not in visible] or [each for each in named if each not in visible]
    )
    dissent = draws.below(_MOST_DISSENT + 1)
    voices = [draws.choice(guesses) for _ in range(dissent)] + [UNANSWERABLE] * (ANNOTATORS - dissent)
    return Question(
        f"What {spelling} is the {words}?",
        UNANSWERABLE,
        tuple(draws.shuffled(voices)),
        kind,
        f"what {spelling} is the",
        UNANSWERABLE,
    )


def _draw(scene: Scene, quality: str, window: _Window | None) -> PIL.Image.Image:
    import PIL.ImageFilter  # noqa: PLC0415  truth is read without drawing

    from .drawing import draw_scene  # noqa: PLC0415  as above

    picture = draw_scene(scene)
    if window is not None:
        cell = SIDE // GRID
        left, top = window.column * cell, window.row * cell
        return picture.crop((left, top, left + _CELLS * cell, top + _CELLS * cell)).resize((SIDE, SIDE))
    return picture.filter(PIL.ImageFilter.GaussianBlur(_BLUR)) if quality == "blurred" else picture
