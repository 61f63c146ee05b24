from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.microworld.commonsense import make_fact_passage
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.run import evaluate
from kosmos_eval.task import Provable, Score
from kosmos_eval.tasks.relative_size import RelativeSize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kosmos_eval.tasks.commonsense import TextSample

LINES = ("aeroplane apple", "aeroplane suv", "dog eye", "bus car", "tree bag", "swan knife")
MINI = Source("mini")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Write the file where a clone of VaLM's repository has it."""
    folder = tmp_path / "VaLM" / "data" / "object_size"
    folder.mkdir(parents=True)
    (folder / "sizePairsFull.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return tmp_path / "VaLM"


def read(folder: Path, task: RelativeSize | None = None, split: str = "test") -> list[TextSample]:
    return list((task or RelativeSize()).samples(split, Source("folder", folder)))


def asked(
    task: RelativeSize, sample: TextSample, weights: Sequence[tuple[float, float]], shots: Sequence[TextSample] = ()
) -> tuple[list[Any], Score]:
    """Return the requests, and the score of an answer with such log-probabilities of Yes and No to each question."""
    asking, requests = task.ask(sample, shots), []
    request = next(asking)
    for yes, no in weights:
        requests.append(request)
        rows = tuple(LogLikelihood((1,), (each,), 3, greedy=False) for each in (yes, no))
        try:
            request = asking.send(Scored(rows))
        except StopIteration as stopped:
            return requests, task.score(sample, stopped.value)
    message = f"asked again: {request}"
    raise AssertionError(message)


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("relative_size") is RelativeSize
    assert isinstance(RelativeSize(), Provable)


def test_the_file_is_found_wherever_people_clone_it(clone: Path) -> None:
    samples = read(clone)
    assert [sample.key for sample in samples] == [line.replace(" ", "/") for line in LINES]
    assert [sample.cluster for sample in samples] == [line.split()[0] for line in LINES]
    for folder in (clone.parent, clone / "data", clone / "data" / "object_size"):
        assert read(folder) == samples
    assert read(clone, split="train") == samples


def test_half_of_the_pairs_are_turned_so_that_yes_to_all_is_chance(clone: Path) -> None:
    answers = []
    for sample, line in zip(read(clone), LINES, strict=True):
        larger, smaller = line.split()
        turned = {"Yes": f"Is {larger} larger than {smaller}?", "No": f"Is {smaller} larger than {larger}?"}
        [(question, answer)] = sample.asked
        assert question == turned[answer]
        assert (sample.groups, sample.chance) == ({"answer": answer}, 0.5)
        answers.append(answer)
    assert Counter(answers) == {"Yes": 3, "No": 3}


def test_which_pairs_are_turned_does_not_depend_on_their_order_in_the_file(clone: Path) -> None:
    before = {sample.key: sample.asked for sample in read(clone)}
    path = clone / "data" / "object_size" / "sizePairsFull.txt"
    path.write_text("\r\n".join(reversed(LINES)), encoding="utf-8-sig")
    assert {sample.key: sample.asked for sample in read(clone)} == before


def test_pairs_may_be_asked_as_listed_or_both_ways(clone: Path) -> None:
    listed = read(clone, RelativeSize(order="as-listed"))
    assert {sample.asked[0].answer for sample in listed} == {"Yes"}
    assert listed[0].asked == (("Is aeroplane larger than apple?", "Yes"),)
    both = read(clone, RelativeSize(order="both"))
    assert [sample.key for sample in both] == [sample.key for sample in listed]
    assert {tuple(sorted(each.answer for each in sample.asked)) for sample in both} == {("No", "Yes")}
    assert Counter(sample.asked[0].answer for sample in both) == {"Yes": 3, "No": 3}


def test_exemplars_are_other_pairs_of_the_one_split(clone: Path) -> None:
    task = RelativeSize(order="both")
    samples = read(clone, task)
    drawn = ExemplarPool(read(clone, task, "train")).draw(samples[0], 5, seed=0, task="t")
    assert {each.key for each in drawn} == {each.key for each in samples[1:]}
    with pytest.raises(DataError, match="only 5"):
        ExemplarPool(samples).draw(samples[0], 6, seed=0, task="t")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sizePairsFull.csv", "\ufeffLarger,Smaller,source\nsports car,\u00e9clair ,x\n"),
        ("sizePairsFull.jsonl", json.dumps({"larger": "sports car", "smaller": "\u00e9clair"}) + "\n\n"),
        ("sizePairsFull.txt", "\nsports car\t\u00e9clair\r\n"),
    ],
)
def test_other_forms_of_the_file_are_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    [sample] = read(tmp_path)
    assert (sample.key, sample.asked) == ("sports car/éclair", (("Is sports car larger than éclair?", "Yes"),))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sizePairsFull.txt", "", r"expected lines of text, got an empty file"),
        ("sizePairsFull.txt", "dog eye\n\ndog\n", r"line 3: expected a larger and a smaller thing, got 'dog'; take an"),
        ("sizePairsFull.txt", "hot dog eye\n", r"line 1: expected a larger and a smaller thing, got 'hot dog eye'"),
        ("sizePairsFull.txt", "dog dog\n", r"line 1: expected a larger and a smaller"),
        ("sizePairsFull.txt", "dog eye\neye dog\n", r"line 2: expected eye and dog once, .* again after .*line 1"),
        ("sizePairsFull.csv", "larger,small\ndog,eye\n", r"line 2: expected a value of smaller, got none"),
        ("sizePairsFull.jsonl", '["dog", "eye"]\n', r"line 1: expected an object with larger, smaller, got \['dog'"),
        ("sizePairsFull.jsonl", '{"larger": "dog", "smaller": null}\n', r"line 1: expected a value of smaller"),
        ("sizes.txt", "dog eye\n", r"expected sizePairsFull\.txt in .*; clone github.com/Victorwz/VaLM, or write size"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_the_prompt_is_kosmos_1_s(clone: Path) -> None:
    task = RelativeSize(order="as-listed")
    query, shot, *_ = read(clone, task)
    [request], score = asked(task, query, [(-1.0, -2.0)], [shot])
    prompt = Prompt.of("Is aeroplane larger than suv? Yes\nIs aeroplane larger than apple?")
    assert request == ScoreRequest(prompt, (Continuation("Yes"), Continuation("No")))
    assert (score.values, score.answer, score.target) == ({"accuracy": 1.0}, "Yes", "Yes")


@pytest.mark.parametrize(
    ("yes", "value", "answer"), [(-3.0, 0.0, "No"), (-2.0, 0.5, "Yes or No"), (math.nan, 0.0, None), (-1, 1.0, "Yes")]
)
def test_the_likelier_answer_counts_ties_share_and_what_is_not_finite_is_unparsed(
    clone: Path, yes: float, value: float, answer: str | None
) -> None:
    task = RelativeSize(order="as-listed")
    _, score = asked(task, read(clone, task)[0], [(yes, -2.0)])
    assert (score.values, score.answer) == ({"accuracy": value}, answer)


@pytest.mark.parametrize(
    ("weights", "value", "answer"),
    [
        ([(-1.0, -2.0), (-1.0, -1.5)], 0.5, "Yes, Yes"),
        ([(-2.0, -2.0), (-2.0, -2.0)], 0.5, "Yes or No, Yes or No"),
        ([(-1.0, -2.0), (math.inf, -1.0)], 0.0, None),
    ],
)
def test_a_pair_asked_both_ways_earns_the_mean(
    clone: Path, weights: list[tuple[float, float]], value: float, answer: str | None
) -> None:
    task = RelativeSize(order="both")
    sample = read(clone, task)[0]
    requests, score = asked(task, sample, weights)
    assert {request.prompt.text() for request in requests} == {each.question for each in sample.asked}
    assert (score.values, score.answer) == ({"accuracy": value}, answer)
    golds = [task.gold(sample, request) for request in requests]
    assert sorted(golds) == [0, 1]
    _, best = asked(task, sample, [((-1.0, -2.0), (-2.0, -1.0))[gold] for gold in golds])
    assert (best.values, best.margin) == ({"accuracy": 1.0}, 1.0)


def test_the_embedded_pairs_are_balanced_in_each_half_and_asked_as_texts_say_them() -> None:
    samples = list(RelativeSize().samples("test", MINI))
    counts = Counter((sample.groups["stated"], sample.groups["answer"]) for sample in samples)
    assert counts == {(stated, answer): 40 for stated in ("yes", "no") for answer in ("Yes", "No")}
    assert len({sample.cluster for sample in samples}) == 40
    told = {sentence for number in range(300) for sentence in make_fact_passage(f"form|{number}")}
    stated, held_back = (
        {
            " ".join(each)
            for sample in RelativeSize(order="both").samples("test", MINI)
            for each in sample.asked
            if sample.groups["stated"] == value
        }
        for value in ("yes", "no")
    )
    assert told & stated
    assert not told & held_back


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no split of relative_size named 'tests'; did you mean 'test'"):
        RelativeSize().samples("tests", MINI)
    with pytest.raises(UsageError, match="expected order to be one of balanced, as-listed, both, got 'listed'"):
        RelativeSize(order="listed")  # type: ignore[arg-type]  # what is tried
    with pytest.raises(UsageError, match="relative_size: expected by to be one of total, per_token, per_character"):
        RelativeSize(by="mean")  # type: ignore[arg-type]  # what is tried
    with pytest.raises(UsageError, match="relative_size@mini: expected samples with pictures for --exemplars rices"):
        evaluate(tasks="relative_size", model="kosmos-tiny", shots=[2], exemplars="rices", output_path=tmp_path / "run")
