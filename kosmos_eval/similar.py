"""The nearest items of a pool: those whose pictures are most similar to a query's, and none that gives it away.

Similarity is the cosine of two pictures' vectors; an item of several pictures has the mean of theirs, normalised again.
Never chosen are the query itself, an item that shares a picture with it (by pixels), and one that shows only near
copies of its pictures (`near_copies.py`: resized or recoded).

Products of matrices find what may be nearest; the similarities that decide are computed one by one in double
precision and rounded to six digits. So the choice is the same whatever else is asked, in whichever order; and what is
equally similar, as all questions on one picture are, is ordered by a hash of the two keys.

Memory: a vector for each distinct picture (or set of pictures) of pool and queries, 4 D bytes, and some 900 bytes for
what each picture looks like from afar; beside them `_PRODUCTS` similarities at a time.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from kosmos_eval.near_copies import Seen

_PRODUCTS = 1 << 24
"""Similarities that are computed at a time: 64 MiB in float32."""

_DIGITS = 6
_SLACK = 2e-5
"""More than single precision, and rounding, may move a similarity."""

Show = tuple[str, ...]
"""The pictures of an item, by their digests."""


@dataclass(frozen=True)
class Items:
    """Items by what they show.

    Attributes:
        shows: the distinct ones.
        vectors: of each, `[N, D]`, of length one.
        keys: of the items that show each.
    """

    shows: Sequence[Show]
    vectors: NDArray[np.float32]
    keys: Sequence[Sequence[str]]


def group_by_show(items: Mapping[str, Show]) -> dict[Show, list[str]]:
    """Return what is shown to the keys of the items that show it; items without pictures are left out."""
    grouped: dict[Show, list[str]] = defaultdict(list)
    for key in sorted(items):
        if items[key]:
            grouped[items[key]].append(key)
    return dict(grouped)


def nearest(
    queries: Items, pool: Items, looks: Mapping[str, Seen], count: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each query's key with the keys of its nearest items, the nearest first; fewer where there are no more.

    Args:
        queries: what is asked about.
        pool: what is chosen from.
        looks: digest to what the picture looks like from afar, of all pictures.
        count: of items for each query.
    """
    if not pool.shows:
        yield from ((key, ()) for keys in queries.keys for key in keys)
        return
    step = max(1, _PRODUCTS // len(pool.shows))
    for start in range(0, len(queries.shows), step):
        chunk = queries.vectors[start : start + step]
        for place, products in enumerate(chunk @ pool.vectors.T, start):
            search = _Search(pool, queries.shows[place], queries.vectors[place], products, looks)
            for key in queries.keys[place]:
                yield key, search.nearest(key, count)


class _Search:
    """The search for what is near to one picture, or set of pictures."""

    def __init__(
        self,
        pool: Items,
        show: Show,
        vector: NDArray[np.float32],
        products: NDArray[np.float32],
        looks: Mapping[str, Seen],
    ) -> None:
        self._pool, self._show, self._products, self._looks = pool, frozenset(show), products, looks
        self._vector = vector.astype(np.float64)
        self._allowed: dict[int, bool] = {}
        self._levels: tuple[int, list[list[int]]] = (0, [])

    def nearest(self, key: str, count: int) -> tuple[str, ...]:
        """Return the keys of the items that are nearest to a query, the nearest first."""
        width, whole = count + 16, len(self._products)
        while True:
            width = min(width, whole)
            chosen = self._choose(key, count, width)
            if len(chosen) == count or width == whole:
                return tuple(chosen)
            width *= 4

    def _choose(self, key: str, count: int, width: int) -> list[str]:
        """Return what is nearest among the foremost of the pool that are sure to be complete."""
        if self._levels[0] != width:
            self._levels = (width, list(self._foremost(width)))
        chosen: list[str] = []
        for level in self._levels[1]:
            equals = [each for row in level if self._may_show(row) for each in self._pool.keys[row] if each != key]
            chosen += sorted(equals, key=lambda each: _tie(key, each))[: count - len(chosen)]
            if len(chosen) == count:
                break
        return chosen

    def _foremost(self, width: int) -> Iterator[list[int]]:
        """Yield rows of equal similarity, the most similar first, for as long as none of theirs can be missing."""
        rows: NDArray[np.intp] = np.arange(len(self._products))
        floor = -np.inf
        if width < len(rows):
            rows = np.argpartition(-self._products, width - 1)[:width]
            floor = float(self._products[rows].min()) + _SLACK
        exact = np.round((self._pool.vectors[rows].astype(np.float64) * self._vector).sum(axis=1), _DIGITS)
        levels: dict[float, list[int]] = defaultdict(list)
        for row, similarity in zip(rows.tolist(), exact.tolist(), strict=True):
            levels[similarity].append(row)
        yield from (levels[similarity] for similarity in sorted(levels, reverse=True) if similarity > floor)

    def _may_show(self, row: int) -> bool:
        """Return whether what a row of the pool shows gives nothing away."""
        if row not in self._allowed:
            show = self._pool.shows[row]
            self._allowed[row] = self._show.isdisjoint(show) and not all(map(self._is_near, show))
        return self._allowed[row]

    def _is_near(self, digest: str) -> bool:
        return any(self._looks[digest].near(self._looks[own]) for own in self._show)


def _tie(query: str, key: str) -> bytes:
    return hashlib.sha256(f"{query}|{key}".encode()).digest()


def mean_vectors(shows: Sequence[Show], vectors: NDArray[np.float32], places: Mapping[str, int]) -> NDArray[np.float32]:
    """Return the vector of each set of pictures `[N, D]`: the mean of its pictures' vectors, of length one.

    Args:
        shows: sets of pictures.
        vectors: of single pictures, `[P, D]`.
        places: digest to row of `vectors`.
    """
    means = np.empty((len(shows), vectors.shape[1]), np.float32)
    for row, show in enumerate(shows):
        total = vectors[[places[digest] for digest in show]].sum(axis=0, dtype=np.float64)
        means[row] = total / max(float(np.linalg.norm(total)), np.finfo(np.float64).tiny)
    return means
