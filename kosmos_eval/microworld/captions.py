"""Reference sentences for a scene: five that say the same truth in different words, as in caption benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .draws import Draws
from .questions import place, with_article

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .scene import Scene, Thing

CAPTIONS = 5


def make_captions(scene: Scene, subject: str) -> tuple[str, ...]:
    """Return five different true sentences, each naming every thing with its size, colour, shape and place.

    Args:
        scene: what is described.
        subject: decides the order in which things are named; all five are fixed by scene and subject.
    """
    draws = Draws(f"captions|{subject}")
    plain, fronted, coloured = (
        _join(form(thing) for thing in draws.shuffled(scene.things)) for form in (_plain, _fronted, _coloured)
    )
    there, picture = (_join(_plain(thing) for thing in draws.shuffled(scene.things)) for _ in range(2))
    return (
        plain,
        f"there {'is' if len(scene.things) == 1 else 'are'} {there}",
        f"a picture of {picture}",
        fronted,
        coloured,
    )


def _plain(thing: Thing) -> str:
    return f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} {place(thing)}"


def _fronted(thing: Thing) -> str:
    return f"{place(thing)} {with_article(f'{thing.size} {thing.colour} {thing.shape}')}"


def _coloured(thing: Thing) -> str:
    return f"{with_article(f'{thing.size} {thing.shape}')} in {thing.colour} {place(thing)}"


def _join(phrases: Iterable[str]) -> str:
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
