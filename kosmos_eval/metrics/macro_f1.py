"""F1 averaged over labels, as a function of how often each sample counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kosmos_eval.corpus import CorpusScore, Summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.corpus import Floats


def macro_f1(pairs: Sequence[tuple[int, int | None]], labels: int) -> CorpusScore:
    """Return the mean over the labels of F1; a label that nothing has and nothing is given counts 0.

    Args:
        pairs: of a sample's true label and the one it was given, `None` where it was given none.
        labels: how many there are.

    Source:
        scikit-learn's `f1_score`, which lm-eval's `cb_multi_fi` takes once for each label.
    """
    statistics = np.zeros((len(pairs), 2 * labels + 1))
    for row, (true, given) in zip(statistics, pairs, strict=True):
        row[true] += 1
        if given is not None:
            row[given] += 1
            row[labels + true] += 2 * (given == true)
        row[-1] = 1
    return CorpusScore(Summed(statistics, "macro-f1"))


def macro_f1_of(sums: Floats) -> Floats:
    """Return macro-F1 for each row of sums over samples; not a number where there is no sample.

    Args:
        sums: [rows, 2 labels + 1]: how often each label is true or given, twice how often it is both, samples.
    """
    labels = (sums.shape[1] - 1) // 2
    marked, twice_right = sums[:, :labels], sums[:, labels : 2 * labels]
    scores = np.divide(twice_right, marked, out=np.zeros_like(marked), where=marked > 0)
    return np.asarray(np.where(sums[:, -1] > 0, scores.mean(axis=1), np.nan), dtype=np.float64)
