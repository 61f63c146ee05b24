"""Connectors: an image's tokens, however many, become a fixed number of embeddings for the decoder.

`PerceiverResampler` follows Flamingo (arXiv 2204.14198, appendix A.1.1), which KOSMOS-1 names: latents attend to the
image tokens and to themselves, then a feed-forward layer, several times. Deviations: no time embeddings, since there
is no video; image tokens are projected to the resampler's width, and its output, after a norm, to the decoder's; GELU
in place of squared ReLU; linear layers have biases; and, with `anchored`, each latent starts from the mean of its own
cell of the image, plus its learned vector, which spares a small model the search for where to look.

`CrossAttentionConnector` follows KOSMOS-2's released code: a linear map, then one cross-attention whose keys and
values are the image tokens and the queries; no layer norm, no feed-forward, no residual.

Axes: B batch, T image tokens, Q queries, W width of the resampler, D decoder width, V vision width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from .attention import Attention

if TYPE_CHECKING:
    from jaxtyping import Float

    from .config import ConnectorConfig, DecoderConfig, VisionConfig


class PerceiverResampler(nn.Module):
    """Latents read the image, layer by layer."""

    def __init__(self, config: ConnectorConfig, vision: VisionConfig, decoder: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = vision.grid
        width = self.config.width
        self.dense = nn.Linear(vision.width, width)
        self.latents = nn.Parameter(torch.randn(self.config.queries, width) * width**-0.5)
        self.blocks = nn.ModuleList(ResamplerBlock(self.config) for _ in range(self.config.layers))
        self.norm = nn.LayerNorm(width, self.config.eps)
        self.out = nn.Linear(width, decoder.width)
        # Image embeddings start as large as token embeddings are before they are scaled together.
        nn.init.normal_(self.out.weight, std=(width * decoder.width) ** -0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Float[Tensor, "B T V"]) -> Float[Tensor, "B Q D"]:
        """Return the embeddings of images from their tokens, the class token first."""
        features = self.dense(tokens)
        x = self.latents.expand(len(tokens), -1, -1)
        if self.config.anchored:
            x = x + self._cells(features)
        for block in self.blocks:
            x = block(x, features)
        embeddings: Tensor = self.out(self.norm(x))
        return embeddings

    def _cells(self, features: Float[Tensor, "B T W"]) -> Float[Tensor, "B Q W"]:
        """Return the mean features of each latent's cell of the image."""
        plane = features[:, 1:].transpose(1, 2).reshape(len(features), -1, self.grid, self.grid)
        return F.adaptive_avg_pool2d(plane, self.config.side).flatten(2).transpose(1, 2)


class ResamplerBlock(nn.Module):
    """Latents attend to the image and themselves, then a feed-forward layer."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.image_norm = nn.LayerNorm(config.width, config.eps)
        self.latent_norm = nn.LayerNorm(config.width, config.eps)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(config.width, config.eps)
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Float[Tensor, "B Q W"], features: Float[Tensor, "B T W"]) -> Float[Tensor, "B Q W"]:
        """Return the latents after one more look at the image."""
        latents = self.latent_norm(x)
        x = x + self.attention(latents, torch.cat([self.image_norm(features), latents], 1))
        x = x + self.fc2(F.gelu(self.fc1(self.feed_forward_norm(x))))
        return x  # noqa: RET504  the block in four lines


class CrossAttentionConnector(nn.Module):
    """Learned queries read the image once."""

    def __init__(self, config: ConnectorConfig, vision: VisionConfig, decoder: DecoderConfig) -> None:
        super().__init__()
        width = decoder.width
        self.dense = nn.Linear(vision.width, width)
        self.queries = nn.Parameter(torch.randn(config.queries, width))
        self.attention = Attention(width, config.heads)

    def forward(self, tokens: Float[Tensor, "B T V"]) -> Float[Tensor, "B Q D"]:
        """Return the embeddings of images from their tokens."""
        queries = self.queries.expand(len(tokens), -1, -1)
        embeddings: Tensor = self.attention(queries, torch.cat([self.dense(tokens), queries], 1))
        return embeddings


def connector_of(
    config: ConnectorConfig, vision: VisionConfig, decoder: DecoderConfig
) -> PerceiverResampler | CrossAttentionConnector:
    """Return a new connector of the kind that its configuration names, between this tower and this decoder."""
    kind = PerceiverResampler if config.kind == "resampler" else CrossAttentionConnector
    return kind(config, vision, decoder)
