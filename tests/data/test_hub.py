from __future__ import annotations

import base64
import io
import tarfile
from typing import TYPE_CHECKING, Any

import datasets
import huggingface_hub
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.hub import check_once, hub_class_names, hub_rows, resolve_commit
from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    resolve_commit.cache_clear()
    yield
    resolve_commit.cache_clear()


def encoded(shade: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    for split, base in (("validation", 0), ("testdev", 100)):
        rows = [
            {
                "id": base + place,
                "answers": [{"answer": "red", "answer_id": 1}],
                "image": {"bytes": encoded(base + place), "path": f"{place}.png"},
            }
            for place in range(3)
        ]
        write(folder, split, rows)
    return folder


def test_rows_come_in_order_with_their_own_pictures(dataset: Path) -> None:
    rows = list(hub_rows(str(dataset), "testdev", columns=["id", "answers"], image_columns=["image"]))
    assert [row["id"] for row in rows] == [100, 101, 102]
    assert rows[0]["answers"] == [{"answer": "red", "answer_id": 1}]
    for row in rows:
        assert isinstance(row["image"], Image)
        assert row["image"].load().getpixel((0, 0)) == (row["id"], 0, 0)
    assert rows[2]["image"].name.endswith("testdev row 2")


def test_all_columns_are_read_unless_some_are_named(dataset: Path) -> None:
    assert set(next(hub_rows(str(dataset), "validation", image_columns=["image"]))) == {"id", "answers", "image"}
    assert set(next(hub_rows(str(dataset), "validation", columns=["id"], image_columns=["image"]))) == {"id", "image"}


def test_reading_rows_decodes_no_picture(tmp_path: Path) -> None:
    write(tmp_path / "d", "test", [{"id": 1, "image": {"bytes": b"no picture", "path": None}}])
    (row,) = hub_rows(str(tmp_path / "d"), "test", image_columns=["image"])
    with pytest.raises(DataError, match=r"test row 0: cannot be read"):
        row["image"].load()


def test_only_the_asked_split_is_prepared(dataset: Path, tmp_path: Path) -> None:
    list(hub_rows(str(dataset), "validation", image_columns=["image"]))
    assert [path.name for path in (tmp_path / "cache").rglob("*.arrow")] == ["parquet-validation.arrow"]


def test_an_empty_cell_is_an_error_that_names_the_row(tmp_path: Path) -> None:
    filled = {"id": 1, "image": {"bytes": encoded(1), "path": None}}
    write(tmp_path / "d", "test", [filled, {"id": 2, "image": {"bytes": None, "path": None}}])
    rows = list(hub_rows(str(tmp_path / "d"), "test", image_columns=["image"]))
    with pytest.raises(DataError, match=r"test row 1: expected an encoded picture in column image"):
        rows[1]["image"].load()


def test_what_is_missing_is_named_before_the_first_row(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a split train, got only validation, testdev"):
        hub_rows(str(dataset), "train")
    with pytest.raises(DataError, match=r"expected columns question, picture, got only id, answers, image"):
        hub_rows(str(dataset), "validation", columns=["id", "question"], image_columns=["picture"])
    with pytest.raises(DataError, match="expected an existing folder or an id on the hub"):
        hub_rows(str(tmp_path / "nowhere"), "validation")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty, split validation: cannot be read .*; name a folder"):
        hub_rows(str(tmp_path / "empty"), "validation")


def test_a_cut_off_file_is_an_error_of_one_line(dataset: Path) -> None:
    path = next((dataset / "data").glob("validation*"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"split validation: cannot be read") as raised:
        hub_rows(str(dataset), "validation")
    assert "\n" not in str(raised.value)


def test_a_local_folder_has_no_commit(dataset: Path) -> None:
    assert resolve_commit(str(dataset), None) is None


def test_a_hub_out_of_reach_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"owner/name: the hub cannot be reached \(.*\); offline, .*--data mini"):
        hub_rows("owner/name", "validation")


def test_a_revision_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []

    class Info:
        sha = "0123abcd"

    def dataset_info(_self: object, repository: str, revision: str | None = None) -> Info:
        asked.append((repository, revision))
        return Info()

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    assert [resolve_commit("owner/name", "main") for _ in range(2)] == ["0123abcd"] * 2
    assert asked == [("owner/name", "main")]


def test_a_column_of_labels_knows_its_names_where_the_dataset_gives_them(tmp_path: Path) -> None:
    kinds = datasets.Features(
        {"label": datasets.ClassLabel(names=["hen", "hen house"]), "number": datasets.Value("int64")}
    )
    table = datasets.Dataset.from_dict({"label": [1, 0], "number": [1, 0]}, features=kinds)
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    assert hub_class_names(str(tmp_path), "test", "label") == ("hen", "hen house")
    assert hub_class_names(str(tmp_path), "test", "number") is None
    assert hub_class_names(str(tmp_path), "test", "absent") is None
    assert [row["label"] for row in hub_rows(str(tmp_path), "test")] == [1, 0]


def test_pictures_may_be_paths_in_the_dataset_and_splits_files_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    (folder / "img").mkdir(parents=True)
    for shade, split in enumerate(("train", "dev_seen", "dev_unseen")):
        (folder / "img" / f"{shade}.png").write_bytes(encoded(shade))
        (folder / f"{split}.jsonl").write_text(f'{{"img": "img/{shade}.png", "label": {shade}}}\n', encoding="utf-8")
    (row,) = hub_rows(str(folder), "dev_unseen", columns=["label"], image_columns=["img"])
    assert (row["label"], row["img"].load().getpixel((0, 0))) == (2, (2, 0, 0))
    (folder / "img" / "2.png").unlink()
    with pytest.raises(DataError, match=r"expected its picture img/2\.png there, found none"):
        row["img"].load()
    with pytest.raises(DataError, match="expected a split dev"):
        hub_rows(str(folder), "dev")


def test_a_picture_on_the_hub_is_fetched_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = datasets.Dataset.from_dict({"id": [7], "img": ["img/7.png"]})
    monkeypatch.setattr("kosmos_eval.data.hub.resolve_commit", lambda *_: "c0ffee")
    monkeypatch.setattr("kosmos_eval.data.hub._load", lambda *_: table)
    asked: list[tuple[Any, ...]] = []

    def download(*place: str, repo_type: str, revision: str) -> str:
        asked.append((*place, repo_type, revision))
        (tmp_path / "7.png").write_bytes(encoded(7))
        return str(tmp_path / "7.png")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    (row,) = hub_rows("owner/name", "train", image_columns=["img"])
    assert asked == []
    assert row["img"].load().getpixel((0, 0)) == (7, 0, 0)
    assert asked == [("owner/name", "img/7.png", "dataset", "c0ffee")]

    def refuse(*_place: str, **_settings: str) -> str:
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(DataError, match=r"its picture img/7\.png cannot be fetched \(ConnectionError: \)"):
        row["img"].load()


def test_a_webdataset_is_read(tmp_path: Path) -> None:
    (tmp_path / "d" / "test").mkdir(parents=True)
    with tarfile.open(tmp_path / "d" / "test" / "0.tar", "w") as tar:
        for name, content in (("s0.cls", b"1"), ("s0.png", encoded(9))):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    (row,) = hub_rows(str(tmp_path / "d"), "test", columns=["__key__", "cls"], image_columns=["png"])
    assert (row["__key__"], row["cls"], row["png"].load().getpixel((0, 0))) == ("s0", 1, (9, 0, 0))


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_a_picture_written_in_base64_is_decoded_when_it_is_opened(tmp_path: Path, prefix: str) -> None:
    texts = [prefix + base64.b64encode(encoded(7)).decode(), "no base64"]
    write(tmp_path / "texts", "validation", [{"id": place, "image": text} for place, text in enumerate(texts)])
    first, second = hub_rows(str(tmp_path / "texts"), "validation", columns=["id"], base64_columns=["image"])
    assert first["image"].load().getpixel((0, 0)) == (7, 0, 0)
    with pytest.raises(DataError, match="texts validation row 1: cannot be read"):
        second["image"].load()


def test_a_column_of_lists_gives_a_tuple_of_unopened_pictures(tmp_path: Path) -> None:
    lists = [[1, 2, 3], [], [4]]
    rows = [
        {"id": place, "panels": [{"bytes": encoded(each), "path": None} for each in shades]}
        for place, shades in enumerate(lists)
    ]
    write(tmp_path / "lists", "test", rows)
    found = list(hub_rows(str(tmp_path / "lists"), "test", columns=["id"], image_columns=["panels"]))
    assert [[image.load().getpixel((0, 0))[0] for image in row["panels"]] for row in found] == lists
    assert found[0]["panels"][2].name.endswith("lists test row 0 panels 2")


def test_a_key_that_comes_again_is_an_error_that_names_the_row() -> None:
    seen: set[str] = set()
    check_once("7", seen, "dataset d, row 0", "question")
    check_once("8", seen, "dataset d, row 1", "question")
    with pytest.raises(
        DataError, match="dataset d, row 2: expected question 7 once, got it again; name an intact copy"
    ):
        check_once("7", seen, "dataset d, row 2", "question")
