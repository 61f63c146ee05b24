"""Trains the small tokenizer: SentencePiece BPE over what the microworld says, with a page of plain English beside it.

Every word of the microworld is one piece, but a rendered word is spelled: its capitals are a piece each. Digits stand
alone, bytes are there for whatever has no piece, so any text can be encoded. The tokenizer has KOSMOS-2's markup and
locations. The result is the same on every run: one thread, no sampling.

    python -m kosmos_eval.model.training.vocabulary FOLDER
"""

from __future__ import annotations

import io
import re
import string
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.instructions import make_instruction
from kosmos_eval.microworld.prose import make_passage
from kosmos_eval.microworld.questions import make_questions
from kosmos_eval.microworld.scene import make_scene

from ..tokenizer import LOCATIONS, RELEASED_FILE_NAME, TAGS, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = 1024
"""Ids in all, tags included and locations not."""

SCENES = 1000

PROMPTS = (
    "An image of",
    "The photo of the",
    "Question: what is the sentiment of the opinion? Answer: positive",
    "Question: what is the sentiment of the opinion? Answer: negative",
    "Question: does this picture contain real hate speech? Answer:",
    "Introduce this picture in detail:",
    "Describe this image in detail:",
    "Here are three images:",
    "Here are four images:",
    "Here are eight images:",
    "The following image is:",
    "Is it correct? Yes",
    "Is it correct? No",
    "Is it larger than that? Yes. No.",
    "The color of it is?",
    "What word is this? What does the picture say? What is written here? the word",
    "What color is the word? How many letters are there?",
    "In the first picture, the second picture, the third picture, the fourth picture, the fifth picture",
    "It is the",
)
"""What the benchmarks' prompts are made of."""

_PROMPT_WEIGHT = 50
"""Times that each prompt is read: enough to make a piece of each of its words."""

_CAPITALS = re.compile(r"\b[A-Z]+\b")
_DIGITS = "0123456789"
_WORD_BEGIN = "\N{LOWER ONE EIGHTH BLOCK}"


def sentences() -> Iterator[str]:
    """Yield the text that the pieces are learnt from."""
    for number in range(SCENES):
        subject = f"vocabulary|{number}"
        scene = make_scene(subject)
        for question in make_questions(scene, subject):
            yield f"Question: {question.text} Answer: {question.answer}"
            yield from set(question.answers)
        yield from make_captions(scene)
        given = make_instruction(subject)
        yield from (_without_words(text) for text in (*make_passage(subject), given.text, given.output))
    english = (Path(__file__).parent / "english.txt").read_text(encoding="utf-8").splitlines()
    for _ in range(_PROMPT_WEIGHT):
        yield from PROMPTS
        yield from string.ascii_uppercase
    yield from english


def _without_words(text: str) -> str:
    """Return a text without rendered words, so that no piece of them is learnt but their letters."""
    return _CAPITALS.sub("", text)


@cache
def train_tokenizer() -> Tokenizer:
    """Return a newly trained tokenizer of `IDS` ids."""
    import sentencepiece  # noqa: PLC0415  only here is it trained

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=sentences(),
        model_writer=model,
        model_type="bpe",
        vocab_size=IDS - len(TAGS) - 1,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",  # the table of any other rule weighs 240 kB
        user_defined_symbols=[f"{mark}{digit}" for mark in (_WORD_BEGIN, "") for digit in _DIGITS],
        character_coverage=1.0,
        num_threads=1,
        shuffle_input_sentence=False,
        minloglevel=2,
    )
    return Tokenizer(model.getvalue(), RELEASED_FILE_NAME, LOCATIONS)


if __name__ == "__main__":
    train_tokenizer().save(sys.argv[1])
