"""Text to token ids and back: SentencePiece pieces under KOSMOS's numbering.

Ids, as fairseq and the released KOSMOS-2 (microsoft/unilm, kosmos-2/unilm/data/utils.py and
tasks/generation_obj.py) give them: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, every other SentencePiece piece its own
number + 1, and after the last piece the tags, in the order of `TAGS`. With the released `sentencepiece.bpe.model` of
64,000 pieces that is `<mask>` 64001, `</doc>` 64002, `<image>` 64003, `</image>` 64004, and so on.

Which file the folder holds says which kind of tokenizer it is:

    tokenizer.model            without markup. Text never becomes a tag: `<image>` in a question is seven or more
                               ordinary pieces.
    sentencepiece.bpe.model    with KOSMOS-2's markup, as the released model and the embedded ones have it. After the
                               tags come 1,024 locations, `<patch_index_0000>` and on: 64013 to 65036 in the released
                               one. The tags of `MARKUP` and the locations are tokens when they stand in a text, and
                               are written out when tokens are decoded; what stands between them is tokenised piece
                               by piece. All other tags stay out of reach of a text: none can fake an image or an end.
    tokenizer.json             the same as transformers 5 saves it, read where it stands alone: see `tokenizer_json.py`.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError, UsageError

from .tokenizer_json import SPACE, sentencepiece_model, with_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE_NAME = "tokenizer.model"
RELEASED_FILE_NAME = "sentencepiece.bpe.model"
JSON_FILE_NAME = "tokenizer.json"
DICTIONARY = "dict.txt"

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

MARKUP = TAGS[TAGS.index("<phrase>") :]
"""Tags that KOSMOS-2 reads and writes as part of a text: phrases, their boxes, and the request for them."""

LOCATIONS = 1024

_MARK = re.compile(f"({'|'.join(map(re.escape, MARKUP))}|<patch_index_(?:0[0-9]{{3}}|10[01][0-9]|102[0-3])>)")

_FIRST_PIECE = 3
"""SentencePiece numbers `<unk>` 0, `<s>` 1, `</s>` 2 and ordinary pieces from here."""


class Tokenizer:
    """A SentencePiece model and KOSMOS's numbering of it.

    Attributes:
        bos, pad, eos, unk: ids 0, 1, 2, 3.
        image_begin, image_end: ids of `<image>` and `</image>`.
        first_tag: id of the first tag; what is below is a piece.
        vocabulary_size: number of ids, tags and locations included.
        locations: number of location tokens; 0 for a tokenizer without markup.
    """

    bos = 0
    pad = 1
    eos = 2
    unk = 3

    def __init__(self, model: bytes, name: str = FILE_NAME, locations: int = 0) -> None:
        """Make a tokenizer of a serialised SentencePiece model.

        Args:
            model: what a `.model` file holds.
            name: how messages call it.
            locations: `LOCATIONS` for KOSMOS-2's numbering and markup.

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
        self.first_tag: int = self._pieces.vocab_size() + 1
        self.image_begin = self.tag("<image>")
        self.image_end = self.tag("</image>")
        self.locations = locations
        self._first_location = self.first_tag + len(TAGS)
        self.vocabulary_size = self._first_location + locations

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """Return the tokenizer of a model folder, by the name of its file.

        A `dict.txt` beside `sentencepiece.bpe.model`, as fairseq has it, is held against the pieces.

        Raises:
            DataError: the file is missing or unreadable, or the dictionary numbers the pieces otherwise.
        """
        path = tokenizer_file(Path(folder))
        released = path.name != FILE_NAME
        try:
            model = path.read_bytes()
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror or error}); a model folder holds {FILE_NAME}"
            raise DataError(message) from None
        if path.name == JSON_FILE_NAME:
            model = sentencepiece_model(model, str(path), {each: number for number, each in enumerate(_names())})
        tokenizer = cls(model, str(path), LOCATIONS if released else 0)
        if released and (path.parent / DICTIONARY).is_file():
            tokenizer._check_dictionary(path.parent / DICTIONARY)
        return tokenizer

    def save(self, folder: Path | str) -> Path:
        """Write the SentencePiece model into the folder, under the name it is loaded by, and return its path."""
        path = Path(folder) / (RELEASED_FILE_NAME if self.locations else FILE_NAME)
        path.write_bytes(self._model)
        return path

    def with_words(self, words: Sequence[str]) -> Tokenizer:
        """Return a tokenizer with a piece more for each word; tags and locations get higher ids by as many.

        Raises:
            UsageError: a word is empty, not of letters alone, a piece already, or there twice.
        """
        for place, word in enumerate(words):
            known = word.isalpha() and self._pieces.PieceToId(f"{SPACE}{word}") != self._pieces.unk_id()
            if not word.isalpha() or known or word in words[:place]:
                got = f"the piece {word!r}" if known else f"{word!r}{' twice' if word in words[:place] else ''}"
                message = f"expected new words of letters, that the tokenizer has no piece of, got {got}"
                raise UsageError(message)
        return Tokenizer(with_words(self._model, words), RELEASED_FILE_NAME, self.locations)

    def _check_dictionary(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: expected fairseq's dictionary, which cannot be read ({type(error).__name__})"
            raise DataError(message) from error
        named = [line.rsplit(" ", 1)[0] for line in lines if line]
        pieces = [self._pieces.IdToPiece(each) for each in range(_FIRST_PIECE, self._pieces.vocab_size())]
        if named != pieces:
            differ = next((at for at, pair in enumerate(zip(named, pieces, strict=False)) if pair[0] != pair[1]), None)
            where = f"{len(named)} entries" if differ is None else f"{named[differ]!r} for {pieces[differ]!r}"
            message = f"{path}: expected the {len(pieces)} pieces of {RELEASED_FILE_NAME} in their order, got {where}"
            raise DataError(message)

    def tag(self, name: str) -> int:
        """Return the id of a tag.

        Raises:
            ValueError: it is not one of `TAGS`.
        """
        return self.first_tag + TAGS.index(name)

    def location(self, index: int) -> int:
        """Return the id of a location token.

        Raises:
            ValueError: the tokenizer has no such location.
        """
        if not 0 <= index < self.locations:
            message = f"expected a location below {self.locations}, got {index}"
            raise ValueError(message)
        return self._first_location + index

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text segment; a segment begins at a word boundary, so a space in front adds nothing.

        Neither `<s>` nor `</s>` is added.
        """
        if not self.locations:
            return self._encode_pieces(text)
        ids: list[int] = []
        for part in _MARK.split(text):
            ids += [self._mark(part)] if _MARK.fullmatch(part) else self._encode_pieces(part)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, with `<s>`, `<pad>`, `</s>`, `<unk>` and all tags left out.

        A tokenizer with markup writes its tags and locations out: `<phrase> a dog</phrase>`. A word that follows one
        keeps the space that it begins with.
        """
        if not self.locations:
            return self._decode_pieces(ids)
        text = ""
        shown = [each for each in ids if self._is_mark(each) or _FIRST_PIECE < each < self.first_tag]
        for is_mark, group in groupby(shown, self._is_mark):
            run = list(group)
            if is_mark:
                text += "".join(map(self._mark_text, run))
            else:
                spaced = text and self._pieces.IdToPiece(run[0] - 1).startswith(SPACE)
                text += (" " if spaced else "") + self._decode_pieces(run)
        return text

    def _encode_pieces(self, text: str) -> list[int]:
        return [self.unk if piece == 0 else piece + 1 for piece in self._pieces.EncodeAsIds(text)]

    def _decode_pieces(self, ids: Iterable[int]) -> str:
        pieces = [each - 1 for each in ids if _FIRST_PIECE < each < self.first_tag]
        return str(self._pieces.DecodeIds(pieces))

    def _mark(self, text: str) -> int:
        return self.tag(text) if text in TAGS else self.location(int(text[len("<patch_index_") : -1]))

    def _is_mark(self, token: int) -> bool:
        return self._first_location - len(MARKUP) <= token < self.vocabulary_size

    def _mark_text(self, token: int) -> str:
        location = token - self._first_location
        return TAGS[location] if location < 0 else _location_name(location)


def _location_name(location: int) -> str:
    return f"<patch_index_{location:04d}>"


def _names() -> tuple[str, ...]:
    """Return what KOSMOS-2 calls the ids that come after the pieces."""
    return (*TAGS, *map(_location_name, range(LOCATIONS)))


def tokenizer_file(folder: Path) -> Path:
    """Return the path of a model folder's tokenizer: this project's own, else the released one, else its JSON form."""
    paths = [folder / name for name in (FILE_NAME, RELEASED_FILE_NAME, JSON_FILE_NAME)]
    return next((path for path in paths if path.is_file()), paths[0])
