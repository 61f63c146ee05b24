"""The nearest items have the most similar pictures, none gives the query away, and no order is left to chance."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kosmos_eval import similar
from kosmos_eval.near_copies import Seen
from kosmos_eval.similar import Items, group_by_show, mean_vectors, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kosmos_eval.similar import Show


def looks(digests: Sequence[str], near: Mapping[str, str] | None = None) -> dict[str, Seen]:
    """Return pictures that all look different, but those that are named as near to another."""
    bits = (bytes(255 * (number >> bit & 1) for bit in range(12)) for number in range(len(digests)))
    apart = {each: Seen(0, spots * 64) for each, spots in zip(digests, bits, strict=True)}
    return apart | {copy: apart[original] for copy, original in (near or {}).items()}


def units(count: int, width: int, seed: int) -> NDArray[np.float32]:
    drawn: NDArray[np.float64] = np.random.default_rng(seed).normal(size=(count, width))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn.astype(np.float32)


def line(*angles: float) -> NDArray[np.float32]:
    """Return vectors in a plane; the cosine of their angles is their similarity."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def items(shown: Mapping[str, Show], vectors: Mapping[Any, NDArray[np.float32]]) -> Items:
    grouped = group_by_show(shown)
    return Items(tuple(grouped), np.array([vectors[show] for show in grouped], np.float32), tuple(grouped.values()))


def one(query: str, show: Show, vector: NDArray[np.float32]) -> Items:
    return Items((show,), np.array([vector], np.float32), ((query,),))


@pytest.mark.parametrize("products", [1, 150, 1 << 24], ids=["one at a time", "in chunks", "at once"])
def test_the_nearest_are_those_of_a_plain_search(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "_PRODUCTS", products)
    asked, known = units(30, 8, 1), units(70, 8, 2)
    queries = Items([(f"q{n}",) for n in range(30)], asked, [[f"query {n}"] for n in range(30)])
    pool = Items([(f"p{n}",) for n in range(70)], known, [[f"item {n}"] for n in range(70)])
    pictures = [digest for show in (*queries.shows, *pool.shows) for digest in show]
    found = dict(nearest(queries, pool, looks(pictures), 5))
    for number, vector in enumerate(asked.astype(np.float64)):
        order = np.argsort(-(known.astype(np.float64) @ vector))[:5]
        assert found[f"query {number}"] == tuple(f"item {each}" for each in order)


def test_a_search_widens_until_the_pool_is_exhausted() -> None:
    angles = [number * 1e-6 for number in range(300)]  # all alike to six digits and beyond
    pool = Items([(f"p{n}",) for n in range(300)], line(*angles), [[f"item {n}"] for n in range(300)])
    digests = ["q", *(f"p{n}" for n in range(300))]
    near = {f"p{n}": "q" for n in range(290)}
    [(_, found)] = nearest(one("query", ("q",), line(0)[0]), pool, looks(digests, near), 12)
    assert sorted(found) == [f"item {n}" for n in range(290, 300)]


def test_fewer_are_the_nearest_of_more() -> None:
    known = units(40, 4, 3)
    pool = Items([(f"p{n // 2}",) for n in range(0, 80, 2)], known, [[f"a{n}", f"b{n}"] for n in range(40)])
    query = one("query", ("q",), units(1, 4, 4)[0])
    seen = looks(["q", *(f"p{n}" for n in range(40))])
    [(_, few)], [(_, many)] = nearest(query, pool, seen, 3), nearest(query, pool, seen, 9)
    assert few == many[:3]


def test_ties_are_ordered_by_a_hash_and_never_by_order() -> None:
    keys = [f"item {number}" for number in range(8)]
    show, vector = ("p",), {("p",): line(0.2)[0]}
    seen = looks(["p", "q"])
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(keys)
        [(_, chosen)] = nearest(one("query", ("q",), line(0)[0]), items(dict.fromkeys(keys, show), vector), seen, 8)
        found.append(chosen)
    assert found[0] == found[1] == found[2] != tuple(sorted(keys))
    [(_, other)] = nearest(one("another", ("q",), line(0)[0]), items(dict.fromkeys(keys, show), vector), seen, 8)
    assert sorted(other) == sorted(found[0])
    assert other != found[0]


def test_rounding_does_not_decide_between_two_that_are_alike() -> None:
    vectors = {("a",): line(0.3)[0], ("b",): np.nextafter(line(0.3)[0], np.float32(1))}
    seen = looks(["a", "b", "q"])
    swapped = {("a",): vectors["b",], ("b",): vectors["a",]}
    shown: dict[str, Show] = {"item a": ("a",), "item b": ("b",)}
    queries = [one(f"query {number}", ("q",), line(0)[0]) for number in range(8)]
    orders = [[*nearest(query, items(shown, each), seen, 2)] for query in queries for each in (vectors, swapped)]
    assert orders[::2] == orders[1::2]
    assert len({chosen for [(_, chosen)] in orders}) == 2


def test_neither_the_query_nor_its_picture_nor_a_near_copy_is_chosen() -> None:
    shown: dict[str, Show] = {"query": ("x",), "same": ("q",), "copy": ("c",), "other": ("o",), "far": ("f",)}
    angles = {"x": 0.0, "q": 0.0, "c": 0.0, "o": 0.5, "f": 1.0}
    pool = items(shown, {(digest,): line(angle)[0] for digest, angle in angles.items()})
    [(_, found)] = nearest(one("query", ("q",), line(0)[0]), pool, looks("xqcof", {"c": "q"}), 5)
    assert found == ("other", "far")


def test_an_item_of_several_pictures_is_left_out_if_it_shares_one_or_shows_copies_alone() -> None:
    shown: dict[str, Show] = {"shares": ("q", "a"), "copies": ("c", "d"), "half": ("c", "a"), "none": ()}
    vectors = dict.fromkeys((show for show in shown.values() if show), line(0)[0])
    seen = looks("qracd", {"c": "q", "d": "r"})
    [(_, found)] = nearest(one("query", ("q", "r"), line(0)[0]), items(shown, vectors), seen, 4)
    assert found == ("half",)


def test_several_pictures_have_the_mean_of_their_vectors() -> None:
    vectors = line(0, 1, 0.4)
    means = mean_vectors([("a", "b"), ("c",)], vectors, {"a": 0, "b": 1, "c": 2})
    assert np.allclose(means, line(0.5, 0.4), atol=1e-7)
    assert means.dtype == np.float32


def test_a_pool_without_pictures_gives_nothing() -> None:
    pool = Items((), np.empty((0, 0), np.float32), ())
    assert dict(nearest(one("query", ("q",), line(0)[0]), pool, looks("q"), 3)) == {"query": ()}
