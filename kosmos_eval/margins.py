"""How close a model's choices were: a sample's margin, and which margins are near ties.

A choice is a token that was written, or the best of several candidates. Its *margin* is how much likelier it was than
the next best, in nats; a sample's margin is the smallest of all the choices that led to its answer. Another batch
size or device sums in another order, and moves log-likelihoods by float rounding. A margin that is smaller than what
rounding moves is a *near tie*: there the answer may come out otherwise. Elsewhere it may not.
"""

from __future__ import annotations

import math
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.record import MarginSummary
from kosmos_eval.request import Generated, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.request import Request, Response

NEAR_TIE_NATS: Mapping[str, float] = MappingProxyType({"float32": 1e-3, "float16": 1e-2, "bfloat16": 1e-1})
"""Below how many nats a margin is a near tie, by the type that the model computes in.

Other batch sizes moved the margins of a model of 4 million parameters by up to 8e-6 in float32; deeper models add more
rounding up. Float16 and bfloat16 keep 11 and 8 bits: a logit near 10 is known to 0.004 and 0.03, and bfloat16's
log-probabilities were up to 0.05 from those of float32.
"""


def sample_margin(
    requests: Sequence[Request], responses: Sequence[Response], compared: float | None = None
) -> float | None:
    """Return the margin of a sample in nats: the smallest of its choices.

    Args:
        requests: of the sample, in order.
        responses: to them.
        compared: the margin between candidates as the task compares them; `None` has it made of sums over tokens.

    Returns:
        `None` where nothing was chosen; and where the model does not tell a margin (as in beam search), unless the
        task compares candidates: then what is not told is left out.
    """
    gaps: list[float] = [] if compared is None else [compared]
    for request, response in zip(requests, responses, strict=True):
        match response:
            case Generated() if response.tokens and not response.margins:
                if compared is None:
                    return None
            case Generated():
                gaps += response.margins
            case Scored() if compared is None and isinstance(request, Score):
                gaps += _gap(request, response)
    if any(math.isnan(gap) for gap in gaps):
        return None
    least = min(gaps, default=math.inf)
    return max(least, 0.0) if least < math.inf else None  # infinite: there never was another candidate


def _gap(request: Score, response: Scored) -> Iterator[float]:
    """Yield by how much the best continuation beats the next; nothing when there is one. Equal ones count once."""
    totals = dict(zip(request.continuations, (each.total for each in response.continuations), strict=True))
    if len(totals) > 1:
        best, second = sorted(totals.values(), reverse=True)[:2]
        yield 0.0 if best == second else best - second  # two that are impossible tie as well


def is_near_tie(margin: float | None, dtype: str) -> bool | None:
    """Return whether a margin is a near tie for a model that computes in that type; `None` where there is no margin."""
    return None if margin is None else margin < NEAR_TIE_NATS[dtype]


def summarise_margins(margins: Sequence[float], dtype: str) -> MarginSummary:
    """Return what a cell's margins amount to.

    Args:
        margins: of the samples that have one.
        dtype: that the model computes in.
    """
    near = sum(is_near_tie(margin, dtype) is True for margin in margins)
    return MarginSummary(
        count=len(margins),
        near_ties=near,
        near_tie_share=near / len(margins) if margins else None,
        exact_ties=sum(margin == 0 for margin in margins),
        median=median(margins) if margins else None,
        threshold=NEAR_TIE_NATS[dtype],
    )
