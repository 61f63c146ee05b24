"""What is trained: the model, the heads of the auxiliary task beside it, and the loss of both.

Axes: M learnt tokens, S streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from .dense import DenseHeads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kosmos import Kosmos
    from .batches import Batch


class Losses(NamedTuple):
    """What one forward pass tells; what there is nothing to tell of is NaN.

    Attributes:
        total: the loss to go down.
        language: mean loss a learnt token of each stream, by the weights of its tokens, in nats; the mean of these by
            the streams' shares.
        right: share of the tokens of full weight that the model would have chosen.
        cells: share of the pictures' things that the embeddings tell.
        letters: share of the words' letters that they tell.
        streams: [S] mean loss a token of full weight, by stream.
    """

    total: Tensor
    language: Tensor
    right: Tensor
    cells: Tensor
    letters: Tensor
    streams: Tensor


class Learner(nn.Module):
    """A model with all that only training needs."""

    def __init__(self, model: Kosmos, dense_weight: float, shares: Sequence[float], *, tower: bool = True) -> None:
        """Take a model.

        Args:
            model: to be trained.
            dense_weight: of the auxiliary loss; with 0 there is none.
            shares: of the streams of documents; the loss of each counts by its share, however few of its tokens are
                learnt in full.
            tower: whether the auxiliary task reads the tower's maps too.
        """
        super().__init__()
        self.model = model
        self.heads = DenseHeads(model.config, tower=tower) if dense_weight else None
        self.dense_weight = dense_weight
        self.shares = tuple(shares)

    def forward(self, batch: Batch) -> Losses:
        """Return the losses of a batch."""
        nothing = torch.full((), torch.nan, device=batch.ids.device)
        total, cells, letters = torch.zeros_like(nothing), nothing, nothing
        images = None
        if len(batch.pixels):
            tower, connector = self.model.eyes()
            features = tower.features(batch.pixels)
            images = connector(features.tokens)
            if self.heads is not None:
                seen = self.heads(features, images, batch.labels)
                total, cells, letters = self.dense_weight * seen.loss, seen.cells, seen.letters
        if not len(batch.targets):
            return Losses(total, nothing, nothing, cells, letters, nothing.expand(len(self.shares)))
        logits = self.model_logits(batch, images)
        each = F.cross_entropy(logits.float(), batch.targets, reduction="none")
        full = batch.weights == 1
        right = (logits.argmax(-1) == batch.targets)[full].float().mean()
        language, by_stream = torch.zeros_like(total), []
        for number, share in enumerate(self.shares):
            own = batch.streams == number
            weights = batch.weights * own
            language = language + share * (weights * each).sum() / weights.sum().clamp(min=1)
            by_stream.append(each[own & full].mean())
        return Losses(total + language, language.detach(), right, cells, letters, torch.stack(by_stream).detach())

    def model_logits(self, batch: Batch, images: Tensor | None) -> Tensor:
        """Return [M, vocabulary]: the scores from which each learnt token is predicted.

        Args:
            batch: of one forward pass.
            images: the embeddings of its pictures; `None` where there are none.
        """
        embeddings = self.model.embed(batch.ids, batch.image_slots, images)
        hidden = self.model.decoder(embeddings, batch.positions, batch.visible)
        return self.model.decoder.logits(hidden[batch.source_rows, batch.source_columns])
