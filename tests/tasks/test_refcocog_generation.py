from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate
from kosmos_eval.task import CorpusScored
from kosmos_eval.tasks.refcoco import DescribedSample, RefCOCOgGeneration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE = (64, 48)
TASK = RefCOCOgGeneration()


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write three expressions of two things: the two of the first do not stand in a row."""
    said = [("a man in a red coat", 17), ("a small dog", 18), ("the man who waves", 17)]
    boxes = {17: [4.0, 6.0, 32.5, 24.0], 18: [40.0, 30.0, 20.0, 15.0]}
    images = [
        {
            "file_name": "COCO_train2014_000000000042.jpg",
            "height": SIZE[1],
            "width": SIZE[0],
            "id": number,
            "original_id": 42,
            "caption": text,
            "dataset_name": "refcocog",
        }
        for number, (text, _) in enumerate(said)
    ]
    annotations = [
        {"image_id": number, "id": number, "bbox": boxes[thing], "original_id": thing}
        for number, (_, thing) in enumerate(said)
    ]
    values = {"images": images, "annotations": annotations}
    (tmp_path / "finetune_refcocog_val.json").write_text(json.dumps(values), encoding="utf-8")
    (tmp_path / "train2014").mkdir()
    PIL.Image.new("RGB", SIZE).save(tmp_path / "train2014" / "COCO_train2014_000000000042.jpg")
    return tmp_path


def read(folder: Path) -> list[DescribedSample]:
    return list(TASK.samples("val", Source("folder", folder)))


def asked(task: RefCOCOgGeneration, sample: DescribedSample, exemplars: Sequence[DescribedSample] = ()) -> Generate:
    request = next(task.ask(sample, exemplars))
    assert isinstance(request, Generate)
    return request


def test_a_thing_is_asked_about_once_with_all_its_expressions(official: Path) -> None:
    first, second = read(official)
    assert (first.key, first.cluster, first.expressions) == ("17", "42", ("a man in a red coat", "the man who waves"))
    assert (second.key, second.expressions) == ("18", ("a small dog",))
    assert first.image is second.image


@pytest.mark.parametrize(
    ("part", "changes"),
    [("annotations", {"bbox": [1, 2, 3, 4]}), ("images", {"original_id": 43})],
)
def test_a_thing_with_two_boxes_or_in_two_pictures_is_an_error(
    official: Path, part: str, changes: dict[str, Any]
) -> None:
    path = official / "finetune_refcocog_val.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values[part][2] |= changes
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=r"image 2: expected thing 17 to have one box in one picture, .* image 0; unp"):
        read(official)


def test_the_prompt_is_the_paper_s(official: Path) -> None:
    sample = read(official)[0]
    text = "<phrase> It </phrase><object><patch_index_0130><patch_index_0658></object> is"
    expected = Generate(Prompt.of(sample.image, text), max_new_tokens=64, stop=("\n", "<phrase> It"))
    assert asked(TASK, sample) == expected
    assert asked(RefCOCOgGeneration(grounding=True), sample).prompt.text() == f"<image><grounding>{text}"


def test_exemplars_repeat_picture_prompt_and_expression(official: Path) -> None:
    sample, shown = read(official)
    request = asked(RefCOCOgGeneration(separator="\n"), sample, [shown])
    assert request.images == (shown.image, sample.image)
    assert request.prompt.text().startswith(
        "<image><phrase> It </phrase><object><patch_index_0660><patch_index_0990></object> is a small dog\n<image>"
    )


@pytest.mark.parametrize(
    ("answer", "read_out"),
    [
        (" a red coat", "a red coat"),
        ("<phrase> a man</phrase><object><patch_index_0005><patch_index_0911></object> in red", "a man in red"),
        (" \n", None),
        ("</object>", None),
    ],
)
def test_an_answer_is_compared_without_markup_and_an_empty_one_is_unparsed(
    official: Path, answer: str, read_out: str | None
) -> None:
    score = TASK.score(read(official)[0], answer)
    assert (score.values, score.answer, score.target) == ({}, read_out, "a man in a red coat / the man who waves")


def test_its_metrics_are_the_corpus_s(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[Any] = []

    def note(*arguments: Any) -> dict[str, Any]:  # noqa: ANN401  as caption_scores takes them
        asked_for.extend(arguments)
        return {}

    monkeypatch.setattr("kosmos_eval.tasks.refcoco.generation.caption_scores", note)
    assert isinstance(TASK, CorpusScored)
    first, second = read(official)
    TASK.score_corpus([(first, TASK.score(first, " a man")), (second, TASK.score(second, ""))])
    assert asked_for == [["a man", ""], [first.expressions, second.expressions], ("meteor", "cider")]
    assert [metric.name for metric in TASK.metrics] == ["meteor", "cider"]
    assert all(metric.corpus for metric in TASK.metrics)


def test_the_microworld_stands_in_with_exemplars() -> None:
    samples = list(TASK.samples("val", Source("mini")))
    assert 100 <= len(samples) == len({sample.key for sample in samples})
    assert all(len(sample.expressions) == 3 for sample in samples)
    pool = ExemplarPool(TASK.samples("train", Source("mini")))
    request = asked(TASK, samples[0], pool.draw(samples[0], 4, seed=0, task=TASK.name))
    assert request.prompt.text().count("<phrase> It </phrase>") == 5
    assert samples[0].expressions[0] not in request.prompt.text()
    assert TASK.gold(samples[0], request) == samples[0].expressions[0]


def test_senseless_settings_and_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="refcocog_generation: expected max_new_tokens"):
        RefCOCOgGeneration(max_new_tokens=0)
    with pytest.raises(UsageError, match="stop texts with characters"):
        RefCOCOgGeneration(stop=("",))
    with pytest.raises(UnknownNameError, match="testA"):
        TASK.samples("testA", Source("mini"))
