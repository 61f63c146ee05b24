"""RAVEN's own files: an archive of arrays for each matrix, `RAVEN_{id}_{split}.npz`, with an `.xml` beside it.

The array `image` holds sixteen panels, eight of context and eight candidates; `target` is the index of the candidate
that is right. The `.xml` names the rules; a set without it has no breakdown by rule.

Source: WellyZhang/RAVEN, src/dataset/main.py and serialize.py. Ids begin anew in the folder of each configuration,
so a matrix is known by folder and name.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from functools import partial
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.prompt import Image

from .sample import make_sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import PIL.Image

    from .sample import RavenSample

CONTEXT = 8
PANELS = 16

_NAME = re.compile(r"RAVEN_(\d+)_([a-z]+)")
_CONFIGURATIONS = frozenset(
    {
        "center_single",
        "distribute_four",
        "distribute_nine",
        "in_center_single_out_center_single",
        "in_distribute_four_out_center_single",
        "left_center_single_right_center_single",
        "up_center_single_down_center_single",
    }
)
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)
_SPELLINGS = {"color": "colour"}


class _Archive(NamedTuple):
    """An archive's place in the order: by folder, then by number."""

    folder: str
    number: int
    split: str
    path: Path


def read_archives(folder: Path, paths: Sequence[Path], split: str) -> list[RavenSample]:
    """Return the matrices of a split, by folder and then by number; no pixel is read.

    Args:
        folder: what the user named; keys are paths from there.
        paths: all archives in it and below.
        split: as the names of the archives spell it.

    Raises:
        DataError: an archive is misnamed, corrupt or of another shape, its rules cannot be read, or there are two sets.
        UsageError: no archive is of that split.
    """
    archives = sorted(_archive(folder, path) for path in paths)
    _check_one_set(folder, {archive.folder for archive in archives})
    known = {archive.split for archive in archives}
    if split not in known:
        kind = f"split of {folder}"
        raise UnknownNameError(kind, split, known)
    return [_read(folder, archive) for archive in archives if archive.split == split]


def _check_one_set(folder: Path, places: set[str]) -> None:
    """Raise a `DataError` where RAVEN lies beside I-RAVEN or RAVEN-FAIR, whose files are named alike."""
    homes: dict[str, str] = {}
    for place in sorted(places):
        parts = place.split("/")
        for depth, name in enumerate(parts):
            home = "/".join(parts[:depth]) or "."
            if name in _CONFIGURATIONS and homes.setdefault(name, home) != home:
                message = f"{folder}: expected one set, got {name} in {homes[name]} and in {home}; name one as --data"
                raise DataError(message)


def _archive(folder: Path, path: Path) -> _Archive:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        message = f"{path}: expected a name like RAVEN_0_test.npz, got {path.name}; rename it or move it elsewhere"
        raise DataError(message)
    return _Archive(path.parent.relative_to(folder).as_posix(), int(match[1]), match[2], path)


def _read(folder: Path, archive: _Archive) -> RavenSample:
    path = archive.path
    target = _check(path)
    key = path.relative_to(folder).with_suffix("").as_posix()
    images = tuple(Image(partial(open_panel, path, index), f"{path} panel {index}") for index in range(PANELS))
    configuration = "" if archive.folder == "." else path.parent.name
    return make_sample(
        key,
        images[:CONTEXT],
        images[CONTEXT:],
        target,
        rules=_rules(path.with_suffix(".xml")),
        configuration=configuration,
    )


def _check(path: Path) -> int | None:
    """Return an archive's target, `None` where it has none, after a look at the header of its panels."""
    from numpy.lib import format as arrays  # noqa: PLC0415  numpy takes 100 ms to import, and only archives need it

    target = None
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("image.npy") as member:
                shape, by_column, kind = _header(member)
            if "target.npy" in archive.namelist():
                with archive.open("target.npy") as member:
                    target = arrays.read_array(member, allow_pickle=False)
    except _UNREADABLE as error:
        message = f"{path}: cannot be read ({str(error) or type(error).__name__}); copy or unpack it again"
        raise DataError(message) from error
    if len(shape) != 3 or shape[0] != PANELS or 0 in shape or kind != "uint8" or by_column:  # noqa: PLR2004  panel, row, column
        message = (
            f"{path}: expected image to be {PANELS} panels of uint8, got shape {shape} of {kind}; use RAVEN's files"
        )
        raise DataError(message)
    if target is None:
        return None
    if target.size != 1 or target.dtype.kind not in "iu" or not 0 <= target.item() < PANELS - CONTEXT:
        message = (
            f"{path}: expected target to be a whole number from 0 to 7, got {target.tolist()!r:.40}; copy it again"
        )
        raise DataError(message)
    return int(target.item())


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read up to where an array's values begin; return its shape, whether it lies by columns, and its kind."""
    from numpy.lib import format as arrays  # noqa: PLC0415  as above

    first = arrays.read_magic(member) == (1, 0)
    return arrays.read_array_header_1_0(member) if first else arrays.read_array_header_2_0(member)


def open_panel(path: Path, index: int) -> PIL.Image.Image:
    """Return one panel of an archive that `read_archives` found sound, without reading those behind it.

    Raises:
        OSError: the archive is missing.
        ValueError: it is corrupt.
    """
    import PIL.Image  # noqa: PLC0415  as above

    try:
        with zipfile.ZipFile(path) as archive, archive.open("image.npy") as member:
            _, height, width = _header(member)[0]
            member.read(index * height * width)
            return PIL.Image.frombytes("L", (width, height), member.read(height * width))
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(error) from error


def _rules(path: Path) -> dict[str, str]:
    """Return attribute to rule; the rules of two components are both named, "constant + progression"."""
    if not path.exists():
        return {}
    from xml.etree import ElementTree as ET  # noqa: PLC0415  only archives need it

    try:
        root = ET.parse(path).getroot()  # noqa: S314  expat limits what entities grow to
        named: dict[str, list[str]] = {}
        for rule in root.iterfind("Rules/Rule_Group/Rule"):
            attribute = rule.attrib["attr"].lower()
            name = rule.attrib["name"].lower().replace("_", " ")
            named.setdefault(_SPELLINGS.get(attribute, attribute), []).append(name)
    except (ET.ParseError, OSError, KeyError) as error:
        message = f"{path}: its rules cannot be read ({error}); copy it again, or remove it to do without rules"
        raise DataError(message) from error
    return {attribute: " + ".join(names) for attribute, names in named.items()}
