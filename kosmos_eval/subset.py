"""Which samples of a split there are, and which of them a run asks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kosmos_eval.config import RunConfig
    from kosmos_eval.task import Sample


def unique(samples: Iterable[Sample], place: str) -> list[Sample]:
    """Return the samples as a list.

    Args:
        samples: of a split.
        place: how messages call it.

    Raises:
        DataError: a key is no text, or two samples have the same.
    """
    seen: dict[str, Sample] = {}
    for sample in samples:
        key: object = sample.key
        if not isinstance(key, str) or not key:
            message = f"{place}: expected every sample's key to be a text with characters, got {key!r}"
            raise DataError(message)
        if sample.key in seen:
            message = f"{place}: expected every sample to have its own key, got {sample.key!r} twice"
            raise DataError(message)
        seen[sample.key] = sample
    return list(seen.values())


def choose(samples: Sequence[Sample], config: RunConfig, task: str) -> Sequence[Sample]:
    """Return the samples that `--limit` keeps: a subset drawn by hashing seed, task and key, or the first.

    A smaller limit's subset lies within a larger one's. A drawn subset does not depend on the order of the dataset.
    """
    if config.limit is None:
        return samples
    count = int(config.limit) if config.limit >= 1 else max(1, round(config.limit * len(samples)))
    if config.sample_order == "first":
        return samples[:count]

    def rank(sample: Sample) -> bytes:
        return hashlib.sha256(f"limit|{config.seed}|{task}|{sample.key}".encode()).digest()

    return sorted(samples, key=rank)[:count]
