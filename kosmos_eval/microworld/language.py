"""Multiple choice in plain text about the microworld: a stand-in for each language benchmark.

Rows have the columns of the benchmark that they stand in for. All splits of one are cut from one stream of different
rows, so that no two share one.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from .draws import Draws
from .mini import check_split, mini_subject
from .prose import NUMBERS, describe
from .questions import with_article
from .scene import COLOURS, SHAPES, SIZES, Scene, make_scene
from .words import make_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = dict[str, Any]

ROWS = 100
"""Rows of each split."""

_SPLITS = ("train", "validation", "test")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPPOSITES = (("above", "below"), ("below", "above"), ("left of", "right of"), ("right of", "left of"))


def language_rows(benchmark: str, split: str) -> list[tuple[str, Row]]:
    """Return the rows of a split, each with its key.

    Args:
        benchmark: one of `BENCHMARKS`.
        split: train, validation or test.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split, _SPLITS)
    first = _SPLITS.index(split) * ROWS
    rows = islice(_different(benchmark), first, first + ROWS)
    return [(f"{split}-{number:03d}", row) for number, row in enumerate(rows)]


def _different(benchmark: str) -> Iterator[Row]:
    seen: set[str] = set()
    number = 0
    while True:
        subject = mini_subject(f"language|{benchmark}", number)
        row = BENCHMARKS[benchmark](number, subject, Draws(subject))
        number += 1
        if (content := repr(sorted(row.items()))) not in seen:
            seen.add(content)
            yield row


def _scene(subject: str, least: int = 1) -> Scene:
    """Return a scene of so many things at least."""
    attempt = 0
    while len((scene := make_scene(f"{subject}|{attempt}")).things) < least:
        attempt += 1
    return scene


def _absent(scene: Scene, draws: Draws, count: int) -> list[str]:
    """Return so many colours that nothing in a scene has."""
    return draws.sample([each for each in COLOURS if all(thing.colour != each for thing in scene.things)], count)


def _placed(right: str, wrong: list[str], place: int) -> list[str]:
    """Return candidates with the right one in its place."""
    return [*wrong[:place], right, *wrong[place:]]


def _two_things(draws: Draws) -> tuple[str, str]:
    """Return two things by colour and shape, as in `red circle`."""
    colours, shapes = draws.sample(COLOURS, 2), draws.sample(SHAPES, 2)
    return f"{colours[0]} {shapes[0]}", f"{colours[1]} {shapes[1]}"


def _story(number: int, subject: str, draws: Draws) -> Row:
    """A scene in four sentences, and a fifth that holds of it or does not."""
    scene = _scene(subject, 2)
    said = describe(scene)
    right = f"One of them is {scene.things[0].colour}."
    endings = _placed(right, [f"One of them is {_absent(scene, draws, 1)[0]}."], number % 2)
    count = f"There are {NUMBERS[len(said)]} things in all."
    return {
        "input_sentence_1": said[0],
        "input_sentence_2": said[1],
        "input_sentence_3": " ".join(said[2:]) or "There is nothing else.",
        "input_sentence_4": count,
        "sentence_quiz1": endings[0],
        "sentence_quiz2": endings[1],
        "answer_right_ending": number % 2 + 1,
    }


def _ending(number: int, subject: str, draws: Draws) -> Row:
    """A scene, and four colours of which one is there."""
    scene = _scene(subject)
    wrong = [f"is {colour}." for colour in _absent(scene, draws, 3)]
    return {
        "activity_label": "Looking at things",
        "ctx_a": " ".join(describe(scene)),
        "ctx_b": "one of them",
        "endings": _placed(f"is {scene.things[0].colour}.", wrong, number % 4),
        "label": str(number % 4),
    }


def _blank(number: int, subject: str, draws: Draws) -> Row:
    """Where one thing is, and which of the two is then elsewhere."""
    del subject
    one, other = _two_things(draws)
    relation, opposite = draws.choice(_OPPOSITES)
    right = draws.below(2)  # of `one` and `other`
    said = relation if right == 0 else opposite
    names = (one, other) if number % 2 == 0 else (other, one)
    return {
        "sentence": f"The {one} is {relation} the {other}, so the _ is {said} the one beside it.",
        "option1": names[0],
        "option2": names[1],
        "answer": str(names.index((one, other)[right]) + 1),
    }


def _pronoun(number: int, subject: str, draws: Draws) -> Row:
    """The same with a pronoun."""
    del subject
    one, other = _two_things(draws)
    relation, opposite = draws.choice(_OPPOSITES)
    right = number % 2
    before = f"The {one} is {relation} the {other}, and"
    after = f"is {(relation, opposite)[right]} the one beside it."
    return {
        "text": f"{before} it {after}",
        "pronoun": "it",
        "pronoun_loc": len(before) + 1,
        "options": [f"The {one}", f"The {other}"],
        "label": right,
    }


def _way(number: int, subject: str, draws: Draws) -> Row:
    """How a word is written, or nearly."""
    text = make_word(subject).text
    place = draws.below(len(text))
    letter = draws.choice([each for each in _LETTERS if each not in text])
    ways = _placed(_spelt(text), [_spelt(text[:place] + letter + text[place + 1 :])], number % 2)
    return {"goal": f"To write {text},", "sol1": ways[0], "sol2": ways[1], "label": number % 2}


def _spelt(text: str) -> str:
    return f"write {', '.join(text[:-1])} and {text[-1]}."


def _whether(number: int, subject: str, draws: Draws) -> Row:
    """A scene, and whether something is in it."""
    scene = _scene(subject)
    thing = scene.things[draws.below(len(scene.things))]
    colour = thing.colour if number % 2 else _absent(scene, draws, 1)[0]
    asked = f"is there {with_article(f'{colour} {thing.shape}')}"
    return {"passage": " ".join(describe(scene)), "question": asked, "label": number % 2}


def _follows(number: int, subject: str, draws: Draws) -> Row:
    """A scene, and what follows from it, contradicts it, or neither."""
    scene = _scene(subject)
    thing = scene.things[draws.below(len(scene.things))]
    absent = _absent(scene, draws, 1)[0]
    hypotheses = (
        f"there is {with_article(f'{thing.colour} {thing.shape}')}",
        f"there is {with_article(f'{absent} {thing.shape}')}",
        f"the {thing.colour} {thing.shape} is on {draws.choice(SIZES)} paper",
    )
    return {"premise": " ".join(describe(scene)), "hypothesis": hypotheses[number % 3], "label": number % 3}


def _cause(number: int, subject: str, draws: Draws) -> Row:
    """Where one thing is, and what that says of another."""
    del subject
    one, other = _two_things(draws)
    relation, opposite = draws.choice(_OPPOSITES)
    choices = _placed(f"The {other} is {opposite} it.", [f"The {other} is {relation} it."], number % 2)
    return {
        "premise": f"The {one} is {relation} the {other}.",
        "choice1": choices[0],
        "choice2": choices[1],
        "question": draws.choice(("cause", "effect")),
        "label": number % 2,
    }


BENCHMARKS: dict[str, Callable[[int, str, Draws], Row]] = {
    "story_cloze": _story,
    "hellaswag": _ending,
    "winogrande": _blank,
    "winograd": _pronoun,
    "piqa": _way,
    "boolq": _whether,
    "cb": _follows,
    "copa": _cause,
}
"""What makes a row, by the benchmark that it stands in for."""
