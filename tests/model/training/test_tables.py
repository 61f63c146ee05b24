"""Datasets in each of the forms that `datasets` knows are read by row and column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.model.training.config import OwnSettings
from kosmos_eval.model.training.tables import open_table

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["first", "second", "third"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as a folder of them, as saved datasets, and as Parquet; and once under their labels."""
    import datasets  # noqa: PLC0415  takes seconds to import

    whole = tmp_path_factory.mktemp("datasets")
    (whole / "pictures" / "train").mkdir(parents=True)
    lines = []
    for number, text in enumerate(TEXTS):
        PIL.Image.new("RGB", (3, 2), (100 * number, 0, 0)).save(whole / "pictures" / "train" / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": text, "size": number}))
    (whole / "pictures" / "train" / "metadata.jsonl").write_text("\n".join(lines))
    for label in ("cat", "dog"):
        (whole / "labelled" / label).mkdir(parents=True)
        PIL.Image.new("RGB", (3, 2)).save(whole / "labelled" / label / "0.png")
    rows = datasets.load_dataset(str(whole / "pictures"), split="train", cache_dir=str(whole / "cache"))
    rows.save_to_disk(str(whole / "saved"))
    datasets.DatasetDict({"train": rows}).save_to_disk(str(whole / "splits"))
    rows.to_parquet(str(whole / "rows-0.parquet"))
    return whole


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))


def _settings(folder: Path, name: str, **others: Any) -> OwnSettings:  # noqa: ANN401  as the settings have them
    return OwnSettings(dataset=str(folder / name), **others)


@pytest.mark.parametrize("name", ["pictures", "saved", "splits", "rows-0.parquet", "rows-*.parquet"])
def test_every_form_has_the_same_rows(folder: Path, name: str) -> None:
    table = open_table(_settings(folder, name), "image", ["text", "size"])
    assert [table.texts(number, "text") for number in range(len(table))] == [(text,) for text in TEXTS]
    assert table.texts(2, "size") == ("2",)
    pictures = [table.picture(number) for number in range(3)]
    reds = [picture and picture.load().getpixel((0, 0)) for picture in pictures]
    assert reds == [(0, 0, 0), (100, 0, 0), (200, 0, 0)]
    assert table.name(1) == f"{folder / name} train row 1"


def test_a_class_label_is_its_name(folder: Path) -> None:
    table = open_table(_settings(folder, "labelled"), "image", ["label"])
    assert [table.texts(number, "label") for number in range(2)] == [("cat",), ("dog",)]


def test_text_alone_needs_no_column_of_pictures(folder: Path) -> None:
    table = open_table(_settings(folder, "saved"), "none", ["text"])
    assert table.picture(0) is None


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no column of .*saved train named 'caption'; known: image, size, text"):
        open_table(_settings(folder, "saved"), "image", ["caption"])
    with pytest.raises(UnknownNameError, match=r"no split of .*splits named 'test'; known: train"):
        open_table(_settings(folder, "splits", split="test"), "image", ["text"])
    with pytest.raises(UnknownNameError, match=r"no split of .*pictures named 'test'; known: train"):
        open_table(_settings(folder, "pictures", split="test"), "image", ["text"])
    with pytest.raises(UsageError, match=r"expected .*none\.parquet to be there, found no such file"):
        open_table(_settings(folder, "none.parquet"), "image", ["text"])
    with pytest.raises(DataError, match=r"dataset .*nowhere: expected an existing folder or an id on the hub"):
        open_table(_settings(folder, "nowhere"), "image", ["text"])
    with pytest.raises(DataError, match=r"expected column size of .* to hold pictures"):
        open_table(_settings(folder, "saved"), "size", ["text"])
