from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.lettering import draw_text
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Generate, Generated, LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Provable
from kosmos_eval.tasks.closed_question import ClosedSample, Weighed
from kosmos_eval.tasks.rendered_sst2 import RenderedSST2, RenderedSST2CoT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FOLDERS = {"train": "train", "val": "valid", "test": "test"}
QUESTION = "Question: what is the sentiment of the opinion? Answer:"


def encoded(shade: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write the tree that torchvision unpacks, two pictures of each class in each split."""
    for base, split in enumerate(FOLDERS.values()):
        for place, sentiment in enumerate(("negative", "positive")):
            folder = tmp_path / "rendered-sst2" / split / sentiment
            folder.mkdir(parents=True)
            for number in range(2):
                (folder / f"{number}.png").write_bytes(encoded(base * 4 + place * 2 + number))
    return tmp_path


def read(folder: Path, split: str = "test", task: RenderedSST2 | None = None) -> list[ClosedSample]:
    return list((task or RenderedSST2()).samples(split, Source("folder", folder)))


def likelihood(*logprobs: float) -> LogLikelihood:
    return LogLikelihood(tuple(range(len(logprobs))), logprobs, 8, greedy=False)


def asked(
    task: RenderedSST2,
    sample: ClosedSample,
    exemplars: Sequence[ClosedSample] = (),
    *,
    positive: Sequence[float] = (-1.0,),
    negative: Sequence[float] = (-2.0,),
    rationale: str = "",
) -> tuple[list[Any], Weighed]:
    """Return the requests, and the answer made of the given responses."""
    asking = task.ask(sample, exemplars)
    requests = [next(asking)]
    if isinstance(requests[0], Generate):
        requests.append(asking.send(Generated(rationale, (2,), (-0.1,), "eos")))
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored((likelihood(*positive), likelihood(*negative))))
    return requests, stopped.value.value


def test_both_are_found_as_plugins() -> None:
    assert Plugins().task("rendered_sst2") is RenderedSST2
    assert Plugins().task("rendered_sst2_cot") is RenderedSST2CoT
    assert isinstance(RenderedSST2CoT(), Provable)


def test_torchvision_s_tree_is_read_negative_pictures_first(official: Path) -> None:
    samples = read(official)
    assert [(sample.key, sample.answer) for sample in samples] == [
        ("negative/0", "negative"),
        ("negative/1", "negative"),
        ("positive/0", "positive"),
        ("positive/1", "positive"),
    ]
    assert [sample.image.load().getpixel((0, 0)) for sample in samples] == [(8 + each, 0, 0) for each in range(4)]
    assert {(sample.labelled, sample.chance) for sample in samples} == {(True, 0.5)}
    assert read(official / "rendered-sst2") == samples
    assert [each.digest for each in read(official, "val")[0].images] != [each.digest for each in samples[0].images]


@pytest.mark.parametrize("split", ["val", "valid", "validation", "dev"])
def test_a_split_goes_by_the_names_people_use(official: Path, split: str) -> None:
    assert len(read(official, split)) == 4


def test_what_systems_leave_in_folders_is_passed_over_and_endings_may_be_capitals(official: Path) -> None:
    folder = official / "rendered-sst2" / "test"
    (folder / ".DS_Store").write_bytes(b"")
    (folder / "negative" / "Thumbs.db").write_bytes(b"")
    (folder / "negative" / "._0.png").write_bytes(b"")
    (folder / "negative" / "0.png").rename(folder / "negative" / "0.PNG")
    assert [sample.key for sample in read(official)][:2] == ["negative/0", "negative/1"]


def test_the_tree_may_lie_a_folder_deeper_beside_what_a_mac_packs(official: Path) -> None:
    (official / "data").mkdir()
    (official / "rendered-sst2").rename(official / "data" / "rendered-sst2")
    (official / "__MACOSX" / "rendered-sst2" / "test" / "negative").mkdir(parents=True)
    assert read(official)[0].image.name == str(official / "data/rendered-sst2/test/negative/0.png")


def test_a_sub_folder_that_may_not_be_read_is_passed_over(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (official / "rendered-sst2").rename(official / "data")
    shut = official / "lost+found"
    (shut / "test" / "negative").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _: path != shut)
    assert read(official)[0].image.name == str(official / "data/test/negative/0.png")


def test_a_class_without_pictures_two_trees_or_none_are_errors(official: Path) -> None:
    with pytest.raises(UnknownNameError, match="no split of rendered_sst2 named 'tests'; did you mean 'test'"):
        read(official, "tests")
    folder = official / "rendered-sst2" / "test" / "positive"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"test/positive: expected pictures \(\*\.png\), found none; get rendered-sst2"):
        read(official)
    folder.rmdir()
    with pytest.raises(DataError, match=r"test/positive: expected pictures"):
        read(official)
    (official / "rendered-sst2" / "test" / "negative" / "0.jpg").write_bytes(encoded(0))
    with pytest.raises(DataError, match=r"expected one picture negative/0, got another"):
        read(official)
    (official / "rendered-sst2").rename(official / "one")
    (official / "two" / "valid" / "negative").mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected one valid in .*one/valid and .*two/valid; name the folder of one"):
        read(official, "val")
    (official / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected test/negative and test/positive, or test\.tsv, in .*gluebenchmark"):
        read(official / "empty")


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """Write GLUE's SST-2 among others, with quotes that are letters and carriage returns."""
    folder = tmp_path / "glue_data" / "SST-2"
    folder.mkdir(parents=True)
    (folder / "dev.tsv").write_bytes(
        b'sentence\tlabel\r\nit \'s a "great" and often affecting journey . \t1\r\n"unflinchingly bleak\t0\r\n'
    )
    (folder / "test.tsv").write_text("index\tsentence\n0\tuneasy mishmash .\n1\tcliché .\n", encoding="utf-8")
    (tmp_path / "glue_data" / "CoLA").mkdir()
    (tmp_path / "glue_data" / "CoLA" / "dev.tsv").write_text("other\n", encoding="utf-8")
    return tmp_path / "glue_data"


def test_sentences_of_a_table_are_drawn_as_pictures(glue: Path) -> None:
    first, second = read(glue, "val")
    assert [(each.key, each.answer) for each in (first, second)] == [("0", "positive"), ("1", "negative")]
    expected = draw_text('it \'s a "great" and often affecting journey .', 448, 448, 32)
    assert first.image.load().tobytes() == expected.tobytes()
    assert first.image.name == "dev.tsv sentence 0"
    assert read(glue / "SST-2", "val") == [first, second]
    small = read(glue, "val", RenderedSST2(side=96, font_size=12))[1]
    assert small.image.load().tobytes() == draw_text('"unflinchingly bleak', 96, 96, 12).tobytes()


def test_a_table_without_labels_is_asked_and_not_scored(glue: Path) -> None:
    samples = read(glue)
    assert [(each.key, each.labelled, each.answer) for each in samples] == [("0", False, ""), ("1", False, "")]
    _, answer = asked(RenderedSST2(), samples[0])
    score = RenderedSST2().score(samples[0], answer)
    assert (score.values, score.answer) == ({}, "positive")
    (glue / "SST-2" / "test.tsv").write_text("sentence\tlabel\nuneasy mishmash .\t-1\n", encoding="utf-8")
    assert [(each.labelled, each.answer) for each in read(glue)] == [(False, "")]


def test_pictures_go_before_sentences(official: Path, glue: Path) -> None:
    (glue / "SST-2").rename(official / "SST-2")
    assert read(official)[0].key == "negative/0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabel\na\t1\n", r'expected columns sentence, got only "text", "label"'),
        ("sentence\tlabel\na\t2\n", r"dev\.tsv: line 2: expected a label 0 \(negative\) or 1 \(positive\), got '2'"),
        ("sentence\tlabel\na\t1\n \t1\n", r"dev\.tsv: line 3: expected a sentence, got none"),
        ("sentence\tlabel\na\n", r"dev\.tsv: line 2: expected 2 cells"),
        ("index\tsentence\n4\ta\n4\tb\n", r"dev\.tsv: line 3: expected index 4 once"),
        ("sentence\tlabel\n", r"expected rows below its header"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_file_and_line(glue: Path, content: str, message: str) -> None:
    (glue / "SST-2" / "dev.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(glue, "val")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("_own_cache")
def test_a_webdataset_on_the_hub_is_read(tmp_path: Path) -> None:
    (tmp_path / "hub" / "test").mkdir(parents=True)
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), (5, 0, 0)).save(buffer, "WEBP", lossless=True)
    with tarfile.open(tmp_path / "hub" / "test" / "0.tar", "w") as tar:
        for name, content in (
            ("s0.cls", b"1"),
            ("s0.webp", buffer.getvalue()),
            ("s1.cls", b"0"),
            ("s1.webp", buffer.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    samples = list(RenderedSST2(hub_id=str(tmp_path / "hub")).samples("test", Source("hub")))
    assert [(each.key, each.answer) for each in samples] == [("s0", "positive"), ("s1", "negative")]
    assert samples[0].image.load().getpixel((0, 0)) == (5, 0, 0)


@pytest.mark.usefixtures("_own_cache")
def test_parquet_with_other_columns_on_the_hub_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    rows = [{"image": {"bytes": encoded(each), "path": None}, "label": each, "id": "same"} for each in range(2)]
    path = folder / "data" / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    task = RenderedSST2(hub_id=str(folder), image_column="image", label_column="label", key_column="")
    samples = list(task.samples("test", Source("hub")))
    assert [(each.key, each.answer) for each in samples] == [("0", "negative"), ("1", "positive")]
    with pytest.raises(DataError, match="expected columns cls, __key__, webp, got only image, label, id"):
        RenderedSST2(hub_id=str(folder)).samples("test", Source("hub"))
    doubled = RenderedSST2(hub_id=str(folder), image_column="image", label_column="label", key_column="id")
    with pytest.raises(DataError, match=r"split test, row 1: expected id same once"):
        list(doubled.samples("test", Source("hub")))
    pq.write_table(pa.Table.from_pylist([{**row, "label": 3} for row in rows]), path)
    with pytest.raises(DataError, match=r"row 0: expected a label 0 \(negative\) or 1 \(positive\), got 3"):
        list(task.samples("test", Source("hub")))
    with pytest.raises(DataError, match="expected a split validation, got only test"):
        list(task.samples("val", Source("hub")))


def test_the_prompt_is_kosmos_1_s(official: Path) -> None:
    sample, exemplar = read(official)[0], read(official, "train")[2]
    (request,), answer = asked(RenderedSST2(separator="\n"), sample, [exemplar])
    prompt = Prompt.of(exemplar.image, f"{QUESTION} positive\n", sample.image, QUESTION)
    assert request == ScoreRequest(prompt, (Continuation("positive"), Continuation("negative")))
    assert answer == Weighed((-1.0, -2.0), None)


def test_choices_are_compared_by_the_mean_of_their_tokens_unless_asked_otherwise(official: Path) -> None:
    sample = read(official)[0]
    for task, weights, chosen in (
        (RenderedSST2(), (-1.0, -1.5), "positive"),
        (RenderedSST2(by="total"), (-2.0, -1.5), "negative"),
        (RenderedSST2(by="per_character"), (-0.25, -0.1875), "negative"),
    ):
        _, answer = asked(task, sample, positive=(-1, -1), negative=(-1.5,))
        assert (answer.weights, task.score(sample, answer).answer) == (weights, chosen)


@pytest.mark.parametrize(
    ("positive", "value", "answer", "said"),
    [
        (-1.0, 0.0, "positive", "positive is likelier by 1.5 nats a token"),
        (-3.5, 1.0, "negative", "negative is likelier by 1 nats a token"),
        (-2.5, 0.5, "positive or negative", "positive or negative tie exactly"),
        (float("nan"), 0.0, None, "the log-probability of 'positive' is nan"),
    ],
)
def test_the_likelier_choice_is_the_answer(
    official: Path, positive: float, value: float, answer: str | None, said: str
) -> None:
    sample = read(official)[0]
    score = RenderedSST2().score(sample, asked(RenderedSST2(), sample, positive=[positive], negative=[-2.5])[1])
    assert (score.values, score.answer, score.target) == ({"accuracy": value}, answer, "negative")
    assert score.explanation == said


def test_a_rationale_is_written_first_and_stands_between_the_picture_and_the_question(official: Path) -> None:
    sample, exemplar = read(official)[0], read(official, "train")[0]
    task = RenderedSST2CoT(max_rationale_tokens=9, rationale_beams=3, rationale_stop=("\n",))
    (first, second), answer = asked(task, sample, [exemplar], rationale=" A review, in black. \n")
    told = Prompt.of(sample.image, "Introduce this picture in detail:")
    assert first == Generate(told, max_new_tokens=9, stop=("\n",), num_beams=3)
    assert second.prompt == Prompt.of(
        exemplar.image, f"{QUESTION} negative", sample.image, f"A review, in black. {QUESTION}"
    )
    assert second.continuations == (Continuation("positive"), Continuation("negative"))
    assert answer.rationale == "A review, in black."
    assert task.score(sample, answer).explanation == "positive is likelier by 1 nats a token, after 4 words"


def test_a_rationale_is_greedy_by_default_and_may_be_empty(official: Path) -> None:
    sample, task = read(official)[0], RenderedSST2CoT()
    (first, second), answer = asked(task, sample, rationale=" \n")
    assert (first.num_beams, first.max_new_tokens, first.stop) == (1, 128, ())
    assert second.prompt == Prompt.of(sample.image, QUESTION)
    assert answer.rationale == ""
    assert task.score(sample, answer).explanation.endswith(", after an empty rationale")
    assert not task.score(sample, answer).values["accuracy"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "mean"}, "rendered_sst2_cot: expected by to be one of total, per_token, per_character, got 'mean'"),
        ({"side": 100}, "font_size from 6 pixels and side at least four times that, got 32 and 100"),
        ({"font_size": 5}, "font_size from 6 pixels"),
        ({"max_rationale_tokens": 0}, "max_rationale_tokens and rationale_beams to be at least 1, got 0 and 1"),
        ({"rationale_beams": 0}, "at least 1, got 128 and 0"),
        ({"rationale_stop": ("",)}, "every text of rationale_stop to have characters"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderedSST2CoT(**settings)


def test_the_stand_in_has_opinions_of_our_own_and_gold_answers_are_right() -> None:
    task = RenderedSST2CoT()
    samples = list(task.samples("test", Source("mini")))
    assert len({sample.key for sample in samples}) == len(samples) == 200
    assert {sample.question for sample in samples} == {"what is the sentiment of the opinion?"}
    for sample in samples[:4]:
        (first, second), _ = asked(task, sample)
        assert isinstance(task.gold(sample, first), str)
        assert task.choices[int(task.gold(sample, second))] == sample.answer
    with pytest.raises(UnknownNameError):
        task.samples("dev_seen", Source("mini"))
