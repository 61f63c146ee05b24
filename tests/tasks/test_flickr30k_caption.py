from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.tasks.flickr30k_caption import Flickr30kCaption

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.tasks.captioning import CaptionSample

SPLITS = {1000092795: "train", 10002456: "test", 1000268201: "val", 1000344755: "test"}
"""Picture to its split, in the order of the file."""


def record(number: int, split: str) -> dict[str, Any]:
    sentences = [
        {"tokens": ["a", "man"], "raw": f"A man {turn}.", "imgid": 1, "sentid": number + turn} for turn in range(5)
    ]
    sentids = [each["sentid"] for each in sentences]
    return {"sentids": sentids, "imgid": 1, "sentences": sentences, "split": split, "filename": f"{number}.jpg"}


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write Karpathy's file, which names no folder, and the pictures."""
    records = [record(number, split) for number, split in SPLITS.items()]
    text = json.dumps({"images": records, "dataset": "flickr30k"})
    (tmp_path / "dataset_flickr30k.json").write_text(text, encoding="utf-8")
    (tmp_path / "flickr30k-images").mkdir()
    for number in SPLITS:
        PIL.Image.new("RGB", (8, 8), (number % 256, 99, 0)).save(tmp_path / "flickr30k-images" / f"{number}.jpg")
    return tmp_path


def read(folder: Path, split: str = "test") -> list[CaptionSample]:
    return list(Flickr30kCaption().samples(split, Source("folder", folder)))


def test_a_split_is_read_in_the_file_s_order_by_the_names_of_its_pictures(official: Path) -> None:
    first, second = read(official)
    assert (first.key, second.key) == ("10002456.jpg", "1000344755.jpg")
    assert first.captions == tuple(f"A man {turn}." for turn in range(5))
    assert first.image.load().size == (8, 8)
    assert [sample.key for sample in read(official, "train")] == ["1000092795.jpg"]


@pytest.mark.parametrize("place", ["flickr30k_images", "flickr30k_images/flickr30k_images", "Flickr/flickr30k-images"])
def test_pictures_are_found_where_people_put_them(official: Path, place: str) -> None:
    (official / place).parent.mkdir(exist_ok=True)
    (official / "flickr30k-images").rename(official / place)
    (official / place / ".DS_Store").write_bytes(b"")
    assert len(read(official)) == 2


def test_missing_pictures_are_named_and_counted(official: Path) -> None:
    for picture in (official / "flickr30k-images").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match=r"image 10002456\.jpg: expected its picture 10002456\.jpg .*\(2 pictures are"):
        read(official)
    (official / "flickr30k-images").rmdir()
    with pytest.raises(DataError, match=r"expected flickr30k-images in .*; unpack the archive"):
        read(official)


@pytest.fixture
def rows(official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the same data with the columns of umaru97/flickr30k_train_val_test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = []
    for place, (number, split) in enumerate(SPLITS.items()):
        entry = record(number, split)
        encoded = (official / "flickr30k-images" / entry["filename"]).read_bytes()
        found.append(
            {
                "image": {"bytes": encoded, "path": entry["filename"]},
                "caption": [each["raw"] for each in entry["sentences"]],
                "sentids": [str(each) for each in entry["sentids"]],
                "split": split,
                "img_id": str(place),
                "filename": entry["filename"],
            }
        )
    return found


def written(rows: list[dict[str, Any]], folder: Path, name: str) -> str:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")
    return str(folder)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_hub_s_rows_are_the_same_samples_as_the_official_files(
    official: Path, rows: list[dict[str, Any]], tmp_path: Path, split: str
) -> None:
    for name in ("train", "val", "test"):
        written([row for row in rows if row["split"] == name], tmp_path / "parquet", name)
    samples = list(Flickr30kCaption(hub_id=str(tmp_path / "parquet")).samples(split, Source("hub")))
    assert samples == read(official, split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_split_of_all_pictures_is_told_apart_by_its_column(
    official: Path, rows: list[dict[str, Any]], tmp_path: Path, split: str
) -> None:
    folder = written(rows, tmp_path / "parquet", "test")
    samples = list(Flickr30kCaption(hub_id=folder, hub_split="test").samples(split, Source("hub")))
    assert samples == read(official, split)
    with pytest.raises(DataError, match="expected a split train, got only test"):
        Flickr30kCaption(hub_id=folder).samples("train", Source("hub"))


def test_captions_that_are_no_texts_are_an_error(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    spoilt = [{**rows[1], "caption": [None]}]
    with pytest.raises(DataError, match=r"split test, row 0: expected captions to be texts, got None"):
        list(Flickr30kCaption(hub_id=written(spoilt, tmp_path / "parquet", "test")).samples("test", Source("hub")))


def test_the_dataset_that_does_not_say_its_split_is_refused_before_it_is_fetched() -> None:
    with pytest.raises(UsageError, match=r"lmms-lab/flickr30k is all 31,783 pictures .*; set hub_id"):
        Flickr30kCaption(hub_id="lmms-lab/flickr30k").samples("test", Source("hub"))
    task = Flickr30kCaption(exemplar_hub_id="lmms-lab/flickr30k")
    with pytest.raises(UsageError, match="all 31,783 pictures"):
        task.samples("train", Source("hub"))
