"""Expressions that fit one thing of a scene only, with the thing's box: what referring and grounding are asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .draws import Draws
from .questions import descriptions

if TYPE_CHECKING:
    from .scene import Scene, Thing

_FORMS = ("{shape}", "{colour} thing", "{colour} {shape}", "{size} {shape}", "{size} {colour} {shape}", "thing {place}")


class Reference(NamedTuple):
    """An expression, `the red circle`, and the thing it fits."""

    text: str
    thing: Thing


def make_references(scene: Scene, subject: str, count: int) -> tuple[Reference, ...]:
    """Return different expressions, each of which fits one thing only.

    Args:
        scene: whose things are referred to.
        subject: decides the draws.
        count: number of expressions; a scene gives at least one for each thing, and where it gives no more, fewer
            come back.
    """
    every = [Reference(f"the {words}", thing) for form in _FORMS for words, thing in descriptions(scene, form)]
    return tuple(Draws(f"references|{subject}").sample(every, count))
