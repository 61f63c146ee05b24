from __future__ import annotations

import os
from pathlib import Path

import pytest

from kosmos_eval.data.folder import (
    find_if_there,
    find_path,
    find_pictures,
    list_folder,
    read_field,
    read_json,
    read_json_lines,
    read_lines,
    read_table,
    unnested,
)
from kosmos_eval.errors import DataError


def test_a_file_is_found_in_the_folder_one_level_down_and_where_archives_put_it(tmp_path: Path) -> None:
    for place in ("", "any name", "Images/mscoco"):
        folder = tmp_path / place.replace("/", "-")
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "a.json").touch()
        assert find_path(folder, "a.json", within=["Images/mscoco"]) == folder / place / "a.json"


def test_the_folder_itself_goes_before_its_sub_folders(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.json").touch()
    (tmp_path / "a.json").touch()
    assert find_path(tmp_path, "a.json") == tmp_path / "a.json"


def test_a_file_in_two_sub_folders_is_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").touch()
    with pytest.raises(DataError, match=r"one a\.json .*/new/a\.json and .*/old/a\.json"):
        find_path(tmp_path, "a.json")


def test_a_place_reached_in_two_ways_is_one_place(tmp_path: Path) -> None:
    (tmp_path / "Questions").mkdir()
    (tmp_path / "Questions" / "a.json").touch()
    (tmp_path / "link").symlink_to("Questions")
    assert find_path(tmp_path, "a.json", within=["Questions"]) == tmp_path / "Questions" / "a.json"


def test_a_missing_file_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a\.json in .*, found none; get it from the authors$"):
        find_path(tmp_path, "a.json", cure="get it from the authors")


def shut(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be one that may be neither entered nor listed, for root too."""
    exists, scandir = Path.exists, os.scandir

    def denied() -> PermissionError:
        return PermissionError(13, "Permission denied")

    def exists_unless_shut(path: Path) -> bool:
        if folder in path.parents:
            raise denied()
        return exists(path)

    def scandir_unless_shut(path: Path) -> object:
        if path == folder:
            raise denied()
        return scandir(path)

    monkeypatch.setattr(Path, "exists", exists_unless_shut)
    monkeypatch.setattr(os, "scandir", scandir_unless_shut)
    monkeypatch.setattr(os, "access", lambda path, mode: bool(mode) and path != folder)


def test_a_sub_folder_that_may_not_be_entered_is_passed_over_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lost+found", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / "a.json").touch()
    shut(monkeypatch, tmp_path / "lost+found")
    assert find_path(tmp_path, "a.json") == tmp_path / "new" / "a.json"
    assert find_if_there(tmp_path, "b.json") is None
    with pytest.raises(DataError, match=r"found none \(.*/lost\+found may not be entered: change its permissions\)"):
        find_path(tmp_path, "b.json")


def test_a_folder_that_may_not_be_read_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, tmp_path)
    for read in (
        lambda: list_folder(tmp_path),
        lambda: find_if_there(tmp_path, "a.json"),
        lambda: find_pictures(tmp_path, [("item 1", "1.jpg")]),
    ):
        with pytest.raises(DataError, match=rf"^{tmp_path}: cannot be read \(Permission denied\); change its perm"):
            read()


def test_within_is_looked_for_in_each_sub_folder_after_the_folder_itself(tmp_path: Path) -> None:
    deep, near = tmp_path / "official" / "Images", tmp_path / "Images"
    (deep / "val").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "val").mkdir(parents=True)
    (tmp_path / ".cache" / "val").mkdir(parents=True)
    assert find_path(tmp_path, "val", within=["Images"]) == deep / "val"
    (near / "val").mkdir(parents=True)
    assert find_path(tmp_path, "val", within=["Images"]) == near / "val"


def test_a_folder_may_be_unpacked_into_one_of_its_own_name(tmp_path: Path) -> None:
    assert unnested(tmp_path) == tmp_path
    (tmp_path / tmp_path.name).mkdir()
    assert unnested(tmp_path) == tmp_path / tmp_path.name


def test_a_picture_may_have_its_ending_in_capitals_and_one_that_has_not_goes_before(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.JPG", "b.jpg"):
        (tmp_path / name).touch()
    found = find_pictures(tmp_path, [("item 1", "a.jpg"), ("item 2", "b.jpg")])
    assert [Path(image.name).name for image in found.values()] == ["a.JPG", "b.jpg"]


def test_a_folder_is_listed_by_name_and_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").touch()
    assert list_folder(tmp_path) == [("a.txt", False), ("b", True)]
    assert list_folder(tmp_path / "none") == list_folder(tmp_path / "a.txt") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b" \n", "got an empty file"),
        (b'{"questions": [1, 2', r"not valid JSON \(.* at line 1, column 20\)"),
        (b"<html>", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_bad_json_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read_json(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_missing_or_unreadable_json_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json: cannot be read \(No such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path)


def test_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, "\u00e9"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, "\u00e9"]}


def test_a_field_of_the_right_kind_is_returned() -> None:
    assert read_field({"a": 3}, "a", int, "x") == 3
    assert read_field({"a": True}, "a", bool, "x") is True


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        ([1], int, r'x: expected an object with "a", got \[1\]'),
        ({"b": 1}, int, 'x: expected "a", got only "b"'),
        ({}, int, 'x: expected "a", got only nothing'),
        ({"a": "3"}, int, 'x: expected "a" to be a whole number, got "3"'),
        ({"a": True}, int, 'x: expected "a" to be a whole number, got true'),
        ({"a": None}, str, 'x: expected "a" to be a text, got null'),
        (
            {"a": "y" * 99},
            list,
            r'x: expected "a" to be a list, got "y{39}\.\.\.; take an intact copy of the official data$',
        ),
    ],
)
def test_a_wrong_field_is_an_error_that_shows_it(record: object, kind: type, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_field(record, "a", kind, "x")


def test_lines_are_read_without_marks_and_blanks_and_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbfone, two \r\n\r\nthree\r\n")
    assert read_lines(path) == [("names.txt: line 1", "one, two"), ("names.txt: line 3", "three")]


@pytest.mark.parametrize(("content", "message"), [(b" \n", "got an empty file"), (b"caf\xe9", "expected UTF-8")])
def test_a_file_without_lines_of_text_is_an_error_that_names_it(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"names\.txt: .*{message}"):
        read_lines(path)


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff{"text": "one\u2028two\x85"}\r\n\n{"text": "three"}'.encode())
    assert read_json_lines(path) == [
        ("a.jsonl: line 1", {"text": "one\u2028two\x85"}),
        ("a.jsonl: line 3", {"text": "three"}),
    ]


def test_quotes_are_letters_where_a_table_has_none(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text('sentence\tlabel\n"a "great" film\t1\n', encoding="utf-8")
    (row,) = read_table(path, ["sentence", "label"], "\t", quoted=False)
    assert row == ("dev.tsv: line 2", {"sentence": '"a "great" film', "label": "1"})
    with pytest.raises(DataError, match="not valid CSV"):
        read_table(path, ["sentence", "label"], "\t")


def test_a_file_that_may_be_missing_is_looked_for_in_the_same_places(tmp_path: Path) -> None:
    assert find_if_there(tmp_path, "notes.json") is None
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "notes.json").touch()
    assert find_if_there(tmp_path, "notes.json") == tmp_path / "one" / "notes.json"
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "notes.json").touch()
    with pytest.raises(DataError, match=r"expected one notes\.json"):
        find_if_there(tmp_path, "notes.json")
