from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.metrics.roc_auc import roc_auc
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import CorpusScored, Provable, Submits
from kosmos_eval.tasks.closed_question import ClosedSample, Weighed
from kosmos_eval.tasks.hateful_memes import HatefulMemes, RankedScore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kosmos_eval.task import Sample, Score

IDS = {"train": [42953, 7], "dev_seen": [8291, 46971, 3745], "test_seen": [16395]}


def record(number: int, split: str) -> dict[str, Any]:
    label = {} if split.startswith("test") else {"label": number % 2}
    return {"id": number, "img": f"img/{number:05d}.png", **label, "text": "its their character \u2028 not their color"}


def write_lines(path: Path, records: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding="utf-8")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write the official files of three splits."""
    folder = tmp_path / "data"
    (folder / "img").mkdir(parents=True)
    for split, ids in IDS.items():
        write_lines(folder / f"{split}.jsonl", [record(each, split) for each in ids])
        for each in ids:
            PIL.Image.new("RGB", (8, 8), (each % 256, each // 256, 0)).save(folder / "img" / f"{each:05d}.png")
    return folder


def read(folder: Path, split: str = "dev_seen") -> list[ClosedSample]:
    return list(HatefulMemes().samples(split, Source("folder", folder)))


def likelihood(*logprobs: float) -> LogLikelihood:
    return LogLikelihood(tuple(range(len(logprobs))), logprobs, 3, greedy=False)


def asked(
    task: HatefulMemes, sample: ClosedSample, exemplars: Sequence[ClosedSample] = (), yes: float = -1, no: float = -2
) -> tuple[Any, RankedScore]:
    """Return the one request, and the score of the given response."""
    asking = task.ask(sample, exemplars)
    request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored((likelihood(yes), likelihood(no))))
    return request, task.score(sample, stopped.value.value)


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("hateful_memes") is HatefulMemes
    assert isinstance(HatefulMemes(), CorpusScored)
    assert isinstance(HatefulMemes(), Submits)
    assert isinstance(HatefulMemes(), Provable)


def test_official_files_are_read_in_their_order(official: Path) -> None:
    samples = read(official)
    assert [(sample.key, sample.answer) for sample in samples] == [("8291", "yes"), ("46971", "yes"), ("3745", "yes")]
    first = samples[0]
    assert (first.question, first.labelled, first.chance) == ("does this picture contain real hate speech?", True, 0.5)
    assert first.image.name.endswith("img/08291.png")
    assert first.image.load().size == (8, 8)


def test_they_are_read_with_byte_order_marks_and_carriage_returns(official: Path) -> None:
    path = official / "dev_seen.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert len(read(official)) == 3


def test_ids_and_labels_may_be_texts(official: Path) -> None:
    expected = read(official)
    records = [{**record(each, "dev_seen"), "id": f"{each:05d}", "label": str(each % 2)} for each in IDS["dev_seen"]]
    write_lines(official / "dev_seen.jsonl", records)
    assert read(official) == expected


def test_the_first_release_is_read_by_its_names(official: Path) -> None:
    expected = read(official), read(official, "test_seen")
    (official / "dev_seen.jsonl").rename(official / "dev.jsonl")
    (official / "test_seen.jsonl").rename(official / "test.jsonl")
    assert (read(official), read(official, "test_seen")) == expected
    assert (read(official, "dev"), read(official, "test")) == expected


def test_the_archive_s_folder_may_lie_in_another(official: Path, tmp_path: Path) -> None:
    expected = [sample.content for sample in read(official)]
    (tmp_path / "hateful_memes").mkdir()
    official.rename(tmp_path / "hateful_memes" / "data")
    assert [sample.content for sample in read(tmp_path)] == expected


@pytest.mark.parametrize("place", ["annotations", "defaults/annotations"])
def test_pictures_and_lines_may_lie_in_folders_of_their_own(official: Path, place: str) -> None:
    lines, pictures = official / place, (official / place).parent / "images"
    lines.mkdir(parents=True)
    pictures.mkdir()
    (official / "dev_seen.jsonl").rename(lines / "dev_seen.jsonl")
    (official / "img").rename(pictures / "img")
    assert len(read(official)) == len(read(lines.parent)) == 3


def test_a_test_split_without_labels_is_asked_and_not_scored(official: Path) -> None:
    (sample,) = read(official, "test_seen")
    assert (sample.labelled, sample.answer) == (False, "")
    _, score = asked(HatefulMemes(split="test_seen"), sample)
    assert (score.values, score.answer, score.margin) == ({}, "yes", 1)


def test_a_test_split_with_labels_is_scored(official: Path) -> None:
    write_lines(official / "test_seen.jsonl", [{**record(16395, "test_seen"), "label": 1}])
    (sample,) = read(official, "test_seen")
    assert (sample.labelled, sample.answer) == (True, "yes")


def edit(path: Path, change: Callable[[list[Any]], object]) -> None:
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    change(records)
    write_lines(path, records)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append(rows[0]), r"meme 8291: expected id 8291 once, got it again"),
        (lambda rows: rows[1].pop("label"), r'meme 46971: expected "label" to be 0 or 1, got None'),
        (lambda rows: rows[1].update(label=2), r'meme 46971: expected "label" to be 0 or 1, got 2'),
        (lambda rows: rows[1].update(label=True), r'expected "label" to be 0 or 1, got True'),
        (lambda rows: rows[2].pop("id"), r'dev_seen\.jsonl: line 3: expected "id", got only "img"'),
        (lambda rows: rows[2].update(id="x"), r'line 3: expected "id" to be a whole number, got "x"'),
        (lambda rows: rows[0].pop("img"), r'meme 8291: expected "img"'),
        (lambda rows: rows[0].update(img=" "), r'meme 8291: expected "img" to have characters'),
        (lambda rows: rows.insert(0, [1]), r'line 1: expected an object with "id"'),
        (lambda rows: rows.clear(), r"got an empty file"),
        (
            lambda rows: rows[1].update(img="img/1.png"),
            r"meme 46971: expected its picture img/1\.png in .*it is missing",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_names_file_and_meme(
    official: Path, change: Callable[[list[Any]], object], message: str
) -> None:
    edit(official / "dev_seen.jsonl", change)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert "dev_seen" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_files_and_pictures_are_errors_that_say_how_to_get_them(official: Path) -> None:
    with pytest.raises(DataError, match=r"expected dev_unseen\.jsonl in .*ai\.meta\.com/tools/hatefulmemes"):
        read(official, "dev_unseen")
    for path in (official / "img").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"meme 8291: .*3 pictures are missing\); unpack img/ again"):
        read(official)
    (official / "img").rmdir()
    with pytest.raises(DataError, match=r"expected img in .*; unpack img beside dev_seen\.jsonl"):
        read(official)
    with pytest.raises(UnknownNameError, match="no split of hateful_memes named 'dev_sen'; did you mean 'dev_seen'"):
        read(official, "dev_sen")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("with_id", [True, False])
def test_json_lines_and_paths_on_the_hub_are_the_same_samples(official: Path, *, with_id: bool) -> None:
    expected = read(official)
    if not with_id:
        edit(official / "dev_seen.jsonl", lambda rows: [row.pop("id") for row in rows])
    samples = list(HatefulMemes(hub_id=str(official)).samples("dev_seen", Source("hub")))
    assert [sample.content for sample in samples] == [sample.content for sample in expected]


@pytest.mark.usefixtures("_own_cache")
def test_parquet_with_encoded_pictures_on_the_hub_is_read(official: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    rows = [
        {
            "id": f"{each:05d}",
            "image": {"bytes": (official / "img" / f"{each:05d}.png").read_bytes(), "path": None},
            "label": each % 2,
        }
        for each in IDS["dev_seen"]
    ]
    path = folder / "data" / "dev_seen-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    task = HatefulMemes(hub_id=str(folder), image_column="image")
    samples = list(task.samples("dev_seen", Source("hub")))
    assert [sample.content for sample in samples] == [sample.content for sample in read(official)]
    with pytest.raises(DataError, match="expected columns img, got only id, image, label"):
        HatefulMemes(hub_id=str(folder)).samples("dev_seen", Source("hub"))
    pq.write_table(pa.Table.from_pylist([{**row, "label": 7} for row in rows]), path)
    with pytest.raises(DataError, match=r'dev_seen, row 0: expected "label" to be 0 or 1, got 7'):
        task.samples("dev_seen", Source("hub"))
    pq.write_table(pa.Table.from_pylist([{"image": row["image"], "label": 1} for row in rows]), path)
    with pytest.raises(DataError, match=r"row 0: expected a column id, or pictures as paths"):
        task.samples("dev_seen", Source("hub"))


def test_the_prompt_is_kosmos_1_s(official: Path) -> None:
    sample, other = read(official)[0], read(official, "train")[1]
    request, _ = asked(HatefulMemes(), sample, [other])
    assert request == ScoreRequest(
        Prompt.of(
            other.image,
            "Question: does this picture contain real hate speech? Answer: yes",
            sample.image,
            "Question: does this picture contain real hate speech? Answer:",
        ),
        (Continuation("yes"), Continuation("no")),
    )


def test_the_stand_in_asks_a_question_of_its_own() -> None:
    samples = list(HatefulMemes(question="hateful?").samples("dev_seen", Source("mini")))
    assert {sample.question for sample in samples} == {"does this caption contradict the picture?"}
    assert {sample.answer for sample in samples} == {"yes", "no"}
    with pytest.raises(UnknownNameError):
        HatefulMemes().samples("val", Source("mini"))


@pytest.mark.parametrize(
    ("yes", "no", "value", "answer"),
    [(-1.0, -2.0, 1.0, "yes"), (-3.0, -1.0, 0.0, "no"), (-1.0, -1.0, 0.5, "yes or no")],
)
def test_the_likelier_choice_is_the_answer_and_the_difference_ranks(
    official: Path, yes: float, no: float, value: float, answer: str
) -> None:
    _, score = asked(HatefulMemes(), read(official)[0], yes=yes, no=no)
    assert (score.values, score.answer, score.target) == ({"accuracy": value}, answer, "yes")
    assert (score.rank, score.margin) == (yes - no, abs(yes - no))
    assert score.probability == pytest.approx(math.exp(yes) / (math.exp(yes) + math.exp(no)))


def test_memes_may_be_ranked_by_yes_alone_and_choices_compared_in_other_ways(official: Path) -> None:
    sample = read(official)[0]
    _, score = asked(HatefulMemes(rank_by="yes"), sample, yes=-3, no=-1)
    assert (score.rank, score.answer) == (-3, "no")
    assert score.probability == pytest.approx(math.exp(-3))
    task = HatefulMemes(by="per_token")
    asking = task.ask(sample, ())
    next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored((likelihood(-1, -1), likelihood(-1.5))))
    assert stopped.value.value == Weighed((-1, -1.5))
    with pytest.raises(UsageError, match="by to be one of total, per_token, per_character, got 'sum'"):
        HatefulMemes(by="sum")  # type: ignore[arg-type]  # as a user may type it
    with pytest.raises(UsageError, match="rank_by to be one of difference, yes, got 'no'"):
        HatefulMemes(rank_by="no")  # type: ignore[arg-type]  # as a user may type it
    with pytest.raises(UsageError, match="question to have words"):
        HatefulMemes(question=" ")


def ranked(task: HatefulMemes, pairs: Sequence[tuple[str, float]]) -> list[tuple[Sample, Score]]:
    """Return samples of the given answers with scores of the given log-odds."""
    image = next(iter(task.samples("train", Source("mini")))).image
    samples = [
        ClosedSample(key=str(place), image=image, question="?", answer=answer)
        for place, (answer, _) in enumerate(pairs)
    ]
    return [
        (sample, task.score(sample, Weighed((odds, 0.0)))) for sample, (_, odds) in zip(samples, pairs, strict=True)
    ]


def test_the_headline_is_the_roc_auc_of_the_log_odds() -> None:
    pairs = [("yes", 2.0), ("no", -1.0), ("no", 2.0), ("yes", -3.0), ("no", 0.5), ("yes", 300.0), ("no", 299.0)]
    score = HatefulMemes().score_corpus(ranked(HatefulMemes(), pairs))["roc_auc"]
    assert score.weighed is not None
    expected = roc_auc([odds for _, odds in pairs], [answer == "yes" for answer, _ in pairs])
    assert score.weighed.values(np.ones((1, 7))).tolist() == [expected]
    assert expected == (2.5 + 4 + 0) / 12


def test_an_unreadable_answer_is_unparsed_earns_nothing_and_loses_every_pair() -> None:
    task = HatefulMemes()
    scored = ranked(task, [("yes", math.nan), ("no", -math.inf), ("no", 1.0), ("yes", 2.0)])
    assert [(score.answer, score.values) for _, score in scored[:2]] == [(None, {"accuracy": 0.0})] * 2
    assert "the log-probability of 'yes' is nan" in scored[0][1].explanation
    weighed = task.score_corpus(scored)["roc_auc"].weighed
    assert weighed is not None
    assert weighed.values(np.ones((1, 4))).tolist() == [0.25]


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_memes_of_one_label_have_no_roc_auc_and_it_says_why(answer: str) -> None:
    score = HatefulMemes().score_corpus(ranked(HatefulMemes(), [(answer, 1.0), (answer, 2.0)]))["roc_auc"]
    assert score.weighed is None
    assert score.unavailable == f'ROC AUC needs memes of both labels, got 2 "{answer}" only; ask more memes'


def test_a_perfect_answer_ranks_perfectly() -> None:
    task = HatefulMemes()
    scored: list[tuple[Sample, Score]] = []
    for sample in list(task.samples("dev_seen", Source("mini")))[:20]:
        request, _ = asked(task, sample)
        best = task.gold(sample, request)
        scored.append((sample, task.score(sample, Weighed((0.0, -1.0) if best == 0 else (-1.0, 0.0)))))
    assert {score.values["accuracy"] for _, score in scored} == {1.0}
    weighed = task.score_corpus(scored)["roc_auc"].weighed
    assert weighed is not None
    assert weighed.values(np.ones((1, 20))).tolist() == [1.0]


def test_the_submission_is_what_the_server_takes(official: Path, tmp_path: Path) -> None:
    write_lines(official / "test_unseen.jsonl", [record(16395, "test"), record(42, "test")])
    PIL.Image.new("RGB", (8, 8)).save(official / "img" / "00042.png")
    task = HatefulMemes(split="test_unseen")
    first, second = read(official, "test_unseen")
    pairs: list[tuple[Sample, Score]] = [
        (first, asked(task, first, yes=-1, no=-2)[1]),
        (second, asked(task, second, yes=math.nan)[1]),
    ]
    path = task.submission(pairs, tmp_path / "out")
    assert path == tmp_path / "out" / "hateful_memes_test_unseen.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "proba", "label"]
    assert rows[1][::2] == ["16395", "1"]
    assert float(rows[1][1]) == pytest.approx(1 / (1 + math.exp(-1)))
    assert rows[2] == ["42", "0.5", "0"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
