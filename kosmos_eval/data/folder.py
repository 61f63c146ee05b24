"""Reading the files that a benchmark's authors ship, with errors that name the file, the item and the cure."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    bool: "a truth value",
}
_SHOWN = 40
_AGAIN = "unpack or download it again"
INTACT = "take an intact copy of the official data"
"""What to do about a record that is not as the authors ship it."""


def find_path(folder: Path, name: str, *, within: Sequence[str] = (), cure: str = "") -> Path:
    """Return where a file or folder of that name lies: in the folder, or in a sub-folder as people unpack archives.

    Args:
        folder: what the user named.
        name: of the file or folder, perhaps with a folder in front.
        within: sub-folders of sub-folders to look into besides (`Images/mscoco`), in the folder and, where it is not
            there, in each of its sub-folders.
        cure: how to get it, for the message.

    Raises:
        DataError: it is not there, or there in several places; the folder itself goes before its sub-folders.
    """
    found = find_if_there(folder, name, within=within)
    if found is None:
        near, far = _places(folder, within)
        shut = [place for place in near + far if _is_there(place) and not os.access(place, os.X_OK)]
        note = f" ({shut[0]} may not be entered: change its permissions)" if shut else ""
        message = f"expected {name} in {folder} or a sub-folder of it, found none{note}{f'; {cure}' if cure else ''}"
        raise DataError(message)
    return found


def find_if_there(folder: Path, name: str, *, within: Sequence[str] = ()) -> Path | None:
    """Return where a file or folder of that name lies, as `find_path` does; `None` if it is nowhere.

    Raises:
        DataError: it is there in several places, or the folder may not be read.
    """
    if _is_there(folder / name):
        return folder / name
    for places in _places(folder, within):
        found = sorted({(place / name).resolve() for place in places if _is_there(place / name)})
        if len(found) > 1:
            message = f"expected one {name} in {folder}, got {' and '.join(map(str, found))}; remove or rename one"
            raise DataError(message)
        if found:
            return found[0]
    return None


def _places(folder: Path, within: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Return the folders to look into: sub-folders and those of `within`, then those of `within` in each sub-folder."""
    # Sub-folders of a sub-folder are not listed: there may be a hundred thousand pictures beside them.
    tops = sub_folders(folder)
    return tops + [folder / each for each in within], [top / each for top in tops for each in within]


def sub_folders(folder: Path) -> list[Path]:
    """Return the sub-folders that may hold data, in alphabetical order.

    Hidden ones hold none, and what a Mac puts into its archives (`__MACOSX`) has the names of the real folders alone.

    Raises:
        DataError: the folder may not be read.
    """
    return [
        folder / each.name for each in list_folder(folder) if each.is_folder and not each.name.startswith((".", "__"))
    ]


def unnested(folder: Path) -> Path:
    """Return the folder of the same name inside a folder, as `unzip val.zip -d val` makes it; where none is, itself."""
    return folder / folder.name if _is_there(folder / folder.name) else folder


def _is_there(path: Path) -> bool:
    """Return whether there is such a file or folder; nothing is seen in a folder that may not be entered."""
    try:
        return path.exists()
    except OSError:
        return False


class Listed(NamedTuple):
    """What lies in a folder: its name, and whether it is a folder itself."""

    name: str
    is_folder: bool


def list_folder(folder: Path) -> list[Listed]:
    """Return what lies in a folder, in alphabetical order; nothing where there is no such folder.

    Folders are told from files without a look at each of 50,000.

    Raises:
        DataError: the folder may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Listed(entry.name, entry.is_dir()) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        message = f"{folder}: cannot be read ({error.strerror or error}); change its permissions or copy it again"
        raise DataError(message) from error


def read_text(path: Path) -> str:
    """Return what a UTF-8 file says, a byte order mark apart; every line ends with a line feed.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unread(path, error) from error
    except UnicodeDecodeError as error:
        message = f"{path}: expected UTF-8, got byte {error.object[error.start]:#04x} at {error.start}; {_AGAIN}"
        raise DataError(message) from error


def read_json(path: Path, replace: Callable[[dict[str, Any]], object] | None = None) -> object:
    """Return what a JSON file says.

    Args:
        path: of the file.
        replace: returns what to keep of an object, as soon as it is read: a large file's objects take five times
            its size in memory.

    Raises:
        DataError: the file is missing, empty, cut off or no JSON.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unread(path, error) from error
    if not raw or raw.isspace():
        message = f"{path}: expected JSON, got an empty file; unpack or download it again"
        raise DataError(message)
    try:
        text = raw.decode(json.detect_encoding(raw), "surrogatepass")
        del raw  # one copy of a large file is enough
        return json.loads(text, object_hook=replace)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except (UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    message = f"{path}: not valid JSON ({reason}); unpack or download it again"
    raise DataError(message)


def read_lines(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a text file, each with `FILE: line N` for messages; blank lines are passed over.

    Raises:
        DataError: the file is missing, empty or not UTF-8.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    found = [(f"{path.name}: line {number}", line.strip()) for number, line in lines if line.strip()]
    if not found:
        message = f"{path}: expected lines of text, got an empty file; unpack or download it again"
        raise DataError(message)
    return found


def read_json_lines(path: Path) -> list[tuple[str, Any]]:
    """Return the values of a JSON-lines file, each with `FILE: line N` for messages; blank lines are passed over.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or a line is no JSON.
    """
    found: list[tuple[str, Any]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            where = f"{path.name}: line {number}"
            try:
                found.append((where, json.loads(line)))
            except json.JSONDecodeError as error:
                message = f"{path}: line {number}: not valid JSON ({error.msg}); unpack or download it again"
                raise DataError(message) from error
    if not found:
        message = f"{path}: expected a JSON value on each line, got an empty file; unpack or download it again"
        raise DataError(message)
    return found


def read_table(
    path: Path, columns: Sequence[str], delimiter: str = ",", *, quoted: bool = True
) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a CSV or TSV file with a header, each with `FILE: line N` for messages.

    Args:
        path: of the file.
        columns: that every row must have; others are kept.
        delimiter: between the cells.
        quoted: whether a cell may stand in double quotes; where not, as in GLUE's TSV files, they are letters.

    Raises:
        DataError: the file is missing, empty or not UTF-8, lacks a column, or a row is short or long.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.DictReader(io.StringIO(read_text(path)), delimiter=delimiter, quoting=quoting, strict=True)
    found: list[tuple[str, dict[str, str]]] = []
    try:
        names = reader.fieldnames or []
        if missing := [name for name in columns if name not in names]:
            message = f"{path}: expected columns {', '.join(missing)}, got only {_listed(names)}; {INTACT}"
            raise DataError(message)
        for row in reader:
            where = f"{path.name}: line {reader.line_num}"
            if None in row or None in row.values():
                message = f"{path}: line {reader.line_num}: expected {len(names)} cells, got another number; {_AGAIN}"
                raise DataError(message)
            found.append((where, row))
    except csv.Error as error:
        message = f"{path}: line {reader.line_num}: not valid CSV ({error}); unpack or download it again"
        raise DataError(message) from error
    if not found:
        message = f"{path}: expected rows below its header, got none; unpack or download it again"
        raise DataError(message)
    return found


def find_pictures(folder: Path, wanted: Iterable[tuple[str, str]], cure: str = "unpack it again") -> dict[str, Image]:
    """Return file name to picture, unopened, one `Image` a file; the folder is listed once.

    Args:
        folder: of the pictures; names may have sub-folders in front.
        wanted: pairs of `FILE: item`, for messages, and the name of the item's picture.
        cure: how to get them, for the message.

    Raises:
        DataError: a picture is missing; the first is named, and all are counted. Or a folder may not be read.
    """
    listed: dict[Path, Mapping[str, str]] = {}
    found: dict[str, Image] = {}
    missing: dict[str, str] = {}
    for where, name in wanted:
        if name in found or name in missing:
            continue
        path = folder / name
        if path.parent not in listed:
            listed[path.parent] = _by_usual_ending(path.parent)
        there = listed[path.parent].get(path.name)
        if there is not None:
            found[name] = Image.from_file(path.parent / there)
        else:
            missing[name] = where
    if missing:
        name, where = next(iter(missing.items()))
        count = "it is" if len(missing) == 1 else f"{len(missing)} pictures are"
        message = f"{where}: expected its picture {name} in {folder}, found none ({count} missing); {cure}"
        raise DataError(message)
    return found


def _by_usual_ending(folder: Path) -> Mapping[str, str]:
    """Return what lies in a folder by its name, and by its name with a lower-case ending: some copies have `1.JPG`."""
    exact = {each.name: each.name for each in list_folder(folder)}
    lower = {f"{stem}{dot}{ending.lower()}": name for name in exact for stem, dot, ending in [name.rpartition(".")]}
    return {**lower, **exact}


def read_field(record: object, name: str, kind: type[T], where: str) -> T:
    """Return a record's field of that name, which must be of that kind.

    Args:
        record: a JSON object, or a row of a dataset.
        name: of the field.
        kind: `int`, `float`, `str`, `list`, `dict` or `bool`; a truth value is no number.
        where: file and item, for the message.

    Raises:
        DataError: the record is no object, or the field is missing or of another kind.
    """
    value = record.get(name) if isinstance(record, dict) else None
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if not isinstance(record, dict):
        message = f'{where}: expected an object with "{name}", got {_shown(record)}'
    elif name not in record:
        message = f'{where}: expected "{name}", got only {_listed(record)}'
    else:
        message = f'{where}: expected "{name}" to be {_KINDS.get(kind, kind.__name__)}, got {_shown(value)}'
    message += f"; {INTACT}"
    raise DataError(message)


def _unread(path: Path, error: OSError) -> DataError:
    cure = "change its permissions or copy it again" if isinstance(error, PermissionError) else _AGAIN
    return DataError(f"{path}: cannot be read ({error.strerror or error}); {cure}")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _listed(names: Iterable[object]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "nothing"
