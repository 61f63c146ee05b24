"""Documents without pictures.

text            <s> sentence sentence sentence ... </s>           whole sentences, as many as a passage has room for
instructions    <s> instruction "output" </s>                     only the output is learnt
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.microworld.commonsense import make_fact, make_fact_passage
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.instructions import make_instruction
from kosmos_eval.microworld.prose import make_passage

from ..documents import about_kinds
from ..packing import Node, Words

if TYPE_CHECKING:
    from ...tokenizer import Tokenizer
    from ..config import StreamSettings
    from ..documents import Documents

_ENGLISH = 20
"""One passage in so many is a line of plain English."""


class Text:
    """Plain text, packed in full sentences."""

    def __init__(self, tokenizer: Tokenizer, settings: StreamSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings

    @cached_property
    def _english(self) -> list[str]:
        path = Path(__file__).parent.parent / "english.txt"
        return path.read_text(encoding="utf-8").splitlines()

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a passage."""
        del documents
        draws = Draws(f"text|{subject}")
        ids: list[int] = []
        number = 0
        while True:
            for sentence in self._sentences(f"{subject}|{number}", draws):
                encoded = self._tokenizer.encode(sentence)
                if ids and len(ids) + len(encoded) > self._settings.passage:
                    return (Node((Words((self._tokenizer.bos,)), Words((*ids, self._tokenizer.eos), 1.0))),)
                ids += encoded
            number += 1

    def _sentences(self, subject: str, draws: Draws) -> tuple[str, ...]:
        if draws.below(_ENGLISH) == 0:
            return (draws.choice(self._english),)
        return make_fact_passage(subject) if about_kinds(self._settings.facts, subject) else make_passage(subject)


class Instructions:
    """Instructions, of which only the output is learnt."""

    def __init__(self, tokenizer: Tokenizer, settings: StreamSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return an instruction with its output."""
        del documents
        text, output = make_fact(subject) if about_kinds(self._settings.facts, subject) else make_instruction(subject)
        asked = Words((self._tokenizer.bos, *self._tokenizer.encode(text)))
        return (Node((asked, Words((*self._tokenizer.encode(output), self._tokenizer.eos), 1.0))),)
