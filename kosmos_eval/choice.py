"""Choosing among candidates by their log-likelihoods: which is best, by how much, and what a tie is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.request import LogLikelihood

By = Literal["total", "per_token", "per_character"]
"""Which log-likelihood candidates are compared by: the sum over tokens, the mean a token, or the mean a character."""


def weights_of(likelihoods: Sequence[LogLikelihood], by: By = "total") -> tuple[float, ...]:
    """Return what candidates are compared by, in nats; not finite where one of their log-probabilities is not."""
    return tuple(_weight(row, by) for row in likelihoods)


def _weight(row: LogLikelihood, by: By) -> float:
    for each in row.logprobs:
        if not math.isfinite(each):  # opposite infinities have no sum
            return each
    weight: float = getattr(row, by)
    return weight


@dataclass(frozen=True, slots=True)
class Choice:
    """The best of some candidates.

    Attributes:
        best: index of each candidate that ties exactly for the best; empty when nothing can be compared.
        margin: nats between the best and the next, 0 for a tie; `None` for a single candidate or where nothing can be
            compared.
        spoilt: index of the first candidate whose log-likelihood is not finite; `None` when all are.
    """

    best: tuple[int, ...]
    margin: float | None
    spoilt: int | None = None

    def share(self, target: int) -> float:
        """Return what the choice is worth: 1 for the right candidate, a share of it when it ties with others."""
        return 1 / len(self.best) if target in self.best else 0.0


def choose(weights: Sequence[float]) -> Choice:
    """Return the best of candidates.

    Args:
        weights: of each candidate, higher is better: see `weights_of`.

    Raises:
        ValueError: there are none.
    """
    if not weights:
        message = "expected at least one candidate, got none"
        raise ValueError(message)
    spoilt = next((place for place, each in enumerate(weights) if not math.isfinite(each)), None)
    if spoilt is not None:
        return Choice((), None, spoilt)
    top = max(weights)
    best = tuple(place for place, each in enumerate(weights) if each == top)
    ordered = sorted(weights, reverse=True)
    return Choice(best, top - ordered[1] if len(ordered) > 1 else None)
