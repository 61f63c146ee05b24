"""Proofs of scores: the best answers earn full marks, no answer nothing, and places of options mean nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kosmos_eval.corpus_scoring import score_corpus
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.request import Generate
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Shuffles

from .oracle import ByContent, Perfect, Wrong, empty
from .subject import FaultError, NotProvable, asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kosmos_eval.plan import Cell
    from kosmos_eval.task import Metric, Score

    from .oracle import Script
    from .subject import Asked, Subject

SHIFTS = 7
"""How many wrong options are tried of each sample."""

_ROUNDING = 1e-9
_PRINTED = 1e-6
"""Official programs print so many digits."""


def prove_gold(subject: Subject) -> str:
    """Prove that a perfect model earns full marks, at every shot count, or at least more than one that says nothing."""
    beside: dict[str, None] = {}
    for cell in subject.cells:
        values = _values(subject, cell, subject.perfect(cell))
        lacking = _short_of_full(subject, cell, values)
        for name, (place, fault) in lacking.items():
            if f"gold.{name}" not in subject.exempt:
                raise FaultError(place, fault)
            beside[f"{name}: {subject.exempt[f'gold.{name}']}"] = None
        if lacking and cell is subject.cell:
            nothing = _values(subject, cell, asked(cell, subject.labelled, empty))
            _prove_better(subject, {name: values[name] for name in lacking}, nothing)
    others = f"; not full: {'; '.join(beside)}" if beside else ""
    return f"{len(subject.labelled)} samples: the best answers earn full marks{others}"


def _values(subject: Subject, cell: Cell, found: Sequence[Asked]) -> dict[str, float | None]:
    """Return every metric over what was asked; `None` where one cannot be computed."""
    means = {metric.name: fmean(each.score.values[metric.name] for each in found) for metric in subject.means}
    if len(means) == len(subject.task.metrics):
        return dict(means)
    whole = score_corpus(cell, [(each.sample, each.score) for each in found]).whole
    return {**means, **{name: measured.estimate.value for name, measured in whole.items()}}


def _prove_better(subject: Subject, best: Mapping[str, float | None], nothing: Mapping[str, float | None]) -> None:
    """Raise `FaultError` unless the best answers earn more than none by the metrics whose bounds they do not reach."""
    better = {metric.name: metric.higher_is_better for metric in subject.task.metrics}
    for name, value in best.items():
        other = nothing[name]
        if value is not None and other is not None and not (value > other if better[name] else value < other):
            said = f"expected {name} of the best answers to be better than of none, got {value} and {other}"
            raise FaultError(subject.cell.name, said)


def _short_of_full(subject: Subject, cell: Cell, values: Mapping[str, float | None]) -> dict[str, tuple[str, str]]:
    """Return metric to the first place where it falls short of its bound, and how, of those that could be computed."""
    lacking: dict[str, tuple[str, str]] = {}
    for metric in subject.means:
        best = _best(metric)
        for each in subject.perfect(cell):
            value = each.score.values[metric.name]
            if abs(value - best) > _ROUNDING:
                place = f"sample {each.sample.key}, {cell.shots}-shot"
                said = f"expected {metric.name} of the best answer to be {best}, got {value}"
                lacking.setdefault(metric.name, (place, f"{said} ({each.score.explanation})"))
    for metric in subject.task.metrics:
        got, best = values[metric.name], _best(metric)
        if metric.corpus and got is not None and abs(got - best) > _PRINTED:
            lacking[metric.name] = (cell.name, f"expected {metric.name} of the best answers to be {best}, got {got}")
    return lacking


def _best(metric: Metric) -> float:
    return metric.upper if metric.higher_is_better else metric.lower


def prove_empty(subject: Subject) -> str:
    """Prove that saying nothing is unparsed or earns nothing."""
    worst = {metric.name: metric.lower if metric.higher_is_better else metric.upper for metric in subject.means}
    for each in asked(subject.cell, subject.labelled, empty):
        over = {name: value for name, value in each.score.values.items() if abs(value - worst[name]) > _ROUNDING}
        if each.score.answer is not None and (over or not worst):
            place = f"sample {each.sample.key}"
            fault = f"expected no answer to be unparsed or to earn nothing, it is read as {each.score.answer!r}"
            raise FaultError(place, f"{fault} and earns {over or 'what the corpus gives it'}")
    return f"{len(subject.labelled)} samples: no answer is unparsed or earns nothing"


def prove_options(subject: Subject) -> str:
    """Prove that only the best option earns the best score, and that the order of options does not matter."""
    found = [each for each in subject.perfect(subject.cell) if _options(each)]
    if not found:
        message = "no options are compared"
        raise NotProvable(message)
    if subject.means:
        _prove_wrong_ones_lose(subject, found)
    tried = f"{len(found)} samples: wrong options earn less"
    if not isinstance(subject.task, Shuffles):
        return f"{tried}; their order is the task's own"
    bare = replace(subject.cell, pool=ExemplarPool[Any](()), shots=0)
    script = ByContent(subject.provable)
    orders = [[*range(1, _options(each), 2), *range(0, _options(each), 2)] for each in found]
    shuffled = [subject.task.shuffled(each.sample, order) for each, order in zip(found, orders, strict=True)]
    kept = asked(bare, [each.sample for each in found], script)
    for before, after in zip(kept, asked(bare, shuffled, script), strict=True):
        was, now = dict(before.score.values), dict(after.score.values)
        if was != now:
            place = f"sample {before.sample.key}"
            raise FaultError(place, f"expected its score to stay when the options are shuffled, got {now} after {was}")
    return f"{tried}, in whatever order they stand"


def _options(each: Asked) -> int:
    """Return the largest number of options that a sample chooses from, 0 for none."""
    compared = [len(request.continuations) for request in each.requests if isinstance(request, ScoreRequest)]
    allowed = [len(request.constraint or ()) for request in each.requests if isinstance(request, Generate)]
    return max(compared + allowed, default=0)


def _prove_wrong_ones_lose(subject: Subject, found: Sequence[Asked]) -> None:
    samples = [each.sample for each in found]
    for shift in range(1, min(max(map(_options, found)) - 1, SHIFTS) + 1):
        for best, worse in zip(found, asked(subject.cell, samples, Wrong(subject.provable, shift)), strict=True):
            if _options(best) > shift and not _less(subject.means, worse.score, best.score):
                place = f"sample {best.sample.key}"
                got = f"got {dict(worse.score.values)} and for the best {dict(best.score.values)}"
                raise FaultError(place, f"expected the option {shift} after the best to earn less, {got}")


def _less(metrics: Iterable[Metric], one: Score, other: Score) -> bool:
    """Return whether a score is worse than another by one metric and better by none."""
    sign = {metric.name: 1 if metric.higher_is_better else -1 for metric in metrics}
    gaps = [sign[name] * (other.values[name] - value) for name, value in one.values.items()]
    return max(gaps) > 0 and min(gaps) >= 0


def prove_bounds(subject: Subject) -> str:
    """Prove that scores give every metric that a sample has, within its bounds, whatever is answered."""
    scripts: Mapping[str, Script] = {"best": Perfect(subject.provable), "no": empty, "any": ByContent(subject.provable)}
    means = {metric.name: metric for metric in subject.means}
    for name, script in scripts.items():
        for each in asked(subject.cell, subject.labelled, script):
            place = f"sample {each.sample.key}, {name} answer"
            if each.score.values.keys() != means.keys():
                raise FaultError(place, f"expected values of {sorted(means)}, got {sorted(each.score.values)}")
            for metric in means.values():
                value = each.score.values[metric.name]
                if not (math.isfinite(value) and metric.lower <= value <= metric.upper):
                    bounds = f"from {metric.lower} to {metric.upper}"
                    raise FaultError(place, f"expected {metric.name} to be {bounds}, got {value}")
    return f"{len(subject.labelled)} samples: every metric within its bounds, for the best, no and any answer"
