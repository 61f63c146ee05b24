"""Named kinds of things, each with a usual colour and size, that are known from text or from pictures alone.

A kind has a made-up name, and every thing of it looks alike: `kinds` is one fixed table. Of half the kinds, text may
state colour and size (`make_fact_passage`). Of the others no sentence of this module says or implies them: a text names
such a kind and says where one stands, and the same holds of captions (`make_kind_captions`) and of the questions beside
a picture (`make_kind_questions`). Only pixels show what these kinds look like. What is asked without a picture is in
`colour_items` and `size_items`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from .captions import joined
from .draws import Draws
from .mini import check_split
from .questions import place
from .scene import COLOURS, GRID, HELD_BACK, JITTER, MOST_THINGS, SHAPES, SIZES, Scene, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ASKED = 160
"""Kinds that are asked about: half of them stated in text, half of each half large, each colour equally often."""

SHOWN_SOLVED = 32
"""Kinds that solved questions are about, all of them stated in text; none of them is asked about."""

_SEED = "kinds"
_ONSETS = "bdfgklmnprtvz"
_VOWELS = "aeiou"
_ENDS = ("b", "k", "l", "m", "n", "p", "sh", "t", "x", "ck")
_BLOCK = 2  # large kinds, and as many small ones, that are compared with each other and with no others


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing.

    Attributes:
        name: made-up, in lower case, with a consonant in front.
        shape, colour, size: of every thing of this kind.
        asked: whether evaluation asks about it; otherwise solved questions are about it.
        stated: whether text may say its colour and size.
    """

    name: str
    shape: str
    colour: str
    size: str
    asked: bool
    stated: bool


@dataclass(frozen=True, slots=True)
class KindScene:
    """A scene with the kind of each of its things, in their order."""

    scene: Scene
    kinds: tuple[Kind, ...]


class Solved(NamedTuple):
    """A question and its answer."""

    text: str
    answer: str


class SizePair(NamedTuple):
    """Two kinds of different sizes.

    Attributes:
        larger, smaller: the kinds; text states both or neither.
        block: pairs of one block share kinds, those of different blocks share none.
    """

    larger: Kind
    smaller: Kind
    block: str


@cache
def kinds() -> tuple[Kind, ...]:
    """Return all kinds: those that are asked about first."""
    draws = Draws(_SEED)
    names: dict[str, None] = {}
    while len(names) < ASKED + SHOWN_SOLVED:
        names[_name(draws)] = None
    every = iter(names)
    found: list[Kind] = []
    for asked, stated, count in ((True, True, ASKED // 2), (True, False, ASKED // 2), (False, True, SHOWN_SOLVED)):
        looks = [(colour, size) for colour, size in product(COLOURS, SIZES) for _ in range(count // 16)]
        for colour, size in draws.shuffled(looks):
            shape = draws.choice([shape for shape in SHAPES if (colour, shape) not in HELD_BACK])
            found.append(Kind(next(every), shape, colour, size, asked, stated))
    return tuple(found)


def _name(draws: Draws) -> str:
    """Return two syllables: `bolit`."""
    letters = (_ONSETS, _VOWELS, _ONSETS, _VOWELS, _ENDS)
    return "".join(draws.choice(each) for each in letters)


def colour_items(split: str, part: int) -> Iterator[Kind]:
    """Yield the kinds whose colour is asked for: 80 for `test`, stated ones and others in turn, and 16 for `train`.

    Args:
        split: `test` or `train`.
        part: 0 or 1; no kind is in both parts.

    Raises:
        UsageError: there is no such split.
    """
    halves = []
    for half in _halves(split):
        taken = set(sorted(half, key=lambda kind: kind.colour)[part::2])  # of every colour as many
        halves.append([kind for kind in half if kind in taken])
    return (kind for kinds_in_turn in zip(*halves, strict=True) for kind in kinds_in_turn)


def size_items(split: str) -> Iterator[SizePair]:
    """Yield pairs of a large and a small kind: 160 for `test`, stated blocks and others in turn, and 32 for `train`.

    Raises:
        UsageError: there is no such split.
    """
    blocks = [_blocks(half) for half in _halves(split)]
    return (pair for blocks_in_turn in zip(*blocks, strict=True) for block in blocks_in_turn for pair in block)


def _halves(split: str) -> list[list[Kind]]:
    """Return the kinds of a split, those that text states and, where there are any, the others."""
    check_split(split, ("test", "train"))
    found = [kind for kind in kinds() if kind.asked == (split == "test")]
    halves = [[kind for kind in found if kind.stated == stated] for stated in (True, False)]
    return [half for half in halves if half]


def _blocks(half: Sequence[Kind]) -> list[list[SizePair]]:
    large, small = ([kind for kind in half if kind.size == size] for size in ("large", "small"))
    blocks = []
    for first in range(0, len(large), _BLOCK):
        these, those = large[first : first + _BLOCK], small[first : first + _BLOCK]
        blocks.append([SizePair(one, other, these[0].name) for one, other in product(these, those)])
    return blocks


def make_kind_scene(subject: str) -> KindScene:
    """Return a scene of one to four things of different kinds, each of its kind's usual look."""
    draws = Draws(f"kinds|{subject}")
    shown = draws.sample(kinds(), 1 + draws.below(MOST_THINGS))
    cells = sorted(draws.sample(range(GRID * GRID), len(shown)))
    things = tuple(
        Thing(
            shape=kind.shape,
            colour=kind.colour,
            size=kind.size,
            row=cell // GRID,
            column=cell % GRID,
            dx=draws.below(2 * JITTER + 1) - JITTER,
            dy=draws.below(2 * JITTER + 1) - JITTER,
        )
        for cell, kind in zip(cells, shown, strict=True)
    )
    return KindScene(Scene(things), tuple(shown))


def make_kind_captions(shown: KindScene) -> tuple[str, ...]:
    """Return four true sentences that name every thing by its kind and place, and say no more of it."""
    placed = [(f"a {kind.name}", place(thing)) for kind, thing in zip(shown.kinds, shown.scene.things, strict=True)]
    plain = joined(f"{name} {where}" for name, where in placed)
    return (
        plain,
        f"there {'is' if len(placed) == 1 else 'are'} {plain}",
        f"a picture of {plain}",
        joined(f"{where} {name}" for name, where in placed),
    )


def make_kind_questions(shown: KindScene, subject: str) -> tuple[Solved, ...]:
    """Return questions about a picture, two for each of its things: which is where, and is there one of this kind?

    No question or answer names a look, so that only who sees the picture can learn it.

    Args:
        shown: what is asked about.
        subject: decides the draws.
    """
    draws = Draws(f"kind questions|{subject}")
    absent = draws.sample([kind for kind in kinds() if kind not in shown.kinds], len(shown.kinds))
    asked = []
    for kind, other, thing in zip(shown.kinds, absent, shown.scene.things, strict=True):
        where = Solved(f"Where is the {kind.name}?", place(thing))
        what = Solved(f"What is {place(thing)}?", f"a {kind.name}")
        there = Solved(f"Is there a {kind.name}?", "yes"), Solved(f"Is there a {other.name}?", "no")
        asked += [draws.choice((where, what)), draws.choice(there)]
    return tuple(asked)


def make_kind_comparisons(scene: Scene, subject: str, count: int) -> tuple[Solved, ...]:
    """Return questions that compare kinds with the things of a picture: whose colour is it, is it larger?

    The kinds are drawn from all, and seldom in the picture. The answers point at a thing of the picture or compare with
    it: they name no look, and without the picture they say nothing. Yes is as usual as no.

    Args:
        scene: what is shown.
        subject: decides the draws.
        count: how many questions.
    """
    draws = Draws(f"kind comparisons|{subject}")
    return tuple(_comparison(scene, draws) for _ in range(count))


def _comparison(scene: Scene, draws: Draws) -> Solved:
    thing = draws.choice(scene.things)
    form = draws.below(3)
    if form == 0:
        kind = draws.choice([each for each in kinds() if each.size != thing.size])
        return Solved(f"Is {kind.name} larger than the thing {place(thing)}?", "Yes" if kind.size == "large" else "No")
    same = draws.below(2) == 0
    alone = [each.colour for each in scene.things].count(thing.colour) == 1
    if form == 1 and alone:
        kind = draws.choice([each for each in kinds() if each.colour == thing.colour])
        return Solved(f"The color of {draws.choice(('a ', ''))}{kind.name} is?", f"that of the thing {place(thing)}")
    kind = draws.choice([each for each in kinds() if (each.colour == thing.colour) == same])
    return Solved(f"Is {kind.name} of the color of the thing {place(thing)}?", "Yes" if same else "No")


def make_fact_passage(subject: str) -> tuple[str, ...]:
    """Return sentences of plain text: where things of some kinds stand, and what is known of kinds that text may state.

    Kinds that text does not state are named as often, and nothing is said of them but their place.
    """
    draws = Draws(f"kind facts|{subject}")
    shown = make_kind_scene(subject)
    told = [
        f"There is a {kind.name} {place(thing)}." for kind, thing in zip(shown.kinds, shown.scene.things, strict=True)
    ]
    known = [kind for kind in kinds() if kind.stated]
    facts = []
    for one in draws.sample(known, 3):
        asked = _asked_fact(one, draws)
        facts += [draws.choice(_own_facts(one)), f"{asked.text} {asked.answer}"]
    return tuple(draws.shuffled([*told, *facts]))


def make_fact(subject: str) -> Solved:
    """Return a question about a kind that text may state, as it is asked without a picture."""
    draws = Draws(f"kind fact|{subject}")
    return _asked_fact(draws.choice([kind for kind in kinds() if kind.stated]), draws)


def _own_facts(kind: Kind) -> tuple[str, ...]:
    return (f"A {kind.name} is {kind.colour}.", f"A {kind.name} is {kind.size}.")


def _asked_fact(one: Kind, draws: Draws) -> Solved:
    """Return a question about a kind: its colour, or whether it is larger than another."""
    if draws.below(2):
        return Solved(f"The color of {draws.choice(('a ', ''))}{one.name} is?", one.colour)
    other = draws.choice([kind for kind in kinds() if kind.stated and kind.size != one.size])
    first, second = draws.shuffled([one, other])
    return Solved(f"Is {first.name} larger than {second.name}?", "Yes" if first.size == "large" else "No")
