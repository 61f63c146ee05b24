"""WebDataset shards: tar files whose members of one name, but for the extension, are a record.

    cc-0000.tar
        000000001.jpg    the picture
        000000001.txt    the text
        000000001.json   more about it
        000000002.jpg

The extension is all that follows the first dot of a file's name, in small letters, as WebDataset has it. Nothing is
unpacked: where each member begins is found once, at the start, and a record is read from there.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass
from functools import partial
from glob import glob
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.prompt import Image

from .records import NO_PICTURES, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import PIL.Image
    from numpy.typing import NDArray

PICTURES = "jpg;jpeg;png;webp;gif;bmp"
TEXT = "txt"

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
_BLOCK = 512
_LISTED = 12


class Field(NamedTuple):
    """What is read of a record: the first member with one of the extensions, and there the value of a key."""

    extensions: tuple[str, ...]
    key: str | None

    @classmethod
    def of(cls, text: str) -> Field:
        """Return the field that a setting names: `jpg;png`, `json:caption`."""
        extensions, colon, key = text.partition(":")
        return cls(tuple(each.strip().lower().lstrip(".") for each in extensions.split(";")), key if colon else None)


class Member(NamedTuple):
    """Where a member's bytes are in its shard."""

    begin: int
    size: int


@dataclass(slots=True)
class Shards:
    """Records of shards.

    Attributes:
        paths: of the shards.
        fields: what is read of each record, by the text that names it; the picture's is `image`.
        places: int64[records, 1 + 2 x fields]: the shard's number, and begin and size of each field's member; a begin
            of -1 where there is none.
        notes: as `Records` has them.
    """

    paths: tuple[Path, ...]
    fields: dict[str, Field]
    image: str
    places: NDArray[np.int64]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)

    def name(self, number: int) -> str:
        """Return the shard and the name of the first member that is read."""
        row = self.places[number]
        path = self.paths[row[0]]
        begin = next(int(each) for each in row[1::2] if each >= 0)
        with tarfile.open(path, "r:") as tar:
            name = next((member.name for member in tar if member.offset_data == begin), f"byte {begin}")
        return f"{path}: {name}"

    def texts(self, number: int, field: str) -> tuple[str, ...]:
        """Return the texts of a field."""
        raw = self._read(number, field)
        if raw is None:
            return ()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{self.name(number)}, {field}: expected UTF-8, got other bytes ({error.reason}); convert it"
            raise DataError(message) from None
        key = self.fields[field].key
        if key is None:
            return texts_of(text.strip(), field)
        try:
            values = json.loads(text)
        except ValueError as error:
            message = f"{self.name(number)}, {field}: expected JSON ({error}); write it again"
            raise DataError(message) from None
        if not isinstance(values, dict) or key not in values:
            found = ", ".join(map(repr, values)) if isinstance(values, dict) else repr(values)
            message = f"{self.name(number)}, {field}: expected an object with {key!r}, got {found:.200}"
            raise DataError(message)
        return texts_of(values[key], f"{self.name(number)}, {field}")

    def picture(self, number: int) -> Image | None:
        """Return the picture of a record."""
        if self.image == NO_PICTURES:
            return None
        raw = self._read(number, self.image)
        return None if raw is None else Image(partial(_open_upright, raw), self.name(number))

    def _read(self, number: int, field: str) -> bytes | None:
        column = 1 + 2 * list(self.fields).index(field)
        shard, begin, size = (int(self.places[number, each]) for each in (0, column, column + 1))
        if begin < 0:
            return None
        path = self.paths[shard]
        try:
            with path.open("rb") as file:
                file.seek(begin)
                raw = file.read(size)
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror or error}); was it moved?"
            raise DataError(message) from None
        if len(raw) < size:
            message = f"{path}: expected {size} bytes from {begin} on, got {len(raw)}; it was changed during the run"
            raise DataError(message)
        return raw


def open_shards(pattern: str, image: str, texts: Sequence[str]) -> Shards:
    """Return the records of shards, those without a text left out and counted.

    Args:
        pattern: path of the shards.
        image: names the picture's field, or is `none`.
        texts: names the text's field, and behind it the prompt's fields.

    Raises:
        UsageError: a path leads to no file.
        DataError: a shard cannot be read, or no record has a text, or none a picture.
    """
    paths = tuple(_paths(pattern))
    pictures = () if image == NO_PICTURES else (image,)
    fields = {name: Field.of(name) for name in (*pictures, *texts)}
    text = fields[texts[0]]
    rows: list[list[int]] = []
    found: dict[str, int] = {}
    records = blind = 0
    for number, path in enumerate(paths):
        for members in _records(path).values():
            records += 1
            for extension in members:
                found[extension] = found.get(extension, 0) + 1
            if not any(each in members for each in text.extensions):
                continue
            places = [_place(members, field) for field in fields.values()]
            blind += bool(pictures) and places[0].begin < 0
            rows.append([number, *(value for place in places for value in place)])
    if not rows:
        raise DataError(_lacking(pattern, "text", text, found))
    if blind == len(rows):
        raise DataError(_lacking(pattern, "image", fields[image], found))
    notes = [f"{records - len(rows)} without text left out"] if len(rows) < records else []
    notes += [f"{blind} without a picture"] if blind else []
    return Shards(paths, fields, image, np.asarray(rows, dtype=np.int64), tuple(notes))


def _lacking(pattern: str, setting: str, field: Field, found: Mapping[str, int]) -> str:
    shown = ", ".join(sorted(found, key=lambda each: (-found[each], each))[:_LISTED]) or "none at all"
    cure = f'; or set it to "{NO_PICTURES}" for text alone' if setting == "image" else ""
    return (
        f"{pattern}: expected members with extension {' or '.join(field.extensions)}, found {shown}; "
        f"name one of these in [own] {setting}{cure}"
    )


def _paths(pattern: str) -> Iterator[Path]:
    """Yield the files that a pattern names, ranges in their order and the rest by name."""
    ranges = []
    for first, last in _RANGE.findall(pattern):
        width = len(first) if first.startswith("0") else 0
        ranges.append([f"{each:0{width}d}" for each in range(int(first), int(last) + 1)])
    for chosen in product(*ranges):
        each = iter(chosen)
        path = str(Path(_RANGE.sub(lambda _: next(each), pattern)).expanduser())  # noqa: B023  used at once
        found = sorted(glob(path)) if "*" in path or "?" in path else [path]  # noqa: PTH207  a pattern may be absolute
        if not found or not Path(found[0]).is_file():
            message = f"[own] shards: expected {path} to be there, found no such file"
            raise UsageError(message)
        yield from map(Path, found)


def _records(path: Path) -> Mapping[str, dict[str, Member]]:
    """Return the records of a shard by name: where the member of each extension is."""
    records: dict[str, dict[str, Member]] = {}
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            _refuse_compressed(path, file.read(6))
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg() or (split := _MEMBER.fullmatch(member.name)) is None:
                    continue
                if member.offset_data + member.size > size:
                    raise DataError(_damaged(path, f"ends within {member.name}"))
                own = records.setdefault(split[1], {})
                extension = split[2].lower()
                if extension in own:
                    message = f"{path}: expected one member {member.name}, got two; names of records must differ"
                    raise DataError(message)
                own[extension] = Member(member.offset_data, member.size)
            end = tar.offset
        with path.open("rb") as file:  # tarfile takes a damaged header for the end
            file.seek(end)
            if any(file.read(_BLOCK)):
                raise DataError(_damaged(path, f"has no header at byte {end}"))
    except (OSError, tarfile.TarError) as error:
        raise DataError(_damaged(path, str(error) or type(error).__name__)) from None
    return records


def _refuse_compressed(path: Path, head: bytes) -> None:
    for mark, cure in _COMPRESSED.items():
        if head.startswith(mark):
            message = f"{path}: expected a tar file without compression, to read records in any order; {cure} it first"
            raise DataError(message)


def _damaged(path: Path, reason: str) -> str:
    return f"{path}: expected a whole tar file, got one that cannot be read ({reason}); fetch or write it again"


def _place(members: Mapping[str, Member], field: Field) -> Member:
    return next((members[each] for each in field.extensions if each in members), Member(-1, 0))


def _open_upright(raw: bytes) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  an index of shards opens no picture
    import PIL.ImageOps  # noqa: PLC0415  as above

    return PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(raw)))
