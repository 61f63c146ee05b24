"""Records are read from tar files as they lie, and what is wrong with one is named."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.training.shards import PICTURES, open_shards

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _png(red: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), (red, 0, 0)).save(file, "png")
    return file.getvalue()


def _write(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards of two records each, the second's in a folder and with its members apart."""
    more = json.dumps({"caption": "said in JSON", "captions": ["one", "two"], "size": 3, "where": {}}).encode()
    _write(
        tmp_path / "cc-08.tar",
        {"a.png": _png(10), "a.txt": b" first \n", "a.json": more, "b.txt": b"second", "b.json": more},
    )
    _write(
        tmp_path / "cc-09.tar",
        {"x/c.PNG": _png(30), "x/d.seg.png": _png(0), "x/d.txt": b"fourth", "x/c.txt": b"third", "x/d.jpg": _png(40)},
    )
    return tmp_path


def test_members_of_one_name_are_a_record(folder: Path) -> None:
    records = open_shards(f"{folder}/cc-{{08..09}}.tar", PICTURES, ["txt"])
    assert [records.texts(number, "txt") for number in range(len(records))] == [
        ("first",),
        ("second",),
        ("third",),
        ("fourth",),
    ]
    pictures = [records.picture(number) for number in range(4)]
    reds = [picture and picture.load().getpixel((0, 0)) for picture in pictures]
    assert reds == [(10, 0, 0), None, (30, 0, 0), (40, 0, 0)]
    assert records.notes == ("1 without a picture",)


def test_a_pattern_names_shards_in_order(folder: Path) -> None:
    by_glob, by_range = (open_shards(f"{folder}/{name}", "none", ["txt"]) for name in ("cc-*.tar", "cc-{08..09}.tar"))
    assert by_glob.paths == by_range.paths == (folder / "cc-08.tar", folder / "cc-09.tar")
    with pytest.raises(UsageError, match=r"expected .*cc-10\.tar to be there, found no such file"):
        open_shards(f"{folder}/cc-{{08..10}}.tar", "none", ["txt"])
    with pytest.raises(UsageError, match=r"expected .*dd-\*\.tar to be there, found no such file"):
        open_shards(f"{folder}/dd-*.tar", "none", ["txt"])


def test_a_field_can_be_a_key_of_json(folder: Path) -> None:
    fields = ["json:caption", "json:captions", "json:size", "json:where", "json:title"]
    records = open_shards(f"{folder}/cc-08.tar", PICTURES, fields)
    assert [records.texts(0, each) for each in fields[:3]] == [("said in JSON",), ("one", "two"), ("3",)]
    with pytest.raises(DataError, match=r"cc-08\.tar: a\.png, json:where: expected a text or a list of texts"):
        records.texts(0, "json:where")
    with pytest.raises(DataError, match=r"expected an object with 'title', got 'caption', 'captions', 'size', 'where'"):
        records.texts(0, "json:title")


def test_records_without_text_are_left_out_and_counted(folder: Path) -> None:
    records = open_shards(f"{folder}/cc-*.tar", PICTURES, ["json:caption"])
    assert len(records) == 2
    assert records.notes == ("2 without text left out", "1 without a picture")


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        (PICTURES, "caption", r"extension caption, found txt, json, png, jpg, seg\.png; name one of these in .* text$"),
        ("gif", "txt", 'extension gif, found .*; name one of these in .* image; or set it to "none" for text alone'),
    ],
)
def test_the_extensions_found_are_listed(folder: Path, image: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_shards(f"{folder}/cc-*.tar", image, [text])


def test_a_compressed_shard_is_refused_with_the_cure(folder: Path) -> None:
    path = folder / "cc.tar.gz"
    path.write_bytes(gzip.compress((folder / "cc-08.tar").read_bytes()))
    with pytest.raises(DataError, match=r"cc\.tar\.gz: expected a tar file without compression.*; gunzip it first"):
        open_shards(str(path), PICTURES, ["txt"])


@pytest.mark.parametrize(("begin", "end"), [(0, 700), (1024, 1536)], ids=["cut off", "overwritten"])
def test_a_damaged_shard_is_named(folder: Path, begin: int, end: int) -> None:
    path = folder / "cc-08.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:end] if begin == 0 else whole[:begin] + b"\xff" * (end - begin) + whole[end:])
    with pytest.raises(DataError, match=r"cc-08\.tar: expected a whole tar file, got one that cannot be read"):
        open_shards(str(path), PICTURES, ["txt"])


def test_two_members_of_one_name_are_refused(folder: Path) -> None:
    path = folder / "twice.tar"
    with tarfile.open(path, "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    with pytest.raises(DataError, match=r"twice\.tar: expected one member a\.txt, got two"):
        open_shards(str(path), "none", ["txt"])


def test_a_broken_picture_is_named(folder: Path) -> None:
    path = _write(folder / "e.tar", {"e.jpg": b"no picture", "e.txt": b"text"})
    picture = open_shards(str(path), PICTURES, ["txt"]).picture(0)
    assert picture is not None
    with pytest.raises(DataError, match=r"image .*e\.tar: e\.jpg: cannot be read"):
        picture.load()


def test_a_picture_comes_the_right_way_up(folder: Path) -> None:
    lying = PIL.Image.new("RGB", (3, 2))
    exif = lying.getexif()
    exif[0x0112] = 6  # its top is at the right
    file = io.BytesIO()
    lying.save(file, "jpeg", exif=exif)
    path = _write(folder / "f.tar", {"f.jpg": file.getvalue(), "f.txt": b"text"})
    picture = open_shards(str(path), PICTURES, ["txt"]).picture(0)
    assert picture is not None
    assert picture.load().size == (2, 3)
