"""Whether a measured score is the published one: equivalence within a margin, by two one-sided tests.

No significant difference is no agreement: few samples differ from nothing. So *equivalent* has to be shown: both that
the score is not lower than the published one by the margin, and that it is not higher by it, each at level alpha; the
same as that the 1 - 2 alpha interval of the score lies within the margin. *Different* has to be shown too: that the
two are apart, two-sided at level alpha. A score may be both, by a little and surely: then it is equivalent, since the
margin says what matters. What is neither is *undecided*, and more samples would decide it.

A printed number stands for all that round to it: one of 51.0 is as good as any from 50.95 to 51.05. So the nearest of
these is what the score must differ from, and the farthest what it must agree with. The printed number's own sampling
error can be given as well. It is 0 by default: the question is then whether this model scores what the table says, not
whether the models behind both are equally good. Where the published run asked the same samples, errors go together, and
two standard errors taken as independent make the verdict more careful than need be.

The score's error is read off its interval, each side for itself: near 0 and 100 % the sides differ, and the standard
error may be 0. An arm of a 95 % interval is taken for 1.96 standard errors of a normal.

Sources: D. J. Schuirmann, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach", Journal of
Pharmacokinetics and Biopharmaceutics 15 (1987); D. Lakens, "Equivalence Tests", Social Psychological and Personality
Science 8 (2017), for the pair of verdicts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Verdict = Literal["equivalent", "different", "undecided"]
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Equivalence:
    """How a score compares with a published number.

    Attributes:
        verdict: `equivalent`, `different` or `undecided`.
        difference: score minus published number; `None` without a score.
        equivalent_p: greater p-value of the two one-sided tests, that the score is off by the margin or more; `None`
            without a score or its uncertainty.
        different_p: two-sided p-value of no difference; `None` likewise.
    """

    verdict: Verdict
    difference: float | None
    equivalent_p: float | None
    different_p: float | None


def equivalence(
    value: float | None,
    low: float | None,
    high: float | None,
    published: float,
    *,
    margin: float,
    rounding: float = 0.0,
    published_stderr: float = 0.0,
    confidence: float = 0.95,
    alpha: float = ALPHA,
) -> Equivalence:
    """Return whether a score is equivalent to a published number within a margin, different from it, or neither.

    Args:
        value: the score; `None` when there is none, which leaves it undecided.
        low: lower end of its confidence interval; `None` likewise.
        high: upper end.
        published: the number that was printed, in the score's unit, like all that follows.
        margin: what is no difference that matters, above `rounding`.
        rounding: half of the printed number's last digit: 0.0005 for 51.0 %.
        published_stderr: of the published number, where it is a sample's: the root of p (1 - p) / n for a share p of n.
        confidence: of the interval.
        alpha: level of both verdicts.

    Raises:
        ValueError: a number makes no sense.

    Example:
        >>> equivalence(0.512, 0.505, 0.519, 0.51, margin=0.01, rounding=0.0005).verdict
        'equivalent'
    """
    _check(published, margin, rounding, published_stderr, confidence, alpha)
    if value is None or low is None or high is None:
        return Equivalence("undecided", None if value is None else value - published, None, None)
    if not low <= value <= high:
        message = f"expected the interval to hold the score, got {value} and [{low}, {high}]"
        raise ValueError(message)
    normal = NormalDist()
    arm = normal.inv_cdf((1 + confidence) / 2)
    below = math.hypot((value - low) / arm, published_stderr)
    above = math.hypot((high - value) / arm, published_stderr)
    gap, reach = value - published, margin - rounding
    equivalent_p = max(_beyond(reach - gap, above), _beyond(reach + gap, below))
    different_p = min(1.0, 2 * _beyond(max(0.0, abs(gap) - rounding), below if gap > 0 else above))
    if equivalent_p <= alpha:
        return Equivalence("equivalent", gap, equivalent_p, different_p)
    return Equivalence("different" if different_p <= alpha else "undecided", gap, equivalent_p, different_p)


def _check(published: float, margin: float, rounding: float, published_stderr: float, *levels: float) -> None:
    if not math.isfinite(published):
        message = f"expected the published number to be finite, got {published}"
        raise ValueError(message)
    if not 0 <= rounding < margin < math.inf:
        message = f"expected the margin to be above the rounding, and that not negative, got {margin} and {rounding}"
        raise ValueError(message)
    if not 0 <= published_stderr < math.inf:
        message = f"expected the published number's standard error not to be negative, got {published_stderr}"
        raise ValueError(message)
    for level in levels:
        if not 0 < level < 1:
            message = f"expected confidence and alpha to be between 0 and 1, got {level}"
            raise ValueError(message)


def _beyond(gap: float, stderr: float) -> float:
    """Return the probability of an error of at least the gap; without any error, whether there is no gap."""
    if stderr == 0:
        return float(gap <= 0)
    return NormalDist().cdf(-gap / stderr)
