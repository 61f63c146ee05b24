"""What is certain of a verdict is what the whole run would be called, and is said early where the matter is clear."""

from __future__ import annotations

import random

import pytest

from kosmos_eval.statistics.certainty import FEWEST_CLUSTERS, Certainty, Levels

LEVELS = Levels.of(0.05, gated=1, watched=1)


def verdict_of(gaps: list[float], tolerance: float = 0.02, min_samples: int = 30) -> tuple[str, int]:
    """Return the first certain verdict, looked for after each sample, and after how many it fell."""
    certainty = Certainty([1] * len(gaps), width=1.0, tolerance=tolerance, levels=LEVELS, min_samples=min_samples)
    for number, gap in enumerate(gaps, 1):
        certainty.add([gap])
        if number % 20 == 0 and (found := certainty.verdict):
            return found, number
    return certainty.verdict, len(gaps)


def shuffled(lost: int, won: int, same: int) -> list[float]:
    gaps = [-1.0] * lost + [1.0] * won + [0.0] * same
    random.Random(3).shuffle(gaps)
    return gaps


def test_a_clear_regression_is_certain_after_less_than_a_third() -> None:
    found, asked = verdict_of(shuffled(lost=300, won=100, same=1600))
    assert (found, asked < 2000 / 3) == ("regression", True)


def test_a_run_that_lost_nothing_passes_early() -> None:
    found, asked = verdict_of([0.0] * 2000)
    assert (found, asked < 1000) == ("pass", True)


def test_what_is_near_the_tolerance_is_never_certain() -> None:
    assert verdict_of(shuffled(lost=60, won=40, same=900)) == ("", 1000)


def test_a_small_loss_within_the_tolerance_is_no_regression() -> None:
    found, _ = verdict_of(shuffled(lost=120, won=20, same=1860), tolerance=0.2)
    assert found == "pass"


@pytest.mark.parametrize("least", [0, 400])
def test_nothing_is_certain_before_enough_clusters_and_samples(least: int) -> None:
    found, asked = verdict_of([-1.0] * 1000, min_samples=least)
    assert found == "regression"
    assert asked >= max(FEWEST_CLUSTERS, least)


def test_at_its_end_a_run_is_left_to_the_gate() -> None:
    certainty = Certainty([1] * 40, width=1.0, tolerance=0.02, levels=LEVELS, min_samples=0)
    for _ in range(40):
        certainty.add([-1.0])
    assert certainty.verdict == ""


def test_what_looking_all_along_takes_and_what_it_leaves_are_the_whole_error() -> None:
    levels = Levels.of(0.05, gated=10, watched=4)
    assert 4 * levels.bound + levels.fixed == pytest.approx(0.05)
    assert levels.strictest == pytest.approx(levels.fixed / 10)
