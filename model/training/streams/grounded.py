"""Grounded captions, in the form of KOSMOS-2's GRIT: phrases with the boxes that they stand for.

    <s> [picture] <grounding> "An image of" <phrase> a red star</phrase><object><patch_index_0012><patch_index_0178>
                  </object> in the top left and ... </s>
                  <grounding> <phrase> the red star</phrase> <object>...</object> </s>         refer to a thing
                  <grounding> <phrase> It</phrase><object>...</object> is "a red star in ..." </s>     and describe it

Source: arXiv 2306.14824, section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.locations import Box, location_text, locations_of
from kosmos_eval.microworld.drawing import box
from kosmos_eval.microworld.questions import place, with_article
from kosmos_eval.microworld.references import make_references
from kosmos_eval.microworld.scene import SIDE, make_scene

from ..documents import written
from ..packing import Node, Words
from .pictures import CAPTION

if TYPE_CHECKING:
    from kosmos_eval.microworld.scene import Scene, Thing

    from ...tokenizer import Tokenizer
    from ..config import StreamSettings
    from ..documents import Documents

GROUNDING = "<grounding>"


class Grounded:
    """Scenes with a grounded caption, a thing to be found, and a thing to be described."""

    def __init__(self, tokenizer: Tokenizer, settings: StreamSettings) -> None:
        self._tokenizer = tokenizer
        self._weight = settings.prompts

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a grounded picture."""
        scene = make_scene(subject)
        found, described = make_references(scene, subject, 2)  # every scene has two
        asked = f"{GROUNDING}<phrase> {found.text}</phrase>"
        shown = f"{GROUNDING}<phrase> It</phrase>{object_text(described.thing)} is"
        return (
            Node((Words((self._tokenizer.bos,)), documents.add_scene(scene))),
            written(self._tokenizer, f"{GROUNDING} {CAPTION}", grounded_caption(scene), 0, self._weight),
            written(self._tokenizer, asked, object_text(found.thing), 0, self._weight),
            written(self._tokenizer, shown, f"{_words(described.thing)} {place(described.thing)}", 0, self._weight),
        )


def grounded_caption(scene: Scene) -> str:
    """Return a caption in which each thing is a phrase with its box."""
    said = [f"<phrase> {_words(thing)}</phrase>{object_text(thing)} {place(thing)}" for thing in scene.things]
    *first, last = said
    return f"{','.join(first)} and{last}" if first else last


def object_text(thing: Thing) -> str:
    """Return a thing's box as the model writes it: `<object><patch_index_0012><patch_index_0178></object>`."""
    left, top, right, bottom = (side / SIDE for side in box(thing))
    return f"<object>{location_text(locations_of(Box(left, top, right, bottom)))}</object>"


def _words(thing: Thing) -> str:
    return with_article(f"{thing.size} {thing.colour} {thing.shape}")
