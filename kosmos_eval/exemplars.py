"""Few-shot choice: which solved items stand before a query.

A pure function of (seed, task, sample key, k), drawn by hashing rather than from a random state: the same for any
process count, `--limit`, order or resume, on any machine. The first two of four exemplars are the two of a 2-shot
prompt, so shot counts differ by what was added and by nothing else.

Policies:
    per-sample: drawn anew for each query, as in KOSMOS-1 (arXiv 2302.14045, section 4: "randomly sampled").
    fixed: one draw for the whole run, so every prompt begins alike. When the query or its image is in the draw,
        the next in line takes that place.
    rices: not drawn, but those whose pictures are most similar to the query's; ranked by `rices.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from kosmos_eval.errors import DataError
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

S = TypeVar("S", bound=Sample)

DrawPolicy = Literal["per-sample", "fixed"]
ExemplarPolicy = Literal["per-sample", "fixed", "rices"]

Nearest = Mapping[str, Sequence[str]]
"""A sample's key to those of the exemplars that are most similar to it, the nearest first."""


class ExemplarPool(Generic[S]):
    """The solved items that exemplars are drawn from; their order matters to `first` alone."""

    def __init__(self, samples: Iterable[S]) -> None:
        """Keep the labelled ones among the samples."""
        self._in_order = [sample for sample in samples if sample.labelled]
        self._samples = sorted(self._in_order, key=lambda sample: sample.key)

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def samples(self) -> Sequence[S]:
        """The items, by their keys."""
        return self._samples

    def pick(self, keys: Iterable[str]) -> tuple[S, ...]:
        """Return the items of these keys, in order.

        Raises:
            DataError: there is none of a key.
        """
        found = [(key, self._by_key.get(key)) for key in keys]
        if (missing := next((key for key, item in found if item is None), None)) is not None:
            message = f"expected a labelled item {missing} in the exemplar split, which was chosen from it, got none"
            raise DataError(message)
        return tuple(item for _, item in found if item is not None)

    @cached_property
    def _by_key(self) -> dict[str, S]:
        return {sample.key: sample for sample in self._samples}

    def draw(self, query: S, k: int, *, seed: int, task: str, policy: DrawPolicy = "per-sample") -> tuple[S, ...]:
        """Return k exemplars for a query: distinct, and never the query nor any item that shows its image.

        Args:
            query: the sample that is asked.
            k: number of exemplars.
            seed: of the run.
            task: the task's name.
            policy: drawn for each query, or once for the run.

        Raises:
            DataError: the pool holds fewer than k items besides the query and its image.
        """
        if k == 0:
            return ()
        subject = f"{seed}|{task}|{query.key if policy == 'per-sample' else ''}"
        candidates = (self._samples[index] for index in permutation(subject, len(self._samples)))
        return self._chosen(candidates, query, k, task)

    def first(self, query: S, k: int, *, task: str) -> tuple[S, ...]:
        """Return the first k items in the order they were given, but never the query nor any item that shows its image.

        Raises:
            DataError: the pool holds fewer than k items besides the query and its image.
        """
        return self._chosen(self._in_order, query, k, task) if k else ()

    def _chosen(self, candidates: Iterable[S], query: S, k: int, task: str) -> tuple[S, ...]:
        seen = {image.digest for image in query.images}
        chosen: list[S] = []
        for candidate in candidates:
            if candidate.key != query.key and seen.isdisjoint(image.digest for image in candidate.images):
                chosen.append(candidate)
            if len(chosen) == k:
                return tuple(chosen)
        message = (
            f"{task}: expected {k} exemplars for sample {query.key}, but the exemplar split has only {len(chosen)} "
            f"labelled items besides it and its image; ask for fewer shots"
        )
        raise DataError(message)


def permutation(subject: str, size: int) -> Iterator[int]:
    """Yield 0..size-1 in an order fixed by the subject, lazily (Fisher-Yates over a sparse array)."""
    moved: dict[int, int] = {}
    for place in range(size):
        word = hashlib.sha256(f"{subject}|{place}".encode()).digest()
        other = place + int.from_bytes(word[:16]) % (size - place)
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)
