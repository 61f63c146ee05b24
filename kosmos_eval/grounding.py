"""KOSMOS-2's markup in prompts and answers, and asking a model for boxes.

    <grounding><phrase>a dog</phrase>          asks for the boxes of a phrase
    <object><patch_index_0044><patch_index_0863></object>      answers with one; `</delimiter_of_multi_objects/>`
                                               stands between several

The tokenizers of models with locations turn these marks into tokens wherever they stand in a prompt. A caption or an
expression of a dataset that held one would therefore ask something else than it says: readers refuse it with
`checked_text`. For a model without locations the marks are ordinary text, and its answers hold no boxes.

Source: arXiv 2306.14824, section 2, in the spelling of microsoft/unilm 768a3c87, kosmos-2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.locations import location_text, locations_of
from kosmos_eval.request import Generate, Generated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from kosmos_eval.locations import Box
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Request, Response

GROUNDING = "<grounding>"
OBJECT_END = "</object>"
DELIMITER = "</delimiter_of_multi_objects/>"

DEVIATIONS = (
    "A phrase is compared as it was asked; the released evaluator compares what its tokenizer made of it.",
    "No three tokens in a row are written twice: the engine looks at the answer alone, fairseq at the prompt too.",
    "A text of the dataset that holds KOSMOS-2's markup is refused: it would ask something else than it says.",
)
"""Where all tasks that ask for boxes differ from the released code."""

_MARK = re.compile(r"</?phrase>|</?object>|</delimiter_of_multi_objects/>|<grounding>|<patch_index_\d+>")
_OBJECT = re.compile(r"<object>(?:<patch_index_\d+>|</delimiter_of_multi_objects/>)*(?:</object>)?")
_SPACES = re.compile(r"\s+")


def phrase_text(phrase: str) -> str:
    """Return a phrase as it is marked in prompts.

    Example:
        >>> phrase_text("a dog")
        '<phrase>a dog</phrase>'
    """
    return f"<phrase>{phrase}</phrase>"


def object_text(boxes: Iterable[Box]) -> str:
    """Return boxes as a model writes them; those without an area inside the picture are left out.

    Args:
        boxes: sides as shares of the picture's width and height.

    Returns:
        `<object>...</object>`; nothing when no box is left.
    """
    pairs = []
    for box in boxes:
        try:
            pairs.append(location_text(locations_of(box)))
        except ValueError:  # no location stands for a box without area
            continue
    return f"<object>{DELIMITER.join(pairs)}{OBJECT_END}" if pairs else ""


def plain_text(text: str) -> str:
    """Return a text without boxes and marks: `<phrase> a dog</phrase><object>...</object> runs` is `a dog runs`."""
    return _SPACES.sub(" ", _MARK.sub("", _OBJECT.sub("", text))).strip()


def checked_text(text: str, where: str) -> str:
    """Return a text of a dataset as it is.

    Args:
        text: a caption, an expression or a phrase.
        where: file and item, for the message.

    Raises:
        DataError: it is blank, or holds a mark that would become a token of the prompt.
    """
    if not text.strip():
        message = f"{where}: expected a text with words, got {text!r}"
        raise DataError(message)
    if found := _MARK.search(text):
        message = f"{where}: expected plain text, got the mark {found[0]} in {text!r:.80}; remove it from the file"
        raise DataError(message)
    return text


@dataclass(frozen=True)
class GroundingSettings:
    """Settings of a task that asks for boxes; the defaults are the released command line.

    Attributes:
        max_new_tokens: most tokens of an answer: 500 as released, where the prompt's tokens were counted too.
        no_repeat_ngram: no so many tokens in a row are written twice; 0 is off.
        stop_at_object: end each answer at its first `</object>`. That saves tokens with models that go on writing, and
            a score can differ where the first object is malformed or belongs to another phrase, and a later one counts.
    """

    max_new_tokens: int = 500
    no_repeat_ngram: int = 3
    stop_at_object: bool = False

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.no_repeat_ngram < 0:
            message = (
                f"expected max_new_tokens to be at least 1 and no_repeat_ngram at least 0, "
                f"got {self.max_new_tokens} and {self.no_repeat_ngram}"
            )
            raise UsageError(message)

    def find_boxes(self, prompt: Prompt) -> Generator[Request, Response, str]:
        """Ask for boxes, greedily, and return what was written after the prompt."""
        stop = (OBJECT_END,) if self.stop_at_object else ()
        response = yield Generate(
            prompt, max_new_tokens=self.max_new_tokens, stop=stop, no_repeat_ngram=self.no_repeat_ngram
        )
        assert isinstance(response, Generated)
        # A stop text is cut off, and an object without its end is none.
        return response.text + (OBJECT_END if response.stop_reason == "stop" else "")
