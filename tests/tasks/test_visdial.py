from __future__ import annotations

import copy
import json
import math
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.metrics.retrieval import chance_ndcg, ndcg
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Submits
from kosmos_eval.tasks.visdial import Turn, VisDial, VisDialSample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

VAL, DENSE = "visdial_1.0_val.json", "visdial_1.0_val_dense_annotations.json"
QUESTIONS = ["is it sunny", "any people ?", "how many dogs", "what color"]
ANSWERS = ["yes", "no", "2", "3", "brown", "i can't tell"]
PICTURES = {
    "val": {185_565: "VisualDialog_val2018/VisualDialog_val2018_000000185565.jpg"},
    "test": {7: "VisualDialog_test2018/VisualDialog_test2018_000000000007.jpg"},
    "train": {
        9: "train2014/COCO_train2014_000000000009.jpg",
        10: "val2014/COCO_val2014_000000000010.jpg",
    },
}


def dialogue(image_id: int) -> dict[str, Any]:
    rounds = [
        {"question": 0, "answer": 1, "gt_index": 2, "answer_options": [0, 5, 1, 2]},
        {"question": 2, "answer": 2, "gt_index": 0, "answer_options": [2, 3, 0, 1]},
        {"question": 3, "answer": 4, "gt_index": 3, "answer_options": [0, 1, 5, 4]},
    ]
    return {"image_id": image_id, "caption": "a dog on a lawn", "dialog": rounds}


def unanswered(image_id: int) -> dict[str, Any]:
    found = dialogue(image_id)
    for each in found["dialog"][:-1]:
        del each["answer_options"], each["gt_index"]
    del found["dialog"][-1]["answer"], found["dialog"][-1]["gt_index"]
    return found


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write the official files of three splits."""
    for split, pictures in PICTURES.items():
        dialogs = [unanswered(image) if split == "test" else dialogue(image) for image in pictures]
        data = {"questions": QUESTIONS, "answers": ANSWERS, "dialogs": dialogs}
        write_json(tmp_path / f"visdial_1.0_{split}.json", {"version": "1.0", "split": f"{split}2018", "data": data})
        for image, name in pictures.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            PIL.Image.new("RGB", (8, 8), (image % 256, 9, 0)).save(tmp_path / name)
    write_json(tmp_path / DENSE, [{"image_id": 185_565, "round_id": 2, "gt_relevance": [0.5, 1.0, 0.0, 0.0]}])
    return tmp_path


def read(folder: Path, split: str = "val", task: VisDial | None = None) -> list[VisDialSample]:
    return list((task or VisDial(split=split)).samples(split, Source("folder", folder)))


def asked(
    task: VisDial, sample: VisDialSample, logprobs: Sequence[Sequence[float]], exemplars: Sequence[VisDialSample] = ()
) -> tuple[ScoreRequest, tuple[float, ...]]:
    """Return the one request, and the answer made of the given response."""
    asking = task.ask(sample, exemplars)
    request = next(asking)
    assert isinstance(request, ScoreRequest)
    rows = [
        LogLikelihood(tuple(range(len(row))), tuple(row), len(each.text), greedy=False)
        for row, each in zip(logprobs, request.continuations, strict=True)
    ]
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored(tuple(rows)))
    return request, stopped.value.value


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("visdial") is VisDial


def test_every_round_is_a_sample_with_the_rounds_before_it(official: Path) -> None:
    samples = read(official)
    assert [sample.key for sample in samples] == ["185565-1", "185565-2", "185565-3"]
    assert {sample.cluster for sample in samples} == {"185565"}
    last = samples[2]
    assert last.history == (Turn("is it sunny", "no"), Turn("how many dogs", "2"))
    assert last.turn == Turn("what color", "brown")
    assert last.candidates == ("yes", "no", "i can't tell", "brown")
    assert (last.target, last.round_id, last.groups) == (3, 3, {"round": "03"})
    assert samples[0].history == ()
    assert samples[0].image is samples[2].image
    assert samples[0].image.load().size == (8, 8)


def test_relevances_belong_to_the_annotated_round(official: Path) -> None:
    samples = read(official)
    assert [sample.relevance for sample in samples] == [(), (0.5, 1.0, 0.0, 0.0), ()]
    assert dict(samples[1].groups) == {"round": "02", "relevances": "judged"}
    assert samples[1].chance == pytest.approx(chance_ndcg([0.5, 1.0, 0.0, 0.0]))
    assert samples[0].chance is None


def test_without_dense_annotations_all_is_read_and_ndcg_says_what_is_missing(official: Path) -> None:
    (official / DENSE).unlink()
    task, samples = VisDial(), read(official)
    assert {sample.relevance for sample in samples} == {()}
    found = task.score_corpus([(sample, task.score(sample, (1.0, 2.0, 3.0, 4.0))) for sample in samples])["ndcg"]
    assert found.weighed is None
    assert "add the dense annotations" in found.unavailable


def test_the_annotations_of_train_say_relevance(official: Path) -> None:
    write_json(
        official / "visdial_1.0_train_dense_annotations.json",
        [{"image_id": 9, "round_id": 1, "relevance": [0, 0, 1, 0.4]}],
    )
    assert read(official, "train")[0].relevance == (0.0, 0.0, 1.0, 0.4)


def test_the_annotations_of_train_are_read_by_the_name_of_their_download(official: Path) -> None:
    record = {"image_id": 9, "round_id": 1, "relevance": [0.0, 0.5, 0.0, 1.0]}
    write_json(official / "visdial_1.0_train_dense_sample.json", [record])
    assert read(official, "train")[0].relevance == (0.0, 0.5, 0.0, 1.0)


def test_pictures_are_found_in_a_folder_of_their_folder_s_name(official: Path) -> None:
    name = "VisualDialog_val2018"
    (official / name).rename(official / "outer")
    (official / name).mkdir()
    (official / "outer").rename(official / name / name)
    assert read(official)[0].image.load().size == (8, 8)


def test_a_file_in_the_place_of_coco_s_pictures_is_an_error(official: Path) -> None:
    shutil.rmtree(official / "train2014")
    (official / "train2014").touch()
    with pytest.raises(DataError, match=r"dialogue of image 9: expected its picture COCO_val2014_000000000009.jpg"):
        read(official, "train")


def test_exemplars_are_whole_dialogues_of_train_whose_pictures_are_in_two_folders(official: Path) -> None:
    samples = read(official, "train", VisDial())
    assert [(sample.key, len(sample.history), sample.candidates) for sample in samples] == [
        ("9-3", 2, ()),
        ("10-3", 2, ()),
    ]
    assert [sample.image.name.rsplit("/", 2)[1] for sample in samples] == ["train2014", "val2014"]
    assert len(read(official, "train")) == 6


def test_the_last_round_of_a_test_dialogue_is_asked_and_has_no_answer(official: Path) -> None:
    (sample,) = read(official, "test")
    assert (sample.key, sample.labelled, sample.target, sample.turn) == ("7-3", False, None, Turn("what color", ""))
    assert sample.history == (Turn("is it sunny", "no"), Turn("how many dogs", "2"))


def test_files_are_found_one_level_down(official: Path) -> None:
    (official / "unpacked").mkdir()
    for name in (VAL, DENSE, "VisualDialog_val2018"):
        (official / name).rename(official / "unpacked" / name)
    assert [bool(sample.relevance) for sample in read(official)] == [False, True, False]


def edited(path: Path, edit: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    write_json(path, value)


def rounds(file: Any) -> Any:  # noqa: ANN401  unread JSON
    return file["data"]["dialogs"][0]["dialog"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.pop("data"), r'expected "data", got only'),
        (lambda file: file["data"].pop("answers"), r'expected "answers"'),
        (lambda file: file["data"]["dialogs"].clear(), r'expected "dialogs" to have entries'),
        (lambda file: file["data"]["dialogs"].append(copy.deepcopy(file["data"]["dialogs"][0])), r"got 185565 twice"),
        (lambda file: rounds(file).clear(), r'image 185565: expected "dialog" to have rounds'),
        (lambda file: rounds(file)[1].pop("answer_options"), r'round 2: expected "answer_options" to list .* got None'),
        (lambda file: rounds(file)[1].update(answer_options=[0] * 101), r"of 2 to 100 answers, got 101 of them"),
        (lambda file: rounds(file)[1].update(answer_options=["2", "3"]), r"round 2: .* got \['2', '3'\]"),
        (
            lambda file: rounds(file)[1].update(answer_options=[2, 6]),
            r"expected answer 6 to be a text, of the file's 6",
        ),
        (lambda file: rounds(file)[1].update(question=-1), r"round 2: expected question -1 to be a text"),
        (lambda file: rounds(file)[1].update(gt_index=1), r'expected "gt_index", counted from 0, .* answer \'2\''),
        (lambda file: rounds(file)[1].update(gt_index=4), r'expected "gt_index".* among 4 candidates, got 4'),
        (lambda file: rounds(file)[1].pop("gt_index"), r'round 2: expected "gt_index"'),
        (lambda file: rounds(file)[1].pop("answer"), r'round 2: expected "answer"'),
        (lambda file: file["data"]["answers"].__setitem__(5, " "), r"round 1: expected answer 5 to be a text"),
        (lambda file: file["data"]["dialogs"][0].pop("caption"), r'image 185565: expected "caption"'),
        (lambda file: file["data"]["dialogs"][0].update(image_id=8), r"expected its picture VisualDialog_val2018_0"),
    ],
)
def test_an_inconsistent_file_is_one_line_that_names_file_and_item(
    official: Path, edit: Callable[[Any], object], message: str
) -> None:
    (official / DENSE).unlink()
    edited(official / VAL, edit)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert VAL in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 1}, r"entry 0: image 1, round 2 is not in visdial_1\.0_val\.json, whose rounds count from 1"),
        ({"round_id": 0}, r"entry 0: image 185565, round 0 is not in"),
        ({"round_id": 4}, r"round 4 is not in"),
        ({"gt_relevance": [1.0]}, r"expected a relevance for each of 4 candidates in the dense annotations, got 1"),
        ({"gt_relevance": [1.0, -1.0, 0, 0]}, r"entry 0: expected relevances to be numbers from 0 to 1000, got -1\.0"),
        (
            {"gt_relevance": [1.0, 10**400, 0, 0]},
            r"entry 0: expected relevances to be numbers from 0 to 1000, got 1000",
        ),
        ({"gt_relevance": None}, r'entry 0: expected "gt_relevance" to be a list'),
    ],
)
def test_annotations_that_do_not_belong_are_an_error(official: Path, change: dict[str, Any], message: str) -> None:
    edited(official / DENSE, lambda records: records[0].update(change))
    with pytest.raises(DataError, match=message):
        read(official)


def test_a_missing_file_names_where_to_get_it(official: Path) -> None:
    (official / VAL).unlink()
    with pytest.raises(DataError, match=r"expected visdial_1\.0_val\.json in .*; get it from visualdialog\.org/data"):
        read(official)
    with pytest.raises(UnknownNameError, match="no split of visdial named 'dev'"):
        read(official, "dev")
    with pytest.raises(UsageError, match="expected --data mini or a folder"):
        VisDial().samples("val", Source("hub"))


def test_the_prompt_is_picture_caption_history_and_question(official: Path) -> None:
    sample, rows = read(official)[1], [(-1.0,)] * 4
    request, _ = asked(VisDial(), sample, rows)
    text = "<image>An image of a dog on a lawn. Question: is it sunny? Answer: no Question: how many dogs? Answer:"
    assert request.prompt.text() == text
    assert [each.text for each in request.continuations] == ["2", "3", "yes", "no"]
    bare, _ = asked(VisDial(caption="", question_mark=False), sample, rows)
    assert bare.prompt.text() == "<image>Question: is it sunny Answer: no Question: how many dogs Answer:"


def test_exemplars_are_solved_dialogues_of_which_the_last_rounds_may_be_taken(official: Path) -> None:
    exemplars = read(official, "train", VisDial())[:1]
    sample = read(official)[0]
    whole, _ = asked(VisDial(), sample, [(-1.0,)] * 4, exemplars)
    opening = "<image>An image of a dog on a lawn. "
    history = "Question: is it sunny? Answer: no Question: how many dogs? Answer: 2 "
    last = "Question: what color? Answer: brown"
    query = f"{opening}Question: is it sunny? Answer:"
    assert whole.prompt.text() == f"{opening}{history}{last}{query}"
    short, _ = asked(VisDial(exemplar_rounds=1), sample, [(-1.0,)] * 4, exemplars)
    assert short.prompt.text() == f"{opening}{last}{query}"


def test_candidates_are_ranked_by_the_sum_or_the_mean_as_asked(official: Path) -> None:
    sample = read(official)[0]  # "yes", "i can't tell", "no", "2"; the third is right
    rows = [(-3.0,), (-1.0, -1.0, -1.5), (-2.0,), (-9.0,)]
    values = {by: asked(VisDial(by=by), sample, rows)[1] for by in ("total", "per_token", "per_character")}
    assert values["total"] == (-3.0, -3.5, -2.0, -9.0)
    score = VisDial().score(sample, values["total"])
    assert score.values == {"mrr": 1.0, "mean_rank": 1.0, "recall@1": 1.0, "recall@5": 1.0, "recall@10": 1.0}
    assert (score.answer, score.target, score.margin, score.ranks) == ("no", "no", 1.0, (2, 3, 1, 4))
    per_token = VisDial().score(sample, values["per_token"])
    assert per_token.values["mrr"] == 0.5
    assert per_token.answer == "i can't tell"
    with pytest.raises(UnknownNameError, match="did you mean 'per_token'"):
        VisDial(by="per_tokens")  # type: ignore[arg-type]  # what a user may type


def test_ties_share_their_ranks(official: Path) -> None:
    score = VisDial().score(read(official)[0], (-1.0, -2.0, -1.0, -3.0))
    assert score.values["mean_rank"] == 1.5
    assert score.values["mrr"] == 0.75
    assert score.values["recall@1"] == 0.5
    assert score.margin == 0.0


@pytest.mark.parametrize("spoilt", [math.nan, -math.inf])
def test_a_likelihood_that_is_not_finite_is_unparsed_and_ranked_last(official: Path, spoilt: float) -> None:
    score = VisDial().score(read(official)[1], (-1.0, spoilt, -2.0, -3.0))
    assert score.answer is None
    assert score.values == {"mrr": 0.25, "mean_rank": 4.0, "recall@1": 0.0, "recall@5": 1.0, "recall@10": 1.0}
    assert score.ndcg == 0.0


def test_ndcg_is_the_mean_over_the_annotated_rounds_only(official: Path) -> None:
    task, samples = VisDial(), read(official)
    scored = [(sample, task.score(sample, (-1.0, -2.0, -3.0, -4.0))) for sample in samples]
    found = task.score_corpus(scored)["ndcg"]
    expected = ndcg([4, 3, 2, 1], [0.5, 1.0, 0.0, 0.0])
    assert found.weighed is not None
    weights = np.array([[1.0, 1.0, 1.0], [9.0, 2.0, 0.0], [1.0, 0.0, 1.0]])
    values = found.weighed.values(weights)
    assert values[:2] == pytest.approx([expected, expected])
    assert np.isnan(values[2])
    assert found.own is not None
    assert np.isnan(found.own).tolist() == [True, False, True]


def test_gold_weights_earn_full_marks_on_the_microworld() -> None:
    task = VisDial()
    scored = []
    for sample in list(task.samples("val", Source("mini")))[:25]:
        request = next(task.ask(sample, ()))
        scored.append((sample, task.score(sample, tuple(task.gold(sample, request)))))
    assert all(score.values["recall@1"] == 1.0 == score.values["mean_rank"] for _, score in scored)
    found = task.score_corpus(scored)["ndcg"].weighed
    assert found is not None
    assert found.values(np.ones((1, 25)))[0] == pytest.approx(1.0)


def test_the_submission_has_whole_ranks_of_the_unlabelled_rounds(official: Path, tmp_path: Path) -> None:
    task = VisDial(split="test")
    assert isinstance(task, Submits)
    (sample,) = read(official, "test")
    score = task.score(sample, (-2.0, -1.0, -2.0, -0.5))
    assert score.values == {}
    path = task.submission([(sample, score)], tmp_path / "out")
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert rows == [{"image_id": 7, "round_id": 3, "ranks": [3, 2, 4, 1]}]


def test_the_microworld_stands_in_with_dialogues_and_other_ones_as_exemplars() -> None:
    task, source = VisDial(), Source("mini")
    samples = list(task.samples("val", source))
    assert len(samples) == len({sample.key for sample in samples}) == 150
    assert sum(bool(sample.relevance) for sample in samples) == 30
    pool = ExemplarPool(task.samples("train", source))
    assert len(pool) == 64
    assert len(pool.draw(samples[0], 4, seed=1, task="visdial")) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"exemplar_rounds": 0}, "exemplar_rounds to be at least 1"), ({"caption": "A picture"}, 'to have "{caption}"')],
)
def test_settings_out_of_range_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(KosmosEvalError, match=message):
        VisDial(**settings)
