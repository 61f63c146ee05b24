"""Plain text about the microworld: short passages that describe, count, compare and ask, without a picture."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .captions import make_captions
from .draws import Draws
from .questions import descriptions, make_questions, place, with_article
from .scene import COLOURS, SHAPES, make_scene
from .words import make_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scene import Scene

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_STATEMENTS = 3
_QUESTIONS = 2


def make_passage(subject: str) -> tuple[str, ...]:
    """Return the sentences of a passage, fixed by its subject."""
    draws = Draws(f"passage|{subject}")
    return draws.choice(_PASSAGES)(subject, draws)


def describe(scene: Scene) -> list[str]:
    """Return a sentence for each thing of a scene."""
    return [
        f"There is {with_article(f'{thing.size} {thing.colour} {thing.shape}')} {place(thing)}."
        for thing in scene.things
    ]


def _description(subject: str, draws: Draws) -> tuple[str, ...]:
    """Describe a scene and say what follows from it."""
    scene = make_scene(subject)
    says = [f"{caption[0].upper()}{caption[1:]}." for caption in make_captions(scene)[:2]]
    first = describe(scene) if draws.below(2) else [draws.choice(says)]
    return (*first, *draws.sample(_statements(scene, draws), 1 + draws.below(_STATEMENTS)))


def _asked(subject: str, draws: Draws) -> tuple[str, ...]:
    """Describe a scene and ask about it."""
    scene = make_scene(subject)
    asked = make_questions(scene, subject, 1 + draws.below(_QUESTIONS))
    return (*describe(scene), *(f"Question: {each.text} Answer: {each.answer}" for each in asked))


def _statements(scene: Scene, draws: Draws) -> list[str]:
    """Return true sentences about a scene."""
    count = len(scene.things)
    said = [f"There {'is one thing' if count == 1 else f'are {NUMBERS[count]} things'} in all."]
    for colour, times in Counter(thing.colour for thing in scene.things).items():
        said.append(f"{NUMBERS[times].capitalize()} of them {'is' if times == 1 else 'are'} {colour}.")
    absent = draws.choice([colour for colour in COLOURS if all(thing.colour != colour for thing in scene.things)])
    said.append(f"Nothing is {absent}.")
    alone = [each for form in ("{shape}", "{colour} {shape}") for each in descriptions(scene, form)]
    for words, thing in alone:
        for other_words, other in alone:
            if thing.row < other.row:
                said.append(f"The {words} is above the {other_words}, and the {other_words} is below the {words}.")
            if thing.column < other.column:
                said.append(f"The {words} is left of the {other_words}, which is right of the {words}.")
    return said


def _spelling(subject: str, draws: Draws) -> tuple[str, ...]:
    """Spell a word."""
    text = make_word(subject).text
    letters = f"{', '.join(text[:-1])} and {text[-1]}"
    return draws.choice(
        (
            (f"The word {text} has {NUMBERS[len(text)]} letters.", f"They are {letters}."),
            (f"To write {text}, write {letters}.", f"Its first letter is {text[0]} and its last one is {text[-1]}."),
        )
    )


def _order(subject: str, draws: Draws) -> tuple[str, ...]:
    """Say how numbers, shapes, colours and sizes stand to each other."""
    del subject
    low, more = 1 + draws.below(4), 1 + draws.below(4)
    one, other = draws.sample(COLOURS, 2)
    shape, another = draws.sample(SHAPES, 2)
    sentences = (
        f"{NUMBERS[low].capitalize()} and {NUMBERS[more]} make {NUMBERS[low + more]}.",
        f"After {NUMBERS[low]} comes {NUMBERS[low + 1]}.",
        f"{one.capitalize()} and {other} are colors.",
        f"A {shape} and a {another} are shapes.",
        f"A large {shape} is larger than a small {shape}.",
        f"A small {another} is smaller than a large {another}.",
        "What is left of a thing is not right of it.",
        "What is above a thing is not below it.",
    )
    return tuple(draws.sample(sentences, 2 + draws.below(2)))


_PASSAGES: tuple[Callable[[str, Draws], tuple[str, ...]], ...] = (
    _description,
    _description,
    _asked,
    _asked,
    _spelling,
    _order,
)
