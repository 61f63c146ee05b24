from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.locations import Box
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.tasks.refcoco import RefCOCO, RefCOCOg, RefCOCOPlus, ReferringSample
from kosmos_eval.tasks.refcoco.sources import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE = (64, 48)  # of every picture
FULL = "<object><patch_index_0000><patch_index_1023></object>"


@dataclass(frozen=True)
class Written:
    """An expression as the tests write it: of picture and thing, with its box."""

    expression: str
    picture: int
    thing: int
    box: tuple[float, float, float, float]


ITEMS = [
    Written("the lady with the blue shirt", 581857, 1719310, (4.0, 6.0, 32.5, 24.0)),
    Written("blue shirt", 581857, 1719310, (4.0, 6.0, 32.5, 24.0)),
    Written("left guy", 42, 17, (0.0, 0.0, 64.0, 48.0)),
]


def picture_name(number: int) -> str:
    return f"COCO_train2014_{number:012d}.jpg"


def mdetr_file(name: str = "refcoco", items: Sequence[Written] = ITEMS, first: int = 150) -> dict[str, Any]:
    """Return MDETR's file as its script writes it."""
    images = [
        {
            "file_name": picture_name(each.picture),
            "height": SIZE[1],
            "width": SIZE[0],
            "id": number,
            "original_id": each.picture,
            "caption": each.expression,
            "dataset_name": name,
            "tokens_negative": [[0, 3]],
        }
        for number, each in enumerate(items, first)
    ]
    boxes = [
        {
            "area": 99.5,
            "iscrowd": 0,
            "image_id": number,
            "category_id": 1,
            "id": number,
            "bbox": list(each.box),
            "original_id": each.thing,
            "tokens_positive": [[4, 8]],
        }
        for number, each in enumerate(items, first)
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": boxes, "categories": []}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def draw(folder: Path, items: Sequence[Written] = ITEMS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in {each.picture for each in items}:
        PIL.Image.new("RGB", SIZE, (number % 256, 9, 9)).save(folder / picture_name(number))


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write val as people unpack it: MDETR's folder beside COCO's."""
    write(tmp_path / "mdetr_annotations" / "finetune_refcoco_val.json", mdetr_file())
    draw(tmp_path / "train2014")
    return tmp_path


def read(folder: Path, split: str = "val", task: Any = None) -> list[ReferringSample]:  # noqa: ANN401  one of three
    return list((task or RefCOCO()).samples(split, Source("folder", folder)))


def spoil(folder: Path, **changes: Any) -> None:  # noqa: ANN401  whatever is wrong in a file
    """Write the file again, fields of its second entry changed: `image__caption` of images, `box__bbox` of boxes."""
    values = mdetr_file()
    for place, value in changes.items():
        kind, name = place.split("__")
        record = values["images" if kind == "image" else "annotations"][1]
        if value is None:
            del record[name]
        else:
            record[name] = value
    write(folder / "mdetr_annotations" / "finetune_refcoco_val.json", values)


def asked(sample: ReferringSample, exemplars: Sequence[ReferringSample] = ()) -> Generate:
    request = next(RefCOCO().ask(sample, exemplars))
    assert isinstance(request, Generate)
    return request


@pytest.mark.parametrize("name", ["refcoco", "refcoco_plus", "refcocog", "refcocog_generation"])
def test_they_are_found_as_plugins(name: str) -> None:
    assert Plugins().task(name).name == name


def test_official_files_give_a_sample_an_expression(official: Path) -> None:
    samples = read(official)
    assert [sample.key for sample in samples] == ["150", "151", "152"]
    first, second, _ = samples
    assert (first.expression, first.cluster, first.size) == ("the lady with the blue shirt", "581857", SIZE)
    assert first.truth == Box(4.0, 6.0, 36.5, 30.0)
    assert first.image is second.image
    assert first.image.name.endswith("train2014/COCO_train2014_000000581857.jpg")
    assert first.image.known_digest is None


@pytest.mark.parametrize("place", ["", "train2014", "images/mscoco/train2014", "photos"])
def test_pictures_are_found_where_people_put_them(official: Path, place: str) -> None:
    (official / "train2014").rename(official / "moved")
    draw(official / place)
    for each in (official / "moved").iterdir():
        each.unlink()
    assert len(read(official)) == 3


def test_pictures_that_are_not_of_train2014_are_looked_for_in_val2014(official: Path) -> None:
    name = "COCO_val2014_000000000007.jpg"
    spoil(official, image__file_name=name)
    with pytest.raises(DataError, match=r"expected a folder val2014 of pictures .* unpack COCO's val2014.zip"):
        read(official)
    (official / "val2014").mkdir()
    PIL.Image.new("RGB", SIZE).save(official / "val2014" / name)
    assert read(official)[1].image.name.endswith(f"val2014/{name}")


def test_a_byte_order_mark_and_ids_as_texts_do_no_harm(official: Path) -> None:
    path = official / "mdetr_annotations" / "finetune_refcoco_val.json"
    values = mdetr_file()
    for record in (*values["images"], *values["annotations"]):
        record |= {name: str(record[name]) for name in ("id", "image_id", "original_id") if name in record}
    path.write_text("\ufeff" + json.dumps(values), encoding="utf-8")
    assert [sample.key for sample in read(official)] == ["150", "151", "152"]


def test_a_file_without_coco_s_ids_has_clusters_by_its_pictures(official: Path) -> None:
    spoil(official, image__original_id=None, box__original_id=None)
    assert [sample.cluster for sample in read(official)] == ["581857", "581857", "42"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image__id": 150}, "expected each id of images once, got 150 twice"),
        ({"image__caption": " "}, "image 151: expected a text with words"),
        ({"image__caption": "a</phrase> b"}, "image 151: expected plain text, got the mark </phrase>"),
        ({"image__dataset_name": "refcoco+"}, "image 151: expected an expression of refcoco, got one of refcoco"),
        ({"image__original_id": [1]}, 'image 151: expected "original_id" to be a whole number'),
        ({"image__width": 0}, 'image 151: expected "width" to be the picture\'s in pixels, got 0'),
        ({"image__file_name": "COCO_train2014_000000000001.jpg"}, "000000000001.jpg in .* found none"),
        ({"box__image_id": 999}, "entry 1 of annotations: expected image_id to be an id of images, got 999"),
        ({"box__image_id": 150}, "image 150: expected one annotation, got 2"),
        ({"box__bbox": [1, 2, 3]}, 'entry 1 of annotations: expected "bbox" to be left, top, width and height'),
        ({"box__bbox": [1, 2, -3, 4]}, 'expected "bbox" to be left, top, width and height'),
        ({"box__bbox": [1, 2, "3", 4]}, 'expected "bbox" to be left, top, width and height'),
        ({"box__bbox": [1, 2, 0, 4]}, "image 151: expected a box with an area inside the picture"),
        ({"box__bbox": [64, 2, 5, 4]}, "image 151: expected a box with an area inside the picture"),
        ({"box__original_id": " "}, 'image 151: expected "original_id" to be a whole number'),
    ],
)
def test_what_is_wrong_in_a_file_is_said_before_the_first_sample(
    official: Path, changes: dict[str, Any], message: str
) -> None:
    spoil(official, **changes)
    with pytest.raises(DataError, match=message):
        RefCOCO().samples("val", Source("folder", official))


def test_a_missing_file_is_named_with_where_to_get_it(official: Path) -> None:
    with pytest.raises(DataError, match=r"expected finetune_refcoco_testA.json .* mdetr_annotations.tar.gz of zenodo"):
        read(official, "testA")


def test_a_missing_picture_is_named(official: Path) -> None:
    (official / "train2014" / picture_name(42)).unlink()
    with pytest.raises(DataError, match=r"image 152: expected its picture COCO_train2014_000000000042.jpg"):
        read(official)


@pytest.mark.parametrize(
    ("task", "file", "name", "split"),
    [
        (RefCOCOPlus(), "finetune_refcoco+_testB.json", "refcoco+", "testB"),
        (RefCOCOg(), "finetune_refcocog_test.json", "refcocog", "test"),
    ],
)
def test_its_sisters_read_their_own_files(official: Path, task: Any, file: str, name: str, split: str) -> None:  # noqa: ANN401  one of three
    write(official / file, mdetr_file(name))
    assert len(read(official, split, task)) == 3


@pytest.mark.parametrize(("task", "split"), [(RefCOCO(), "test"), (RefCOCOPlus(), "dev"), (RefCOCOg(), "testA")])
def test_each_has_its_own_splits(task: Any, split: str) -> None:  # noqa: ANN401  one of three
    with pytest.raises(UnknownNameError, match=f"named '{split}'"):
        task.samples(split, Source("mini"))


def test_the_prompt_is_the_released_one(official: Path) -> None:
    sample = read(official)[0]
    text = "<grounding><phrase>the lady with the blue shirt</phrase>"
    assert asked(sample) == Generate(Prompt.of(sample.image, text), max_new_tokens=500, no_repeat_ngram=3)


def test_exemplars_show_their_boxes(official: Path) -> None:
    first, _, third = read(official)
    request = asked(first, [third])
    assert request.images == (third.image, first.image)
    assert request.prompt.text() == (
        f"<image><grounding><phrase>left guy</phrase>{FULL}"
        "<image><grounding><phrase>the lady with the blue shirt</phrase>"
    )


def test_the_first_box_of_the_expression_counts(official: Path) -> None:
    sample = read(official)[2]
    near = "<object><patch_index_0000><patch_index_0527></object>"
    right = RefCOCO().score(sample, f"{FULL} and<phrase> left guy</phrase>{near}")
    assert right.values == pytest.approx({"accuracy": 1, "accuracy_strict": 1, "ceiling": 1, "iou": (31 / 32) ** 2})
    assert (right.answer, right.target) == ("(1, 1, 63, 47)", "(0, 0, 64, 48)")
    assert right.explanation == "IoU 0.938 with the truth; the first of 2 boxes"
    wrong = RefCOCO().score(sample, f"{near}<phrase>left guy</phrase>{FULL}")
    assert wrong.values["accuracy"] == 0
    assert wrong.values["iou"] == pytest.approx(0.2344, abs=1e-4)


def test_an_overlap_of_exactly_a_half_is_a_hit_as_released_and_none_as_printed() -> None:
    (sample, *_) = RefCOCO().samples("val", Source("mini"))
    size = sample.size
    assert size is not None
    half = ReferringSample(
        key="x",
        image=sample.image,
        size=size,
        expression="x",
        truth=Box(*(side * size.width for side in (0.5 / 32, 0.5 / 32, 8.5 / 32, 16.5 / 32))),
    )
    values = RefCOCO().score(half, "<object><patch_index_0000><patch_index_0528></object>").values
    assert (values["accuracy"], values["accuracy_strict"], values["iou"]) == (1, 0, 0.5)


@pytest.mark.parametrize(
    "answer",
    ["", " is here", "<object><patch_index_0000></object>", f"is{FULL}", f"<phrase> right guy</phrase>{FULL}"],
)
def test_no_box_for_the_expression_is_unparsed_and_a_miss(official: Path, answer: str) -> None:
    score = RefCOCO().score(read(official)[2], answer)
    assert (score.answer, score.explanation) == (None, "no box for the expression")
    assert (score.values["accuracy"], score.values["iou"], score.values["ceiling"]) == (0, 0, 1)


def test_the_ceiling_says_what_locations_cannot_reach(official: Path) -> None:
    spoil(official, box__bbox=[10.2, 10.2, 1.5, 1.5])
    small = read(official)[1]
    score = RefCOCO().score(small, RefCOCO().gold(small, asked(small)))
    assert (score.values["ceiling"], score.values["accuracy"]) == (0, 0)


@pytest.mark.parametrize("task", [RefCOCO(), RefCOCOPlus(), RefCOCOg()])
def test_the_microworld_stands_in(task: Any) -> None:  # noqa: ANN401  one of three
    pictures: list[set[str]] = []
    for split in ("train", *task.splits):
        samples = list(task.samples(split, Source("mini")))
        assert 100 <= len(samples) == len({sample.key for sample in samples}) <= 200
        pictures.append({sample.image.digest for sample in samples})
        for sample in samples:
            score = task.score(sample, task.gold(sample, asked(sample)))
            assert (score.values["accuracy"], score.values["ceiling"]) == (1, 1)
    assert sum(map(len, pictures)) == len(set.union(*pictures))


def test_the_microworld_gives_exemplars() -> None:
    task = RefCOCO()
    pool = ExemplarPool(task.samples("train", Source("mini")))
    query = next(iter(task.samples("val", Source("mini"))))
    request = asked(query, pool.draw(query, 2, seed=0, task="refcoco"))
    assert request.prompt.text().count("</object>") == 2


def write_hub(folder: Path, split: str, items: Sequence[tuple[str, list[str], list[float]]]) -> None:
    """Write a split with the columns of lmms-lab/RefCOCO."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", SIZE, (1, 2, 3)).save(folder / "picture.png")
    cell = {"bytes": (folder / "picture.png").read_bytes(), "path": "picture.png"}
    (folder / "picture.png").unlink()
    rows = [
        {
            "question_id": key,
            "image": cell,
            "question": "What is it?",
            "answer": answers,
            "segmentation": [1.0, 2.0],
            "bbox": box,
            "iscrowd": 0,
            "file_name": "COCO_train2014_000000581857_16.jpg",
        }
        for key, answers, box in items
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_hub(tmp_path / "hub", "testA", [("7", ["left guy", "him"], [0, 0, 64, 48]), ("8", ["dog"], [4, 6, 32, 24])])
    return tmp_path / "hub"


def test_a_thing_on_the_hub_is_a_sample_for_each_of_its_expressions(hub: Path) -> None:
    samples = list(RefCOCO(hub_id=str(hub)).samples("testA", Source("hub")))
    assert [(each.key, each.expression, each.cluster) for each in samples] == [
        ("7-0", "left guy", "581857"),
        ("7-1", "him", "581857"),
        ("8", "dog", "581857"),
    ]
    assert samples[2].truth == Box(4, 6, 36, 30)
    assert RefCOCO().score(samples[0], FULL).values["accuracy"] == 1
    assert "<patch_index_0000><patch_index_1023>" in asked(samples[2], samples[:1]).prompt.text()


def test_a_split_with_more_things_than_its_authors_gave_it_is_refused(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RefCOCO.dataset.objects["val"] == 3811
    monkeypatch.setattr(RefCOCO, "dataset", Dataset("refcoco", {"testA": 1}))
    with pytest.raises(DataError, match="expected the 1 things of refcoco's own testA, got 2: others are mixed in"):
        RefCOCO(hub_id=str(hub)).samples("testA", Source("hub"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("7", ["him"], [0, 0, 9, 9])] * 2, "expected each question_id once, got 1 again"),
        ([("7", [], [0, 0, 9, 9])], '"answer" to be a list of texts'),
        ([("7", ["him"], [0, 0, 9])], 'row 0: expected "bbox" to be left, top, width and height'),
        ([("7", ["<grounding>"], [0, 0, 9, 9])], "row 0: expected plain text"),
    ],
)
def test_inconsistent_rows_are_named(hub: Path, rows: list[Any], message: str) -> None:
    write_hub(hub, "testB", rows)
    with pytest.raises(DataError, match=message):
        RefCOCO(hub_id=str(hub)).samples("testB", Source("hub"))


def test_a_copy_without_pictures_is_refused_with_the_columns_found(hub: Path) -> None:
    table = pa.table({"sentences": [["him"]], "bbox": [[0.0, 0.0, 9.0, 9.0]], "ann_id": [7]})
    pq.write_table(table, hub / "data" / "val-00000-of-00001.parquet")
    with pytest.raises(DataError, match="expected columns question_id, answer, file_name, image, got only sentences"):
        RefCOCO(hub_id=str(hub)).samples("val", Source("hub"))


def test_settings_reach_the_request_and_senseless_ones_are_refused(official: Path) -> None:
    task = RefCOCO(max_new_tokens=9, no_repeat_ngram=0, stop_at_object=True)
    request = next(task.ask(read(official)[0], ()))
    assert isinstance(request, Generate)
    assert (request.max_new_tokens, request.no_repeat_ngram, request.stop) == (9, 0, ("</object>",))
    with pytest.raises(UsageError, match="max_new_tokens"):
        RefCOCO(max_new_tokens=0)


def test_what_was_written_after_the_prompt_is_the_answer(official: Path) -> None:
    asking = RefCOCO().ask(read(official)[0], ())
    next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Generated(FULL, (5, 2), (-0.1, -0.2), "eos"))
    assert stopped.value.value == FULL
