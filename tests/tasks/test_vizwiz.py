from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Provable, Submits
from kosmos_eval.tasks.vizwiz import VizWiz

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kosmos_eval.tasks.open_vqa import VQASample

COUNTS = {"train": 3, "val": 4, "test": 2}


def record(split: str, number: int) -> dict[str, Any]:
    """Return an official record; every second question cannot be answered."""
    entry: dict[str, Any] = {"image": f"VizWiz_{split}_{number:08d}.jpg", "question": f"What is {number}?  "}
    if split == "test":
        return entry
    said = ["unanswerable"] * 9 + ["soup"] if number % 2 else ["night time"] * 4 + ["medicine"] * 6
    answers = [{"answer": each, "answer_confidence": "yes"} for each in said]
    kind = "unanswerable" if number % 2 else "other"
    return {**entry, "answers": answers, "answer_type": kind, "answerable": 1 - number % 2}


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write the official files of the three splits as their archives unpack."""
    (tmp_path / "Annotations").mkdir()
    for split, count in COUNTS.items():
        records = [record(split, number) for number in range(count)]
        (tmp_path / "Annotations" / f"{split}.json").write_text(json.dumps(records), encoding="utf-8")
        (tmp_path / split).mkdir()
        for number in range(count):
            picture = PIL.Image.new("RGB", (8, 8), (number * 9, len(split), 0))
            picture.save(tmp_path / split / f"VizWiz_{split}_{number:08d}.jpg")
    return tmp_path


def read(folder: Path, split: str = "val") -> list[VQASample]:
    return list(VizWiz().samples(split, Source("folder", folder)))


def edited(folder: Path, edit: Callable[[Any], object]) -> None:
    path = folder / "Annotations" / "val.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_it_is_found_as_a_plugin_that_knows_a_perfect_answer_and_its_server_s_file() -> None:
    assert Plugins().task("vizwiz") is VizWiz
    assert isinstance(VizWiz(), Provable)
    assert isinstance(VizWiz(), Submits)


def test_official_files_are_read_in_their_order(official: Path) -> None:
    first, second, *_ = samples = read(official)
    assert [sample.key for sample in samples] == [f"VizWiz_val_{number:08d}.jpg" for number in range(4)]
    assert (first.question, first.multiple_choice_answer, first.labelled) == ("What is 0?  ", "medicine", True)
    assert first.answers == ("night time",) * 4 + ("medicine",) * 6
    assert first.groups == {"answer_type": "other", "answerable": "yes"}
    assert second.groups == {"answer_type": "unanswerable", "answerable": "no"}
    assert first.image.name.endswith("val/VizWiz_val_00000000.jpg")
    assert first.image.load().size == (8, 8)


def test_test_has_questions_and_no_answers(official: Path) -> None:
    assert [(sample.labelled, sample.answers, dict(sample.groups)) for sample in read(official, "test")] == [
        (False, (), {}),
        (False, (), {}),
    ]


def test_files_are_found_where_people_put_them(official: Path) -> None:
    (official / "Annotations" / "val.json").rename(official / "val.json")
    nested = official / "val" / "val"  # `unzip val.zip -d val`
    nested.mkdir()
    for picture in (official / "val").glob("*.jpg"):
        picture.rename(nested / picture.name)
    assert len(read(official)) == 4


def test_pictures_of_all_splits_may_lie_in_one_folder_as_in_the_first_release(official: Path) -> None:
    (official / "Images").mkdir()
    for split in COUNTS:
        for picture in (official / split).iterdir():
            picture.rename(official / "Images" / picture.name)
        (official / split).rmdir()
    assert [len(read(official, split)) for split in COUNTS] == [3, 4, 2]


def test_what_macs_pack_is_not_taken_for_the_pictures(official: Path) -> None:
    (official / "__MACOSX" / "val").mkdir(parents=True)
    (official / "images").mkdir()
    (official / "val").rename(official / "images" / "val")
    assert read(official)[0].image.name == str(official / "images" / "val" / "VizWiz_val_00000000.jpg")
    (official / "images" / "val").rename(official / "images" / "away")
    with pytest.raises(DataError, match=r"expected val in .* found none; unpack val\.zip there"):
        read(official)


def test_everything_may_lie_in_one_sub_folder(official: Path) -> None:
    below = official / "VizWiz"
    below.mkdir()
    for name in ("Annotations", *COUNTS):
        (official / name).rename(below / name)
    assert len(read(official)) == 4


def test_an_exemplar_shows_no_answer_without_words_if_there_is_another(official: Path) -> None:
    edited(official, lambda file: [each.update(answer="") for each in file[0]["answers"][:8]])
    first = read(official)[0]
    assert (first.multiple_choice_answer, first.answers.count("")) == ("medicine", 8)


def test_a_byte_order_mark_and_other_fields_do_no_harm(official: Path) -> None:
    edited(official, lambda file: file[0].update(text_detected=True))
    path = official / "Annotations" / "val.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"}, ", b"},\r\n"))
    assert len(read(official)) == 4


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.clear(), r"val\.json: expected a list of questions, got an empty one"),
        (lambda file: file.append(file[0]), r"one question for each picture, got VizWiz_val_00000000\.jpg twice"),
        (lambda file: file[1].pop("image"), r'val\.json: entry 1: expected "image"'),
        (lambda file: file[1].update(question=" "), r'VizWiz_val_00000001\.jpg: expected "question" to have words'),
        (lambda file: file[1].pop("answers"), r'VizWiz_val_00000001\.jpg: expected "answers"'),
        (lambda file: file[1].update(answers=[]), r'00000001\.jpg: expected "answers" to have an answer'),
        (lambda file: file[1]["answers"][0].update(answer=None), r'expected "answer" to be a text, got null'),
        (lambda file: file[1].pop("answerable"), r'00000001\.jpg: expected "answerable"'),
        (lambda file: file[1].update(answerable=2), r'expected "answerable" to be 0 or 1, got 2'),
        (lambda file: file[1].update(answer_type=None), r'expected "answer_type" to be a text'),
        (lambda file: file.insert(1, 5), r"entry 1: expected an object"),
        (
            lambda file: file[3].update(image="b.jpg"),
            r"question on b\.jpg: expected its picture b\.jpg .*\(it is missing",
        ),
    ],
)
def test_an_inconsistent_file_is_one_line_that_names_file_and_item(
    official: Path, edit: Callable[[Any], object], message: str
) -> None:
    edited(official, edit)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named_with_where_to_get_it(official: Path) -> None:
    for picture in (official / "val").iterdir():
        picture.unlink()
    with pytest.raises(
        DataError, match=r"VizWiz_val_00000000\.jpg .*\(4 pictures are missing\); unpack val\.zip again"
    ):
        read(official)
    (official / "val").rmdir()
    with pytest.raises(DataError, match=r"expected val in .*; unpack val\.zip there \(it from vizwiz|unpack val\.zip"):
        read(official)
    (official / "Annotations" / "val.json").unlink()
    with pytest.raises(DataError, match=r"expected val\.json in .*get it from vizwiz\.org"):
        read(official)
    with pytest.raises(UnknownNameError, match="no split of vizwiz named 'vall'; did you mean 'val'"):
        read(official, "vall")


@pytest.fixture
def parquet(official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the same data with the columns of lmms-lab/VizWiz-VQA."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    for split in ("val", "test"):
        rows = []
        for number in range(COUNTS[split]):
            entry = record(split, number)
            picture = official / split / entry["image"]
            said = [each["answer"] for each in entry.get("answers", [])]
            row = {"question_id": picture.stem, "question": entry["question"], "category": entry.get("answer_type")}
            image = {"bytes": picture.read_bytes(), "path": picture.name}
            rows.append({**row, "answers": said or None, "image": image})
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_hub_s_rows_are_the_same_samples_as_the_official_files(official: Path, parquet: Path, split: str) -> None:
    samples = list(VizWiz(hub_id=str(parquet)).samples(split, Source("hub")))
    assert samples == read(official, split)
    assert [sample.content for sample in samples] == [sample.content for sample in read(official, split)]


def test_the_hub_s_dataset_has_no_train_split_and_another_may(parquet: Path) -> None:
    with pytest.raises(UsageError, match="vizwiz: lmms-lab/VizWiz-VQA has no train split; set exemplar_hub_id"):
        VizWiz().samples("train", Source("hub"))
    path = parquet / "data" / "val-00000-of-00001.parquet"
    path.rename(path.with_name("train-00000-of-00001.parquet"))
    task = VizWiz(hub_id="owner/unasked", exemplar_hub_id=str(parquet))
    assert len(list(task.samples("train", Source("hub")))) == 4


def test_a_row_twice_or_a_missing_column_on_the_hub_is_an_error(parquet: Path) -> None:
    path = parquet / "data" / "val-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(DataError, match=r"split val, row 4: expected question VizWiz_val_00000000\.jpg once"):
        list(VizWiz(hub_id=str(parquet)).samples("val", Source("hub")))
    pq.write_table(table.drop_columns(["category"]), path)
    with pytest.raises(DataError, match="expected columns category, got only"):
        list(VizWiz(hub_id=str(parquet)).samples("val", Source("hub")))


def test_the_microworld_stands_in_with_unanswerable_questions_apart() -> None:
    task, source = VizWiz(), Source("mini")
    samples = list(task.samples("val", source))
    assert len(samples) == len({sample.key for sample in samples}) == 150
    assert {sample.groups["answerable"] for sample in samples} == {"yes", "no"}
    assert {sample.groups["picture"] for sample in samples} == {"plain", "blurred", "cropped"}
    for sample in samples:
        best = task.gold(sample, Generate(Prompt.of("?"), 1))
        assert set(task.score(sample, best).values.values()) == {1.0}
    assert len(ExemplarPool(task.samples("train", source)).draw(samples[0], 4, seed=1, task="vizwiz")) == 4


def asked(task: VizWiz, sample: VQASample, exemplars: Sequence[VQASample] = ()) -> Any:  # noqa: ANN401  narrowed by use
    asking = task.ask(sample, exemplars)
    request = next(asking)
    with pytest.raises(StopIteration):
        asking.send(Generated("x", (5, 2), (-0.1, -0.2), "eos"))
    return request


def test_the_prompt_is_kosmos_1_s_and_exemplars_show_the_most_frequent_answer(official: Path) -> None:
    sample, *exemplars = read(official)[0], *read(official, "train")[:2]
    assert asked(VizWiz(), sample) == Generate(
        Prompt.of(sample.image, "Question: What is 0?   Answer:"), max_new_tokens=10, stop=("\n", "Question:")
    )
    assert asked(VizWiz(separator="\n"), sample, exemplars).prompt.text() == (
        "<image>Question: What is 0?   Answer: medicine\n<image>Question: What is 1?   Answer: unanswerable\n"
        "<image>Question: What is 0?   Answer:"
    )


@pytest.mark.parametrize(
    ("text", "vqa", "vizwiz", "answer"),
    [("Unanswerable.", 1.0, 1.0, "Unanswerable."), ("soup", 0.3, 0.3, "soup"), (" \n", 0.0, 0.0, None)],
)
def test_an_answer_is_scored_by_both_scripts(
    official: Path, text: str, vqa: float, vizwiz: float, answer: str | None
) -> None:
    score = VizWiz().score(read(official)[1], text)
    assert score.values == {"vqa_accuracy": pytest.approx(vqa), "vizwiz_accuracy": pytest.approx(vizwiz)}
    assert (score.answer, score.target) == (answer, "unanswerable")


def test_the_submission_is_what_the_server_takes(official: Path, tmp_path: Path) -> None:
    task = VizWiz(split="test")
    pairs = [
        (sample, task.score(sample, text)) for sample, text in zip(read(official, "test"), ["net ", ""], strict=True)
    ]
    path = task.submission(pairs, tmp_path / "out")
    assert path.name == "vizwiz_test_kosmos-eval_results.json"
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"image": "VizWiz_test_00000000.jpg", "answer": "net"},
        {"image": "VizWiz_test_00000001.jpg", "answer": ""},
    ]


def test_a_senseless_setting_is_refused_in_the_task_s_name() -> None:
    with pytest.raises(UsageError, match="vizwiz: expected max_new_tokens to be at least 1, got 0"):
        VizWiz(max_new_tokens=0)
