"""lm-eval's metrics of a whole task, as functions of how often each sample counts.

lm-eval makes a number of a list with one item a document. Where the number follows from sums over the documents
(means, perplexities, F1, Matthews' correlation), each sample's part of the sums is kept: weights of 1 give lm-eval's
number, and drawn weights its interval. Of any other function only the number itself is known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kosmos_eval.corpus import CorpusScore, Summed
from kosmos_eval.metrics.forms import EXP_RATIO, MATTHEWS, RATIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kosmos_eval.corpus import Floats

MISSING = object()
"""In place of the item of a document that lm-eval's code gives none for."""

_BINARY = (0, 1)
_OF_VALUES = ("mean", "nanmean", "median")
"""Aggregations whose items are values of the metric itself."""


def corpus_score(aggregate: Callable[[Sequence[Any]], Any], items: Sequence[object]) -> CorpusScore:
    """Return a metric over the samples, as lm-eval's aggregation makes it of their items.

    Args:
        aggregate: lm-eval's function, or a task's own.
        items: one a sample; `MISSING` where lm-eval's code gives none, which is in no sum.
    """
    held = [place for place, item in enumerate(items) if item is not MISSING]
    if not held:
        return CorpusScore(None, unavailable="lm-eval's code gives no sample a value")
    name = aggregation_name(aggregate)
    given = [items[place] for place in held]
    own = _own(items) if name in _OF_VALUES else None
    parts = _SUMS[name](given) if name in _SUMS else None
    if parts is None:
        return _alone(aggregate, name, given, own)
    form, statistics = parts
    whole = np.zeros((len(items), statistics.shape[1]))
    whole[held] = statistics
    return CorpusScore(Summed(whole, form), own=own)


def aggregation_name(aggregate: Callable[..., Any]) -> str:
    """Return lm-eval's name of an aggregation; for a task's own, that of its function."""
    from lm_eval.api.registry import AGGREGATION_REGISTRY  # noqa: PLC0415  lm-eval takes a second to import

    known = {function: name for name, function in AGGREGATION_REGISTRY.items()}
    return known.get(aggregate) or str(getattr(aggregate, "__name__", type(aggregate).__name__))


def _alone(aggregate: Callable[..., Any], name: str, items: Sequence[object], own: Floats | None) -> CorpusScore:
    """Return the number alone, with why it has no interval; or why there is none."""
    if name == "bypass":
        return CorpusScore(None, unavailable="the task asks lm-eval to compute no metric (bypass)")
    try:
        value = float(aggregate(list(items)))
    except Exception as error:  # noqa: BLE001  of a task's own code; the other metrics stand
        return CorpusScore(None, unavailable=f"lm-eval's {name} fails: {type(error).__name__}: {error!s:.120}")
    if not math.isfinite(value):
        return CorpusScore(None, unavailable=f"lm-eval's {name} gives {value}")
    reason = f"lm-eval's {name} is no function of how often each sample counts"
    return CorpusScore(None, own=own, unavailable=reason, alone=value)


def _own(items: Sequence[object]) -> Floats | None:
    """Return each sample's own value, not a number where it has none; `None` where items are no numbers."""
    values = [_number(item) for item in items]
    if not any(math.isfinite(value) for value in values):
        return None
    return np.array([value if math.isfinite(value) else math.nan for value in values])


def _number(item: object) -> float:
    return float(item) if isinstance(item, bool | int | float | np.generic) else math.nan


_Parts = tuple[str, "Floats"]


def _mean(items: Sequence[object]) -> _Parts | None:
    values = np.array([_number(item) for item in items])
    if np.isnan(values).any():
        return None
    return RATIO, np.stack([values, np.ones_like(values)], axis=1)


def _mean_of_numbers(items: Sequence[object]) -> _Parts | None:
    values = np.array([_number(item) for item in items])
    known = ~np.isnan(values)
    return RATIO, np.stack([np.where(known, values, 0.0), known.astype(np.float64)], axis=1)


def _perplexity(items: Sequence[object]) -> _Parts | None:
    parts = _mean(items)
    return None if parts is None else (EXP_RATIO, parts[1] * (-1.0, 1.0))


def _pairs(items: Sequence[Any]) -> Floats | None:
    """Return items that are pairs of numbers, [samples, 2]; `None` where one is not."""
    if not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):  # noqa: PLR2004  as it says
        return None
    pairs = np.array([[_number(each) for each in item] for item in items])
    return None if np.isnan(pairs).any() else pairs


def _weighted_perplexity(items: Sequence[object]) -> _Parts | None:
    pairs = _pairs(items)
    return None if pairs is None else (EXP_RATIO, pairs * (-1.0, 1.0))


def _bits_per_byte(items: Sequence[object]) -> _Parts | None:
    pairs = _pairs(items)
    return None if pairs is None else (RATIO, pairs * (-1.0 / math.log(2), 1.0))


def _confusion(items: Sequence[object]) -> Floats | None:
    """Return whether each sample is a true positive, false positive, false negative, true negative; [samples, 4]."""
    pairs = _pairs(items)
    if pairs is None or not np.isin(pairs, _BINARY).all():
        return None
    gold, said = pairs.T == 1
    return np.stack([gold & said, ~gold & said, gold & ~said, ~gold & ~said], axis=1).astype(np.float64)


def _f1(items: Sequence[object]) -> _Parts | None:
    counts = _confusion(items)
    if counts is None or not counts[:, :3].any():
        return None
    right, wrong, missed, _ = counts.T
    return RATIO, np.stack([2 * right, 2 * right + wrong + missed], axis=1)


def _matthews(items: Sequence[object]) -> _Parts | None:
    counts = _confusion(items)
    return None if counts is None else (MATTHEWS, counts)


def _brier(items: Sequence[Any]) -> _Parts | None:
    """Return parts of the mean squared distance of the candidates' probabilities from the truth's."""
    try:
        golds, chances = [int(gold) for gold, _ in items], np.array([each for _, each in items], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    values = ((chances - np.eye(chances.shape[1])[golds]) ** 2).sum(axis=1)
    return RATIO, np.stack([values, np.ones_like(values)], axis=1)


_SUMS: Mapping[str, Callable[[Sequence[Any]], _Parts | None]] = {
    "mean": _mean,
    "nanmean": _mean_of_numbers,
    "perplexity": _perplexity,
    "weighted_perplexity": _weighted_perplexity,
    "bits_per_byte": _bits_per_byte,
    "f1": _f1,
    "matthews_corrcoef": _matthews,
    "brier_score": _brier,
}
"""lm-eval's aggregations that follow from sums; each gives nothing for items that it is not made for."""
