"""Where the matrices come from: the embedded microworld, RAVEN's own files, or pictures with an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.microworld.mini import raven_items

from .archives import read_archives
from .index import INDEXES, read_index
from .sample import make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .sample import RavenSample


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
    indexes = [folder / name for name in INDEXES if (folder / name).exists()]
    if len(indexes) > 1:
        message = f"{folder}: expected one of {' and '.join(INDEXES)}, got both; remove one"
        raise DataError(message)
    if indexes:
        return read_index(indexes[0], split)
    archives = sorted(folder.rglob("*.npz"))
    if archives:
        return read_archives(folder, archives, split)
    message = (
        f"{folder}: expected RAVEN's own files (RAVEN_0_test.npz, in any sub-folder), "
        f"or pictures with an {' or '.join(INDEXES)}, found none; see docs/data.md"
    )
    raise DataError(message)


def refuse_hub() -> NoReturn:
    """Say that the hub has no matrices in a form that is known.

    Raises:
        UsageError: always.
    """
    message = "raven: expected --data mini or a folder, got hub; download the files and name their folder (--data DIR)"
    raise UsageError(message)
