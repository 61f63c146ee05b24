"""Instructions in plain text, with what is to be written: the material of language-only instruction tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .captions import make_captions
from .draws import Draws
from .prose import NUMBERS, describe
from .questions import make_questions
from .scene import make_scene
from .words import make_word

if TYPE_CHECKING:
    from collections.abc import Callable

_OPPOSITES = (("left", "right"), ("above", "below"), ("small", "large"), ("yes", "no"), ("top", "bottom"))


class Instruction(NamedTuple):
    """What is asked, and what is to be written."""

    text: str
    output: str


def make_instruction(subject: str) -> Instruction:
    """Return the instruction of a subject."""
    draws = Draws(f"instruction|{subject}")
    return draws.choice(_MAKERS)(subject, draws)


def _question(subject: str, draws: Draws) -> Instruction:
    """Ask about a scene that is described, in the words of visual questions."""
    scene = make_scene(subject)
    asked = make_questions(scene, subject, 1)[0]
    form = draws.choice(
        (
            "{scene} Question: {question} Answer:",
            "Read this: {scene} Then answer. {question}",
            "Context: {scene} Q: {question} A:",
        )
    )
    return Instruction(form.format(scene=" ".join(describe(scene)), question=asked.text), asked.answer)


def _describe(subject: str, draws: Draws) -> Instruction:
    """Ask for a list of things in other words."""
    scene = make_scene(subject)
    captions = make_captions(scene)
    if draws.below(2):
        return Instruction(f"Describe this in one sentence: {' '.join(describe(scene))}", captions[0])
    shapes = [thing.shape for thing in scene.things]
    return Instruction(f"List the shapes: {draws.choice(captions)}.", ", ".join(shapes))


def _spell(subject: str, draws: Draws) -> Instruction:
    """Ask for the letters of a word, or the word of the letters."""
    text = make_word(subject).text
    return draws.choice(
        (
            Instruction(f"Spell the word {text}.", " ".join(text)),
            Instruction(f"Write the word {' '.join(text)}.", text),
            Instruction(f"Repeat the word {text}.", text),
            Instruction(f"How many letters does {text} have?", str(len(text))),
            Instruction(f"What is the first letter of {text}?", text[0]),
        )
    )


def _reckon(subject: str, draws: Draws) -> Instruction:
    """Ask for a sum, an order or an opposite."""
    del subject
    one, other = draws.sample(range(1, 6), 2)
    here, there = draws.shuffled(draws.choice(_OPPOSITES))
    return draws.choice(
        (
            Instruction(f"What is {one} plus {other}?", str(one + other)),
            Instruction(f"Which number is larger, {one} or {other}?", str(max(one, other))),
            Instruction(f"Write the number {NUMBERS[one]} with a digit.", str(one)),
            Instruction(f"What is the opposite of {here}?", there),
        )
    )


_MAKERS: tuple[Callable[[str, Draws], Instruction], ...] = (_question, _question, _question, _describe, _spell, _reckon)
