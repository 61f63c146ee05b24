"""Draws."""

from __future__ import annotations

from collections import Counter

from kosmos_eval.microworld.draws import Draws


def test_a_subject_fixes_its_draws_for_good() -> None:
    draws = Draws("fixed")
    assert [draws.below(1000) for _ in range(10)] == [867, 570, 185, 293, 364, 718, 886, 87, 91, 235]


def test_draws_are_even() -> None:
    draws = Draws("even")
    seen = Counter(draws.below(8) for _ in range(8000))
    assert all(850 < times < 1150 for times in seen.values())
    assert set(seen) == set(range(8))


def test_a_shuffle_keeps_the_items_and_reaches_every_order() -> None:
    draws = Draws("orders")
    orders = {tuple(draws.shuffled("abc")) for _ in range(100)}
    assert len(orders) == 6


def test_a_sample_has_different_items() -> None:
    draws = Draws("sample")
    assert all(len(set(draws.sample(range(9), 4))) == 4 for _ in range(50))
