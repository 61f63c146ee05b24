"""A user's own pictures with text.

    <s> [picture] "{prompt}" "{text}" </s>          a record without a picture is text alone

Which record a document is made of is drawn from its subject, with all records alike at every draw: there are no
epochs, and a run that was stopped goes on with the documents that it would have had. Of a list of texts, one is drawn.
A text of more than `most_tokens` tokens is cut there, at a whole token, and has no `</s>`, which would teach the model
to break off; how many are so long is said at the start, of the records that are looked at then.
"""

from __future__ import annotations

import hashlib
import string
import sys
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.microworld.draws import Draws

from .. import shards, tables
from ..documents import written
from ..packing import Node, Words
from ..records import NO_PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...tokenizer import Tokenizer
    from ..config import OwnSettings, StreamSettings
    from ..documents import Documents
    from ..records import Records

LOOKED_AT = 500
"""Records that are read at the start, at most."""

_TRIES = 100
"""Records in a row that may be broken, where these are skipped."""


class Own:
    """Documents of a user's records.

    Attributes:
        summary: what was found at the start, in a line.
        fingerprint: of the number of records and of those that were looked at: whether they are the same as before.
    """

    def __init__(self, tokenizer: Tokenizer, streams: StreamSettings, settings: OwnSettings) -> None:
        """Find the records and look at some.

        Args:
            tokenizer: of the model.
            streams: for the weight of prompts.
            settings: where the records are, and what is read of them.

        Raises:
            UsageError: there is no such file, split or column, or the prompt is malformed.
            DataError: what is there cannot be read, or has no pictures or texts.
        """
        self._tokenizer = tokenizer
        self._weight = streams.prompts
        self._settings = settings
        self._prompt = _template(settings.prompt)
        source = shards if settings.shards else tables
        self._text = settings.text or source.TEXT
        fields = (self._text, *(field for _, field in self._prompt if field))
        image = settings.image or source.PICTURES
        self._records: Records = (
            shards.open_shards(settings.shards, image, fields)
            if settings.shards
            else tables.open_table(settings, image, fields)
        )
        self.summary, self.fingerprint = self._look()

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a document of a record.

        Raises:
            DataError: the record is broken, or too many are.
            UsageError: it has a picture, and the model reads none.
        """
        draws = Draws(f"own|{subject}")
        broken = ""
        for _ in range(_TRIES):
            number = draws.below(len(self._records))
            try:
                return self._document(number, draws, documents)
            except DataError as error:
                if self._settings.broken == "stop":
                    raise
                broken = str(error)
            print(f"skipped: {broken}", file=sys.stderr, flush=True)  # noqa: T201  as the loop's progress
        message = f"{broken}; so were {_TRIES - 1} records drawn before it"
        raise DataError(message)

    def _document(self, number: int, draws: Draws, documents: Documents) -> tuple[Node, ...]:
        prompt, text = self._said(number, draws.choice)
        asked = self._cut(written(self._tokenizer, prompt, text, 0, self._weight))
        begin = Words((self._tokenizer.bos,))
        picture = self._records.picture(number)
        if picture is None:
            return Node((begin,)), asked
        if not documents.side:
            message = f'[own] image: expected "{NO_PICTURES}" for a model without a vision tower, got pictures'
            raise UsageError(message)
        return Node((begin, documents.add(picture.load()))), asked

    def _said(self, number: int, choose: Callable[[tuple[str, ...]], str]) -> tuple[str, str]:
        """Return a record's prompt and text."""
        prompt = "".join(
            literal + (choose(self._texts(number, field)) if field else "") for literal, field in self._prompt
        )
        return prompt, choose(self._texts(number, self._text))

    def _texts(self, number: int, field: str) -> tuple[str, ...]:
        texts = self._records.texts(number, field)
        if not texts:
            message = (
                f"{self._records.name(number)}: expected a text in {field}, got none; mend it, or skip such records "
                f'with [own] broken = "skip"'
            )
            raise DataError(message)
        return texts

    def _cut(self, node: Node) -> Node:
        """Return a node whose text is no longer than it may be, the end counted out."""
        *asked, answer = node.parts
        most = self._settings.most_tokens
        if not isinstance(answer, Words) or len(answer.ids) <= most + 1:
            return node
        return Node((*asked, Words(answer.ids[:most], answer.weight)), node.parent)

    def _look(self) -> tuple[str, str]:
        """Return the summary and the fingerprint, and raise if nothing can be learnt from the records."""
        count = len(self._records)
        looked = range(0, count, -(-count // LOOKED_AT))
        whole = hashlib.sha256(f"{count}".encode())
        lengths: list[int] = []
        broken: list[DataError] = []
        for number in looked:
            try:
                said = self._said(number, lambda texts: texts[0])
            except DataError as error:
                if self._settings.broken == "stop":
                    raise
                broken.append(error)
                continue
            whole.update("|".join(said).encode())
            lengths.append(len(self._tokenizer.encode(said[1])))
        if not lengths:
            raise broken[0]
        longer = sum(length > self._settings.most_tokens for length in lengths)
        notes = [*self._records.notes, f"{sum(lengths) / len(lengths):.0f} tokens a text"]
        if longer:
            notes.append(f"{longer} texts of {len(lengths)} longer than {self._settings.most_tokens} tokens and cut")
        if broken:
            notes.append(f"{len(broken)} of {len(looked)} broken and skipped")
        return f"own: {count} records; {', '.join(notes)}", whole.hexdigest()


def _template(prompt: str) -> tuple[tuple[str, str], ...]:
    """Return a prompt as pieces of text, each with the field that follows it; an empty one for none."""
    try:
        parsed = list(string.Formatter().parse(prompt))
    except ValueError as error:
        reason = str(error)
    else:
        if not any(field == "" for _, field, _, _ in parsed):
            return tuple((text, f"{field or ''}{f':{key}' if key else ''}") for text, field, key, _ in parsed)
        reason = "a field without a name"
    message = f"[own] prompt: expected text with {{field}}s, braces of its own doubled, got {prompt!r} ({reason})"
    raise UsageError(message)
