"""How often 95 % intervals cover the truth, averaged over truths: means and paired differences, few and many clusters.

    python benchmarks/intervals.py [--trials N]

Answers that are right or wrong have few outcomes, so no interval covers each true score alike: Wilson's own swings by
points from one score to the next. Its average over scores is what can be held against 95 % (L. D. Brown, T. T. Cai and
A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16, 2001). Each trial draws a truth
(a score of 2 to 98 %; or a share of 2 to 40 % of samples that change, and how many of these for the better) and, in
clusters, an intraclass correlation of 0, 0.1, 0.3, 0.5 or 0.8. Graded answers are 0, or one of 0.3, 0.6, 0.9 and 1.

Prints a Markdown table; its standard error is 0.5 points with 2,000 trials, the default.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from kosmos_eval.statistics.intervals import mean_interval
from kosmos_eval.statistics.paired import paired_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHAPES = ((20, 1), (30, 1), (50, 1), (100, 1), (500, 1), (10, 5), (10, 10), (20, 5), (50, 10), (100, 5))
CORRELATIONS = (0.0, 0.1, 0.3, 0.5, 0.8)
GRADES = np.array([0.3, 0.6, 0.9, 1.0])
_ROUNDING = 1e-12


def shares(rng: np.random.Generator, truth: Floats, groups: int, size: int) -> Floats:
    """Return each sample's probabilities of outcomes, [groups, size, outcomes], alike within a cluster."""
    correlation = float(rng.choice(CORRELATIONS)) if size > 1 else 0.0
    if not correlation:
        return np.broadcast_to(truth, (groups, size, len(truth)))
    chances = rng.dirichlet(truth * (1 - correlation) / correlation, groups)
    return np.broadcast_to(chances[:, None, :], (groups, size, len(truth)))


def mean_covers(rng: np.random.Generator, groups: int, size: int, *, graded: bool) -> bool:
    """Return whether the interval of one drawn run's mean covers its truth."""
    right = rng.uniform(0.02, 0.98)
    chances = shares(rng, np.array([right, 1 - right]), groups, size)
    values = (rng.random((groups, size)) < chances[..., 0]).astype(np.float64)
    if graded:
        values *= rng.choice(GRADES, values.shape)
    found = mean_interval(values.ravel().tolist(), names(groups, size))
    return covers(found.low, found.high, right * (float(GRADES.mean()) if graded else 1.0))


def difference_covers(rng: np.random.Generator, groups: int, size: int, *, graded: bool) -> bool:
    """Return whether the interval of one drawn pair's difference covers its truth."""
    changed, gained = rng.uniform(0.02, 0.4), rng.uniform()
    chances = shares(rng, np.array([changed * gained, changed * (1 - gained), 1 - changed]), groups, size)
    luck = rng.random((groups, size))
    gaps = (luck < chances[..., 0]).astype(np.float64) - (luck > 1 - chances[..., 1])
    if graded:
        gaps *= rng.choice(GRADES, gaps.shape)
    base, other = np.maximum(-gaps, 0).ravel().tolist(), np.maximum(gaps, 0).ravel().tolist()
    found = paired_difference(base, other, names(groups, size))
    return covers(found.low, found.high, changed * (2 * gained - 1) * (float(GRADES.mean()) if graded else 1.0))


def names(groups: int, size: int) -> list[str]:
    """Return each sample's cluster; samples that stand alone have none."""
    return [str(place // size) if size > 1 else "" for place in range(groups * size)]


def covers(low: float | None, high: float | None, truth: float) -> bool:
    """Return whether there is an interval, and it holds the truth but for rounding."""
    return low is not None and high is not None and low - _ROUNDING <= truth <= high + _ROUNDING


def main() -> int:
    """Print the table, a line for each number and size of clusters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="runs or pairs of runs a number")
    trials = parser.parse_args().trials
    kinds = [(covered, graded) for covered in (mean_covers, difference_covers) for graded in (False, True)]
    print(
        "| samples | mean, 0/1 | mean, graded | difference, 0/1 | difference, graded |\n| --- | --- | --- | --- | --- |"
    )
    for groups, size in SHAPES:
        cells = []
        for column, (covered, graded) in enumerate(kinds):
            rng = np.random.default_rng([groups, size, column])
            cells.append(sum(covered(rng, groups, size, graded=graded) for _ in range(trials)) / trials)
        shape = f"{groups} independent" if size == 1 else f"{groups} clusters of {size}"
        print(f"| {shape} | " + " | ".join(f"{each:.1%}" for each in cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
