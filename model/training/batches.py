"""Training batches: batch `n` is a pure function of (seed, n), so that going on after a stop needs only n."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kosmos_eval.errors import KosmosEvalError

from .dense import LABELS
from .packing import ImageMarks, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .documents import Documents, Mixture


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass, as tensors; see `PackedBatch` for all but the first two.

    Attributes:
        pixels: float32[P, 3, Y, X].
        labels: int64[P, LABELS].
    """

    pixels: Tensor
    labels: Tensor
    ids: Tensor
    positions: Tensor
    visible: Tensor
    image_slots: Tensor
    source_rows: Tensor
    source_columns: Tensor
    targets: Tensor
    weights: Tensor
    streams: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(**{each.name: getattr(self, each.name).to(device, non_blocking=True) for each in fields(self)})


def as_batch(documents: Documents, marks: ImageMarks, room: int = 0) -> Batch:
    """Return documents as the tensors of one forward pass; `room` as `pack` takes it."""
    packed = pack(documents.trees, marks, room)
    side = documents.side
    return Batch(
        pixels=torch.stack(documents.pixels) if documents.pixels else torch.empty(0, 3, side, side),
        labels=torch.from_numpy(np.stack(documents.labels)) if documents.labels else torch.empty(0, LABELS),
        **{each.name: torch.from_numpy(getattr(packed, each.name)) for each in fields(packed)},
    )


class BatchSource(Dataset["Batch | KosmosEvalError"]):
    """Makes the batch of any number, or returns why it cannot: an error that a worker raised would lose its message."""

    def __init__(self, mixture: Mixture, marks: ImageMarks, parts: int) -> None:
        """Take what makes documents.

        Args:
            mixture: of the streams.
            marks: how pictures are laid out.
            parts: forward passes in a step, over all processes.
        """
        self.mixture = mixture
        self.marks = marks
        self.parts = parts

    def __getitem__(self, number: int) -> Batch | KosmosEvalError:
        """Return batch `number`: part `number % parts` of step `number // parts`."""
        try:
            documents = self.mixture.make(*divmod(number, self.parts))
        except KosmosEvalError as error:
            return error
        return as_batch(documents, self.marks, self.mixture.settings.room)


def batches(
    mixture: Mixture,
    marks: ImageMarks,
    *,
    steps: range,
    accumulation: int = 1,
    process: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield this process's batches, `accumulation` for each step.

    Args:
        mixture: of the streams.
        marks: how pictures are laid out.
        steps: those that are still to be done.
        accumulation: forward passes of one process in a step.
        process: which process this is.
        processes: how many share a step.
        workers: processes that draw ahead; 0 draws in this one.

    Raises:
        UsageError, DataError: a document cannot be made.
    """
    parts = accumulation * processes
    source = BatchSource(mixture, marks, parts)
    numbers = [step * parts + turn * processes + process for step in steps for turn in range(accumulation)]
    loader: DataLoader[Batch | KosmosEvalError] = DataLoader(
        source,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(0),  # for the workers' seeds, which nothing uses
    )
    for batch in loader:
        if isinstance(batch, KosmosEvalError):
            raise batch
        yield batch
