"""The pictures of a page: each distinct one is stored once and drawn wherever it is named.

A picture becomes an SVG symbol with a JPEG as a data URI; a place that shows it refers to the symbol, so sixty prompts
with the same exemplar cost one picture. What a question is about is shown as large as the thumbnail is; exemplars and
the parts of a puzzle, of which one prompt can hold dozens, are made small.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Container
    from pathlib import Path

    from kosmos_eval.record import RunRecord

_MARK = re.compile(r"(<image:[0-9a-f]{12}>)")
_MARK_DIGITS = slice(len("<image:"), -len(">"))
_SMALL_SIDE = 96
_SMALL_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored picture.

    Attributes:
        symbol: its id within the page.
        width, height: in pixels.
        uri: the encoded picture as a data URI.
    """

    symbol: str
    width: int
    height: int
    uri: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt: text, a picture, or the place of a picture that was not kept.

    Attributes:
        text: the text; of a picture, its label.
        picture: the picture; `None` for text and for a missing picture.
        missing: whether a picture belongs here and was not kept.
    """

    text: str
    picture: Picture | None = None
    missing: bool = False


class Album:
    """The pictures that a page has shown so far."""

    def __init__(self, record: RunRecord) -> None:
        """Begin an empty album over a run's thumbnails."""
        self._record = record
        self._pictures: dict[tuple[str, bool], Picture | None] = {}

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Every distinct picture, in the order of first use."""
        return tuple(picture for picture in self._pictures.values() if picture is not None)

    def piece(self, digest: str, *, small: bool = False) -> Piece:
        """Return the piece that shows an image, given its digest.

        Raises:
            DataError: the run folder's thumbnail is not a picture.
        """
        key = (digest, small)
        if key not in self._pictures:
            path = self._record.thumbnail(digest)
            symbol = f"picture-{len(self._pictures) + 1}"
            self._pictures[key] = None if path is None else _read(path, symbol, small=small)
        picture = self._pictures[key]
        return Piece(f"image {digest[:12]}", picture, missing=picture is None)

    def pieces(self, text: str, digests: Collection[str], large: Container[str] = ()) -> tuple[Piece, ...]:
        """Return text with the marks of the given images replaced by their pictures; other marks stay text.

        Args:
            text: with marks such as `<image:0123456789ab>`.
            digests: of the images that stand in it.
            large: those among them that are not made small.
        """
        known = {digest[:12]: digest for digest in digests}

        def shown(part: str) -> Piece:
            digest = known.get(part[_MARK_DIGITS]) if _MARK.fullmatch(part) else None
            return Piece(part) if digest is None else self.piece(digest, small=digest not in large)

        return tuple(shown(part) for part in _MARK.split(text) if part)


def last_characters(pieces: tuple[Piece, ...], limit: int) -> tuple[tuple[Piece, ...], int]:
    """Return the end of a prompt that holds at most `limit` characters of text, and how many were left out.

    The end is kept because the question stands there. Pictures among the text that is left out go with it.
    """
    total = sum(len(piece.text) for piece in pieces if not _is_picture(piece))
    kept: list[Piece] = []
    room = limit
    for piece in reversed(pieces):
        if _is_picture(piece):
            kept.append(piece)
            continue
        kept.append(Piece(piece.text[-room:]))
        room -= len(piece.text)
        if room <= 0:
            break
    return tuple(reversed(kept)), max(total - limit, 0)


def _is_picture(piece: Piece) -> bool:
    return piece.missing or piece.picture is not None


def _read(path: Path, symbol: str, *, small: bool) -> Picture:
    import PIL.Image  # noqa: PLC0415  Pillow is needed only when a page is written

    try:
        encoded = path.read_bytes()
        with PIL.Image.open(io.BytesIO(encoded), formats=("JPEG",)) as picture:
            if small and max(picture.size) > _SMALL_SIDE:
                picture.thumbnail((_SMALL_SIDE, _SMALL_SIDE))
                shrunk = io.BytesIO()
                picture.save(shrunk, format="JPEG", quality=_SMALL_QUALITY)
                encoded = shrunk.getvalue()
            width, height = picture.size
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        message = (
            f"thumbnail {path}: expected a JPEG picture, got {str(error) or type(error).__name__}; remove the file"
        )
        raise DataError(message) from error
    return Picture(symbol, width, height, f"data:image/jpeg;base64,{base64.b64encode(encoded).decode('ascii')}")
