"""Where the matrices come from: the microworld, RAVEN's own files, pictures with an index, or the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.data.folder import list_folder
from kosmos_eval.data.hub import hub_rows
from kosmos_eval.data.mdetr import read_id
from kosmos_eval.errors import DataError
from kosmos_eval.microworld.mini import raven_items

from .archives import read_archives
from .index import INDEXES, read_index
from .sample import make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .sample import RavenSample


class HubColumns(NamedTuple):
    """What a dataset on the hub calls its columns: id, seen panels, candidate panels, and which of these is right."""

    id: str
    context: str
    candidates: str
    target: str


def read_mini(split: str) -> Iterator[RavenSample]:
    """Return the matrices of the embedded microworld.

    Raises:
        UsageError: the microworld has no such split.
    """
    items = raven_items(split)
    return (
        make_sample(
            item.key,
            item.context,
            item.candidates,
            item.target,
            rules=item.rules,
            configuration=item.configuration,
        )
        for item in items
    )


def read_folder(folder: Path, split: str) -> list[RavenSample]:
    """Return the matrices of a folder: of its index, or else of the `.npz` files in it and below.

    Raises:
        DataError: there is neither, or a file is missing, corrupt or inconsistent.
        UsageError: there is no such split.
    """
    there = {each.name for each in list_folder(folder)}
    indexes = [folder / name for name in INDEXES if name in there]
    if len(indexes) > 1:
        message = f"{folder}: expected one of {' and '.join(INDEXES)}, got both; remove one"
        raise DataError(message)
    if indexes:
        return read_index(indexes[0], split)
    archives = _archives(folder)
    if archives:
        return read_archives(folder, archives, split)
    message = (
        f"{folder}: expected RAVEN's own files (RAVEN_0_test.npz, in any sub-folder), "
        f"or pictures with an {' or '.join(INDEXES)}, found none; see docs/data.md"
    )
    raise DataError(message)


def _archives(folder: Path) -> list[Path]:
    """Return the archives of a folder and of all below; what macOS packs beside each file is passed over."""
    found = []
    for name, is_folder in list_folder(folder):
        if name.endswith(".npz") and not name.startswith("._"):
            found.append(folder / name)
        elif is_folder and name != "__MACOSX":
            found += _archives(folder / name)
    return found


def read_hub(
    repository: str, revision: str | None, split: str, columns: HubColumns, first_candidate: int
) -> Iterator[RavenSample]:
    """Yield the matrices of a dataset whose rows hold lists of pictures, unopened.

    Args:
        repository: id on the hub, or a local folder laid out like one.
        revision: commit, branch or tag.
        split: as the dataset calls it.
        columns: what its columns are called.
        first_candidate: the number that stands for the first candidate; a letter counts from A.

    Raises:
        DataError: the dataset cannot be read, lacks columns, or a row is inconsistent.
    """
    pictures = (columns.context, columns.candidates)
    rows = hub_rows(repository, split, revision=revision, columns=(columns.id, columns.target), image_columns=pictures)
    seen: set[str] = set()
    for number, row in enumerate(rows):
        where = f"dataset {repository}, split {split}, row {number}"
        key = read_id(row, columns.id, where)
        context, candidates = (row[name] if isinstance(row[name], tuple) else () for name in pictures)
        if not context or len(candidates) < 2:  # noqa: PLR2004  one alone is no choice
            message = (
                f"{where}: expected lists of pictures in {' and '.join(pictures)}, at least 1 and 2 of them, "
                f"got {len(context)} and {len(candidates)}; see the hub_ settings of raven"
            )
            raise DataError(message)
        if key in seen:
            message = f"{where}: expected each {columns.id} once, got {key} again; name an intact copy"
            raise DataError(message)
        seen.add(key)
        target = _target(row[columns.target], len(candidates), first_candidate, where)
        yield make_sample(key, context, candidates, target, rules={}, configuration="")


def _target(value: object, count: int, first: int, where: str) -> int | None:
    """Return the index that a number or a letter stands for; `None` where the dataset has no answer."""
    if value is None:
        return None
    text = str(value).strip().strip("().").upper()
    index = int(text) - first if text.isdecimal() else ord(text) - ord("A") if len(text) == 1 else -1
    if 0 <= index < count:
        return index
    message = (
        f"{where}: expected the right one of {count} candidates as a letter or a number from {first}, got {value!r}; "
        f"see raven.hub_first_candidate"
    )
    raise DataError(message)
