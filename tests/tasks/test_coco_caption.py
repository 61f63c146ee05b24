from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.tasks.coco_caption import CocoCaption

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.tasks.captioning import CaptionSample

SPLITS = {9: "train", 42: "test", 73: "restval", 74: "val", 133: "test"}
"""Picture to its split, in the order of the file."""

FILE = "dataset_coco.json"


def record(number: int, split: str) -> dict[str, Any]:
    place = "train2014" if split == "train" else "val2014"
    raws = [f"A dog numbered {number}.", "Dogs \n", "a dog", " ", f"{number} dogs"]
    sentences = [
        {"tokens": raw.lower().split(), "raw": raw, "imgid": number, "sentid": 10 * number + turn}
        for turn, raw in enumerate(raws)
    ]
    return {
        "filepath": place,
        "sentids": [each["sentid"] for each in sentences],
        "filename": f"COCO_{place}_{number:012d}.jpg",
        "imgid": number * 7,
        "split": split,
        "sentences": sentences,
        "cocoid": number,
    }


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write Karpathy's file, and COCO's pictures in their two folders."""
    records = [record(number, split) for number, split in SPLITS.items()]
    (tmp_path / FILE).write_text(json.dumps({"images": records, "dataset": "coco"}), encoding="utf-8")
    for each in records:
        (tmp_path / each["filepath"]).mkdir(exist_ok=True)
        colour = (each["cocoid"], 99, 0)
        PIL.Image.new("RGB", (8, 8), colour).save(tmp_path / each["filepath"] / each["filename"])
    return tmp_path


def read(folder: Path, split: str = "test") -> list[CaptionSample]:
    return list(CocoCaption().samples(split, Source("folder", folder)))


def edited(folder: Path, edit: Callable[[Any], object]) -> None:
    value = json.loads((folder / FILE).read_text(encoding="utf-8"))
    edit(value)
    (folder / FILE).write_text(json.dumps(value), encoding="utf-8")


def test_a_split_is_read_in_the_file_s_order_with_captions_as_they_were_written(official: Path) -> None:
    first, second = read(official)
    assert (first.key, second.key) == ("42", "133")
    assert first.captions == ("A dog numbered 42.", "Dogs \n", "a dog", " ", "42 dogs")
    assert first.image.name.endswith("val2014/COCO_val2014_000000000042.jpg")
    assert first.image.load().size == (8, 8)
    assert first.labelled


def test_train_is_karpathy_s_train_and_restval(official: Path) -> None:
    train = read(official, "train")
    assert [sample.key for sample in train] == ["9", "73"]
    assert ["train2014" in sample.image.name for sample in train] == [True, False]
    assert [sample.key for sample in read(official, "val")] == ["74"]


def test_test_needs_no_pictures_of_train(official: Path) -> None:
    for picture in (official / "train2014").iterdir():
        picture.unlink()
    (official / "train2014").rmdir()
    assert len(read(official)) == 2
    with pytest.raises(DataError, match=r"expected train2014 in .*; unpack train2014\.zip and val2014\.zip there"):
        read(official, "train")


def test_files_are_found_where_people_put_them(official: Path) -> None:
    (official / "caption_datasets").mkdir()
    (official / FILE).rename(official / "caption_datasets" / FILE)
    (official / "images").mkdir()
    nested = official / "images" / "val2014" / "val2014"  # `unzip val2014.zip -d val2014`
    nested.mkdir(parents=True)
    for picture in (official / "val2014").iterdir():
        picture.rename(nested / picture.name)
    (official / "val2014").rmdir()
    assert len(read(official)) == 2


def test_pictures_may_lie_a_folder_deeper_with_endings_in_capitals(official: Path) -> None:
    below = official / "coco" / "images"
    below.mkdir(parents=True)
    (official / "val2014").rename(below / "val2014")
    for picture in list((below / "val2014").iterdir()):
        picture.rename(picture.with_suffix(".JPG"))
    assert {Path(each.image.name).suffix for each in read(official)} == {".JPG"}
    assert {each.image.load().mode for each in read(official)} == {"RGB"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.pop("images"), r'dataset_coco\.json: expected "images"'),
        (lambda file: file["images"].clear(), r"expected images of split test, got only none"),
        (lambda file: [each.update(split="val") for each in file["images"]], r"split test, got only val"),
        (lambda file: file["images"].append(file["images"][1]), r"expected each image once, got 42 twice"),
        (lambda file: file["images"].insert(0, 5), r"entry 0 of images: expected an object"),
        (lambda file: file["images"][1].pop("split"), r'entry 1 of images: expected "split"'),
        (lambda file: file["images"][1].pop("cocoid"), r'entry 1 of images: expected "cocoid"'),
        (lambda file: file["images"][1].update(cocoid=None), r'expected "cocoid" to be a text, got null'),
        (lambda file: file["images"][1].pop("filepath"), r'image 42: expected "filepath"'),
        (lambda file: file["images"][1].pop("filename"), r'image 42: expected "filename"'),
        (lambda file: file["images"][1].pop("sentences"), r'image 42: expected "sentences"'),
        (lambda file: file["images"][1].update(sentences=[]), r"image 42: expected a caption with words, got none"),
        (lambda file: file["images"][1].update(sentences=[{"raw": " "}]), r"image 42: expected a caption with words"),
        (lambda file: file["images"][1].update(sentences=[{"tokens": ["a"]}]), r'image 42: expected "raw"'),
        (
            lambda file: file["images"][1].update(sentences=[{"raw": 3}]),
            r'image 42: expected "raw" to be a text, got 3',
        ),
        (lambda file: file["images"][4].update(filename="b.jpg"), r"image 133: expected its picture b\.jpg .*\(it is"),
    ],
)
def test_an_inconsistent_file_is_one_line_that_names_file_and_item(
    official: Path, edit: Callable[[Any], object], message: str
) -> None:
    edited(official, edit)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert "\n" not in str(raised.value)
    assert FILE in str(raised.value)


def test_a_missing_file_is_named_with_where_to_get_it(official: Path) -> None:
    (official / FILE).unlink()
    with pytest.raises(DataError, match=r"expected dataset_coco\.json in .*caption_datasets\.zip"):
        read(official)


@pytest.fixture
def parquet(official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the same data with a column for each of Karpathy's fields, a file for each split."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    for name, members in (("train", {"train", "restval"}), ("validation", {"val"}), ("test", {"test"})):
        rows = []
        for each in (record(number, split) for number, split in SPLITS.items() if split in members):
            encoded = (official / each["filepath"] / each["filename"]).read_bytes()
            raws = [sentence["raw"] for sentence in each.pop("sentences")]
            image = {"bytes": encoded, "path": each["filename"]}
            rows.append({**each, "sentences_raw": raws, "image": image})
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_hub_s_rows_are_the_same_samples_as_the_official_files(official: Path, parquet: Path, split: str) -> None:
    samples = list(CocoCaption(hub_id=str(parquet)).samples(split, Source("hub")))
    assert samples == read(official, split)
    assert [sample.content for sample in samples] == [sample.content for sample in read(official, split)]


def test_a_row_a_caption_instead_of_an_image_is_an_error(parquet: Path) -> None:
    path = parquet / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(DataError, match=r"split test, row 2: expected image 42 once, got it again"):
        list(CocoCaption(hub_id=str(parquet)).samples("test", Source("hub")))
    pq.write_table(table.drop_columns(["split"]), path)
    with pytest.raises(DataError, match="expected columns split, got only"):
        CocoCaption(hub_id=str(parquet)).samples("test", Source("hub"))


@pytest.mark.parametrize("dataset", ["", "yerevann/coco-karpathy", "lmms-lab/COCO-Caption"])
def test_datasets_that_cannot_give_the_published_split_are_refused(dataset: str) -> None:
    with pytest.raises(
        UsageError, match=r"coco_caption: .*; set hub_id to a dataset with the columns image, cocoid"
    ) as said:
        CocoCaption(hub_id=dataset).samples("test", Source("hub"))
    assert "\n" not in str(said.value)
