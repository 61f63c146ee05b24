"""Rows of a Hugging Face dataset, or of a folder laid out like one (`data/{split}-00000-of-00001.parquet`, ...).

Besides Parquet, a dataset may be JSON lines, CSV or a webdataset, and name its pictures by their paths in it.

Only the asked split is fetched: `datasets.load_dataset` prepares every split of a repository, even when it is asked for
one, and VQAv2's unasked splits take 90 GB. The split becomes an Arrow file in the `datasets` cache, which is mapped
into memory: pictures stay on disk until they are opened, and memory does not grow with the dataset. The disk holds the
split twice, as fetched and as Arrow (33.9 GB for VQAv2's validation split, where every question repeats its picture).
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import PIL.Image

    from kosmos_eval.data.source import Source

_CURE = "name a folder of the official files (--data DIR), or use --data mini"
_FORMATS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".tar": "webdataset"}
"""Name's ending to what `datasets` calls the format; all others are Parquet."""


@dataclass(frozen=True)
class HubSettings:
    """Settings of a task that can read a dataset on the hub; the task's class sets the defaults.

    Attributes:
        hub_id: dataset on the hub, or a local folder laid out like one.
        hub_revision: commit, branch or tag; `None` is the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: the same for the exemplar split; empty is the dataset of `hub_id`.
        exemplar_hub_revision: likewise.
    """

    hub_id: str = ""
    hub_revision: str | None = None
    exemplar_hub_id: str = ""
    exemplar_hub_revision: str | None = None

    def hub_place(self, *, exemplars: bool) -> tuple[str, str | None]:
        """Return id and revision of the dataset that the evaluated split, or the exemplars, come from."""
        if exemplars and self.exemplar_hub_id:
            return self.exemplar_hub_id, self.exemplar_hub_revision
        return self.hub_id, self.hub_revision

    def provenance(self, source: Source) -> dict[str, str | None]:
        """Return dataset to the commit that was read; nothing for sources besides the hub, which have none."""
        if source.kind != "hub":
            return {}
        places = dict([self.hub_place(exemplars=False), self.hub_place(exemplars=True)])
        return {dataset: resolve_commit(dataset, revision) for dataset, revision in places.items()}


def hub_rows(
    repository: str,
    split: str,
    *,
    revision: str | None = None,
    config: str | None = None,
    columns: Sequence[str] | None = None,
    image_columns: Sequence[str] = (),
    base64_columns: Sequence[str] = (),
) -> Iterator[Mapping[str, Any]]:
    """Return the split's rows in order, their pictures as unopened `Image`s.

    Args:
        repository: id on the hub, `owner/name`, or a local folder laid out like one.
        split: as the dataset calls it.
        revision: commit, branch or tag; `None` is the repository's present state (see `resolve_commit`).
        config: which of the datasets that the repository holds, where it holds several; in a local folder that is not
            laid out so, the folder itself.
        columns: what a row must hold besides the images; others are not read. `None` is every column.
        image_columns: columns of pictures: encoded, or paths in the repository, which are fetched as they are opened.
            A column of lists of pictures gives a tuple for each row.
        base64_columns: columns of pictures that are encoded and then written as text, in base64.

    Raises:
        DataError: the hub is out of reach, or the dataset, split or a column is missing or unreadable. All of this
            is raised by the call itself, before the first row.
    """
    commit = resolve_commit(repository, revision)
    table = _load(repository, split, commit, config)
    pictures = [*image_columns, *base64_columns]
    wanted = list(columns) if columns is not None else [name for name in table.column_names if name not in pictures]
    missing = [name for name in [*wanted, *pictures] if name not in table.column_names]
    if missing:
        message = (
            f"dataset {repository}, split {split}: expected columns {', '.join(missing)}, "
            f"got only {', '.join(table.column_names)}; name a copy in the original layout"
        )
        raise DataError(message)
    table = _undecoded(table, image_columns)
    return _rows(table, f"{repository} {split}", wanted, pictures, partial(_fetch, repository, commit))


def hub_class_names(repository: str, split: str, column: str, *, revision: str | None = None) -> tuple[str, ...] | None:
    """Return the names that a column's whole numbers stand for, as the dataset gives them; `None` if it does not.

    Args:
        repository: id on the hub, `owner/name`, or a local folder laid out like one.
        split: as the dataset calls it.
        column: of labels.
        revision: commit, branch or tag; `None` is the repository's present state.

    Raises:
        DataError: the hub is out of reach, or the dataset or split is missing or unreadable.
    """
    kind = _load(repository, split, resolve_commit(repository, revision)).features.get(column)
    names = getattr(kind, "names", None)
    return None if names is None else tuple(names)


def check_once(key: str, seen: set[str], where: str, noun: str) -> None:
    """Add a row's key to those that were seen before it.

    Args:
        key: of the row.
        seen: keys of the rows before; changed.
        where: dataset and row, for the message.
        noun: what the key is of: "question".

    Raises:
        DataError: it was seen before.
    """
    if key in seen:
        message = f"{where}: expected {noun} {key} once, got it again; name an intact copy"
        raise DataError(message)
    seen.add(key)


@cache
def resolve_commit(repository: str, revision: str | None) -> str | None:
    """Return the commit that a revision of a dataset on the hub stands for; `None` for a local folder.

    The first answer holds for the life of the process.

    Raises:
        DataError: the hub is out of reach, or has no such dataset or revision.
    """
    if Path(repository).expanduser().is_dir():
        return None
    if repository.count("/") != 1 or repository.startswith((".", "~", "/")):
        message = f"dataset {repository}: expected an existing folder or an id on the hub (owner/name); {_CURE}"
        raise DataError(message)
    from huggingface_hub import HfApi, errors  # noqa: PLC0415  imports a network client that other sources do not need

    try:
        commit: str | None = HfApi().dataset_info(repository, revision=revision).sha
    except errors.GatedRepoError as error:
        message = f"dataset {repository}: access must be asked for on its page, then log in (hf auth login)"
        raise DataError(message) from error
    except errors.RepositoryNotFoundError as error:
        message = f"dataset {repository}: the hub has none of that name, or it is private: log in (hf auth login)"
        raise DataError(message) from error
    except errors.RevisionNotFoundError as error:
        message = f"dataset {repository}: the hub has no revision {revision!r} of it"
        raise DataError(message) from error
    except Exception as error:
        message = f"dataset {repository}: the hub cannot be reached ({first_line(error)}); offline, {_CURE}"
        raise DataError(message) from error
    return commit


def _load(repository: str, split: str, commit: str | None, config: str | None = None) -> Any:  # noqa: ANN401  `datasets` ships no types
    import datasets  # noqa: PLC0415  takes a second to import

    source = repository
    if commit is None:
        folder = Path(repository).expanduser()
        source, config = str(folder / config if config and (folder / config).is_dir() else folder), None
    try:
        builder = datasets.load_dataset_builder(source, config, revision=commit)
        files = builder.config.data_files or {}
        if asked := _files_of(files, split):
            kind = _FORMATS.get(PurePosixPath(asked[0]).suffix, "parquet")
            return datasets.load_dataset(kind, data_files={split: asked}, split=split)
    except Exception as error:
        message = f"dataset {repository}, split {split}: cannot be read ({first_line(error)}); {_CURE}"
        raise DataError(message) from error
    message = f"dataset {repository}: expected a split {split}, got only {', '.join(map(str, files)) or 'none'}"
    raise DataError(message)


def _files_of(files: Mapping[str, Sequence[str]], split: str) -> list[str]:
    """Return the files of a split; none if there is no such split.

    Where a dataset does not say what its splits are, `datasets` guesses them from names, and takes `dev_seen.jsonl` and
    `dev_unseen.jsonl` for one split: a file of the asked name then goes before the guess.
    """
    if split in files:
        return list(files[split])
    return [each for listed in files.values() for each in listed if PurePosixPath(each).stem == split]


def _fetch(repository: str, commit: str | None, name: str) -> Path:
    """Return where a file of a repository lies on this machine, having fetched it.

    Raises:
        DataError: the repository has no such file, or the hub cannot be reached.
    """
    if commit is None:
        path = Path(repository).expanduser() / name
        if path.is_file():
            return path
        message = f"dataset {repository}: expected its picture {name} there, found none"
        raise DataError(message)
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  as above

    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset", revision=commit))
    except Exception as error:
        message = f"dataset {repository}: its picture {name} cannot be fetched ({first_line(error)}); {_CURE}"
        raise DataError(message) from error


def first_line(error: BaseException) -> str:
    """Return what an error and its causes say, one line: what went wrong is often wrapped in "an error occurred"."""
    said: list[str] = []
    link: BaseException | None = error
    while link is not None:
        said.append(f"{type(link).__name__}: {(str(link).strip().splitlines() or [''])[0]}"[:160])
        link = link.__cause__
    return ", from ".join(said[:2])


def _undecoded(table: Any, image_columns: Sequence[str]) -> Any:  # noqa: ANN401  as above
    from datasets import Image as ImageFeature  # noqa: PLC0415  as above
    from datasets import List  # noqa: PLC0415  as above

    for name in image_columns:
        picture = ImageFeature(decode=False)
        table = table.cast_column(name, List(picture) if _listed(table, name) else picture)
    return table


def _listed(table: Any, name: str) -> bool:  # noqa: ANN401  as above
    from datasets import LargeList, List  # noqa: PLC0415  as above

    return isinstance(table.features[name], List | LargeList)


def _rows(
    table: Any,  # noqa: ANN401  as above
    label: str,
    columns: Sequence[str],
    picture_columns: Sequence[str],
    fetch: Callable[[str], Path],
) -> Iterator[Mapping[str, Any]]:
    pictures = {name: (table.select_columns([name]), _listed(table, name)) for name in picture_columns}
    for number, row in enumerate(table.select_columns(list(columns))):
        images: dict[str, Image | tuple[Image, ...]] = {}
        for name, (cells, listed) in pictures.items():
            opener, where = partial(_open_cell, cells, number, name, label, fetch), f"{label} row {number}"
            if listed:
                places = range(len(cells[number][name] or ()))
                images[name] = tuple(Image(partial(opener, place=place), f"{where} {name} {place}") for place in places)
            else:
                images[name] = Image(opener, where)
        yield {**row, **images}


def _open_cell(
    cells: Any,  # noqa: ANN401  as above
    number: int,
    name: str,
    label: str,
    fetch: Callable[[str], Path],
    *,
    place: int | None = None,
) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  reading rows opens no picture

    cell = cells[number][name] if place is None else cells[number][name][place]
    if isinstance(cell, str) and cell:
        return PIL.Image.open(io.BytesIO(base64.b64decode(cell.partition(";base64,")[2] or cell)))
    if cell and cell["bytes"] is not None:
        return PIL.Image.open(io.BytesIO(cell["bytes"]))
    if cell and cell["path"]:
        path = Path(cell["path"])  # `datasets` makes the paths of pictures beside metadata absolute, and leaves others
        return PIL.Image.open(path if path.is_absolute() else fetch(cell["path"]))
    message = f"image {label} row {number}: expected an encoded picture in column {name}, found none"
    raise DataError(message)
