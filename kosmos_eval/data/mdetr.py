"""The annotation files of MDETR (github.com/ashkamath/mdetr), in COCO's form with a caption to each entry of "images".

Of RefCOCO, RefCOCO+ and RefCOCOg there is an entry for each expression, of Flickr30k Entities one for each sentence; a
picture is in as many entries as people wrote of it. They come in one archive, zenodo.org/record/4729015, file
mdetr_annotations.tar.gz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.folder import find_path, read_field, read_json
from kosmos_eval.errors import DataError
from kosmos_eval.grounding import checked_text
from kosmos_eval.locations import Box
from kosmos_eval.metrics.boxes import Size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CURE = "it is in mdetr_annotations.tar.gz of zenodo.org/record/4729015"

_WITHIN = ("annotations/mdetr_annotations", "data/mdetr_annotations", "mdetr_annotations/OpenSource")
_SIDES = 4
_MOST = 1e9


@dataclass(frozen=True, slots=True)
class Region:
    """A box of an entry.

    Attributes:
        record: as the file has it.
        box: its sides in pixels; without area where the file says so.
    """

    record: Mapping[str, Any]
    box: Box


@dataclass(frozen=True, slots=True)
class Entry:
    """A caption and the boxes of what it speaks of.

    Attributes:
        where: file and item, for messages.
        key: the file's id of the entry.
        record: as the file has it.
        file_name: of the picture.
        size: of the picture.
        caption: as it was written, without markup.
        regions: in the file's order; may be none.
    """

    where: str
    key: str
    record: Mapping[str, Any]
    file_name: str
    size: Size
    caption: str
    regions: tuple[Region, ...]


def read_entries(folder: Path, name: str) -> list[Entry]:
    """Return the entries of a file, in its order.

    Args:
        folder: of the official files.
        name: of the file.

    Raises:
        DataError: the file is missing, unreadable or inconsistent: an id twice, a box of no entry.
    """
    path = find_path(folder, name, within=_WITHIN, cure=CURE)
    values = read_json(path)
    images: dict[str, Any] = {}
    for number, record in enumerate(read_field(values, "images", list, str(path))):
        key = read_id(record, "id", f"{path.name}: entry {number} of images")
        if key in images:
            message = f"{path}: expected each id of images once, got {key} twice; unpack it again"
            raise DataError(message)
        images[key] = record
    if not images:
        message = f'{path}: expected "images" to have entries, got none; unpack it again'
        raise DataError(message)
    regions: dict[str, list[Region]] = {key: [] for key in images}
    seen: set[str] = set()
    for number, record in enumerate(read_field(values, "annotations", list, str(path))):
        where = f"{path.name}: entry {number} of annotations"
        key = read_id(record, "image_id", where)
        if key not in regions:
            message = f"{where}: expected image_id to be an id of images, got {key}; unpack {path.name} again"
            raise DataError(message)
        own = read_id(record, "id", where) if "id" in record else ""
        if own and own in seen:
            message = f"{where}: expected each id of annotations once, got {own} twice; unpack {path.name} again"
            raise DataError(message)
        seen.add(own)
        regions[key].append(Region(record, read_box(record, where)))
    return [_entry(record, key, f"{path.name}: image {key}", regions[key]) for key, record in images.items()]


def _entry(record: Mapping[str, Any], key: str, where: str, regions: Sequence[Region]) -> Entry:
    return Entry(
        where=where,
        key=key,
        record=record,
        file_name=_file_name(record, where),
        size=Size(_side(record, "width", where), _side(record, "height", where)),
        caption=checked_text(read_field(record, "caption", str, where), where),
        regions=tuple(regions),
    )


def _file_name(record: Mapping[str, Any], where: str) -> str:
    name = read_field(record, "file_name", str, where)
    if not name.strip():
        message = f'{where}: expected "file_name" to name its picture, got {name!r}; unpack the file again'
        raise DataError(message)
    return name


def read_id(record: object, name: str, where: str) -> str:
    """Return an id as text, whether the file has a whole number or a text.

    Raises:
        DataError: it is missing, blank or of another kind.
    """
    value = record.get(name) if isinstance(record, dict) else None
    if isinstance(value, str) and value.strip():
        return value.strip()
    return str(read_field(record, name, int, where))


def read_box(record: object, where: str) -> Box:
    """Return the box of a record's `bbox`, which is left, top, width and height in pixels.

    Raises:
        DataError: it is missing, or is no box.
    """
    values = read_field(record, "bbox", list, where)
    if len(values) == _SIDES and all(_is_number(each) for each in values) and min(values[2:]) >= 0:
        left, top, width, height = map(float, values)
        return Box(left, top, width + left, height + top)
    message = (
        f'{where}: expected "bbox" to be left, top, width and height in pixels, got {values!r:.60}; '
        f"unpack the file again"
    )
    raise DataError(message)


def _is_number(value: object) -> bool:
    # A whole number of hundreds of digits is no side of a box, and none that `math.isfinite` takes.
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST


def _side(record: Mapping[str, Any], name: str, where: str) -> float:
    """Return a picture's width or height; Flickr30k's files have them as texts."""
    value = record.get(name)
    try:
        side = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        side = 0.0
    if not (math.isfinite(side) and side > 0):
        message = f'{where}: expected "{name}" to be the picture\'s in pixels, got {value!r:.40}'
        raise DataError(message)
    return side


def find_picture_folder(folder: Path, names: Sequence[str], example: str, *, within: Sequence[str], cure: str) -> Path:
    """Return the folder of the pictures.

    Args:
        folder: of the official files.
        names: that the folder of pictures goes by.
        example: the file name of a picture; where it lies goes before the names.
        within: sub-folders of sub-folders to look into besides.
        cure: how to get them, for the message.

    Raises:
        DataError: it is not there.
    """
    # A folder of that name may be inside another of that name, so the picture goes before the folder.
    for wanted in (*(f"{name}/{example}" for name in names), example):
        try:
            return find_path(folder, wanted, within=within).parent
        except DataError:
            continue
    for name in names:
        try:
            return find_path(folder, name, within=within)
        except DataError:
            continue
    message = (
        f"expected a folder {' or '.join(names)} of pictures in {folder} or a sub-folder of it, found none; {cure}"
    )
    raise DataError(message)
