"""Datasets of the `datasets` library: saved folders, Parquet files, folders of pictures, and the Hugging Face Hub.

Only the asked split is prepared. Its rows are mapped from the disk, so memory does not grow with the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.hub import resolve_commit
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.prompt import Image

from .records import NO_PICTURES, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .config import OwnSettings

PICTURES = "image"
TEXT = "text"

_SAVED = ("state.json", "dataset_dict.json")
"""Files of a folder that `save_to_disk` has written: of a dataset, of several splits."""


@dataclass(slots=True)
class Table:
    """Rows of a split.

    Attributes:
        rows: of the columns that are read, pictures not decoded; `datasets` ships no types.
        label: how messages call the split.
        image: column of pictures, or `none`.
        notes: as `Records` has them.
    """

    rows: Any
    label: str
    image: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, number: int) -> str:
        """Return the split and the row's number."""
        return f"{self.label} row {number}"

    def texts(self, number: int, field: str) -> tuple[str, ...]:
        """Return the texts of a column; a class label is its name."""
        value = self._cell(number, field)
        feature = self.rows.features[field]
        if value is not None and hasattr(feature, "int2str"):
            value = feature.int2str(value)
        return texts_of(value, f"{self.name(number)}, column {field}")

    def picture(self, number: int) -> Image | None:
        """Return the picture of a row."""
        if self.image == NO_PICTURES:
            return None
        cell = self._cell(number, self.image)
        if cell is None:
            return None
        from datasets import Image as ImageFeature  # noqa: PLC0415  takes seconds to import, and is there already

        return Image(partial(ImageFeature().decode_example, cell), self.name(number))

    def _cell(self, number: int, column: str) -> Any:  # noqa: ANN401  as above
        return self.rows.select_columns([column])[number][column]


def open_table(settings: OwnSettings, image: str, texts: Sequence[str]) -> Table:
    """Return the rows of the dataset that the settings name.

    Args:
        settings: of the user's own data.
        image: column of pictures, or `none`.
        texts: column of the text, and behind it those of the prompt.

    Raises:
        UsageError: there is no such split or column.
        DataError: there is no such dataset, or it cannot be read.
    """
    from datasets import Image as ImageFeature  # noqa: PLC0415  takes seconds to import

    label = f"{settings.dataset} {settings.split}"
    try:
        rows = _rows(settings)
    except KosmosEvalError:
        raise
    except Exception as error:  # what the library raises has no root of its own
        said = (str(error).strip().splitlines() or [""])[0]
        message = f"[own] dataset {label}: cannot be read ({type(error).__name__}: {said:.200})"
        raise DataError(message) from error
    columns = [*dict.fromkeys([*([] if image == NO_PICTURES else [image]), *texts])]
    for column in columns:
        if column not in rows.column_names:
            kind = f"column of {label}"
            raise UnknownNameError(kind, column, rows.column_names)
    rows = rows.select_columns(columns)
    if image != NO_PICTURES:
        try:
            rows = rows.cast_column(image, ImageFeature(decode=False))
        except (TypeError, ValueError, NotImplementedError) as error:  # the last of them is Arrow's
            message = f"[own] image: expected column {image} of {label} to hold pictures, got {rows.features[image]}"
            raise DataError(message) from error
    if not len(rows):
        message = f"[own] dataset {label}: expected rows, got none"
        raise DataError(message)
    return Table(rows, label, image)


def _rows(settings: OwnSettings) -> Any:  # noqa: ANN401  as above
    """Return the split, with all its columns."""
    import datasets  # noqa: PLC0415  as above

    given, split = str(Path(settings.dataset).expanduser()), settings.split
    folder = Path(given)
    if any((folder / name).is_file() for name in _SAVED):
        saved = datasets.load_from_disk(given)
        if not isinstance(saved, datasets.DatasetDict):
            return saved
        _expect_split(settings, saved)
        return saved[split]
    if given.endswith(".parquet"):
        files = sorted(glob(given))  # noqa: PTH207  a pattern may be absolute
        if not files:
            message = f"[own] dataset: expected {given} to be there, found no such file"
            raise UsageError(message)
        return datasets.load_dataset("parquet", data_files={split: files}, split=split)
    revision = resolve_commit(settings.dataset, settings.revision or None)
    builder = datasets.load_dataset_builder(given if folder.is_dir() else settings.dataset, revision=revision)
    files_of = builder.config.data_files or {}
    _expect_split(settings, files_of)
    return datasets.load_dataset(builder.name, data_files={split: list(files_of[split])}, split=split)


def _expect_split(settings: OwnSettings, splits: Iterable[object]) -> None:
    names = list(map(str, splits))
    if settings.split not in names:
        kind = f"split of {settings.dataset}"
        raise UnknownNameError(kind, settings.split, names)
