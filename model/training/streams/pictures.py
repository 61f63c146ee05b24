"""Pictures with captions.

<s> [picture] "An image of" "{caption}" </s>          and, behind the same picture,
              "Introduce this picture in detail:" "{sentence}" </s>
              "{any of five sentences}" </s>
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.commonsense import make_kind_captions, make_kind_scene
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.scene import make_scene
from kosmos_eval.microworld.words import describe_word, make_word

from ..documents import about_kinds, written
from ..packing import Node, Words

if TYPE_CHECKING:
    from ...tokenizer import Tokenizer
    from ..config import StreamSettings
    from ..documents import Documents

CAPTION = "An image of"
DETAIL = "Introduce this picture in detail:"

_WORDS = 5
"""One picture in so many shows a word."""


class Captions:
    """Scenes and words, each with a caption and another sentence."""

    def __init__(self, tokenizer: Tokenizer, settings: StreamSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a captioned picture."""
        draws = Draws(f"captions|{subject}")
        if about_kinds(self._settings.kinds, subject):
            shown = make_kind_scene(subject)
            picture, (caption, *sentences) = documents.add_scene(shown.scene), make_kind_captions(shown)
        elif draws.below(_WORDS) == 0:
            word = make_word(subject)
            picture, caption = documents.add_word(word), describe_word(word)
            sentences = [f"there is {caption}", f"a picture of {caption}"]
        else:
            scene = make_scene(subject)
            picture, (caption, *sentences) = documents.add_scene(scene), make_captions(scene)
        prompt, sentence = (DETAIL, sentences[0]) if draws.below(2) else ("", draws.choice(sentences))
        return (
            Node((Words((self._tokenizer.bos,)), picture)),
            written(self._tokenizer, CAPTION, caption, 0, self._settings.prompts),
            written(self._tokenizer, prompt, sentence, 0, self._settings.prompts),
        )
