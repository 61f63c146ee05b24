"""The samples that a page shows of a cell, and what is counted over all of them, in one pass over the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kosmos_eval.request import Failed, Generated, Scored, response_from_json
from kosmos_eval.table import NO_NUMBER, as_is, percent, shown

from .options import Options, build_options, nats
from .pictures import Piece, last_characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kosmos_eval.record import CellResult, Exchange, MarginSummary, MetricResult, SampleRecord

    from .pictures import Album

PROMPT_LIMIT = 6000
ANSWER_LIMIT = 4000

Verdict = Literal["right", "partly", "wrong", "unparsed", "failed", "unscored"]
_AMISS = frozenset({"wrong", "unparsed", "failed"})
_STOP = {"eos": "the model ended", "stop": "a stop text came", "length": "tokens ran out (truncated)"}
_GRID_COLUMNS = {3: 2, 4: 5, 8: 3}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what it stands for, as text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """A picture puzzle: the given pictures in rows, the last place open.

    Attributes:
        columns: pictures in a row.
        given: the pictures, in reading order.
    """

    columns: int
    given: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ExchangeView:
    """One request and its response.

    Attributes:
        title: what was asked of the model.
        pieces: the prompt's end.
        left_out: characters of the prompt before it, as text; empty when all of it is shown.
        written: what the model wrote; empty for `Score`.
        facts: about the response.
        options: for `Score`.
        matrix: for `Score`, when the request is a picture puzzle.
    """

    title: str
    pieces: tuple[Piece, ...]
    left_out: str
    written: str
    facts: tuple[Fact, ...]
    options: Options | None
    matrix: Matrix | None


@dataclass(frozen=True, slots=True)
class SampleView:
    """One sample.

    Attributes:
        key: the dataset's own id.
        verdict: how the list's metric judged it.
        value: of that metric, in percent or as it is.
        answer: as it was read, or `unparsed`, or `failed`.
        near_tie: whether float rounding could turn the answer.
        target: the truth.
        cover: the picture that stands for the sample in the list: the query's, which ends the prompt.
        exchanges: in order.
        facts: the rest.
    """

    key: str
    verdict: Verdict
    value: str
    answer: str
    near_tie: bool
    target: str
    cover: Piece | None
    exchanges: tuple[ExchangeView, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Margins:
    """How close the choices of a cell were, as text.

    Attributes:
        count: samples whose margin is known.
        median, threshold: in nats.
        near, exact: counts of near ties and of exact ones among them.
        near_share, exact_share: the same in percent of `count`.
    """

    count: str
    median: str
    threshold: str
    near: str
    near_share: str
    exact: str
    exact_share: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A way to list some of the samples only.

    Attributes:
        kind: `all`, `wrong`, `unparsed`, `failed` or `near-tie`, as the style sheet knows it.
        label: the same in words.
        count: of those among the samples shown.
    """

    kind: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class SamplesView:
    """The samples shown of a cell.

    Attributes:
        metric: that the samples are judged by, the first that they have values of; empty when there is no metric.
        unit: `%`, or nothing where that metric is shown as it is.
        shown: failed, wrong and unparsed ones first, each kind in the record's order.
        note: how many of how many, and how they were chosen.
        filters: all, wrong, unparsed; failed and near ties where there are any.
        margins: over all samples of the cell; `None` when no margin is known.
    """

    metric: str
    unit: str
    shown: tuple[SampleView, ...]
    note: str
    filters: tuple[Filter, ...]
    margins: Margins | None


def build_samples(cell: CellResult, samples: Iterable[SampleRecord], album: Album) -> SamplesView:
    """Return what a page shows of a cell's samples, holding no more of them at a time than it shows.

    Args:
        cell: says which samples are shown.
        samples: all of the cell's, in the record's order.
        album: where pictures come from.
    """
    chosen = frozenset(cell.shown)
    listed: list[SampleRecord] = []
    total = 0
    for sample in samples:
        total += 1
        if sample.key in chosen:
            listed.append(sample)
    judge = _judge(cell.metrics, listed)
    listed.sort(key=lambda sample: verdict(sample, judge) not in _AMISS)
    views = tuple(_sample(sample, judge, cell.metrics, album) for sample in listed)
    return SamplesView(
        metric=judge.name if judge else "",
        unit="%" if judge and judge.percent else "",
        shown=views,
        note=_note(len(listed), total, "failed, wrong and unparsed" if cell.failed else "wrong and unparsed"),
        filters=_filters(views),
        margins=_margins(cell.margins) if cell.margins and cell.margins.count else None,
    )


def _judge(metrics: Sequence[MetricResult], samples: Sequence[SampleRecord]) -> MetricResult | None:
    """Return the first metric that single samples have values of; the headline if there is none."""
    known = {name for sample in samples for name in sample.values}
    return next((metric for metric in metrics if metric.name in known), metrics[0] if metrics else None)


def _filters(views: Sequence[SampleView]) -> tuple[Filter, ...]:
    kinds = [view.verdict for view in views]
    always = [Filter("all", "all", len(views))]
    always += [Filter(kind, kind, kinds.count(kind)) for kind in ("wrong", "unparsed")]
    others = [
        Filter("failed", "failed", kinds.count("failed")),
        Filter("near-tie", "near ties", sum(view.near_tie for view in views)),
    ]
    return (*always, *(each for each in others if each.count))


def verdict(sample: SampleRecord, metric: MetricResult | None) -> Verdict:
    """Return how a metric judged a sample: right at the best possible value, wrong at the worst.

    A sample that the model could not take has failed. One whose values lack the metric (it is unlabelled, or the
    metric is over the whole set) is unscored.
    """
    if sample.failed is not None:
        return "failed"
    if sample.answer is None:
        return "unparsed"
    value = sample.values.get(metric.name) if metric else None
    if value is None or metric is None:
        return "unscored"
    above = metric.upper is not None and value >= metric.upper
    below = metric.lower is not None and value <= metric.lower
    best, worst = (above, below) if metric.higher_is_better else (below, above)
    return "right" if best else "wrong" if worst else "partly"


def _note(shown: int, total: int, first: str) -> str:
    if shown == total:
        return f"All {total:,} samples, {first} ones first."
    return f"{shown:,} of {total:,} samples: some that scored lowest, and some drawn from all; {first} first."


def _margins(summary: MarginSummary) -> Margins:
    return Margins(
        count=f"{summary.count:,}",
        median=nats(summary.median),
        threshold=f"{summary.threshold:g}",
        near=f"{summary.near_ties:,}",
        near_share=percent(summary.near_tie_share),
        exact=f"{summary.exact_ties:,}",
        exact_share=percent(summary.exact_ties / summary.count),
    )


def _sample(
    sample: SampleRecord, judge: MetricResult | None, metrics: Sequence[MetricResult], album: Album
) -> SampleView:
    judged = verdict(sample, judge)
    exchanges = tuple(
        _exchange(exchange, sample, album, correct=judged == "right" and exchange is sample.exchanges[-1])
        for exchange in sample.exchanges
    )
    value = sample.values.get(judge.name) if judge else None
    as_they_are = {metric.name for metric in metrics if not metric.percent}
    facts = [
        Fact("key", sample.key),
        Fact("raw answer", _shortened(sample.raw)),
        Fact("extracted answer", NO_NUMBER if sample.answer is None else _shortened(sample.answer)),
        Fact("target", sample.target or NO_NUMBER),
        *(
            Fact(name, as_is(number)) if name in as_they_are else Fact(f"{name}, %", percent(number))
            for name, number in sample.values.items()
        ),
        Fact("margin, nats", f"{nats(sample.margin)}{', a near tie' if sample.near_tie else ''}"),
        Fact("stop reason", _stop(sample.stop_reason)),
        Fact("explanation", sample.explanation or NO_NUMBER),
        *(Fact(name, category) for name, category in sample.groups.items()),
        Fact("exemplars", ", ".join(sample.exemplars) or "none"),
        Fact("cluster", sample.cluster or "alone"),
        Fact("content", sample.content[:16]),
    ]
    return SampleView(
        key=sample.key,
        verdict=judged,
        value=NO_NUMBER if value is None or judge is None else shown(value, judge),
        answer=judged if sample.answer is None else _shortened(sample.answer),
        near_tie=sample.near_tie is True,
        target=sample.target,
        cover=_cover(sample.exchanges, len(sample.exemplars), album),
        exchanges=exchanges,
        facts=tuple(facts),
    )


def _cover(exchanges: Sequence[Exchange], shots: int, album: Album) -> Piece | None:
    for exchange in exchanges:
        shown = exchange.images or tuple(digest for images in exchange.option_images for digest in images)
        if shown:
            return album.piece(shown[-1], small=not _subject(exchange, shots))
    return None


def _exchange(exchange: Exchange, sample: SampleRecord, album: Album, *, correct: bool) -> ExchangeView:
    subject = _subject(exchange, len(sample.exemplars))
    pieces, left_out = last_characters(album.pieces(exchange.prompt, exchange.images, subject), PROMPT_LIMIT)
    response = response_from_json(exchange.response)
    written, options, matrix = "", None, None
    facts: list[Fact] = []
    match response:
        case Generated():
            written = _shortened(response.text)
            facts = [Fact("tokens", f"{len(response.tokens):,}"), Fact("stopped", _stop(response.stop_reason))]
        case Scored():
            options = build_options(exchange, response, sample, album, correct=correct)
            matrix = _matrix(exchange, len(sample.exemplars), album)
        case Failed():
            facts = [Fact("failed", response.reason)]
    return ExchangeView(
        title="Continue" if exchange.kind == "Generate" else "Weigh the options",
        pieces=pieces,
        left_out=f"{left_out:,}" if left_out else "",
        written=written,
        facts=tuple(facts),
        options=options,
        matrix=matrix,
    )


def _subject(exchange: Exchange, shots: int) -> tuple[str, ...]:
    """Return the images that the question is about: the last ones of a prompt, unless they are a puzzle's many."""
    count = len(exchange.images) // (shots + 1)
    return exchange.images[-count:] if 0 < count < min(_GRID_COLUMNS) else ()


def _matrix(exchange: Exchange, shots: int, album: Album) -> Matrix | None:
    """Return the puzzle that a request is: 3, 4 or 8 pictures, and a picture of its own in every option.

    With exemplars before it, each a solved puzzle of one picture more, the query's pictures are the last ones.
    """
    if len(exchange.options) < 2 or any(len(images) != 1 for images in exchange.option_images):  # noqa: PLR2004  a choice
        return None
    given, rest = divmod(len(exchange.images) - shots, shots + 1)
    if rest or given not in _GRID_COLUMNS:
        return None
    return Matrix(_GRID_COLUMNS[given], tuple(album.piece(digest, small=True) for digest in exchange.images[-given:]))


def _stop(reason: str | None) -> str:
    return NO_NUMBER if reason is None else _STOP.get(reason, reason)


def _shortened(text: str) -> str:
    left_out = len(text) - ANSWER_LIMIT
    return text if left_out <= 0 else f"{text[:ANSWER_LIMIT]} … {left_out:,} more characters"
