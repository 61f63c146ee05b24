"""Reference sentences for a scene: five that say the same truth in different words, as in caption benchmarks.

Things are named from the top row down and from left to right.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .questions import PLACES, place, with_article
from .scene import COLOURS, SHAPES, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .scene import Scene, Thing

CAPTIONS = 5

_OPENING = re.compile(r"(there (is|are)|a picture of) ")
_VALUE = {
    "size": "|".join(SIZES),
    "colour": "|".join(COLOURS),
    "shape": "|".join(SHAPES),
    "place": "|".join(words for row in PLACES for words in row),
}
_GROUP = {name: f"(?P<{name}>{values})" for name, values in _VALUE.items()}
_FORMS = tuple(
    re.compile(form.format_map(_GROUP))
    for form in (
        "an? {size} {colour} {shape} {place}",
        "{place} an? {size} {colour} {shape}",
        "an? {size} {shape} in {colour} {place}",
    )
)


class Named(NamedTuple):
    """What a caption says of one thing."""

    size: str
    colour: str
    shape: str
    place: str


def make_captions(scene: Scene) -> tuple[str, ...]:
    """Return five different true sentences, each naming every thing with its size, colour, shape and place."""
    plain, fronted, coloured = (joined(form(thing) for thing in scene.things) for form in (_plain, _fronted, _coloured))
    return (
        plain,
        f"there {'is' if len(scene.things) == 1 else 'are'} {plain}",
        f"a picture of {plain}",
        fronted,
        coloured,
    )


def named(scene: Scene) -> Counter[Named]:
    """Return what a caption of the scene must say, as often as it must."""
    return Counter(Named(thing.size, thing.colour, thing.shape, place(thing)) for thing in scene.things)


def read_caption(text: str) -> Counter[Named] | None:
    """Return what a sentence in the manner of `make_captions` says; `None` when it is no such sentence."""
    body = _OPENING.sub("", text.strip())
    parts = [part for half in body.split(" and ") for part in half.split(", ")]
    found = [form.fullmatch(part) for part in parts for form in _FORMS if form.fullmatch(part)]
    if len(found) != len(parts):
        return None
    return Counter(Named(**match.groupdict()) for match in found if match)


def _plain(thing: Thing) -> str:
    return f"{with_article(f'{thing.size} {thing.colour} {thing.shape}')} {place(thing)}"


def _fronted(thing: Thing) -> str:
    return f"{place(thing)} {with_article(f'{thing.size} {thing.colour} {thing.shape}')}"


def _coloured(thing: Thing) -> str:
    return f"{with_article(f'{thing.size} {thing.shape}')} in {thing.colour} {place(thing)}"


def joined(phrases: Iterable[str]) -> str:
    """Return phrases as one: `a, b and c`."""
    *first, last = phrases
    return f"{', '.join(first)} and {last}" if first else last
