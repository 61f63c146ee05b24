"""The paired test where clusters' sums have too many sizes to draw a sign for each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from kosmos_eval.statistics.paired import paired_difference


@pytest.mark.parametrize("copies", [1, 2])
def test_many_sizes_have_the_p_value_of_the_normal_that_their_signs_tend_to(copies: int) -> None:
    rng = np.random.default_rng(11)
    gaps = np.tile(rng.normal(0.0, 0.2, 4000), copies).clip(-1, 1)
    gaps += 1.5 * math.sqrt(float(np.sum(gaps**2))) / len(gaps) - gaps.mean()
    base, other = np.maximum(-gaps, 0).clip(0, 1).tolist(), np.maximum(gaps, 0).clip(0, 1).tolist()
    found = paired_difference(base, other, [""] * len(gaps)).p_value
    expected = 2 * scipy.stats.norm.sf(float(np.sum(gaps)) / math.sqrt(float(np.sum(gaps**2))))
    assert found == pytest.approx(expected, abs=0.012)
    order = rng.permutation(len(gaps))
    again = [[column[place] for place in order] for column in (base, other)]
    assert paired_difference(again[0], again[1], [""] * len(gaps)).p_value == found


def test_one_large_sum_among_many_small_ones_keeps_its_sign_of_its_own() -> None:
    rng = np.random.default_rng(12)
    base, other = rng.uniform(0, 1e-4, 3000), np.zeros(3000)
    other[0] = 1.0  # no outcome is more extreme but for its sign's: the small ones cannot outweigh it
    base[1:] *= rng.random(2999) < 0.5
    found = paired_difference(base.tolist(), other.tolist(), [""] * 3000).p_value
    sums = other - base
    smaller = scipy.stats.norm.sf((abs(sums.sum()) - 1) / math.sqrt(float(np.sum(sums[1:] ** 2))))
    assert found == pytest.approx(smaller, abs=0.015)
