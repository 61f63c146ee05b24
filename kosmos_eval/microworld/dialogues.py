"""Dialogues about a scene, each round with a hundred candidate answers, as in VisDial."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .draws import Draws
from .mini import check_split, mini_subject, scene_image
from .questions import ANNOTATORS, PLACES, make_questions, with_article
from .scene import COLOURS, SHAPES, SIZES, make_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.prompt import Image

    from .questions import Question

DIALOGUES = {"train": 64, "val": 30}
ROUNDS = 5
CANDIDATES = 100

_FIRST_IDS = {"train": 100_000, "val": 200_000}
_WORDS = (
    *("yes", "no", "left", "right", "above", "below"),
    *(str(number) for number in range(10)),
    *COLOURS,
    *SHAPES,
    *SIZES,
    *(words for row in PLACES for words in row),
    *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES),
    *(f"{size} {shape}" for size in SIZES for shape in SHAPES),
)


@dataclass(frozen=True, slots=True)
class Round:
    """A question of a dialogue.

    Attributes:
        question: as it was asked.
        answer: the right one.
        candidates: a hundred different answers.
        target: index of the right one.
        relevance: of each candidate, the share of ten annotators who gave it; empty where nobody asked them, which is
            in all rounds of a dialogue but one.
    """

    question: str
    answer: str
    candidates: tuple[str, ...]
    target: int
    relevance: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue about a picture.

    Attributes:
        image_id: of the picture, unique among all splits.
        image: drawn when it is opened.
        caption: of one thing in it.
        rounds: in order.
    """

    image_id: int
    image: Image
    caption: str
    rounds: tuple[Round, ...]


def dialogues(split: str) -> Iterator[Dialogue]:
    """Yield the split's dialogues without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split, DIALOGUES)
    return (_dialogue(split, number) for number in range(DIALOGUES[split]))


def _dialogue(split: str, number: int) -> Dialogue:
    subject = mini_subject(f"dialogue|{split}", number)
    scene = make_scene(subject)
    draws = Draws(f"dialogue|{subject}")
    thing = draws.choice(scene.things)
    annotated = draws.below(ROUNDS)
    asked = make_questions(scene, subject, ROUNDS)
    image_id = _FIRST_IDS[split] + number
    return Dialogue(
        image_id=image_id,
        image=scene_image(scene, f"microworld dialogue {image_id}"),
        caption=with_article(f"{thing.size} {thing.shape}"),
        rounds=tuple(_round(each, draws, annotated=place == annotated) for place, each in enumerate(asked)),
    )


def _round(question: Question, draws: Draws, *, annotated: bool) -> Round:
    given = Counter(question.answers)
    others = [word for word in _WORDS if word not in given]
    candidates = tuple(draws.shuffled([*given, *draws.sample(others, CANDIDATES - len(given))]))
    return Round(
        question=question.text,
        answer=question.answer,
        candidates=candidates,
        target=candidates.index(question.answer),
        relevance=tuple(given[each] / ANNOTATORS for each in candidates) if annotated else (),
    )
