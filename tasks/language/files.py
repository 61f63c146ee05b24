"""The official files of the language benchmarks: where people put them, and what their rows are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from kosmos_eval.data.folder import (
    INTACT,
    find_if_there,
    list_folder,
    read_json,
    read_json_lines,
    read_lines,
    read_table,
    read_text,
    sub_folders,
)
from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]

_STORY_COLUMNS = {
    "InputSentence1": "input_sentence_1",
    "InputSentence2": "input_sentence_2",
    "InputSentence3": "input_sentence_3",
    "InputSentence4": "input_sentence_4",
    "RandomFifthSentenceQuiz1": "sentence_quiz1",
    "RandomFifthSentenceQuiz2": "sentence_quiz2",
    "AnswerRightEnding": "answer_right_ending",
}


def find_first(folder: Path, names: Sequence[str], cure: str) -> Path:
    """Return where the first of several names lies that is there.

    Args:
        folder: what the user named.
        names: a name with a folder in front, or none, is looked for in the folder and its sub-folders; one that begins
            with `./` in the folder alone, as many benchmarks have a file of that name.
        cure: how to get it, for the message.

    Raises:
        DataError: none is there.
    """
    for name in names:
        if name.startswith("./"):
            if (path := folder / name).is_file():
                return folder / path.name
        elif (found := find_if_there(folder, name)) is not None:
            return found
    message = f"expected {names[0]} in {folder} or a sub-folder of it, found none; {cure}"
    raise DataError(message)


def json_rows(path: Path) -> list[tuple[str, Row]]:
    """Return the objects of a JSON-lines file, each with `FILE: line N`.

    Raises:
        DataError: a line is something else.
    """
    rows = read_json_lines(path)
    for where, row in rows:
        if not isinstance(row, dict):
            message = f"{where}: expected an object, got {row!r:.40}; {INTACT}"
            raise DataError(message)
    return rows


def labelled_rows(path: Path, column: str) -> list[tuple[str, Row]]:
    """Return the objects of a JSON-lines file; labels that it lacks are the lines of `STEM-labels.lst` beside it.

    Raises:
        DataError: a line is something else, or there is no such file of labels, or one of another number of lines.
    """
    rows = json_rows(path)
    if any(column in row for _, row in rows):
        return rows
    return _with_labels(rows, column, path.with_name(f"{path.stem}-labels.lst"))


def _with_labels(rows: Sequence[tuple[str, Row]], column: str, path: Path) -> list[tuple[str, Row]]:
    if not path.is_file():
        message = f"expected {path}, which has the labels of the rows beside it, found none; {INTACT}"
        raise DataError(message)
    labels = read_lines(path)
    if len(labels) != len(rows):
        message = f"{path}: expected {len(rows)} labels, one for each row, got {len(labels)}; {INTACT}"
        raise DataError(message)
    return [(where, {**row, column: label}) for (where, row), (_, label) in zip(rows, labels, strict=True)]


def label_of(row: Row, column: str, values: Mapping[str, int], where: str) -> int:
    """Return which of some labels a row has, in whatever letters and whether as a number, a truth value or a text.

    Raises:
        DataError: it has none, or another.
    """
    found = values.get(str(row.get(column)).strip().lower())
    if found is None:
        named = ", ".join(values)
        message = f"{where}: expected {column} to be one of {named}, got {row.get(column)!r:.40}; {INTACT}"
        raise DataError(message)
    return found


def story_rows(folder: Path, split: str, year: str, cure: str) -> list[tuple[str, Row]]:
    """Return the rows of a Story Cloze CSV file, whose name goes on after what is asked for.

    Raises:
        DataError: there is none, or several, or it lacks a column.
    """
    season = {"2016": "spring2016", "2018": "winter2018"}[year]
    start = f"cloze_test_{split}__{season}"
    paths = [
        place / each.name
        for place in (folder, *sub_folders(folder))
        for each in list_folder(place)
        if each.name.startswith(start) and each.name.lower().endswith(".csv")
    ]
    if len(paths) != 1:
        found = " and ".join(map(str, paths)) or "none"
        message = f"expected one {start}*.csv in {folder} or a sub-folder of it, got {found}; {cure}"
        raise DataError(message)
    rows = read_table(paths[0], list(_STORY_COLUMNS))
    return [(where, {**row, **{column: row[name] for name, column in _STORY_COLUMNS.items()}}) for where, row in rows]


def winograd_rows(folder: Path, size: int, cure: str) -> list[tuple[str, Row]]:
    """Return the rows of the Winograd Schema Challenge: the authors' XML file, or rows in JSON as on the hub.

    Raises:
        DataError: there is neither, or it is malformed.
    """
    xml = "WSCollection.xml"
    names = (f"wsc{size}.jsonl", f"wsc{size}.json", xml)
    path = next((found for name in names if (found := find_if_there(folder, name)) is not None), None)
    if path is None:
        message = f"expected {xml} or {names[0]} in {folder} or a sub-folder of it, found none; {cure}"
        raise DataError(message)
    if path.name == xml:
        rows = _schemas(path)[:size]  # the 273 are the first of the 285
    elif read_text(path).lstrip().startswith("[") and isinstance(held := read_json(path), list):
        rows = [(f"{path.name}: item {number}", row) for number, row in enumerate(held, start=1)]
    else:
        rows = json_rows(path)
    return rows


def _schemas(path: Path) -> list[tuple[str, Row]]:
    try:
        tree = ET.fromstring(path.read_bytes())  # noqa: S314  a file of the user's own choice, a few hundred kB
    except (ET.ParseError, ValueError, LookupError, OSError) as error:
        message = f"{path}: not valid XML ({error}); {INTACT}"
        raise DataError(message) from error
    return [
        (f"{path.name}: schema {number}", _schema(schema, f"{path.name}: schema {number}"))
        for number, schema in enumerate(tree.iter("schema"), start=1)
    ]


def _schema(schema: ET.Element, where: str) -> Row:
    def said(name: str) -> str:
        return " ".join((schema.findtext(name) or "").split())

    left, pronoun, right = said("text/txt1"), said("text/pron"), said("text/txt2")
    options = [" ".join((each.text or "").split()) for each in schema.iterfind("answers/answer")]
    correct = re.match("[AB]", said("correctAnswer"), re.IGNORECASE)
    if not pronoun or len(options) != 2 or not all(options) or correct is None:  # noqa: PLR2004  as it says
        got = f"{pronoun!r}, {options} and {said('correctAnswer')!r}"
        message = f"{where}: expected a pronoun, two answers and the right one, A or B, got {got}; {INTACT}"
        raise DataError(message)
    before = f"{left} " if left else ""
    return {
        "text": f"{before}{pronoun} {right}".strip(),  # a space before a full stop, too, as in the hub's rows
        "pronoun": pronoun,
        "pronoun_loc": len(before),
        "options": options,
        "label": "ab".index(correct[0].lower()),
    }
