from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.data.mdetr import read_entries
from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "finetune_refcoco_val.json"


def file() -> dict[str, Any]:
    """Return two entries with all fields that the official files have."""
    images = [
        {
            "file_name": "COCO_train2014_000000581857.jpg",
            "height": 427,
            "width": 640,
            "id": number,
            "original_id": 581857,
            "caption": text,
            "dataset_name": "refcoco",
            "tokens_negative": [[0, len(text)]],
        }
        for number, text in ((150, "café on the left"), (151, "right man"))
    ]
    annotations = [
        {
            "area": 100.5,
            "iscrowd": 0,
            "image_id": number,
            "category_id": 1,
            "id": number + 7,
            "bbox": [1.5, 2, 30.25, 40],
            "original_id": 99,
            "tokens_positive": [[0, 4]],
        }
        for number in (150, 151)
    ]
    categories = [{"supercategory": "person", "id": 1, "name": "person"}]
    return {"info": [], "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize("place", ["", "mdetr_annotations", "OpenSource", "mdetr_annotations/OpenSource"])
def test_entries_are_read_where_the_archive_puts_them(tmp_path: Path, place: str) -> None:
    write(tmp_path / place / NAME, file())
    first, second = read_entries(tmp_path, NAME)
    assert (first.key, first.caption, first.size) == ("150", "café on the left", (640, 427))
    assert [region.box for region in second.regions] == [(1.5, 2, 31.75, 42)]


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("annotations", {"id": 157}, "entry 1 of annotations: expected each id of annotations once, got 157 twice"),
        ("annotations", {"bbox": [1, 2, 10**400, 4]}, 'expected "bbox" to be left, .* got .*; unpack the file again'),
        ("annotations", {"bbox": [1, 2, float("nan"), 4]}, 'expected "bbox" to be left, top, width and height'),
        ("annotations", {"bbox": [1, float("inf"), 3, 4]}, 'expected "bbox" to be left, top, width and height'),
        ("images", {"file_name": " "}, "image 151: expected \"file_name\" to name its picture, got ' '"),
        ("images", {"width": 10**400}, 'image 151: expected "width" to be the picture\'s in pixels'),
    ],
)
def test_what_no_official_file_has_is_an_error_that_names_the_item(
    tmp_path: Path, part: str, changes: dict[str, Any], message: str
) -> None:
    values = file()
    values[part][1] |= changes
    write(tmp_path / NAME, values)
    with pytest.raises(DataError, match=message):
        read_entries(tmp_path, NAME)


def test_annotations_may_go_without_ids(tmp_path: Path) -> None:
    values = file()
    for each in values["annotations"]:
        del each["id"]
    write(tmp_path / NAME, values)
    assert len(read_entries(tmp_path, NAME)) == 2
