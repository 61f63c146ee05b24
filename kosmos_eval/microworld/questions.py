"""Questions about a scene, with their answers, in the manner of VQA: ten annotators who mostly agree.

Wording never gives an answer away: within each kind of question the answers are spread as evenly as the scene
allows, and whatever is asked about is named by a description that fits it alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .draws import Draws
from .scene import COLOURS, SHAPES, SIZES, Scene, Thing

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("count", "colour", "shape", "exists", "relation", "size")
ANNOTATORS = 10

_MOST_DISSENT = 3  # annotators; seven that agree earn the full score under the rule "three others said so"
_ATTEMPTS = 12  # draws for a question that was not asked yet
PLACES = (
    ("in the top left", "at the top", "in the top right"),
    ("on the left", "in the center", "on the right"),
    ("in the bottom left", "at the bottom", "in the bottom right"),
)
# Descriptions by what they leave open, so that the question can ask for it.
_WITHOUT = {
    "colour": ("{shape}", "{size} {shape}", "{size} thing", "thing {place}"),
    "shape": ("{colour} thing", "{size} {colour} thing", "{size} thing", "thing {place}"),
    "size": ("{shape}", "{colour} thing", "{colour} {shape}", "thing {place}"),
}
_REFERENTS = ("{shape}", "{colour} thing", "{colour} {shape}", "{size} {colour} {shape}", "{size} thing")
_EXISTING = ("{shape}", "{colour} thing", "{colour} {shape}", "{size} {shape}")
_VALUES = {"shape": SHAPES, "colour": COLOURS, "size": SIZES}
_WORDS = ("zero", "one", "two", "three", "four", "five")
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("dark red", "maroon"),
    "orange": ("red", "yellow"),
    "yellow": ("gold", "orange"),
    "green": ("dark green", "teal"),
    "blue": ("dark blue", "navy"),
    "purple": ("violet", "blue"),
    "pink": ("light pink", "purple"),
    "black": ("dark", "gray"),
    "circle": ("round", "ball"),
    "square": ("box", "rectangle"),
    "triangle": ("arrow", "pyramid"),
    "star": ("pointed", "flower"),
    "cross": ("plus", "x"),
    "diamond": ("rhombus", "square"),
    "small": ("little", "tiny"),
    "large": ("big", "medium"),
    "yes": ("no",),
    "no": ("yes",),
    "left": ("right",),
    "right": ("left",),
    "above": ("below",),
    "below": ("above",),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture.

    Attributes:
        text: as it is asked, in US spelling.
        answer: the truth, one lower-case word or number.
        answers: what ten annotators said; at least seven of them the truth.
        kind: one of `KINDS`.
        question_type: the words it begins with, after VQA's list of question types.
        answer_type: `yes/no`, `number` or `other`, as in VQA.
    """

    text: str
    answer: str
    answers: tuple[str, ...]
    kind: str
    question_type: str
    answer_type: str


@dataclass(frozen=True, slots=True)
class _Asked:
    text: str
    answer: str
    question_type: str
    answer_type: str = "other"


def place(thing: Thing) -> str:
    """Return where the thing stands, as words: `in the top left`."""
    return PLACES[thing.row][thing.column]


def with_article(words: str) -> str:
    """Return the words with `a` or `an` in front."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def make_questions(scene: Scene, subject: str, count: int = 5) -> tuple[Question, ...]:
    """Return different questions about a scene, of as many kinds as it allows.

    Args:
        scene: what is asked about.
        subject: decides the draws; the same scene and subject have the same questions.
        count: number of questions; every scene gives at least ten, and where it gives no more, fewer come back.
    """
    draws = Draws(f"questions|{subject}")
    questions: dict[str, Question] = {}
    for turn in range(_ATTEMPTS):
        for kind in draws.shuffled(KINDS):
            if len(questions) == count:
                return tuple(questions.values())
            asked = _MAKERS[kind](scene, draws)
            if asked is not None and asked.text not in questions:
                answers = _annotate(asked.answer, Draws(f"annotators|{subject}|{turn}|{kind}"))
                questions[asked.text] = Question(
                    asked.text, asked.answer, answers, kind, asked.question_type, asked.answer_type
                )
    return tuple(questions.values())


def _annotate(answer: str, draws: Draws) -> tuple[str, ...]:
    """Return ten annotators' answers, at least seven of them the given one."""
    dissent = draws.choice((0, 0, 1, 1, 2, _MOST_DISSENT))
    if answer.isdecimal():
        number = int(answer)
        others: tuple[str, ...] = (_WORDS[number], str(number + 1), str(abs(number - 1)))
    else:
        others = _SYNONYMS[answer]
    voices = [draws.choice(others) for _ in range(dissent)] + [answer] * (ANNOTATORS - dissent)
    return tuple(draws.shuffled(voices))


def _describe(form: str, thing: Thing, **other: str) -> str:
    """Return the form filled in for a thing, or for one that differs in the attributes given."""
    words = {"shape": thing.shape, "colour": thing.colour, "size": thing.size, "place": place(thing)}
    return form.format_map(words | other)


def descriptions(scene: Scene, form: str) -> list[tuple[str, Thing]]:
    """Return the descriptions of that form that fit one thing only, each with its thing."""
    pairs = [(_describe(form, thing), thing) for thing in scene.things]
    fits = Counter(words for words, _ in pairs)
    return [(words, thing) for words, thing in pairs if fits[words] == 1]


def _count(scene: Scene, draws: Draws) -> _Asked:
    """Ask for a number, drawn first among those that the scene has a question for; zero is not drawn often."""
    if draws.below(2):
        return _Asked("How many things are there?", str(len(scene.things)), "how many", "number")
    attribute = draws.choice(tuple(_VALUES))
    seen = Counter(getattr(thing, attribute) for thing in scene.things)
    counts = {value: seen[value] for value in _VALUES[attribute]}
    number = draws.choice(sorted({*seen.values()} | ({0} if draws.below(3) == 0 and 0 in counts.values() else set())))
    value = draws.choice([value for value, times in counts.items() if times == number])
    words = f"{value} things" if attribute != "shape" else f"{value}es" if value.endswith("s") else f"{value}s"
    return _Asked(f"How many {words} are there?", str(number), "how many", "number")


def _attribute(attribute: str, spelling: str, scene: Scene, draws: Draws) -> _Asked:
    """Ask for one thing's attribute, named by the others."""
    forms = draws.shuffled(_WITHOUT[attribute])
    named = next(
        named for named in (descriptions(scene, form) for form in forms) if named
    )  # a place always fits one alone
    words, thing = draws.choice(named)
    return _Asked(f"What {spelling} is the {words}?", getattr(thing, attribute), f"what {spelling} is the")


def _exists(scene: Scene, draws: Draws) -> _Asked:
    """Ask whether there is such a thing; when there is none, half of the description is still seen in the scene."""
    form = draws.choice(_EXISTING)
    seen = {_describe(form, thing) for thing in scene.things}
    truth = draws.below(2) == 1
    if truth:
        words = draws.choice(sorted(seen))
    else:
        near = draws.choice(scene.things)
        swapped = draws.choice([name for name in _VALUES if f"{{{name}}}" in form and name != "size"])
        absent = [
            words
            for words in (_describe(form, near, **{swapped: value}) for value in _VALUES[swapped])
            if words not in seen
        ]
        words = draws.choice(absent)
    phrase = with_article(words)
    question_type = "is there a" if phrase.startswith("a ") else "is there"
    return _Asked(f"Is there {phrase}?", "yes" if truth else "no", question_type, "yes/no")


def _relation(scene: Scene, draws: Draws) -> _Asked | None:
    """Ask how two things stand to each other, if there are two to tell apart, on an axis where their cells differ."""
    named = [each for form in _REFERENTS for each in descriptions(scene, form)]
    pairs = [
        (one, other, axis)
        for one in named
        for other in named
        for axis in ("row", "column")
        if getattr(one[1], axis) != getattr(other[1], axis)
    ]
    if not pairs:
        return None
    (words, thing), (others_words, other), axis = draws.choice(pairs)
    sides = ("above", "below") if axis == "row" else ("left", "right")
    truth = sides[0] if getattr(thing, axis) < getattr(other, axis) else sides[1]
    link = "" if axis == "row" else " of"
    if draws.below(3) == 0:
        text = f"Is the {words} {sides[0]} or {sides[1]}{link} the {others_words}?"
        return _Asked(text, truth, "is the")
    claim = draws.choice(sides)
    text = f"Is the {words} {claim}{link} the {others_words}?"
    return _Asked(text, "yes" if claim == truth else "no", "is the", "yes/no")


_MAKERS: dict[str, Callable[[Scene, Draws], _Asked | None]] = {
    "count": _count,
    "colour": partial(_attribute, "colour", "color"),
    "shape": partial(_attribute, "shape", "shape"),
    "exists": _exists,
    "relation": _relation,
    "size": partial(_attribute, "size", "size"),
}
