"""RICES: exemplars whose pictures are most similar to the query's, by the model's own image embeddings.

Retrieval-based In-Context Example Selection (Yang et al., arXiv 2109.05014); nearest last, right before the query, as
in Flamingo (arXiv 2204.14198, appendix A.2). The ranking is made once, before the first unit of a run is formed, since
prompts depend on it, and lies in the run's folder from then on: asking, resuming and scoring again read it.

Deviations from Flamingo: vectors are the mean of an image's embeddings as the decoder reads them, not those of a frozen
contrastive encoder; and what would give the query away is never chosen (`similar.py`).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.language_model import Embeds
from kosmos_eval.memory import give_back
from kosmos_eval.near_copies import see
from kosmos_eval.plan import with_nearest
from kosmos_eval.preflight import in_windows
from kosmos_eval.processes.worker import model_options, prepare_process
from kosmos_eval.similar import Items, group_by_show, mean_vectors, nearest
from kosmos_eval.vector_cache import VectorCache, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from kosmos_eval.exemplars import Nearest
    from kosmos_eval.near_copies import Seen
    from kosmos_eval.plan import Cell, Plan
    from kosmos_eval.prompt import Image
    from kosmos_eval.similar import Show
    from kosmos_eval.task import Sample

_KEPT_AT_ONCE = 2_048
"""Vectors that are computed before they are kept on disk."""


def rank_exemplars(plan: Plan, weights: str | None = None) -> Plan:
    """Return a plan whose cells know the nearest exemplars of their samples; the plan itself if it asks for none.

    Opens every picture of the samples and of their exemplar split. The model is loaded if a vector is in no cache.

    Args:
        plan: of a run, without a ranking.
        weights: the model's fingerprint, if it is known.

    Raises:
        UsageError: the model has no image embeddings, or the task's samples have no pictures.
        DataError: a picture is unreadable, or there are too few items to choose from.
    """
    ranked = [cell for cell in plan.cells if cell.shots] if plan.config.exemplars == "rices" else []
    if not ranked:
        return plan
    most: dict[str, Cell] = {}
    for cell in ranked:
        most[cell.label] = max(most.get(cell.label, cell), cell, key=lambda each: each.shots)
    for cell in most.values():
        _require_pictures(cell)
    vectors = _Vectors(plan, weights or plan.model.fingerprint(model_options(plan.config)))
    try:
        rankings = {label: _rank(cell, vectors) for label, cell in most.items()}
    finally:
        vectors.close()
    return with_nearest(plan, rankings)


def _require_pictures(cell: Cell) -> None:
    bare = next((key for key, sample in cell.samples.items() if not sample.images), None)
    if bare is not None:
        message = (
            f"{cell.label}: expected samples with pictures for --exemplars rices, got sample {bare} without; choose "
            f"--exemplars per-sample, or leave out {cell.part or cell.task.name}"
        )
        raise UsageError(message)


def _rank(cell: Cell, vectors: _Vectors) -> Nearest:
    pool = cell.pool.samples
    images, looks = _look((*cell.samples.values(), *pool), cell.label)
    found = {
        kind: group_by_show({each.key: _show(each) for each in samples})
        for kind, samples in (("queries", cell.samples.values()), ("pool", pool))
    }
    queries, items = (
        Items(tuple(grouped), vectors.of(tuple(grouped), images), tuple(grouped.values())) for grouped in found.values()
    )
    ranking = dict(nearest(queries, items, looks, cell.shots))
    for key, chosen in ranking.items():
        if len(chosen) < cell.shots:
            message = (
                f"{cell.task.name}: expected {cell.shots} exemplars for sample {key}, but the exemplar split has only "
                f"{len(chosen)} labelled items with pictures besides it, its image and near copies of it; ask for "
                f"fewer shots"
            )
            raise DataError(message)
    return ranking


def _show(sample: Sample) -> Show:
    return tuple(image.digest for image in sample.images)


def _look(samples: Iterable[Sample], label: str) -> tuple[dict[str, Image], dict[str, Seen]]:
    """Open every picture once; return its digest to one image of it, and to what it looks like from afar."""
    distinct = {id(image): image for sample in samples for image in sample.images}

    def look(image: Image) -> Seen | str:
        try:
            return see(image.load())  # which finds the digest as well
        except DataError as error:
            return str(error)

    images: dict[str, Image] = {}
    looks: dict[str, Seen] = {}
    faults: list[str] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        for image, seen in zip(distinct.values(), in_windows(workers, look, distinct.values()), strict=True):
            if isinstance(seen, str):
                faults.append(seen)
            else:
                looks.setdefault(images.setdefault(image.digest, image).digest, seen)
    if faults:
        more = f"; unreadable images of {label} in all: {len(faults)}" if len(faults) > 1 else ""
        message = f"{faults[0]}{more}"
        raise DataError(message)
    return images, looks


class _Vectors:
    """Pictures' vectors under one model: from the cache, or else made by the model, which is loaded when needed."""

    def __init__(self, plan: Plan, weights: str) -> None:
        self._plan = plan
        self._cache = VectorCache(f"{weights}|{plan.config.dtype}")
        self._model: Embeds | None = None

    def close(self) -> None:
        """Let go of the model, so that those that ask find its memory free."""
        if self._model is not None:
            self._model = None
            give_back()

    def of(self, shows: Sequence[Show], images: Mapping[str, Image]) -> NDArray[np.float32]:
        """Return the vector of each set of pictures, `[N, D]`.

        Args:
            shows: sets of pictures.
            images: digest to an image of the picture.

        Raises:
            UsageError: the model has no image embeddings.
            DataError: a vector is no vector.
        """
        places = {digest: row for row, digest in enumerate(dict.fromkeys(each for show in shows for each in show))}
        vectors = self._singles(places, images)
        alone = len(places) == len(shows) and all(len(show) == 1 for show in shows)
        return vectors if alone else mean_vectors(shows, vectors, places)

    def _singles(self, places: Mapping[str, int], images: Mapping[str, Image]) -> NDArray[np.float32]:
        """Return the vector of each picture, in its place."""
        missing = dict(places)
        vectors = np.empty((len(places), 0), np.float32)
        for digests, known in self._cache.read():
            wanted = [(row, missing.pop(digest)) for row, digest in enumerate(digests) if digest in missing]
            if wanted:
                vectors = vectors if vectors.shape[1] else np.empty((len(places), known.shape[1]), np.float32)
                vectors[[place for _, place in wanted]] = known[[row for row, _ in wanted]]
        if len(missing) > _KEPT_AT_ONCE:  # which may take long
            kept = f"later runs find the vectors in {self._cache.folder}"
            tell(f"{len(missing):,} pictures are encoded to compare them; {kept}")
        left = iter(tuple(missing))
        while digests := list(islice(left, _KEPT_AT_ONCE)):
            made = dict(zip(digests, self._embed([images[digest] for digest in digests]), strict=True))
            self._cache.write(made)
            vectors = vectors if vectors.shape[1] else np.empty((len(places), len(made[digests[0]])), np.float32)
            for digest, vector in made.items():
                vectors[places[digest]] = vector
        return vectors

    def _embed(self, images: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
        if self._model is None:
            self._model = _load(self._plan)
        for image, vector in zip(images, self._model.embed(images), strict=True):
            if not np.isfinite(vector).all() or not vector.any():
                message = f"image {image.name}: expected a vector of numbers from {self._plan.model.name}, got none"
                raise DataError(message)
            yield vector


def _load(plan: Plan) -> Embeds:
    with _threads_as_they_are():
        prepare_process(1)
        model = plan.model.load(model_options(plan.config))
    if not isinstance(model, Embeds):
        message = (
            f"--exemplars rices: expected a model with image embeddings (Embeds.embed), got {plan.model.name}, which "
            f"has none; choose --exemplars per-sample or fixed"
        )
        raise UsageError(message)
    return model


@contextmanager
def _threads_as_they_are() -> Iterator[None]:
    """Keep this process's threads its own: those that are started later divide the cores anew."""
    before = os.environ.get("OMP_NUM_THREADS")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS", None)
