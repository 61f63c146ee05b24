"""A Kosmos model: images and text in one sequence of embeddings, read by one decoder.

Axes: B batch, T tokens, N images, L embeddings an image, D decoder width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kosmos_eval.errors import UsageError

from .decoder import Decoder
from .resampler import CrossAttentionConnector, PerceiverResampler, connector_of
from .vision import VisionTower

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from .config import KosmosConfig


class Kosmos(nn.Module):
    """Vision tower, connector and decoder; or a decoder alone, for which there are no images."""

    def __init__(self, config: KosmosConfig) -> None:
        super().__init__()
        self.config = config
        self.vision: VisionTower | None = None
        self.connector: PerceiverResampler | CrossAttentionConnector | None = None
        if config.vision is not None and config.connector is not None:
            self.vision = VisionTower(config.vision)
            self.connector = connector_of(config.connector, config.vision, config.decoder)
        self.decoder = Decoder(config.decoder)

    @classmethod
    def initialised(cls, config: KosmosConfig, seed: int) -> Kosmos:
        """Return a model of random weights that the seed decides; the global random state stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    def eyes(self) -> tuple[VisionTower, PerceiverResampler | CrossAttentionConnector]:
        """Return the vision tower and the connector.

        Raises:
            UsageError: the model is a decoder alone.
        """
        if self.vision is None or self.connector is None:
            message = "expected a prompt of text alone, got an image; this model has no vision tower"
            raise UsageError(message)
        return self.vision, self.connector

    def image_embeddings(self, pixels: Float[Tensor, "N 3 Y X"]) -> Float[Tensor, "N L D"]:
        """Return the embeddings of preprocessed images, not yet scaled.

        Raises:
            UsageError: the model is a decoder alone.
        """
        tower, connector = self.eyes()
        embeddings: Tensor = connector(tower(pixels))
        return embeddings

    def embed(
        self,
        tokens: Int[Tensor, "B T"],
        image_slots: Int[Tensor, "B T"] | None = None,
        images: Float[Tensor, "N L D"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Return what the decoder reads: token embeddings with image embeddings in their places, scaled.

        Args:
            tokens: ids; those under image embeddings are not looked at and may be any.
            image_slots: -1 where a token stands, and n * L + l where embedding l of image n does. `None`: no images.
            images: what `image_embeddings` returned.
        """
        x: Tensor = self.decoder.embedding(tokens)
        if image_slots is not None and images is not None and len(images):
            placed = images.flatten(0, 1)[image_slots.clamp(min=0)]
            x = torch.where((image_slots >= 0)[..., None], placed.to(x.dtype), x)
        return x * self.config.decoder.scale
