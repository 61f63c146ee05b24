"""The forms of corpus metrics that a run record can hold: how a metric follows from what each sample adds, by name.

    ratio       the sum of the first statistic over that of the second: means (SPICE, ROUGE-L), NDCG
    cider       the same, of values that depend on the corpus: CIDEr weighs words by the other samples' references
    bleu-N      BLEU-1 to BLEU-4 of the sums of `ngrams.bleu`'s counts
    meteor      METEOR of the sums of `meteor.statistics`
    exp-ratio   the exponential of `ratio`: perplexities, of negative log-likelihoods and what they are spread over
    matthews    Matthews' correlation, of counts of true and false positives, false and true negatives
    macro-f1    F1 averaged over labels, of `macro_f1`'s counts
    roc-auc     the area under the ROC curve, of each sample's score and label; the only one that is no sum

A name and an array are data: they are written with the samples and read back without the code of a task. A task's own
form (a function, or a `Weighed` of its own) has no name here and stays with the run that scored it.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kosmos_eval.corpus import Summed

from .captions import meteor, ngrams
from .macro_f1 import macro_f1_of
from .roc_auc import RocAuc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kosmos_eval.corpus import Floats, Weighed

RATIO, CIDER, EXP_RATIO, MATTHEWS = "ratio", "cider", "exp-ratio", "matthews"
MACRO_F1, ROC_AUC = "macro-f1", "roc-auc"

OF_ONE_CORPUS = frozenset({CIDER})
"""Forms of which a sample adds something else when it stands among other samples."""


class Kept(NamedTuple):
    """A corpus metric as a record holds it.

    Attributes:
        form: its name.
        statistics: what each sample adds; [samples, statistics].
    """

    form: str
    statistics: Floats


def ratio(sums: Floats) -> Floats:
    """Return the first sum over the second for each row, [rows, 2]; not a number where the second is 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)


def exp_ratio(sums: Floats) -> Floats:
    """Return e to the first sum over the second for each row, [rows, 2]; not a number where that is beyond floats."""
    with np.errstate(over="ignore"):
        found = np.exp(ratio(sums))
    return np.where(np.isinf(found), np.nan, found)


def matthews(sums: Floats) -> Floats:
    """Return Matthews' correlation for each row of counts, [rows, 4]; 0 where truth or answers are all alike.

    Source:
        scikit-learn's `matthews_corrcoef`, which lm-eval takes.
    """
    right, wrong, missed, left = sums.T
    spread = np.sqrt((right + wrong) * (right + missed) * (left + wrong) * (left + missed))
    found = np.divide(right * left - wrong * missed, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.where(sums.sum(axis=1) > 0, found, np.nan)


COMBINED: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType(
    {
        RATIO: ratio,
        CIDER: ratio,
        EXP_RATIO: exp_ratio,
        MATTHEWS: matthews,
        **{f"bleu-{n}": partial(ngrams.bleu_of, n) for n in range(1, ngrams.LONGEST + 1)},
        "meteor": meteor.score,
        MACRO_F1: macro_f1_of,
    }
)
"""Forms that follow from sums over the samples: from [rows, statistics] to [rows]."""

_WIDTHS = {
    **dict.fromkeys((RATIO, CIDER, EXP_RATIO, ROC_AUC), 2),
    MATTHEWS: 4,
    "meteor": 24,
    **{f"bleu-{n}": 11 for n in range(1, ngrams.LONGEST + 1)},
}


def kept(weighed: Weighed) -> Kept | None:
    """Return a corpus metric as a record can hold it; `None` if its form has no name."""
    if isinstance(weighed, RocAuc):
        return Kept(ROC_AUC, weighed.statistics)
    if isinstance(weighed, Summed) and isinstance(weighed.form, str):
        return Kept(weighed.form, weighed.statistics)
    return None


def weighed_of(held: Kept) -> Weighed:
    """Return the corpus metric that a record holds.

    Raises:
        ValueError: there is no such form, or the statistics are not what it takes.
    """
    form, statistics = held
    if form not in COMBINED and form != ROC_AUC:
        message = f"expected one of the forms {', '.join((*COMBINED, ROC_AUC))}, got {form!r}"
        raise ValueError(message)
    width = statistics.shape[1] if statistics.ndim == 2 else 0  # noqa: PLR2004  samples by statistics
    if width != _WIDTHS.get(form, width | 1) or width < 2:  # noqa: PLR2004  macro-F1: two a label and one more
        message = f"expected the statistics of {form} to be as wide as it takes, got {statistics.shape}"
        raise ValueError(message)
    if np.isnan(statistics).any() or (form != ROC_AUC and np.isinf(statistics).any()):
        message = f"expected the statistics of {form} to be numbers, got one that is not"
        raise ValueError(message)
    if form != ROC_AUC:
        return Summed(statistics, form)
    scores, labels = statistics.T
    if not np.isin(labels, (0, 1)).all():
        message = f"expected the labels of {form} to be 0 or 1, got {labels.tolist()!r:.60}"
        raise ValueError(message)
    return RocAuc(scores.tolist(), (labels == 1).tolist())
