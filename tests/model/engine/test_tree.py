from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmos_eval.model.engine import tree as tree_module
from kosmos_eval.model.engine.tree import ROOT, PrefixTree, Row, every_row, rows_alone, rows_shared, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMAGE = 5
"""Embeddings an image."""


def test_sequences_share_the_nodes_they_have_in_common() -> None:
    tree = PrefixTree(IMAGE)
    assert tree.add([7, 8, 9]) == [0, 1, 2]
    assert tree.add([7, 8, 4]) == [0, 1, 3]
    assert tree.add([7]) == [0]
    assert tree.add([5, 8]) == [4, 5]
    assert tree.add([9, 9], after=1) == [2, 6]
    assert tree.parents == [ROOT, 0, 1, 1, ROOT, 4, 2]
    assert tree.path(6) == [0, 1, 2, 6]


def test_an_image_is_one_node_and_as_many_positions_as_it_has_embeddings() -> None:
    tree = PrefixTree(IMAGE)
    assert tree.add([4, -1, 6]) == [0, 1, 2]
    assert tree.add([4, -2, 6]) == [0, 3, 4]
    assert [tree.width(node) for node in range(5)] == [1, IMAGE, 1, IMAGE, 1]
    assert tree.ends == [1, 1 + IMAGE, 2 + IMAGE, 1 + IMAGE, 2 + IMAGE]


def positions(tree: PrefixTree, path: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """What stands at each position of a path: token or -1, image embedding or -1, position."""
    at = 0
    for node in path:
        symbol = tree.symbols[node]
        for within in range(tree.width(node)):
            yield (symbol, -1, at) if symbol >= 0 else (-1, (-1 - symbol) * IMAGE + within, at)
            at += 1


def seen_from(tree: PrefixTree, row: Row, above: list[tuple[int, int, int]], node: int) -> list[tuple[int, int, int]]:
    """What the last embedding of a node may attend to, in order of position."""
    each = spread(tree, row, IMAGE)
    place = each.lasts[node]
    own = range(place + 1) if each.mask is None else np.flatnonzero(each.mask[place]).tolist()
    seen = [(each.tokens[at] if each.slots[at] < 0 else -1, each.slots[at], each.positions[at]) for at in own]
    return above + sorted(seen, key=lambda what: what[2])


def expect_whole(tree: PrefixTree, rows: Sequence[Row], above: list[tuple[int, int, int]]) -> set[int]:
    """Assert that from every node its whole path is seen, and return the nodes that are read."""
    read: set[int] = set()
    for row in rows:
        assert row.behind == len(above)
        assert row.length == sum(tree.width(node) for node in row.nodes)
        for node in row.nodes:
            assert seen_from(tree, row, above, node) == list(positions(tree, tree.path(node)))
        read |= set(row.nodes)
        if row.rows:
            assert row.chain
            read |= expect_whole(tree, row.rows, list(positions(tree, tree.path(row.nodes[-1]))))
    return read


SEQUENCES = st.lists(st.lists(st.sampled_from([1, 2, 3, -1, -2]), min_size=1, max_size=30), min_size=1, max_size=12)


@settings(deadline=None, max_examples=150)
@given(sequences=SEQUENCES, most=st.integers(1, 40), least=st.integers(1, 12))
def test_rows_read_every_node_behind_its_whole_path(sequences: list[list[int]], most: int, least: int) -> None:
    tree = PrefixTree(IMAGE)
    ends = [tree.add(sequence)[-1] for sequence in sequences]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_module, "_LEAST_TRUNK", least)
        shared = rows_shared(tree, most)
    assert expect_whole(tree, shared, []) == set(range(len(tree)))
    for row in every_row(shared):
        assert row.chain or row.length <= most
        assert not row.rows or row.length >= least
    alone = rows_alone(tree, ends)
    assert len(alone) == len(set(ends))
    assert {row.nodes[-1] for row in alone} == set(ends)
    assert expect_whole(tree, alone, []) == set(range(len(tree)))


def test_a_small_tree_is_one_row() -> None:
    tree = PrefixTree(IMAGE)
    for last in range(10, 15):
        tree.add([1, 2, -1, 3, last])
    (row,) = rows_shared(tree, 1 << 13)
    assert (row.length, row.chain, row.rows) == (8 + 5, False, [])


def test_many_names_behind_a_prefix_are_packed_behind_one_trunk() -> None:
    tree = PrefixTree(IMAGE)
    stem = tree.add([1, *range(20, 50)])[-1]
    rng = random.Random(0)
    for _ in range(300):
        tree.add(rng.choices(range(60, 90), k=rng.randint(1, 5)), stem)
    (trunk,) = rows_shared(tree, 1 << 13)
    assert (trunk.length, trunk.chain) == (31, True)
    assert sum(row.length for row in trunk.rows) == len(tree) - 31
    assert len(trunk.rows) <= 1 + 2 * (len(tree) - 31) // 128


def test_a_beginning_too_short_for_a_pass_of_its_own_is_read_in_every_row() -> None:
    tree = PrefixTree(IMAGE)
    for first in (10, 11, 12):
        tree.add([1, 2, *[first] * 60])
    rows = rows_shared(tree, 1 << 13)
    assert [(row.length, row.behind, row.rows) for row in rows] == [(62, 0, [])] * 3


def test_ten_thousand_sequences_that_grow_out_of_each_other_are_no_deep_recursion() -> None:
    tree = PrefixTree(IMAGE)
    stem = ROOT
    for _ in range(10_000):
        tree.add([1], stem)
        stem = tree.add([2], stem)[-1]
    read = {node for row in every_row(rows_shared(tree, 1 << 13)) for node in row.nodes}
    assert read == set(range(len(tree)))
