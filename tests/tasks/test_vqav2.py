from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Submits
from kosmos_eval.tasks.vqav2 import VQASample, VQAv2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARED = Path("../shared/samples/vqav2")
QUESTIONS = "v2_OpenEnded_mscoco_{}_questions.json"
ANNOTATIONS = "v2_mscoco_{}_annotations.json"
IMAGES = {"train": [7, 8], "val": [581_929, 42], "test-dev": [9]}
SUBTYPES = {"train": "train2014", "val": "val2014", "test-dev": "test-dev2015"}
PICTURES = {"train": "train2014", "val": "val2014", "test-dev": "test2015"}


def question(image: int, place: int) -> dict[str, Any]:
    return {"image_id": image, "question": f"What is {place}?", "question_id": image * 1000 + place}


def annotation(image: int, place: int) -> dict[str, Any]:
    answers = ["net"] * 6 + ["nets"] * 4
    return {
        "question_type": "what is",
        "multiple_choice_answer": "net",
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": number}
            for number, answer in enumerate(answers, 1)
        ],
        "image_id": image,
        "answer_type": "other",
        "question_id": image * 1000 + place,
    }


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write the official files of three splits, two questions a picture."""
    for split, images in IMAGES.items():
        pairs = [(image, place) for image in images for place in range(2)]
        write_json(tmp_path / QUESTIONS.format(SUBTYPES[split]), {"questions": [question(*pair) for pair in pairs]})
        if split != "test-dev":
            notes = [annotation(*pair) for pair in reversed(pairs)]
            write_json(tmp_path / ANNOTATIONS.format(SUBTYPES[split]), {"annotations": notes})
        folder = tmp_path / PICTURES[split]
        folder.mkdir()
        for image in images:
            name = f"COCO_{PICTURES[split]}_{image:012d}.jpg"
            PIL.Image.new("RGB", (8, 8), (image % 256, 99, 0)).save(folder / name)
    return tmp_path


def read(folder: Path, split: str = "val", task: VQAv2 | None = None) -> list[VQASample]:
    return list((task or VQAv2()).samples(split, Source("folder", folder)))


def asked(task: VQAv2, sample: VQASample, exemplars: Sequence[VQASample] = (), text: str = "net") -> tuple[Any, str]:
    """Return the one request, and the answer made of the given response."""
    asking = task.ask(sample, exemplars)
    request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Generated(text, (5, 2), (-0.1, -0.2), "eos"))
    return request, stopped.value.value


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("vqav2") is VQAv2


def test_official_files_are_read_in_the_order_of_the_questions(official: Path) -> None:
    samples = read(official)
    assert [sample.key for sample in samples] == ["581929000", "581929001", "42000", "42001"]
    first = samples[0]
    assert (first.cluster, first.question, first.multiple_choice_answer) == ("581929", "What is 0?", "net")
    assert first.answers == ("net",) * 6 + ("nets",) * 4
    assert first.groups == {"answer_type": "other", "question_type": "what is"}
    assert first.labelled
    assert first.image.name.endswith("val2014/COCO_val2014_000000581929.jpg")
    assert first.image.load().size == (8, 8)


@pytest.mark.parametrize("split", ["val", "val2014", "validation"])
def test_a_split_goes_by_the_names_people_use(official: Path, split: str) -> None:
    assert len(read(official, split)) == 4


def test_an_unknown_split_is_an_error_that_offers_a_near_one(official: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no split of vqav2 named 'test_dev'; did you mean 'test-dev'"):
        read(official, "test_dev")


def test_test_dev_has_questions_and_no_answers(official: Path) -> None:
    samples = read(official, "test-dev")
    assert [(sample.key, sample.labelled, sample.answers) for sample in samples] == [
        ("9000", False, ()),
        ("9001", False, ()),
    ]
    assert samples[0].image.name.endswith("test2015/COCO_test2015_000000000009.jpg")
    assert dict(samples[0].groups) == {}


def test_files_are_found_in_sub_folders_as_archives_unpack_them(official: Path) -> None:
    for name, folder in (
        (QUESTIONS.format("val2014"), "Questions"),
        (ANNOTATIONS.format("val2014"), "v2_Annotations_Val_mscoco"),
        ("val2014", "Images/mscoco"),
    ):
        (official / folder).mkdir(parents=True, exist_ok=True)
        (official / name).rename(official / folder / name)
    assert len(read(official)) == 4


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples of real layout are not beside this checkout")
@pytest.mark.parametrize("split", ["train", "val"])
def test_foreign_files_of_the_official_layout_are_read(split: str) -> None:
    samples = read(SHARED, split)
    assert len(samples) == 6
    assert all(len(sample.answers) == 10 and len(sample.content) == 64 for sample in samples)


def edited(folder: Path, name: str, edit: Callable[[Any], object]) -> None:
    path = folder / name.format("val2014")
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    write_json(path, value)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (QUESTIONS, lambda file: file.pop("questions"), r'expected "questions", got only nothing'),
        (QUESTIONS, lambda file: file["questions"].clear(), r'expected "questions" to have entries'),
        (QUESTIONS, lambda file: file.update(questions={}), r'"questions" to be a list, got \{\}'),
        (ANNOTATIONS, lambda file: file.pop("annotations"), r'expected "annotations"'),
        (QUESTIONS, lambda file: file["questions"].pop(1), r"annotation of question 581929001 has no question in"),
        (ANNOTATIONS, lambda file: file["annotations"].pop(), r"question 581929000 has no annotation in v2_mscoco"),
        (
            QUESTIONS,
            lambda file: file["questions"].append(copy.deepcopy(file["questions"][2])),
            r"got question 42000 twice",
        ),
        (
            ANNOTATIONS,
            lambda file: file["annotations"].append(copy.deepcopy(file["annotations"][0])),
            r"got annotation of question 42001 twice",
        ),
        (
            ANNOTATIONS,
            lambda file: file["annotations"][0]["answers"].clear(),
            r'annotation of question 42001: expected "answers"',
        ),
        (ANNOTATIONS, lambda file: file["annotations"][0].update(answers="net"), r'"answers" to be a list, got "net"'),
        (
            ANNOTATIONS,
            lambda file: file["annotations"][0]["answers"][3].update(answer=3),
            r'annotations\.json: annotation of question 42001: expected "answer" to be a text, got 3',
        ),
        (ANNOTATIONS, lambda file: file["annotations"][0].update(image_id=1), r"expected image_id 42 as in v2_Open"),
        (
            ANNOTATIONS,
            lambda file: file["annotations"][0].pop("answer_type"),
            r'question 42001: expected "answer_type"',
        ),
        (QUESTIONS, lambda file: file["questions"][2].update(question_id="42000"), r'entry 2 of questions: .*"42000"'),
        (QUESTIONS, lambda file: file["questions"][2].update(question=None), r"question 42000: .* a text, got null"),
        (QUESTIONS, lambda file: file["questions"][2].update(question=" "), r"question 42000: .* to have words"),
        (QUESTIONS, lambda file: file["questions"].insert(1, 5), r"entry 1 of questions: expected an object"),
    ],
)
def test_an_inconsistent_file_is_one_line_that_names_file_and_item(
    official: Path, name: str, edit: Callable[[Any], object], message: str
) -> None:
    edited(official, name, edit)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert "val2014" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [QUESTIONS, ANNOTATIONS])
def test_a_missing_empty_or_cut_off_file_is_an_error_that_names_it(official: Path, name: str) -> None:
    path = official / name.format("val2014")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{path.name}: not valid JSON"):
        read(official)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{path.name}: expected JSON, got an empty file"):
        read(official)
    path.unlink()
    with pytest.raises(DataError, match=rf"expected {path.name} in .*visualqa\.org/download\.html"):
        read(official)


def test_missing_pictures_are_counted_and_the_first_is_named(official: Path) -> None:
    for path in (official / "val2014").iterdir():
        path.unlink()
    expected = r"question 581929000: expected its picture COCO_val2014_000000581929\.jpg .*\(2 pictures are missing\)"
    with pytest.raises(DataError, match=expected):
        read(official)
    (official / "val2014").rmdir()
    with pytest.raises(DataError, match=r"expected val2014 in .*; unpack val2014\.zip there"):
        read(official)


def test_reading_opens_no_picture(official: Path) -> None:
    for path in (official / "val2014").iterdir():
        path.write_bytes(b"no picture")
    samples = read(official)
    with pytest.raises(DataError, match=r"000000581929\.jpg: cannot be read"):
        samples[0].image.load()


def test_questions_on_one_picture_share_it(official: Path) -> None:
    first, second, third, _ = read(official)
    assert first.image is second.image
    assert first.image is not third.image


def test_the_microworld_stands_in_with_ten_annotators_and_solved_exemplars() -> None:
    task, source = VQAv2(), Source("mini")
    samples = list(task.samples("val", source))
    assert len(samples) == len({sample.key for sample in samples}) == 1000
    assert {len(sample.answers) for sample in samples} == {10}
    assert all(sample.labelled and sample.cluster and sample.groups["answer_type"] for sample in samples)
    pool = ExemplarPool(task.samples("train", source))
    assert len(pool.draw(samples[0], 4, seed=1, task="vqav2")) == 4
    with pytest.raises(UsageError, match="test-dev"):
        list(task.samples("test-dev", source))


@pytest.fixture
def parquet(official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the same data with the columns of lmms-lab/VQAv2."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    empty = {"answers": None, "multiple_choice_answer": None, "answer_type": None, "question_type": None}
    for split, name in (("val", "validation"), ("test-dev", "testdev")):
        notes = {}
        if split == "val":
            listed = json.loads((official / ANNOTATIONS.format("val2014")).read_text(encoding="utf-8"))["annotations"]
            notes = {note["question_id"]: note for note in listed}
        rows = []
        for image in IMAGES[split]:
            picture = official / PICTURES[split] / f"COCO_{PICTURES[split]}_{image:012d}.jpg"
            for place in range(2):
                record = question(image, place)
                encoded = {"bytes": picture.read_bytes(), "path": picture.name}
                rows.append({**empty, **record, **notes.get(record["question_id"], {}), "image": encoded})
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("split", ["val", "test-dev"])
def test_the_hub_s_rows_are_the_same_samples_as_the_official_files(official: Path, parquet: Path, split: str) -> None:
    samples = list(VQAv2(hub_id=str(parquet)).samples(split, Source("hub")))
    expected = read(official, split)
    assert [sample.content for sample in samples] == [sample.content for sample in expected]
    assert samples == expected


def test_exemplars_come_from_a_dataset_of_their_own(parquet: Path) -> None:
    with pytest.raises(UsageError, match="lmms-lab/VQAv2 has no train split; set exemplar_hub_id"):
        VQAv2().samples("train", Source("hub"))
    with pytest.raises(DataError, match="expected a split train, got only validation, testdev"):
        list(VQAv2(hub_id=str(parquet)).samples("train", Source("hub")))
    path = parquet / "data" / "validation-00000-of-00001.parquet"
    path.rename(path.with_name("train-00000-of-00001.parquet"))
    task = VQAv2(hub_id="owner/unasked", exemplar_hub_id=str(parquet))
    assert len(list(task.samples("train", Source("hub")))) == 4


def test_a_question_twice_on_the_hub_is_an_error(parquet: Path) -> None:
    path = parquet / "data" / "validation-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    with pytest.raises(DataError, match=r"split validation, row 4: expected question 581929000 once"):
        list(VQAv2(hub_id=str(parquet)).samples("val", Source("hub")))


def test_the_prompt_is_kosmos_1_s(official: Path) -> None:
    sample = read(official)[0]
    request, answer = asked(VQAv2(), sample, text=" net")
    prompt = Prompt.of(sample.image, "Question: What is 0? Answer:")
    assert request == Generate(prompt, max_new_tokens=10, stop=("\n", "Question:"))
    assert answer == " net"


def test_exemplars_stand_before_the_query_with_their_most_frequent_answer(official: Path) -> None:
    sample, first, second = read(official)[0], *read(official, "train")[1:3]
    request, _ = asked(VQAv2(), sample, [first, second])
    assert request.prompt.images == (first.image, second.image, sample.image)
    assert request.prompt.text() == (
        "<image>Question: What is 1? Answer: net<image>Question: What is 0? Answer: net"
        "<image>Question: What is 0? Answer:"
    )
    separated, _ = asked(VQAv2(separator="\n\n"), sample, [first])
    expected = "<image>Question: What is 1? Answer: net\n\n<image>Question: What is 0? Answer:"
    assert separated.prompt.text() == expected


def test_settings_reach_the_request_and_senseless_ones_are_refused(official: Path) -> None:
    request, _ = asked(VQAv2(max_new_tokens=3, stop=(".",)), read(official)[0])
    assert (request.max_new_tokens, request.stop, request.num_beams) == (3, (".",), 1)
    with pytest.raises(UsageError, match="max_new_tokens to be at least 1, got 0"):
        VQAv2(max_new_tokens=0)
    with pytest.raises(UsageError, match="stop"):
        VQAv2(stop=("",))


@pytest.mark.parametrize(
    ("text", "value", "answer", "said"),
    [
        ("net", 1.0, "net", "given by 6 of 10 annotators"),
        (" The net.\n", 1.0, "The net.", "given by 6 of 10 annotators"),
        ("racket", 0.0, "racket", "given by 0 of 10 annotators"),
        ("", 0.0, None, "empty; given by 0 of 10 annotators"),
        (" \n", 0.0, None, "empty; given by 0 of 10 annotators"),
    ],
)
def test_an_answer_earns_its_vqa_accuracy_and_an_empty_one_is_unparsed(
    official: Path, text: str, value: float, answer: str | None, said: str
) -> None:
    score = VQAv2().score(read(official)[0], text)
    assert score.values == {"vqa_accuracy": pytest.approx(value)}
    assert (score.answer, score.target, score.explanation) == (answer, "net", said)


def test_an_unlabelled_sample_has_an_answer_and_no_value(official: Path) -> None:
    score = VQAv2().score(read(official, "test-dev")[0], " net\n")
    assert (score.values, score.answer) == ({}, "net")


def test_the_submission_is_what_the_server_takes(official: Path, tmp_path: Path) -> None:
    task = VQAv2(split="test-dev")
    assert isinstance(task, Submits)
    samples = read(official, "test-dev")
    scores = [task.score(sample, text) for sample, text in zip(samples, ["net ", ""], strict=True)]
    path = task.submission(zip(samples, scores, strict=True), tmp_path / "out")
    assert path == tmp_path / "out" / "vqa_OpenEnded_mscoco_test-dev2015_kosmos-eval_results.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert rows == [{"question_id": 9000, "answer": "net"}, {"question_id": 9001, "answer": ""}]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failed_submission_leaves_the_old_file_and_nothing_else(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, samples = VQAv2(split="test-dev"), read(official, "test-dev")
    pairs = [(sample, task.score(sample, "net")) for sample in samples]
    path = task.submission(pairs, tmp_path / "out")
    before = path.read_bytes()

    def full(_value: object, file: IO[str]) -> None:
        file.write("[{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("json.dump", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        task.submission(pairs, tmp_path / "out")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_every_error_of_reading_ends_the_command_with_a_data_or_usage_code(official: Path) -> None:
    with pytest.raises(KosmosEvalError) as data:
        read(official, "test")  # its questions are not in the folder
    with pytest.raises(KosmosEvalError) as usage:
        read(official, "nonsense")
    assert (data.value.exit_code, usage.value.exit_code) == (65, 64)


def test_only_the_hub_s_data_have_a_version(tmp_path: Path) -> None:
    task = VQAv2(hub_id=str(tmp_path))
    assert task.provenance(Source("hub")) == {str(tmp_path): None}
    assert task.provenance(Source("mini")) == {}
