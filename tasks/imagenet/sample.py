"""One photograph, the names of all classes, and what it takes for a text to be a class's name."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.prompt import Image

Match = Literal["exact", "folded"]
MATCHES: tuple[Match, ...] = ("exact", "folded")

_EDGES = " .,;:!?\"'`"


@dataclass(frozen=True, kw_only=True)
class ImageNetSample(Sample):
    """A photograph of one of the classes.

    Attributes:
        image: the photograph.
        names: of every class, one a line in the order of the classes; classes may share a name. One text, as samples
            are walked through often, and a thousand texts in each would take most of the time.
        target: index of its class; `None` when unlabelled.
    """

    image: Image
    names: str
    target: int | None = None

    @property
    def name(self) -> str:
        """Its class's name; empty when unlabelled."""
        return "" if self.target is None else listed(self.names)[self.target]


def fold(text: str, match: Match) -> str:
    """Return what two texts are compared by: two that give the same are the same name."""
    plain = " ".join(text.split())
    return plain if match == "exact" else plain.casefold().strip(_EDGES)


@lru_cache(maxsize=8)
def listed(names: str) -> tuple[str, ...]:
    """Return the name of each class."""
    return tuple(names.split("\n"))


@lru_cache(maxsize=8)
def distinct(names: str) -> tuple[str, ...]:
    """Return the names without repetitions, in their order: each text is asked about once."""
    return tuple(dict.fromkeys(listed(names)))


@lru_cache(maxsize=8)
def folded(names: tuple[str, ...], match: Match) -> tuple[str, ...]:
    """Return what each name is compared by."""
    return tuple(fold(name, match) for name in names)


@lru_cache(maxsize=8)
def shared_by(names: str, match: Match) -> Mapping[str, int]:
    """Return what names are compared by to the number of classes that have that name."""
    return Counter(folded(listed(names), match))


@lru_cache(maxsize=4096)
def right_names(names: str, target: int | None, match: Match) -> frozenset[int]:
    """Return which of the distinct names are a class's; none when the class is not known."""
    if target is None:
        return frozenset()
    own = fold(listed(names)[target], match)
    return frozenset(place for place, name in enumerate(folded(distinct(names), match)) if name == own)


@lru_cache(maxsize=4096)
def groups_of(names: str, target: int | None, match: Match) -> Mapping[str, str]:
    """Return a sample's groups: whether another class has its class's name; none where no two share one."""
    classes = shared_by(names, match)
    if target is None or len(classes) == len(listed(names)):
        return {}
    return {
        "class name": "its own" if classes[fold(listed(names)[target], match)] == 1 else "shared with another class"
    }


def share_in_top(weights: Sequence[float], right: frozenset[int], k: int) -> float:
    """Return the probability that one of the right candidates is among the k best, exact ties in random order.

    Args:
        weights: of each candidate, higher is better, all finite.
        right: indices of the right candidates.
        k: how many count.
    """
    if not right:
        return 0.0
    best = max(weights[place] for place in right)
    others = [weight for place, weight in enumerate(weights) if place not in right]
    room = k - sum(weight > best for weight in others)
    tied = sum(weight == best for weight in others)
    if room <= 0 or room > tied:
        return float(room > 0)
    equals = sum(weights[place] == best for place in right)
    return 1 - math.comb(tied, room) / math.comb(tied + equals, room)
