"""A tokenizer.json, as the tokenizers library writes it, turned back into the SentencePiece model it was made from.

transformers 5 saves KOSMOS-2's tokenizer as `tokenizer.json` alone. The file holds all that SentencePiece needs:
pieces, scores and the compiled normalisation. So text is cut by SentencePiece here too, and the library is not needed.
The two differ where pieces tie, and where a combining mark follows a character that normalisation replaces, which the
library drops: SentencePiece is what KOSMOS-2 was trained with.

What SentencePiece would do otherwise than the file says is refused.

Sources: sentencepiece_model.proto of SentencePiece 0.2 for the fields of a model; `XLMRobertaTokenizer` of transformers
5.23 and its converter of 4.x for the two forms of the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
"""The first pieces of the file, which SentencePiece numbers otherwise and has no padding among."""

MASK = "<mask>"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
"""Types of a piece."""

_HARMLESS = ("Strip", "Replace")
"""Normalisers that take away spaces which SentencePiece takes away as well."""


def sentencepiece_model(text: bytes, name: str, numbers: Mapping[str, int]) -> bytes:
    """Return a serialised SentencePiece model that cuts text as a tokenizer.json says.

    Args:
        text: of the file.
        name: how messages call it.
        numbers: of tags and locations, counted from the first tag; the file may have fewer of them.

    Raises:
        DataError: it is no tokenizer.json, or one that SentencePiece cannot stand in for.
    """
    try:
        values = json.loads(text)
        model, steps = values["model"], list(_steps(values["pre_tokenizer"], "pretokenizers"))
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        added = {str(each["content"]): int(each["id"]) for each in values["added_tokens"]}
        charsmap = _charsmap(list(_steps(values["normalizer"], "normalizers")), name)
        _expect(model["type"] == "Unigram", name, "a Unigram model", model["type"])
        _expect(not model.get("byte_fallback"), name, "a model without byte_fallback", "one with it")
        for step in steps:
            _check_step(step, name)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        message = f"{name}: expected a tokenizer.json with a Unigram model, which cannot be read ({error!r:.80})"
        raise DataError(message) from error
    _expect([step["type"] for step in steps].count("Metaspace") == 1, name, "one Metaspace pre-tokenizer", len(steps))
    heads = tuple(piece for piece, _ in pieces[: len(SPECIALS)])
    _expect(heads == SPECIALS, name, f"the first pieces to be {', '.join(SPECIALS)}", ", ".join(heads))
    if pieces[-1][0] == MASK:
        pieces.pop()
    _check_added(added, len(pieces), name, numbers)
    return _serialised(pieces[len(SPECIALS) :], charsmap)


def with_words(model: bytes, words: Iterable[str]) -> bytes:
    """Return a serialised SentencePiece model with a piece more for each word, after all that it has.

    A word is then always that piece where it begins after a space; two messages of protobuf in a row are one, so the
    pieces that there were stay as they are.
    """
    return model + b"".join(_bytes(1, _piece(f"{SPACE}{word}", 0.0, _USER_DEFINED)) for word in words)


def _expect(holds: bool, name: str, wanted: str, got: object) -> None:  # noqa: FBT001  the thing that is checked
    if not holds:
        message = f"{name}: expected {wanted}, got {got!s:.60}"
        raise DataError(message)


def _steps(value: Mapping[str, Any] | None, within: str) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of a normaliser or a pre-tokenizer, one after the other."""
    if value is not None and value["type"] == "Sequence":
        for each in value[within]:
            yield from _steps(each, within)
    elif value is not None:
        yield value


def _charsmap(normalizers: list[Mapping[str, Any]], name: str) -> bytes:
    compiled = [each for each in normalizers if each["type"] == "Precompiled"]
    for each in normalizers:
        _expect(each["type"] in ("Precompiled", *_HARMLESS), name, "a compiled normaliser", f"also {each['type']}")
        if each["type"] == "Replace":
            pattern, content = each["pattern"].get("Regex"), each["content"]
            fits = pattern == " {2,}" and content in (" ", SPACE)
            _expect(fits, name, "spaces alone to be replaced", f"{pattern!r} by {content!r}")
    _expect(len(compiled) <= 1, name, "one compiled normaliser", len(compiled))
    return base64.b64decode(compiled[0]["precompiled_charsmap"] or "", validate=True) if compiled else b""


def _check_step(step: Mapping[str, Any], name: str) -> None:
    _expect(step["type"] in ("WhitespaceSplit", "Metaspace"), name, "a Metaspace pre-tokenizer", f"also {step['type']}")
    if step["type"] == "Metaspace":
        prefix = step.get("prepend_scheme", "always" if step.get("add_prefix_space") else "never")
        _expect(step["replacement"] == SPACE, name, f"spaces to be written {SPACE}", step["replacement"])
        _expect(prefix == "always", name, "every segment to begin with a space (prepend_scheme always)", prefix)


def _check_added(added: Mapping[str, int], first_tag: int, name: str, numbers: Mapping[str, int]) -> None:
    """Raise the first added token that is not one of KOSMOS-2's, under its number."""
    wanted = {piece: number for number, piece in enumerate(SPECIALS)}
    wanted |= {piece: first_tag + number for piece, number in numbers.items()}
    for piece, number in added.items():
        _expect(piece in wanted, name, "added tokens of KOSMOS-2 alone", f"also {piece!r}")
        _expect(number == wanted[piece], name, f"{piece} to have the id {wanted[piece]}", number)


def _serialised(pieces: list[tuple[str, float]], charsmap: bytes) -> bytes:
    """Return the wire form of a `ModelProto`: pieces (1), trainer_spec (2), normalizer_spec (3)."""
    whole = [_piece("<unk>", 0.0, _UNKNOWN), _piece("<s>", 0.0, _CONTROL), _piece("</s>", 0.0, _CONTROL)]
    whole += [_piece(piece, score, _NORMAL) for piece, score in pieces]
    size = _number(4, len(whole))
    trainer = _number(3, 1) + size + _number(40, 0) + _number(41, 1) + _number(42, 2) + _number(43, 2**64 - 1)
    spaces = _number(3, 1) + _number(4, 1) + _number(5, 1)  # in front, none doubled, all written out
    normalizer = _bytes(1, b"tokenizer.json") + _bytes(2, charsmap) + spaces
    return b"".join(_bytes(1, piece) for piece in whole) + _bytes(2, trainer) + _bytes(3, normalizer)


def _piece(text: str, score: float, kind: int) -> bytes:
    return _bytes(1, text.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", score) + _number(3, kind)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Return protobuf's form of a whole number: seven bits a byte, the lowest first, the top bit for more to come."""
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
