"""Scores the metrics of a cell that belong to all of its samples together, with their intervals and categories."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

from kosmos_eval.ask import about
from kosmos_eval.corpus import part_of
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.metrics.forms import kept
from kosmos_eval.statistics.bootstrap import Bounded, bootstrap_intervals
from kosmos_eval.statistics.intervals import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.corpus import CorpusScore, Floats
    from kosmos_eval.plan import Cell
    from kosmos_eval.task import CorpusScored, Metric, Sample, Score

_ROUNDING = 1e-6
"""A sample's own value may lie outside the bounds by what an official program's printed digits leave open."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric over a set of samples.

    Attributes:
        estimate: its value and interval.
        unavailable: why there is none and how to get it; empty when there is nothing in the way.
        made_with: what computed it, where that is a choice.
    """

    estimate: Estimate
    unavailable: str = ""
    made_with: str = ""


@dataclass(frozen=True, slots=True)
class KeptSamples:
    """What a record holds of a corpus metric.

    Attributes:
        form: how the metric follows from the statistics, by its name in `kosmos_eval.metrics.forms`; empty where the
            form is the task's own, which no record can hold, or where there is no metric.
        statistics: sample key to what the sample adds.
    """

    form: str = ""
    statistics: Mapping[str, Sequence[float]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class CorpusResults:
    """What the corpus metrics of a cell came to; empty for a cell that has none.

    Attributes:
        whole: metric name to what it is over all samples.
        groups: breakdown and category to the headline metric over that category, where the headline is of the corpus.
        own: metric name to the values that samples have of their own, by the samples' keys.
        kept: metric name to what it is made of, for those that a record can hold.
    """

    whole: Mapping[str, Measured] = field(default_factory=lambda: MappingProxyType({}))
    groups: Mapping[tuple[str, str], Measured] = field(default_factory=lambda: MappingProxyType({}))
    own: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    kept: Mapping[str, KeptSamples] = field(default_factory=lambda: MappingProxyType({}))

    def values_of(self, key: str) -> dict[str, float]:
        """Return a sample's own values, metric name to value."""
        return {name: values[key] for name, values in self.own.items() if key in values}

    def guide(self, metrics: Sequence[Metric]) -> Metric:
        """Return the first metric by which single samples can be told apart; the headline if there is none."""
        return next((each for each in metrics if not each.corpus or self.own.get(each.name)), metrics[0])


def score_corpus(cell: Cell, answered: Sequence[tuple[Sample, Score]]) -> CorpusResults:
    """Return what a cell's corpus metrics come to over its labelled, answered samples; empty without any.

    Raises:
        KosmosEvalError: the task gives other metrics than it declares, or a value outside its bounds.
    """
    metrics = {metric.name: metric for metric in cell.task.metrics if metric.corpus}
    if not answered:
        return CorpusResults()
    with about(f"{cell.name}, the metrics of all samples"):
        scores = dict(cast("CorpusScored", cell.task).score_corpus(answered))
    _check(cell, metrics, scores, len(answered))
    samples = [sample for sample, _ in answered]
    headline = cell.task.metrics[0]
    return CorpusResults(
        whole=_over(cell, metrics, scores, samples),
        groups=_by_category(cell, headline, scores[headline.name], samples) if headline.corpus else {},
        own={
            name: _own_values(cell, metrics[name], score.own, samples)
            for name, score in scores.items()
            if score.own is not None
        },
        kept={name: _kept(score, samples) for name, score in scores.items()},
    )


def _check(cell: Cell, metrics: Mapping[str, Metric], scores: Mapping[str, CorpusScore], count: int) -> None:
    if scores.keys() != metrics.keys():
        message = f"{cell.label}: expected score_corpus to give {sorted(metrics)}, got {sorted(scores)}"
        raise KosmosEvalError(message)
    for name, score in scores.items():
        counts = {len(score.own)} if score.own is not None else set()
        if score.weighed is not None:
            counts.add(score.weighed.count)
        elif not score.unavailable:
            message = f"{cell.label}: expected score_corpus to give {name} or to say why it is unavailable"
            raise KosmosEvalError(message)
        if counts - {count}:
            message = f"{cell.label}: expected {name} of {count} samples, got {sorted(counts)}"
            raise KosmosEvalError(message)


def _over(
    cell: Cell, metrics: Mapping[str, Metric], scores: Mapping[str, CorpusScore], samples: Sequence[Sample]
) -> dict[str, Measured]:
    """Return metrics over the same samples, those that could be computed with intervals from the same draws."""
    bounded = {
        name: Bounded(score.weighed, metrics[name].lower, metrics[name].upper)
        for name, score in scores.items()
        if score.weighed is not None
    }
    clusters = [sample.cluster or f"sample {sample.key}" for sample in samples]
    try:
        estimates = dict(zip(bounded, bootstrap_intervals(tuple(bounded.values()), clusters), strict=True))
    except ValueError as error:
        message = f"{cell.label}, {', '.join(bounded)}: {error}"
        raise KosmosEvalError(message) from error
    return {
        name: Measured(estimates[name], made_with=score.made_with)
        if name in estimates
        else Measured(_alone(score, clusters), score.unavailable, score.made_with)
        for name, score in scores.items()
    }


def _alone(score: CorpusScore, clusters: Sequence[str]) -> Estimate:
    """Return a metric without an interval, or that there is none."""
    if score.alone is None:
        return Estimate(None, None, None, None, 0, 0)
    return Estimate(score.alone, None, None, None, len(clusters), len(set(clusters)))


def _by_category(
    cell: Cell, headline: Metric, score: CorpusScore, samples: Sequence[Sample]
) -> dict[tuple[str, str], Measured]:
    members: dict[tuple[str, str], list[int]] = {}
    for place, sample in enumerate(samples):
        for category in sample.groups.items():
            members.setdefault(category, []).append(place)
    results = {}
    for category, places in members.items():
        part = replace(score, weighed=score.weighed and part_of(score.weighed, np.array(places)), own=None, alone=None)
        inside = [samples[place] for place in places]
        results[category] = _over(cell, {headline.name: headline}, {headline.name: part}, inside)[headline.name]
    return results


def _kept(score: CorpusScore, samples: Sequence[Sample]) -> KeptSamples:
    held = None if score.weighed is None else kept(score.weighed)
    if held is None:
        return KeptSamples()
    keys = (sample.key for sample in samples)
    return KeptSamples(held.form, dict(zip(keys, held.statistics.tolist(), strict=True)))


def _own_values(cell: Cell, metric: Metric, own: Floats, samples: Sequence[Sample]) -> dict[str, float]:
    """Return key to own value of the samples that have one, rounding errors outside the bounds cut off."""
    values: dict[str, float] = {}
    for sample, value in zip(samples, own.tolist(), strict=True):
        if np.isnan(value):
            continue
        if not (np.isfinite(value) and metric.lower - _ROUNDING <= value <= metric.upper + _ROUNDING):
            bounds = f"from {metric.lower} to {metric.upper}"
            message = f"{cell.label}: expected {metric.name} of sample {sample.key} to be {bounds}, got {value}"
            raise KosmosEvalError(message)
        values[sample.key] = min(max(value, metric.lower), metric.upper)
    return values
