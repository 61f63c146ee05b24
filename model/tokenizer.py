"""Text to token ids and back: SentencePiece pieces under KOSMOS's numbering.

Ids, as fairseq and the released KOSMOS-2 (microsoft/unilm, kosmos-2/unilm/data/utils.py and
tasks/generation_obj.py) give them: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, every other SentencePiece piece its own
number + 1, and after the last piece the tags, in the order of `TAGS`. With the released `sentencepiece.bpe.model` of
64,000 pieces that is `<mask>` 64001, `</doc>` 64002, `<image>` 64003, `</image>` 64004, and so on.

Text never becomes a tag: `<image>` in a question is seven or more ordinary pieces.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE_NAME = "tokenizer.model"

TAGS = (
    "<mask>",
    "</doc>",
    "<image>",
    "</image>",
    "</chunk>",
    "</line>",
    "<phrase>",
    "</phrase>",
    "<object>",
    "</object>",
    "</delimiter_of_multi_objects/>",
    "<grounding>",
)

_FIRST_PIECE = 3
"""SentencePiece numbers `<unk>` 0, `<s>` 1, `</s>` 2 and ordinary pieces from here."""


class Tokenizer:
    """A SentencePiece model and KOSMOS's numbering of it.

    Attributes:
        bos, pad, eos, unk: ids 0, 1, 2, 3.
        image_begin, image_end: ids of `<image>` and `</image>`.
        vocabulary_size: number of ids, tags included.
    """

    bos = 0
    pad = 1
    eos = 2
    unk = 3

    def __init__(self, model: bytes, name: str = FILE_NAME) -> None:
        """Make a tokenizer of a serialised SentencePiece model.

        Args:
            model: what a `.model` file holds.
            name: how messages call it.

        Raises:
            DataError: it is no SentencePiece model, or numbers its special pieces otherwise.
        """
        import sentencepiece  # noqa: PLC0415  10 ms, and listing models needs none

        self._model = model
        self._pieces = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError as error:
            message = f"{name}: expected a SentencePiece model ({error})"
            raise DataError(message) from None
        specials = (self._pieces.unk_id(), self._pieces.bos_id(), self._pieces.eos_id())
        if specials != (0, 1, 2):
            message = f"{name}: expected <unk>, <s>, </s> to be pieces 0, 1, 2, got {specials}"
            raise DataError(message)
        self._first_tag: int = self._pieces.vocab_size() + 1
        self.image_begin = self.tag("<image>")
        self.image_end = self.tag("</image>")
        self.vocabulary_size = self._first_tag + len(TAGS)

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """Return the tokenizer of a model folder.

        Raises:
            DataError: `tokenizer.model` is missing or unreadable.
        """
        path = Path(folder) / FILE_NAME
        try:
            return cls(path.read_bytes(), str(path))
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror or error}); a model folder holds {FILE_NAME}"
            raise DataError(message) from None

    def save(self, folder: Path | str) -> Path:
        """Write `tokenizer.model` into the folder and return its path."""
        path = Path(folder) / FILE_NAME
        path.write_bytes(self._model)
        return path

    def tag(self, name: str) -> int:
        """Return the id of a tag.

        Raises:
            ValueError: it is not one of `TAGS`.
        """
        return self._first_tag + TAGS.index(name)

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text segment; a segment begins at a word boundary, so a space in front adds nothing.

        Neither `<s>` nor `</s>` is added.
        """
        return [self.unk if piece == 0 else piece + 1 for piece in self._pieces.EncodeAsIds(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, with `<s>`, `<pad>`, `</s>`, `<unk>` and all tags left out."""
        pieces = [each - 1 for each in ids if _FIRST_PIECE < each < self._first_tag]
        return str(self._pieces.DecodeIds(pieces))
