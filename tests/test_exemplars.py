"""Exemplars are a pure function of seed, task, sample and k; never the query, never its image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from kosmos_eval.errors import DataError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.prompt import Image
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from kosmos_eval.exemplars import DrawPolicy


@dataclass(frozen=True, kw_only=True)
class Shown(Sample):
    image: Image | None = None


def image(shade: int) -> Image:
    return Image(lambda: PIL.Image.new("RGB", (1, 1), (shade, 0, 0)), f"shade {shade}")


def plain(count: int) -> list[Shown]:
    return [Shown(key=f"item {number}") for number in range(count)]


def pictured(count: int, pictures: int) -> list[Shown]:
    """Return items of which several show one picture, each from a file of its own."""
    return [Shown(key=f"item {number}", image=image(number % pictures)) for number in range(count)]


def keys(drawn: tuple[Shown, ...]) -> list[str]:
    return [each.key for each in drawn]


some = settings(max_examples=20)
seeds = st.integers(-5, 2**40)
policies: st.SearchStrategy[DrawPolicy] = st.sampled_from(["per-sample", "fixed"])


@some
@given(st.data(), seeds, st.integers(1, 6), policies)
def test_the_order_of_the_pool_does_not_matter(data: st.DataObject, seed: int, k: int, policy: DrawPolicy) -> None:
    items = plain(9)
    shuffled = data.draw(st.permutations(items))
    query = data.draw(st.sampled_from([*items, Shown(key="stranger")]))
    drawn = [ExemplarPool(pool).draw(query, k, seed=seed, task="t", policy=policy) for pool in (items, shuffled)]
    assert drawn[0] == drawn[1]


@some
@given(st.lists(st.integers(0, 20), max_size=8), seeds, policies)
def test_what_other_samples_were_given_does_not_matter(others: list[int], seed: int, policy: DrawPolicy) -> None:
    items = pictured(21, 7)
    pool, used = ExemplarPool(items), ExemplarPool(items)
    for other in others:
        used.draw(items[other], 3, seed=seed, task="t", policy=policy)
    for query in items:
        draws = (each.draw(query, 4, seed=seed, task="t", policy=policy) for each in (used, pool))
        assert len({tuple(keys(drawn)) for drawn in draws}) == 1


@some
@given(seeds, st.integers(1, 8), policies)
def test_fewer_shots_are_the_first_of_more(seed: int, k: int, policy: DrawPolicy) -> None:
    pool, query = ExemplarPool(pictured(30, 10)), Shown(key="item 3", image=image(3))
    whole = pool.draw(query, 8, seed=seed, task="t", policy=policy)
    assert pool.draw(query, k, seed=seed, task="t", policy=policy) == whole[:k]


@some
@given(seeds, policies)
def test_the_query_and_its_picture_are_never_drawn_whatever_key_they_hide_under(seed: int, policy: DrawPolicy) -> None:
    items = pictured(12, 4)
    pool = ExemplarPool(items)
    for query in items:
        drawn = pool.draw(query, 9, seed=seed, task="t", policy=policy)
        assert len(set(keys(drawn))) == 9
        assert query.key not in keys(drawn)
        assert query.image not in [each.image for each in drawn]


def test_a_query_without_a_picture_is_not_drawn_for_itself_either() -> None:
    items = plain(6)
    pool = ExemplarPool(items)
    policy: DrawPolicy
    for policy in ("per-sample", "fixed"):
        for query in items:
            assert query.key not in keys(pool.draw(query, 5, seed=0, task="t", policy=policy))


def test_no_shots_open_no_picture() -> None:
    broken = Shown(key="broken", image=Image.from_bytes(b"", "broken"))
    assert ExemplarPool([broken]).draw(broken, 0, seed=0, task="t") == ()


def test_seed_task_and_query_each_change_a_per_sample_draw() -> None:
    pool = ExemplarPool(plain(1000))
    draws = {
        tuple(keys(pool.draw(Shown(key=key), 3, seed=seed, task=task)))
        for seed in (0, 1)
        for task in ("t", "u")
        for key in ("x", "y")
    }
    assert len(draws) == 8


def test_a_fixed_set_is_one_for_the_run_and_changes_with_seed_and_task() -> None:
    pool = ExemplarPool(plain(1000))
    drawn = {
        (seed, task): {tuple(keys(pool.draw(Shown(key=key), 3, seed=seed, task=task, policy="fixed"))) for key in "xyz"}
        for seed in (0, 1)
        for task in ("t", "u")
    }
    assert all(len(sets) == 1 for sets in drawn.values())
    assert len(set.union(*drawn.values())) == 4


def test_a_fixed_set_steps_aside_for_the_query_and_keeps_the_order_of_the_rest() -> None:
    items = pictured(20, 10)
    pool = ExemplarPool(items)
    line = pool.draw(Shown(key="stranger"), 20, seed=3, task="t", policy="fixed")
    for query in items:
        allowed = [each for each in line if each.image != query.image]
        assert list(pool.draw(query, 4, seed=3, task="t", policy="fixed")) == allowed[:4]


def test_unlabelled_items_are_no_exemplars() -> None:
    items = [Shown(key=f"item {number}", labelled=number % 2 == 0) for number in range(10)]
    pool = ExemplarPool(items)
    assert len(pool) == 5
    assert all(each.labelled for each in pool.draw(Shown(key="x"), 5, seed=0, task="t"))


@pytest.mark.parametrize("policy", ["per-sample", "fixed"])
def test_a_pool_that_is_too_small_is_said_with_its_size(policy: DrawPolicy) -> None:
    items = pictured(6, 3)
    expected = "birds: expected 5 exemplars for sample item 0, but the exemplar split has only 4 labelled items besides"
    with pytest.raises(DataError, match=expected):
        ExemplarPool(items).draw(items[0], 5, seed=0, task="birds", policy=policy)


def _chance_of_worse(counts: list[int]) -> float:
    """Return the chi-square test's p-value for equal shares."""
    expected = sum(counts) / len(counts)
    return float(chi2.sf(sum((count - expected) ** 2 / expected for count in counts), len(counts) - 1))


def test_every_item_is_as_likely_as_any_other_in_every_place() -> None:
    pool = ExemplarPool(plain(10))
    draws = [pool.draw(Shown(key=f"query {number}"), 3, seed=0, task="t") for number in range(1500)]
    for place in range(3):
        counts = Counter(drawn[place].key for drawn in draws)
        assert len(counts) == 10
        assert _chance_of_worse(list(counts.values())) > 0.001


def test_every_order_is_as_likely_as_any_other() -> None:
    pool = ExemplarPool(plain(4))
    counts = Counter(
        tuple(keys(pool.draw(Shown(key=f"query {number}"), 4, seed=1, task="t"))) for number in range(1200)
    )
    assert set(counts) == set(permutations(each.key for each in plain(4)))
    assert _chance_of_worse(list(counts.values())) > 0.001


def test_the_seeds_of_a_fixed_set_reach_every_item() -> None:
    pool = ExemplarPool(plain(10))
    counts = Counter(pool.draw(Shown(key="x"), 1, seed=seed, task="t", policy="fixed")[0].key for seed in range(1000))
    assert _chance_of_worse(list(counts.values())) > 0.001
