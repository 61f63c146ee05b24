"""Scores come from recorded answers alone; what is unlabelled, unparsed or truncated is counted and never hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from kosmos_eval.ask import ask_unit
from kosmos_eval.config import RunConfig
from kosmos_eval.corpus_scoring import CorpusResults
from kosmos_eval.data.source import Source
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.margins import NEAR_TIE_NATS
from kosmos_eval.plan import Cell, Unit
from kosmos_eval.prompt import Prompt
from kosmos_eval.record import MarginSummary
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.scoring import NAMED_FAILURES, Showcase, Tally, plain, score_cell, score_whole, summarise
from kosmos_eval.scoring import Scored as ScoredSample
from kosmos_eval.statistics.intervals import mean_interval
from kosmos_eval.task import Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.journal import JournalReader, Recorded
    from kosmos_eval.record import CellResult
    from kosmos_eval.request import Request, Response


@dataclass(frozen=True, kw_only=True)
class Said(Sample):
    """A sample that says what the model will answer, and what that is worth."""

    said: str = "yes"
    value: float = 1.0
    stop: str = "eos"
    margin: float | None = None


@dataclass(frozen=True)
class Parrot:
    name: ClassVar[str] = "parrot"
    version: ClassVar[int] = 3
    description: ClassVar[str] = "Say what was said."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("worth", "what the sample says"),
        Metric("length", "characters", higher_is_better=False, upper=math.inf),
    )
    split: str = "val"
    exemplar_split: str = "train"
    weighs: bool = False
    values: Mapping[str, float] | None = field(default=None)

    def samples(self, split: str, source: Source) -> Iterator[Said]:
        raise NotImplementedError

    def ask(self, sample: Said, exemplars: Sequence[Said]) -> Generator[Request, Response, str]:  # noqa: ARG002  no shots
        response = yield Generate(Prompt.of(f"{sample.said}|{sample.stop}|{sample.margin}"), max_new_tokens=3)
        if self.weighs:
            yield ScoreRequest(Prompt.of("which?"), (Continuation("a", lead=Prompt.of("left")), Continuation("bb")))
        assert isinstance(response, Generated)
        return response.text

    def score(self, sample: Said, answer: str) -> Score:
        values = {"worth": sample.value, "length": float(len(answer))} if sample.labelled else {}
        return Score(values if self.values is None else self.values, answer if answer != "?" else None, target="yes")


class Model:
    facts: Mapping[str, Any] = MappingProxyType({})

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        for number, request in requests:
            if isinstance(request, Generate):
                said, stop, margin = request.prompt.text().split("|")
                margins = () if margin == "None" else (float(margin),)
                written = Generated(said, (1,), (-1.0,), stop, margins)  # type: ignore[arg-type]  # the samples hold stop reasons
                yield number, Failed("too big") if said == "too much" else written
            else:
                rows = [LogLikelihood((1,), (-float(rank),), 1, greedy=False) for rank in (2, 1)]
                yield number, Scored(tuple(rows))


class Held:
    """A journal in memory."""

    def __init__(self, answers: dict[str, list[Recorded]]) -> None:
        self.answers = answers

    def unit(self, unit: str) -> dict[str, list[Recorded]]:  # noqa: ARG002  there is one
        return self.answers


def score(*samples: Said, task: Parrot | None = None, dtype: Any = "float32") -> tuple[Cell, list[ScoredSample]]:  # noqa: ANN401  a literal
    held = {each.key: each for each in samples}
    config = RunConfig(tasks=("parrot",), dtype=dtype)
    cell = Cell(task or Parrot(), Source("mini"), 0, held, 2 * len(held), config, ExemplarPool(()))
    unit = Unit("u", cell.name, tuple(held))
    journal: Any = Held(ask_unit(unit, cell, Model()))
    reader: JournalReader = journal
    return cell, list(score_cell(cell, [unit], reader))


def result(*samples: Said, dtype: str = "float32", **changes: Any) -> CellResult:  # noqa: ANN401  fields of a cell
    cell, scored = score(*samples, dtype=dtype)
    cell = replace(cell, **changes)
    tally = Tally(cell.task.metrics)
    for each in scored:
        tally.add(each)
    return summarise(cell, tally, ("a",))


def test_a_cell_reports_means_counts_and_what_it_was() -> None:
    cell = result(
        Said(key="a", cluster="x"), Said(key="b", cluster="x", value=0.5), Said(key="c", value=0.0, said="no")
    )
    worth, length = cell.metrics
    assert (worth.name, worth.value, worth.count, worth.clusters) == ("worth", 0.5, 3, 2)
    assert (length.name, length.higher_is_better) == ("length", False)
    assert length.value == pytest.approx(8 / 3)
    assert worth.low is not None
    assert worth.high is not None
    assert 0 <= worth.low < 0.5 < worth.high <= 1
    assert (cell.name, cell.version, cell.split, cell.samples, cell.total) == ("parrot@mini|0", 3, "val", 3, 6)
    assert cell.subset
    assert cell.shown == ("a",)
    assert set(cell.fingerprints) == {"data", "prompts", "scorer"}


def test_unlabelled_samples_give_no_number_and_a_count() -> None:
    cell = result(Said(key="a", labelled=False), Said(key="b", labelled=False, said="?"))
    assert cell.unlabelled == 2
    for metric in cell.metrics:
        assert (metric.value, metric.low, metric.high, metric.stderr) == (None, None, None, None)
        assert (metric.count, metric.clusters, metric.unparsed) == (0, 0, 1)


def test_unlabelled_samples_do_not_dilute_the_mean() -> None:
    cell = result(Said(key="a"), Said(key="b", value=0.0), Said(key="c", labelled=False))
    assert (cell.metrics[0].value, cell.metrics[0].count, cell.unlabelled, cell.samples) == (0.5, 2, 1, 3)


def test_unparsed_and_truncated_answers_are_scored_and_counted() -> None:
    cell = result(Said(key="a", said="?", value=0.0), Said(key="b", stop="length"), Said(key="c", stop="stop"))
    worth = cell.metrics[0]
    assert (worth.unparsed, worth.truncated, worth.count) == (1, 1, 3)
    assert worth.value == pytest.approx(2 / 3)


def test_failed_samples_are_neither_scored_nor_in_any_other_count() -> None:
    failed = Said(key="f", said="too much", groups={"size": "big"}, stop="length", cluster="x", chance=0.1)
    others = (Said(key="a", groups={"size": "big"}, chance=0.5), Said(key="b", value=0.0, chance=0.5))
    cell = result(failed, *others)
    worth = cell.metrics[0]
    assert (worth.value, worth.count, worth.clusters, worth.chance) == (0.5, 2, 2, 0.5)
    assert (worth.failed, worth.unparsed, worth.truncated) == (1, 0, 0)
    assert (cell.failed, cell.failures, cell.samples, cell.unlabelled) == (1, {"f": "too big"}, 3, 0)
    big = cell.groups["size"]["big"]
    assert (big.value, big.count, big.failed) == (1.0, 1, 1)


def test_an_unlabelled_sample_that_failed_is_both() -> None:
    cell = result(Said(key="f", said="too much", labelled=False), Said(key="a"))
    assert (cell.failed, cell.unlabelled, cell.metrics[0].count) == (1, 1, 1)


def test_only_the_first_failures_are_named() -> None:
    cell = result(*(Said(key=f"{number:02d}", said="too much") for number in range(NAMED_FAILURES + 5)))
    assert cell.failed == NAMED_FAILURES + 5
    assert list(cell.failures) == [f"{number:02d}" for number in range(NAMED_FAILURES)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_margins_are_summed_up_by_the_type_of_the_run(dtype: str) -> None:
    threshold = NEAR_TIE_NATS[dtype]
    margins = [threshold / 2, 5.0, 0.0, None, 7.0]
    samples = [Said(key=str(place), margin=margin) for place, margin in enumerate(margins)]
    assert result(*samples, dtype=dtype).margins == MarginSummary(4, 2, 0.5, 1, (threshold / 2 + 5) / 2, threshold)
    _, scored = score(*samples, dtype=dtype)
    assert [each.record.margin for each in scored] == margins
    assert [each.record.near_tie for each in scored] == [True, False, True, None, False]


def test_the_margin_is_the_closest_choice_of_all_stages() -> None:
    near, far = Said(key="a", margin=0.25), Said(key="b", margin=9.0)
    _, scored = score(near, far, task=Parrot(weighs=True))  # the options are one nat apart
    assert [each.record.margin for each in scored] == [0.25, 1.0]


def test_a_drawn_subset_has_the_interval_of_its_split_too() -> None:
    samples = [Said(key=f"{number}", value=number / 20) for number in range(20)]
    values = [each.value for each in samples]
    worth = result(*samples).metrics[0]  # 20 of 40
    expected = mean_interval(values, [""] * 20, population=40)
    assert (worth.split_low, worth.split_high) == (expected.low, expected.high)
    unlabelled = [Said(key=f"u{number}", labelled=False) for number in range(20)]
    same = result(*samples, *unlabelled).metrics[0]  # 40 of 80, half of them with a truth
    assert (same.split_low, same.split_high) == (expected.low, expected.high)


def test_a_whole_split_and_its_first_samples_have_no_interval_of_the_split() -> None:
    samples = [Said(key="a"), Said(key="b", value=0.0), Said(key="c")]
    whole = result(*samples, total=3).metrics[0]
    assert (whole.split_low, whole.split_high) == (None, None)
    first = result(*samples, config=RunConfig(tasks=("parrot",), sample_order="first")).metrics[0]
    assert (first.split_low, first.split_high) == (None, None)
    assert first.low is not None


def test_a_single_cluster_has_a_mean_and_no_interval() -> None:
    worth = result(Said(key="a", cluster="x"), Said(key="b", cluster="x", value=0.0)).metrics[0]
    assert (worth.value, worth.low, worth.clusters) == (0.5, None, 1)


def test_chance_is_a_mean_and_is_given_only_when_every_sample_knows_it() -> None:
    known = result(Said(key="a", chance=0.25), Said(key="b", chance=0.75))
    assert [metric.chance for metric in known.metrics] == [0.5, None]
    assert result(Said(key="a", chance=0.25), Said(key="b")).metrics[0].chance is None


def test_groups_show_the_headline_metric_of_each_category() -> None:
    samples = [
        Said(key="a", groups={"size": "big", "hue": "red"}),
        Said(key="b", groups={"size": "small"}, value=0.0, said="?"),
        Said(key="c", groups={"size": "small"}),
    ]
    groups = result(*samples).groups
    assert {name: list(categories) for name, categories in groups.items()} == {"hue": ["red"], "size": ["big", "small"]}
    small = groups["size"]["small"]
    assert (small.name, small.value, small.count, small.unparsed) == ("worth", 0.5, 2, 1)


@pytest.mark.parametrize("values", [{}, {"worth": 1.0}, {"worth": 1.0, "length": 1.0, "more": 1.0}])
def test_a_score_of_other_metrics_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(
        KosmosEvalError, match=r"parrot@mini: expected the score of sample a to give \['length', 'worth'\]"
    ):
        score(Said(key="a"), task=Parrot(values=values))


def test_a_score_of_an_unlabelled_sample_is_refused() -> None:
    with pytest.raises(KosmosEvalError, match=r"expected the score of sample a to give \[\], got \['worth'\]"):
        score(Said(key="a", labelled=False), task=Parrot(values={"worth": 1.0}))


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_a_value_outside_its_bounds_is_refused_by_sample(value: float) -> None:
    with pytest.raises(KosmosEvalError, match=r"parrot@mini: expected worth of sample a to be from 0\.0 to 1\.0, got"):
        score(Said(key="a", value=value))


def test_a_record_holds_what_was_asked_and_what_came_back() -> None:
    _, (scored,) = score(Said(key="a", stop="length", groups={"size": "big"}), task=Parrot(weighs=True))
    record = scored.record
    assert [each.kind for each in record.exchanges] == ["Generate", "Score"]
    assert [each.prompt for each in record.exchanges] == ["yes|length|None", "which?"]
    assert record.exchanges[1].options == ("left a", "bb")
    assert record.raw == "bb"
    assert (record.answer, record.target, record.stop_reason) == ("yes", "yes", "length")
    assert record.content == scored.sample.content


WORTH = Metric("worth", "what the sample says")
LOSS = Metric("worth", "what the sample says", higher_is_better=False)


@pytest.mark.parametrize(("headline", "worst"), [(WORTH, [0, 1, 2, 3, 4]), (LOSS, [49, 48, 47, 46, 45])])
def test_a_showcase_keeps_the_worst_and_others_drawn_from_all(headline: Metric, worst: list[int]) -> None:
    _, scored = score(*(Said(key=f"item {number:02d}", value=number / 100) for number in range(50)))
    showcase, reverse = Showcase(headline, 10), Showcase(headline, 10)
    for one, other in zip(scored, scored[::-1], strict=True):
        showcase.add(one)
        reverse.add(other)
    keys = showcase.keys()
    assert keys == reverse.keys()
    assert len(set(keys)) == 10
    assert keys[:5] == tuple(f"item {number:02d}" for number in worst)
    assert any("item 10" < key < "item 40" for key in keys[5:])


@pytest.mark.parametrize("headline", [WORTH, LOSS])
def test_a_showcase_keeps_what_failed_before_the_worst(headline: Metric) -> None:
    samples = [Said(key=f"item {number:02d}", value=number / 100) for number in range(50)]
    _, scored = score(*samples, Said(key="failed", said="too much"))
    showcase = Showcase(headline, 10)
    for each in scored:
        showcase.add(each)
    assert showcase.keys()[0] == "failed"


def test_a_showcase_of_few_samples_keeps_all() -> None:
    _, scored = score(*(Said(key=f"item {number}") for number in range(7)))
    showcase = Showcase(WORTH, 10)
    for each in scored:
        showcase.add(each)
    assert sorted(showcase.keys()) == [f"item {number}" for number in range(7)]


def test_a_cell_without_metrics_of_the_corpus_is_not_read_before_its_samples_stream_by() -> None:
    cell, _ = score(Said(key="a"))
    nothing: Any = None
    assert score_whole(cell, nothing, nothing) == CorpusResults()


def test_values_become_plain_json_values() -> None:
    metric = Metric("m", "about")
    mixed = {1: (metric, MappingProxyType({"a": [None, True]}))}
    expected: dict[str, Any] = {"name": "m", "description": "about", "higher_is_better": True}
    expected |= {"lower": 0.0, "upper": 1.0, "corpus": False, "percent": True}
    assert plain(mixed) == {"1": [expected, {"a": [None, True]}]}
