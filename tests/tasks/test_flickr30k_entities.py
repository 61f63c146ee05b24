from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.locations import Box
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate
from kosmos_eval.tasks.flickr30k_entities import Flickr30kEntities, PhraseSample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE = (64, 48)
CAPTION = "A young child sits beside a dog and a dog ."
FULL = "<patch_index_0000><patch_index_1023>"
DELIMITER = "</delimiter_of_multi_objects/>"
SENTENCES = (
    "[/EN#1/people A young child] sits beside [/EN#2/animals a dog] and [/EN#3/animals a dog] .\n"
    "\n"
    "[/EN#9/notvisual It] is [/EN#1/people/clothing the child] .\n"
    "Nobody is here .\n"
)
XML = """<annotation><filename>36979.jpg</filename><size><width>64</width><height>48</height><depth>3</depth></size>
<object><name>1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>21</xmax><ymax>42</ymax></bndbox></object>
<object><name>1</name><name>2</name><bndbox><xmin>30</xmin><ymin>2</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
<object><name>3</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>
<object><name>9</name><nobndbox>1</nobndbox><scene>0</scene></object>
</annotation>"""


def image(caption: str, sentence: int, spans: Sequence[Any], key: int) -> dict[str, Any]:
    """Return an entry as MDETR's script writes it: width and height are texts."""
    return {
        "file_name": "36979.jpg",
        "height": "48",
        "width": "64",
        "id": key,
        "caption": caption,
        "dataset_name": "flickr",
        "tokens_negative": [[0, len(caption)]],
        "sentence_id": sentence,
        "original_img_id": 36979,
        "tokens_positive_eval": spans,
    }


def file() -> dict[str, Any]:
    images = [
        image(CAPTION, 0, [[[0, 13]], [[26, 31]], [[36, 41]]], 5),
        image("It is the child .", 1, [[[6, 15]]], 6),
        image("Nobody is here .", 2, [], 7),
    ]
    boxes = [
        (5, [1.0, 2.0, 20.0, 40.0], [[0, 13]]),
        (5, [30.0, 2.0, 30.0, 38.0], [[0, 13], [26, 31]]),
        (5, [5.0, 5.0, 4.0, 4.0], [[36, 41]]),
        (6, [1.0, 2.0, 20.0, 40.0], [[6, 15]]),
    ]
    annotations = [
        {"image_id": key, "id": number, "category_id": 1, "bbox": box, "tokens_positive": spans}
        for number, (key, box, spans) in enumerate(boxes)
    ]
    return {"images": images, "annotations": annotations, "categories": []}


def write(folder: Path, values: object, split: str = "val") -> None:
    place = folder / "mdetr_annotations"
    place.mkdir(exist_ok=True)
    (place / f"final_flickr_separateGT_{split}.json").write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    write(tmp_path, file())
    (tmp_path / "flickr30k-images").mkdir()
    PIL.Image.new("RGB", SIZE).save(tmp_path / "flickr30k-images" / "36979.jpg")
    return tmp_path


@pytest.fixture
def entities(official: Path) -> Path:
    """Add Flickr30k Entities' own folders, as its archive unpacks."""
    place = official / "flickr30k_entities"
    for name, text in (("Sentences/36979.txt", SENTENCES), ("Annotations/36979.xml", XML)):
        path = place / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return official


def read(folder: Path, task: Flickr30kEntities | None = None) -> list[PhraseSample]:
    return list((task or Flickr30kEntities()).samples("val", Source("folder", folder)))


def asked(sample: PhraseSample, exemplars: Sequence[PhraseSample] = ()) -> Generate:
    request = next(Flickr30kEntities().ask(sample, exemplars))
    assert isinstance(request, Generate)
    return request


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("flickr30k_entities") is Flickr30kEntities


def test_mdetr_s_file_gives_a_sample_a_phrase_with_its_boxes(official: Path) -> None:
    samples = read(official)
    assert [(each.key, each.phrase) for each in samples] == [
        ("36979_0_0", "A young child"),
        ("36979_0_1", "a dog"),
        ("36979_0_2", "a dog"),
        ("36979_1_0", "the child"),
    ]
    first = samples[0]
    assert (first.cluster, first.size, first.lead, dict(first.groups)) == ("36979", SIZE, "", {})
    assert first.truths == (Box(1, 2, 21, 42), Box(30, 2, 60, 40))
    assert first.image is samples[3].image


def test_a_phrase_that_is_said_twice_has_the_boxes_of_the_first(official: Path, entities: Path) -> None:
    for task in (Flickr30kEntities(truth="mdetr"), Flickr30kEntities(truth="entities")):
        _, second, third, _ = read(entities, task)
        assert second.truths == third.truths == (Box(30, 2, 60, 40),)
    assert official == entities


def test_flickr30k_entities_own_folders_give_boxes_and_categories(entities: Path) -> None:
    samples = read(entities)
    assert [dict(each.groups) for each in samples] == [
        {"category": "people"},
        {"category": "animals"},
        {"category": "animals"},
        {"category": "people"},
    ]
    assert samples[3].truths == (Box(1, 2, 21, 42), Box(30, 2, 60, 40))  # MDETR's file has one of them
    assert read(entities, Flickr30kEntities(truth="mdetr"))[3].truths == (Box(1, 2, 21, 42),)


def test_sentences_alone_give_categories_to_mdetr_s_boxes(entities: Path) -> None:
    whole = read(entities, Flickr30kEntities(truth="mdetr"))
    folder = entities / "flickr30k_entities" / "Annotations"
    (folder / "36979.xml").unlink()
    folder.rmdir()
    samples = read(entities)
    assert samples == whole
    assert [each.groups["category"] for each in samples] == ["people", "animals", "animals", "people"]


def test_the_record_says_whose_boxes_were_read(official: Path) -> None:
    source = Source("folder", official)
    assert Flickr30kEntities().provenance(source) == {"boxes": "MDETR's file"}
    assert Flickr30kEntities().provenance(Source("mini")) == {}
    with pytest.raises(DataError, match=r"expected Sentences .* or set truth to mdetr"):
        Flickr30kEntities(truth="entities").samples("val", source)
    for name in ("Sentences", "Annotations"):
        (official / name).mkdir()
    assert Flickr30kEntities().provenance(source)["boxes"] == "Flickr30k Entities, Annotations"
    with pytest.raises(UnknownNameError, match="merged"):
        Flickr30kEntities(truth="merged")


@pytest.mark.parametrize("place", ["", "flickr30k_images/flickr30k_images", "val", "pictures"])
def test_pictures_are_found_where_people_put_them(official: Path, place: str) -> None:
    moved = official / place
    moved.mkdir(parents=True, exist_ok=True)
    (official / "flickr30k-images" / "36979.jpg").rename(moved / "36979.jpg")
    (official / "flickr30k-images").rmdir()
    assert len(read(official)) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens_positive_eval": [[[0, 99]]]}, r'image 5: expected "tokens_positive_eval" to be \[\[\[start, end\]\]'),
        ({"tokens_positive_eval": [[]]}, 'image 5: expected "tokens_positive_eval"'),
        ({"tokens_positive_eval": [[[2, 7]]]}, "image 5: expected boxes for the phrase 'young', got none"),
        ({"width": "wide"}, "image 5: expected \"width\" to be the picture's in pixels, got 'wide'"),
        ({"caption": f"A <object> {CAPTION}"}, "image 5: expected plain text, got the mark <object>"),
        ({"sentence_id": 1}, "image 6: expected sentence 1 of picture 36979 once, got it again"),
        ({"file_name": "7.jpg"}, r"image 5: expected its picture 7.jpg"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(official: Path, changes: dict[str, Any], message: str) -> None:
    values = file()
    values["images"][0] |= changes
    write(official, values)
    with pytest.raises(DataError, match=message):
        read(official)


def test_what_is_wrong_in_flickr30k_entities_is_said(entities: Path) -> None:
    values = file()
    values["images"][0]["sentence_id"] = 7
    write(entities, values)
    with pytest.raises(DataError, match=r"image 5: expected a sentence 7 in .*/Sentences/36979.txt, got 3 sentences"):
        read(entities)
    write(entities, file())
    path = entities / "flickr30k_entities" / "Annotations" / "36979.xml"
    path.write_text(XML[:200], encoding="utf-8")
    with pytest.raises(DataError, match=r"36979.xml: expected an annotation of Flickr30k Entities"):
        read(entities)
    path.unlink()
    with pytest.raises(DataError, match=r"36979.xml: expected an annotation"):
        read(entities)


@pytest.mark.parametrize("box", [[1, 2, 0, 40], [64, 2, 5, 40], [-9, 2, 9, 40]])
def test_a_phrase_that_no_box_can_find_is_an_error(official: Path, box: list[int]) -> None:
    values = file()
    values["annotations"][3]["bbox"] = box
    write(official, values)
    with pytest.raises(DataError, match=r"image 6: expected the phrase 'the child' to have a box with an area inside"):
        read(official)
    values["annotations"].append({**values["annotations"][3], "id": 9, "bbox": [1, 2, 20, 40]})
    write(official, values)
    assert len(read(official)[3].truths) == 2


@pytest.mark.parametrize("spans", [None, 3, "0 9"])
def test_spans_that_are_no_list_are_an_error(official: Path, spans: object) -> None:
    values = file()
    values["annotations"][0]["tokens_positive"] = spans
    write(official, values)
    with pytest.raises(DataError, match='image 5: expected "tokens_positive" to be a list'):
        read(official)


def test_a_file_without_any_phrase_is_an_error(official: Path) -> None:
    values = file()
    values["images"] = [each | {"tokens_positive_eval": []} for each in values["images"]]
    write(official, values)
    with pytest.raises(DataError, match=r'image 5: expected phrases in "tokens_positive_eval", got none anywhere'):
        read(official)


@pytest.mark.parametrize("side", ["nan", "inf", "wide", ""])
def test_a_side_that_is_no_number_is_an_error(entities: Path, side: str) -> None:
    path = entities / "flickr30k_entities" / "Annotations" / "36979.xml"
    path.write_text(XML.replace("<xmax>60", f"<xmax>{side}"), encoding="utf-8")
    with pytest.raises(DataError, match=r"36979.xml: expected an annotation of Flickr30k Entities.*; unpack it again"):
        read(entities)


def test_two_copies_of_its_folders_are_an_error_and_not_mdetr_s_boxes(entities: Path) -> None:
    shutil.copytree(entities / "flickr30k_entities", entities / "copy")
    with pytest.raises(DataError, match=r"expected one Sentences in .*; remove or rename one"):
        read(entities)


def test_the_hub_has_none() -> None:
    with pytest.raises(UsageError, match="no dataset on the hub has its boxes"):
        Flickr30kEntities().samples("val", Source("hub"))
    with pytest.raises(UnknownNameError, match="testA"):
        Flickr30kEntities().samples("testA", Source("mini"))


def test_the_prompt_is_the_released_one(official: Path) -> None:
    first, second, *_ = read(official)
    expected = Generate(
        Prompt.of(first.image, "<grounding> <phrase>A young child</phrase>"), max_new_tokens=500, no_repeat_ngram=3
    )
    assert asked(first) == expected
    assert asked(second).prompt.text() == "<image><grounding>A young child sits beside  <phrase>a dog</phrase>"


def test_exemplars_show_all_their_boxes(official: Path) -> None:
    first, *_, last = read(official)
    assert asked(last, [first]).prompt.text().count(DELIMITER) == 1


def test_any_true_box_will_do_among_the_first_boxes(official: Path) -> None:
    first = read(official)[0]
    wrong = "<patch_index_0000><patch_index_0033>"
    right = "<patch_index_0047><patch_index_0861>"  # the second of the two true boxes
    truth = "(1, 2, 21, 42) or (30, 2, 60, 40)"
    for misses, expected in ((0, (1, 1, 1)), (1, (0, 1, 1)), (4, (0, 1, 1)), (5, (0, 0, 1)), (10, (0, 0, 0))):
        pairs = [wrong] * misses + [right]
        score = Flickr30kEntities().score(first, f"<object>{DELIMITER.join(pairs)}</object> sits")
        assert tuple(score.values[f"recall_{k}"] for k in (1, 5, 10)) == expected
        assert (score.values["ceiling"], score.target) == (1, truth)


def test_no_box_for_the_phrase_is_unparsed_and_a_miss(official: Path) -> None:
    score = Flickr30kEntities().score(read(official)[0], f" sits<object>{FULL}</object>")
    assert (score.answer, score.explanation) == (None, "no box for the phrase")
    assert sum(score.values[f"recall_{k}"] for k in (1, 5, 10)) == 0


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_microworld_stands_in(split: str) -> None:
    task = Flickr30kEntities()
    samples = list(task.samples(split, Source("mini")))
    assert 100 <= len(samples) == len({sample.key for sample in samples}) <= 200
    for sample in samples:
        assert sample.groups["category"] in sample.phrase
        score = task.score(sample, task.gold(sample, asked(sample)))
        assert set(score.values.values()) == {1.0}
