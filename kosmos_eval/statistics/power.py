"""How small a difference a comparison sees, and how many samples it takes to see a given one.

A test at level alpha sees a difference d with probability `power` when d is as many standard errors from nought as the
test's threshold and the power's quantile together: z(1 - alpha / sides) + z(power) for a normal estimate. For few
clusters Student's t and its noncentral form take the place of the normal, as in the tests themselves.

The standard error of the paired difference is all that has to be known, and it goes with one over the root of the
number of samples: its square times that number is the variance of one sample's paired difference times the design
effect (by what clusters multiply a mean's variance), and both stay when samples are added as they came, clusters and
all. That the error in the other direction is possible too is left out of the power, as usual: at a power of one half
it adds less than 0.005 %.

Sources: J. Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 2, for the noncentral t;
E. Miller, "Adding Error Bars to Evals", arXiv 2411.00640, section 5, for evaluations that pair their samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import nctdtrinc, ndtri, stdtrit

if TYPE_CHECKING:
    from typing import Literal

    Sides = Literal[1, 2]

ALPHA = 0.05
POWER = 0.8
_FEWEST = 2
"""Clusters: from a single one nobody learns how far clusters lie apart."""


def detectable_difference(
    stderr: float, *, alpha: float = ALPHA, power: float = POWER, sides: Sides = 2, clusters: float | None = None
) -> float:
    """Return the smallest difference that a test finds with probability `power`, in the unit of `stderr`.

    Args:
        stderr: of the paired difference.
        alpha: probability that the test finds a difference where there is none.
        power: probability that it finds this one; above `alpha`.
        sides: 2 for a test of any difference; 1 for a drop alone, and for non-inferiority: the margin that two equal
            models keep with probability `power`.
        clusters: independent groups behind `stderr`, for Student's t; `None` is the normal: many.

    Raises:
        ValueError: an argument makes no sense.

    Example:
        >>> round(detectable_difference(0.01), 4)
        0.028
    """
    _check(stderr, alpha, power, sides)
    if clusters is None:
        return float(ndtri(1 - alpha / sides) + ndtri(power)) * stderr
    if clusters < _FEWEST:
        message = f"expected at least {_FEWEST} clusters, got {clusters}"
        raise ValueError(message)
    freedom = clusters - 1
    return float(nctdtrinc(freedom, 1 - power, stdtrit(freedom, 1 - alpha / sides))) * stderr


def samples_needed(
    difference: float,
    stderr: float,
    count: int,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
    sides: Sides = 2,
    clusters: int | None = None,
) -> int:
    """Return the least number of samples with which a test finds a difference with probability `power`.

    Args:
        difference: that is to be found, positive. For non-inferiority (`sides` 1), the margin less the drop that there
            truly is: the whole margin for equal models.
        stderr: of the paired difference of `count` samples; `stderr**2 * count` is the variance of one sample's
            difference times the design effect.
        count: samples behind `stderr`.
        alpha: as of `detectable_difference`, like the others.
        power: above `alpha`.
        sides: 1 or 2.
        clusters: independent groups of the `count` samples; those that are needed form groups of the same size.

    Raises:
        ValueError: an argument makes no sense.

    Example:
        >>> samples_needed(0.01, stderr=0.01, count=1000)
        7849
    """
    _check(stderr, alpha, power, sides)
    if not (math.isfinite(difference) and difference > 0):
        message = f"expected a difference above 0, got {difference}"
        raise ValueError(message)
    if count < 1:
        message = f"expected at least 1 sample behind the standard error, got {count}"
        raise ValueError(message)
    fewest = 1 if clusters is None else -(-_FEWEST * count // clusters)

    def enough(samples: int) -> bool:
        groups = None if clusters is None else clusters * samples / count
        error = stderr * math.sqrt(count / samples)
        found = detectable_difference(error, alpha=alpha, power=power, sides=sides, clusters=groups)
        return found <= difference

    few, many = fewest - 1, fewest
    while not enough(many):
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def difference_stderr(stderr: float, correlation: float) -> float:
    """Return the standard error of the paired difference of two runs that are each as uncertain as the one known.

    It is `stderr` times the root of 2 (1 - correlation). At 0 the pairing gains nothing, and it is the most that two
    runs which do not err against each other can have.

    Args:
        stderr: of one run's metric.
        correlation: between the runs' values of a sample, or their means over a cluster; from -1 to below 1.

    Raises:
        ValueError: an argument makes no sense.
    """
    if not -1 <= correlation < 1:
        message = f"expected a correlation from -1 to below 1, got {correlation}"
        raise ValueError(message)
    return stderr * math.sqrt(2 * (1 - correlation))


def _check(stderr: float, alpha: float, power: float, sides: int) -> None:
    if not (math.isfinite(stderr) and stderr >= 0):
        message = f"expected a standard error of 0 or more, got {stderr}"
        raise ValueError(message)
    if sides not in (1, 2):
        message = f"expected 1 or 2 sides, got {sides}"
        raise ValueError(message)
    if not 0 < alpha < power < 1:
        message = f"expected 0 < alpha < power < 1, got alpha {alpha} and power {power}"
        raise ValueError(message)
