"""What is trained: the model, the heads of the auxiliary task beside it, and the loss of both.

Axes: B documents, T tokens, M learnt tokens, P pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from .dense import DenseHeads

if TYPE_CHECKING:
    from ..kosmos import Kosmos
    from .stream import Batch


class Losses(NamedTuple):
    """What one forward pass tells.

    Attributes:
        total: the loss to go down.
        language: mean loss a learnt token, in nats; zero while the tower trains alone.
        right: share of learnt tokens that the model would have chosen.
        cells: share of the pictures' things whose names the embeddings tell wholly right; NaN when there is none.
    """

    total: Tensor
    language: Tensor
    right: Tensor
    cells: Tensor


class Learner(nn.Module):
    """A model with all that only training needs."""

    def __init__(self, model: Kosmos, dense_weight: float) -> None:
        super().__init__()
        self.model = model
        self.heads = DenseHeads(model.config)
        self.dense_weight = dense_weight

    def forward(self, batch: Batch, *, tower_alone: bool = False) -> Losses:
        """Return the losses of a batch.

        Args:
            batch: of one forward pass.
            tower_alone: train the vision tower and the connector on the auxiliary task, and nothing else.
        """
        features = self.model.vision.features(batch.pixels)
        images = self.model.connector(features.tokens)
        dense, cells = self.heads(features, images, batch.labels)
        if tower_alone:
            nothing = torch.zeros_like(dense)
            return Losses(dense, nothing, nothing, cells)
        logits = self.model_logits(batch, images)
        language = F.cross_entropy(logits.float(), batch.targets)
        right = (logits.argmax(-1) == batch.targets).float().mean()
        return Losses(language + self.dense_weight * dense, language.detach(), right, cells)

    def model_logits(self, batch: Batch, images: Tensor | None) -> Tensor:
        """Return [M, vocabulary]: the scores from which each learnt token is predicted.

        Args:
            batch: of one forward pass.
            images: the embeddings of its pictures; `None` where there are none.
        """
        embeddings = self.model.embed(batch.ids, batch.image_slots, images)
        hidden = self.model.decoder(embeddings, batch.positions, batch.visible)
        return self.model.decoder.logits(hidden[batch.source_rows, batch.source_columns])
