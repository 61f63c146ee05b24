"""Area under the ROC curve: how often a positive sample is ranked above a negative one, ties at half.

It is the Mann-Whitney statistic over the number of pairs, which equals the area under the curve with its ties joined by
straight lines: what `sklearn.metrics.roc_auc_score` computes, and what the Hateful Memes challenge reports
(Kiela et al., arXiv 2005.04790, section 4). Only the order of the scores matters: log-odds and their probabilities have
the same area, as long as the probabilities do not round to ties.

A sample's weight is how often it counts: weights of 2 are the same as listing the sample twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kosmos_eval.corpus import Floats

_BLOCK = 1 << 21
"""Cells of weights that are worked on at a time: 16 MiB, whatever the number of resamples."""


class RocAuc:
    """The area under the ROC curve as a function of the samples' weights; a `kosmos_eval.corpus.Weighed`.

    The scores are sorted once. Then, with the negative weights summed up in that order, the weight below a positive
    sample and the weight at or below it are two cells of a row of sums, and the row's area is their mean, weighted.

    Attributes:
        statistics: score and label (1 is positive) of each sample; [samples, 2].
    """

    def __init__(self, scores: Sequence[float], labels: Sequence[bool]) -> None:
        """Sort the scores.

        Args:
            scores: of each sample, higher is more positive; infinite ones are the last in the order.
            labels: whether each sample is positive.

        Raises:
            ValueError: there are not as many labels as scores, or a score is not a number.
        """
        values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.bool_)
        if values.ndim != 1 or values.shape != truth.shape:
            message = f"expected as many labels as scores, got {truth.size} and {values.size}"
            raise ValueError(message)
        if np.isnan(values).any():
            message = f"expected scores to be numbers, got NaN for sample {int(np.isnan(values).argmax())}"
            raise ValueError(message)
        self._count = values.size
        self.statistics = np.stack([values, truth], axis=1).astype(np.float64)
        self._positive: NDArray[np.intp] = np.flatnonzero(truth)
        negative = np.flatnonzero(~truth)
        self._negative: NDArray[np.intp] = negative[np.argsort(values[negative], kind="stable")]
        ordered = values[self._negative]
        self._below = np.searchsorted(ordered, values[self._positive], side="left")
        self._not_above = np.searchsorted(ordered, values[self._positive], side="right")

    @property
    def count(self) -> int:
        """Number of samples."""
        return self._count

    def values(self, weights: Floats) -> Floats:
        """Return the area for each row of weights.

        Args:
            weights: how often each sample counts, not negative; [rows, samples].

        Returns:
            [rows], from 0 to 1; not a number where a class has no weight.
        """
        rows = max(1, _BLOCK // max(1, self._count))
        blocks = [self._areas(weights[first : first + rows]) for first in range(0, len(weights), rows)]
        return np.concatenate(blocks) if blocks else np.empty(0)

    def _areas(self, weights: Floats) -> Floats:
        positive = weights[:, self._positive]
        sums = np.zeros((len(weights), len(self._negative) + 1))
        np.cumsum(weights[:, self._negative], axis=1, out=sums[:, 1:])
        won = np.einsum("rp,rp->r", positive, sums[:, self._below] + sums[:, self._not_above]) / 2
        pairs = positive.sum(axis=1) * sums[:, -1]
        with np.errstate(invalid="ignore"):  # no pair is not a number, as documented
            return np.asarray(won / pairs, dtype=np.float64)


def roc_auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Return the area under the ROC curve, 0 to 1; not a number when all samples are of one class.

    Args:
        scores: of each sample, higher is more positive.
        labels: whether each sample is positive.

    Raises:
        ValueError: there are not as many labels as scores, or a score is not a number.

    Example:
        >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
        0.75
    """
    return float(RocAuc(scores, labels).values(np.ones((1, len(scores))))[0])
