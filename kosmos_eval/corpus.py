"""Metrics that belong to a whole corpus: what they are, with each sample's weight left open.

CIDEr, BLEU or ROC AUC is no mean of the samples' own values, and yet its uncertainty, its breakdown by category and
its change between two runs all ask the same question: what would it be if each sample counted so often? So a corpus
metric is a function of the samples' weights. Weights of 1 give the published number, weights of 0 and 1 a category,
and drawn weights a bootstrap resample; nothing is tokenised or matched again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Weighed(Protocol):
    """A corpus metric as a function of how often each sample counts."""

    @property
    def count(self) -> int:
        """Number of samples."""
        ...

    def values(self, weights: Floats) -> Floats:
        """Return the metric for each row of weights.

        Args:
            weights: how often each sample counts, not negative; [rows, samples].

        Returns:
            [rows]; not a number where the weights leave the metric undefined (none positive, or a single class).
        """
        ...


@dataclass(frozen=True, eq=False)
class Summed:
    """A metric that follows from sums over the samples: BLEU from its counts, CIDEr from its samples' values.

    Attributes:
        statistics: what each sample adds; [samples, statistics].
        form: how the metric follows from the sums: a name of `kosmos_eval.metrics.forms`, which a record can hold, or
            a function of one's own from the weighted sums, [rows, statistics], to the metric, [rows].
    """

    statistics: Floats
    form: str | Callable[[Floats], Floats]

    @property
    def combine(self) -> Callable[[Floats], Floats]:
        """The function from the weighted sums, [rows, statistics], to the metric, [rows]."""
        if not isinstance(self.form, str):
            return self.form
        from kosmos_eval.metrics.forms import COMBINED  # noqa: PLC0415  its metrics are made of what is here

        return COMBINED[self.form]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.statistics)

    def values(self, weights: Floats) -> Floats:
        """Return the metric for each row of weights; see `Weighed`."""
        # Not a matrix product: BLAS adds in another order at another number of threads.
        columns = np.ascontiguousarray(self.statistics.T)
        return self.combine(np.einsum("rs,ks->rk", weights, columns))


@dataclass(frozen=True, eq=False)
class Part:
    """A corpus metric over some of the samples, as a function of their weights; nothing is computed anew.

    Attributes:
        whole: the metric over all samples.
        members: places of the samples among them.
    """

    whole: Weighed
    members: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.members)

    def values(self, weights: Floats) -> Floats:
        """Return the metric for each row of weights; see `Weighed`."""
        spread = np.zeros((len(weights), self.whole.count))
        spread[:, self.members] = weights
        return self.whole.values(spread)


def part_of(whole: Weighed, members: NDArray[np.int64]) -> Weighed:
    """Return a corpus metric over some of the samples, by their places."""
    if isinstance(whole, Summed):
        return Summed(whole.statistics[members], whole.form)
    return Part(whole, members)


@dataclass(frozen=True, eq=False)
class Change:
    """How a corpus metric differs between two runs over the same samples, as a function of their weights.

    Attributes:
        base: the metric of the one run.
        other: the metric of the other, from which that is taken away.
    """

    base: Weighed
    other: Weighed

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.base.count

    def values(self, weights: Floats) -> Floats:
        """Return the difference for each row of weights; see `Weighed`."""
        return self.other.values(weights) - self.base.values(weights)


def difference_of(base: Weighed, other: Weighed) -> Weighed:
    """Return other minus base over the same samples as a corpus metric of its own."""
    if not (isinstance(base, Summed) and isinstance(other, Summed)):
        return Change(base, other)
    columns, before, after = base.statistics.shape[1], base.combine, other.combine

    def combine(sums: Floats) -> Floats:
        return after(sums[:, columns:]) - before(sums[:, :columns])

    return Summed(np.concatenate([base.statistics, other.statistics], axis=1), combine)


def mean_of(values: Floats, form: str = "ratio") -> Summed:
    """Return the mean of the samples' values as a corpus metric: CIDEr, whose document frequencies stay the corpus's.

    Args:
        values: [samples].
        form: a name of `kosmos_eval.metrics.forms` that combines sums as `ratio` does.
    """
    return Summed(np.stack([values, np.ones_like(values)], axis=1).astype(np.float64), form)


@dataclass(frozen=True, eq=False)
class CorpusScore:
    """A corpus metric over some samples.

    Attributes:
        weighed: the metric; `None` when it could not be computed.
        own: each sample's own value where it has one (its CIDEr), for its record; [samples], not a number where a
            sample has none.
        unavailable: why there is none and how to get it, one line: "METEOR needs Java: install ...".
        alone: the metric over all samples, where that is all there is to it and `weighed` is `None`; `unavailable` then
            says why there is no interval.
        made_with: what computed it where that is a choice, shown beside the number: "PTBTokenizer 3.6.0 (Java)".
    """

    weighed: Weighed | None
    own: Floats | None = None
    unavailable: str = ""
    made_with: str = ""
    alone: float | None = None
