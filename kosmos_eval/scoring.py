"""From recorded responses to scores, sample records and summaries; no model is needed, so scores can be made again."""

from __future__ import annotations

import hashlib
import math
from bisect import insort
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kosmos_eval.ask import about, recorded_of, replay
from kosmos_eval.corpus_scoring import CorpusResults, Measured, score_corpus
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.margins import is_near_tie, sample_margin, summarise_margins
from kosmos_eval.record import CellResult, Exchange, MetricResult, SampleRecord
from kosmos_eval.request import Generated, Score, request_digest, response_to_json
from kosmos_eval.statistics.intervals import mean_interval
from kosmos_eval.task import Score as SampleScore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kosmos_eval.ask import Replayed
    from kosmos_eval.journal import Answers, JournalReader
    from kosmos_eval.plan import Cell, Unit
    from kosmos_eval.request import Failed, Request, Response
    from kosmos_eval.task import Metric, Sample
    from kosmos_eval.verdicts import Stopped

SHOWN_SAMPLES = 60

NAMED_FAILURES = 20
"""How many failed samples of a cell `results.json` names; the others are among the samples."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A sample with its score, and the record of both; a failed sample's score is empty."""

    sample: Sample
    score: SampleScore
    record: SampleRecord


def score_cell(
    cell: Cell, units: Iterable[Unit], journal: Answers, corpus: CorpusResults | None = None
) -> Iterator[Scored]:
    """Yield every sample of a cell, scored unless it failed, in the plan's order; one unit is in memory at a time.

    Args:
        cell: that is scored.
        units: of the cell.
        journal: with the responses.
        corpus: what the corpus metrics came to; samples take their own values from it.

    Raises:
        DataError: the journal lacks a sample, or the task now asks something else.
    """
    for sample, exemplars, replayed, score in _replayed(cell, units, journal):
        whole = _with_own_values(cell, sample, score, corpus) if corpus else score
        yield Scored(sample, whole, _record(sample, exemplars, replayed, whole, cell.config.dtype))


def _with_own_values(cell: Cell, sample: Sample, score: SampleScore, corpus: CorpusResults) -> SampleScore:
    values = {**score.values, **corpus.values_of(sample.key)}
    return replace(score, values={each.name: values[each.name] for each in cell.task.metrics if each.name in values})


def score_whole(cell: Cell, units: Iterable[Unit], journal: JournalReader) -> CorpusResults:
    """Return what the metrics of all of a cell's samples together come to; nothing is read for a cell without any.

    Only the samples and their scores are in memory, and their records are made when they stream by once more.

    Raises:
        DataError: the journal lacks a sample, or the task now asks something else.
        KosmosEvalError: the task gives other metrics than it declares, or a value outside its bounds.
    """
    if not any(metric.corpus for metric in cell.task.metrics):
        return CorpusResults()
    scores = _replayed(cell, units, journal)
    answered = [(sample, score) for sample, _, replayed, score in scores if sample.labelled and not replayed.failed]
    return score_corpus(cell, answered)


def _replayed(
    cell: Cell, units: Iterable[Unit], journal: Answers
) -> Iterator[tuple[Sample, tuple[Sample, ...], Replayed, SampleScore]]:
    for unit in units:
        answers = journal.unit(unit.id)
        for key in unit.keys:
            sample = cell.samples[key]
            exemplars = cell.exemplars(sample)
            with about(f"{cell.name}, sample {key}"):
                replayed = replay(cell, sample, exemplars, recorded_of(answers, key, cell))
                if replayed.failed is not None:
                    score = SampleScore({}, None, explanation="the model could not take the request")
                else:
                    score = cell.task.score(sample, replayed.answer)
                    _check(cell, sample, score)
            yield sample, exemplars, replayed, score


def _check(cell: Cell, sample: Sample, score: SampleScore) -> None:
    means = [metric for metric in cell.task.metrics if sample.labelled and not metric.corpus]
    if set(score.values) != {metric.name for metric in means}:
        expected, got = sorted(metric.name for metric in means), sorted(score.values)
        message = f"{cell.label}: expected the score of sample {sample.key} to give {expected}, got {got}"
        raise KosmosEvalError(message)
    for metric in means:
        value = score.values[metric.name]
        if not (math.isfinite(value) and metric.lower <= value <= metric.upper):
            bounds = f"from {metric.lower} to {metric.upper}"
            message = f"{cell.label}: expected {metric.name} of sample {sample.key} to be {bounds}, got {value}"
            raise KosmosEvalError(message)


def _record(
    sample: Sample, exemplars: Iterable[Sample], replayed: Replayed, score: SampleScore, dtype: str
) -> SampleRecord:
    failed = replayed.failed
    responses = replayed.responses if failed is None else (*replayed.responses, failed)
    exchanges = tuple(map(_exchange, replayed.requests, responses))
    written = [each.stop_reason for each in replayed.responses if isinstance(each, Generated)]
    margin = None if failed else sample_margin(replayed.requests, replayed.responses, score.margin)
    return SampleRecord(
        key=sample.key,
        content=sample.content,
        cluster=sample.cluster,
        groups=dict(sample.groups),
        exemplars=tuple(each.key for each in exemplars),
        exchanges=exchanges,
        raw="" if failed else _raw(exchanges[-1], replayed.responses[-1]),
        answer=score.answer,
        target=score.target,
        values=dict(score.values),
        margin=margin,
        stop_reason=written[-1] if written else None,
        explanation=score.explanation,
        failed=failed.reason if failed else None,
        near_tie=is_near_tie(margin, dtype),
        asked=request_digest(replayed.requests[0]),
    )


def _exchange(request: Request, response: Response | Failed) -> Exchange:
    candidates = request.continuations if isinstance(request, Score) else ()
    return Exchange(
        kind=type(request).__name__,
        prompt=request.prompt.text(digests=True),
        images=tuple(image.digest for image in request.prompt.images),
        options=tuple(f"{each.lead.text(digests=True)} {each.text.strip()}".strip() for each in candidates),
        option_images=tuple(tuple(image.digest for image in each.lead.images) for each in candidates),
        response=response_to_json(response),
    )


def _raw(exchange: Exchange, response: Response) -> str:
    if isinstance(response, Generated):
        return response.text
    totals = [each.total for each in response.continuations]
    return exchange.options[totals.index(max(totals))]


@dataclass
class Tally:
    """The numbers of a cell as its samples stream by.

    Attributes:
        values: metric name to one value a scored sample; metrics of the whole corpus have none.
        clusters: one a scored sample, in the same order; a sample that stands alone is its own.
        chances: of the headline metric, where a sample knows its own.
        margins: of the samples that have one.
        unparsed, truncated, unlabelled, failed: counts; a failed sample is in none of the others but unlabelled.
        failures: keys of the first failed samples, with the reason.
        groups: breakdown and category to the tally of that category.
        asked: all samples.
    """

    metrics: tuple[Metric, ...]
    values: dict[str, list[float]] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    unparsed: int = 0
    truncated: int = 0
    unlabelled: int = 0
    failed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    groups: dict[tuple[str, str], Tally] = field(default_factory=dict)
    asked: int = 0

    def add(self, scored: Scored) -> None:
        """Count a sample, for the whole and for each of its categories."""
        self.count(scored)
        for breakdown, category in scored.sample.groups.items():
            self.groups.setdefault((breakdown, category), Tally(self.metrics[:1])).count(scored)

    def count(self, scored: Scored) -> None:
        """Count a sample for the whole only."""
        self.asked += 1
        if scored.record.failed is not None:
            self.failed += 1
            self.unlabelled += not scored.sample.labelled
            if len(self.failures) < NAMED_FAILURES:
                self.failures[scored.sample.key] = scored.record.failed
            return
        if scored.record.margin is not None:
            self.margins.append(scored.record.margin)
        self.unparsed += scored.score.answer is None
        self.truncated += any(each.response.get("stop_reason") == "length" for each in scored.record.exchanges)
        if not scored.sample.labelled:
            self.unlabelled += 1
            return
        for metric in self.metrics:
            if not metric.corpus:
                self.values.setdefault(metric.name, []).append(scored.score.values[metric.name])
        self.clusters.append(scored.sample.cluster or f"sample {scored.sample.key}")
        if scored.sample.chance is not None:
            self.chances.append(scored.sample.chance)

    def result(self, metric: Metric, measured: Measured | None = None, population: int | None = None) -> MetricResult:
        """Return a metric's value over what was counted, with its interval.

        Args:
            metric: one of the tally's.
            measured: what it came to, for a metric of the whole corpus; others are the mean of what was counted.
            population: how many samples there are to score in the split of which these were drawn at random.
        """
        split = None
        if measured is None:
            values = self.values.get(metric.name, [])
            clusters = self.clusters if values else []
            measured = Measured(mean_interval(values, clusters, lower=metric.lower, upper=metric.upper))
            if values and population is not None:
                split = mean_interval(values, clusters, lower=metric.lower, upper=metric.upper, population=population)
        estimate = measured.estimate
        known = metric is self.metrics[0] and len(self.chances) == len(self.clusters) > 0
        return MetricResult(
            name=metric.name,
            value=estimate.value,
            low=estimate.low,
            high=estimate.high,
            stderr=estimate.stderr,
            count=estimate.count,
            clusters=estimate.clusters,
            unparsed=self.unparsed,
            truncated=self.truncated,
            chance=mean_interval(self.chances, self.clusters).value if known else None,
            higher_is_better=metric.higher_is_better,
            failed=self.failed,
            lower=_finite(metric.lower),
            upper=_finite(metric.upper),
            percent=metric.percent,
            interval=estimate.method,
            unavailable=measured.unavailable,
            made_with=measured.made_with,
            split_low=None if split is None else split.low,
            split_high=None if split is None else split.high,
        )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def summarise(
    cell: Cell,
    tally: Tally,
    shown: tuple[str, ...],
    corpus: CorpusResults | None = None,
    stopped: Stopped | None = None,
) -> CellResult:
    """Return a cell's results from its tally, with the keys of the samples that reports show.

    Args:
        cell: that was asked.
        tally: of its samples.
        shown: keys of samples.
        corpus: what its corpus metrics came to.
        stopped: why a gate ended it early; `None` if it did not.
    """
    corpus = corpus or CorpusResults()
    headline = cell.task.metrics[0]
    population = _population(cell, tally) if stopped is None else None  # when to stop was no draw
    groups: dict[str, dict[str, MetricResult]] = {}
    for (breakdown, category), part in sorted(tally.groups.items()):
        measured = corpus.groups.get((breakdown, category))
        groups.setdefault(breakdown, {})[category] = part.result(headline, measured)
    return CellResult(
        task=cell.label,
        shots=cell.shots,
        version=cell.task.version,
        split=cell.task.split,
        metrics=tuple(tally.result(each, corpus.whole.get(each.name), population) for each in cell.task.metrics),
        groups=groups,
        samples=tally.asked if stopped else len(cell.samples),
        total=cell.total,
        unlabelled=tally.unlabelled,
        settings=asdict(cell.task),  # type: ignore[call-overload]  # a task is a dataclass: plugins.py checks it
        fingerprints=cell.fingerprints,
        shown=shown,
        failed=tally.failed,
        failures=tally.failures,
        margins=summarise_margins(tally.margins, cell.config.dtype),
        trial=cell.trial,
        exemplar_seed=cell.exemplar_seed,
        control=cell.control,
        stopped=stopped,
    )


def _population(cell: Cell, tally: Tally) -> int | None:
    """Return how many samples of the split can be scored, by their share of the drawn ones; `None` without a draw."""
    if len(cell.samples) == cell.total or cell.config.sample_order != "random":
        return None
    return round(cell.total * len(tally.clusters) / len(cell.samples))


class Showcase:
    """Keeps the samples that a report shows: half those that failed or scored worst, half drawn by hash from all."""

    def __init__(self, metric: Metric, limit: int = SHOWN_SAMPLES) -> None:
        """Keep at most so many, the worst by a metric that samples have values of."""
        self._metric = metric
        self._half = limit // 2
        self._worst: list[tuple[float, str]] = []
        self._drawn: list[tuple[str, str]] = []

    def add(self, scored: Scored) -> None:
        """Consider a sample."""
        key = scored.sample.key
        better = self._metric.higher_is_better
        worth = scored.score.values.get(self._metric.name, self._metric.upper if better else self._metric.lower)
        if scored.record.failed is not None:
            worth = -math.inf
        elif not better:
            worth = -worth
        insort(self._worst, (worth, key))
        insort(self._drawn, (hashlib.sha256(key.encode()).hexdigest(), key))
        del self._worst[self._half :], self._drawn[2 * self._half :]

    def keys(self) -> tuple[str, ...]:
        """Return the keys of the kept samples: the worst, then the drawn ones that are not among them."""
        worst = [key for _, key in self._worst]
        others = [key for _, key in self._drawn if key not in worst]
        return (*worst, *others[: self._half])


def group_by_cell(units: Iterable[Unit]) -> Mapping[str, list[Unit]]:
    """Return cell name to its units, in their order."""
    cells: dict[str, list[Unit]] = {}
    for unit in units:
        cells.setdefault(unit.cell, []).append(unit)
    return cells


def outermost(value: Any) -> dict[str, Any]:  # noqa: ANN401  what JSON does not know has no type
    """Return a dataclass or mapping as a dictionary, what is inside as it is: for `json.dumps`'s `default`."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return dict(value)


def plain(value: Any) -> Any:  # noqa: ANN401  JSON values have no narrower type
    """Return a dataclass or mapping as JSON-ready values: tuples as lists, keys as text."""
    match value:
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        case _ if hasattr(value, "items"):
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            return value
