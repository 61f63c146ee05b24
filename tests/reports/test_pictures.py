from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.reports.pictures import Album, Piece, last_characters

if TYPE_CHECKING:
    from tests.reports.conftest import Make


def test_marks_of_the_prompts_images_become_pictures_and_others_stay_text(make: Make) -> None:
    known, other = make.picture("known"), make.picture("other")
    text = f"a <image:{known[:12]}> b <image:{other[:12]}> <image>"
    pieces = Album(make.record()).pieces(text, [known])
    assert [piece.text for piece in pieces if piece.picture] == [f"image {known[:12]}"]
    assert "".join(piece.text for piece in pieces if not piece.picture) == f"a  b <image:{other[:12]}> <image>"


def test_a_picture_that_was_not_kept_is_missing_and_named(make: Make) -> None:
    album = Album(make.record())
    assert album.piece("ab" * 32) == Piece("image abababababab", None, missing=True)
    assert album.pictures == ()


def test_a_picture_is_kept_once_for_each_size(make: Make) -> None:
    digest = make.picture("one", (192, 100))
    album = Album(make.record())
    for small in (False, True, False, True):
        album.piece(digest, small=small)
    assert [(picture.width, picture.height) for picture in album.pictures] == [(192, 100), (96, 50)]
    assert len({picture.symbol for picture in album.pictures}) == 2


def test_a_file_that_is_no_picture_is_named(make: Make) -> None:
    digest = make.picture("broken")
    path = make.folder / "thumbnails" / f"{digest}.jpg"
    path.write_bytes(b"<svg/>")
    with pytest.raises(DataError, match=f"{digest}.jpg: expected a JPEG picture"):
        Album(make.record()).piece(digest)


def test_last_characters_keep_the_end_with_its_pictures(make: Make) -> None:
    picture = Album(make.record()).piece("ab" * 32)
    pieces = (Piece("abc"), picture, Piece("def"), picture, Piece("gh"))
    assert last_characters(pieces, 100) == (pieces, 0)
    assert last_characters(pieces, 4) == ((Piece("ef"), picture, Piece("gh")), 4)
    assert last_characters(pieces, 5) == ((Piece("def"), picture, Piece("gh")), 3)
