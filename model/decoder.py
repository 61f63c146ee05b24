"""The language model: a Magneto decoder (arXiv 2210.06423) with xPos (arXiv 2212.10554) or sinusoidal positions.

Magneto's sub-LayerNorm puts a second norm into each sublayer: on the attention's output before `out_proj`, and after
the activation before `fc2`; and it scales the initial weights and biases of `fc1`, `fc2`, `out_proj` and `v_proj` by
sqrt(ln 2L) for L layers.

Positions and masks always come from outside, so padding shifts nothing, and packed branches that share a prefix are
only another mask. Two questions behind one image, as one sequence:

    tokens     <image> a b | c d        positions  0 1 2 | 1 2        mask (row may attend to column)
                                                                      1 0 0 0 0
                                                                      1 1 0 0 0
                                                                      1 1 1 0 0
                                                                      1 0 0 1 0
                                                                      1 0 0 1 1

Keys are cached after rotation at their absolute positions, so a cached prefix needs no further work; xPos is
relative all the same, for rotation and decay cancel in the product of query and key.

Axes: B batch, T new tokens, W wanted ones of these, S all tokens (cached and new), N heads, D width, H head width, V
vocabulary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from .attention import join_heads, split_heads
from .positions import Rotation, sinusoids, xpos_rotation

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from .cache import KeyValueCache
    from .config import DecoderConfig


_BLOCK = 4096
"""Words of the vocabulary whose scores are computed at once on a CPU."""


class Decoder(nn.Module):
    """Embeddings to hidden states, and hidden states to logits."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(DecoderBlock(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.width, config.eps)
        self.head = TiedHead(self.embedding)
        self.dropout = nn.Dropout(config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.embedding.weight, std=self.config.width**-0.5)
        factor = math.sqrt(math.log(2 * self.config.layers))
        with torch.no_grad():
            self.embedding.weight[self.config.pad].zero_()
            for name, parameter in self.blocks.named_parameters():
                if name.split(".")[-2] in {"fc1", "fc2", "out_proj", "v_proj"}:
                    parameter.mul_(factor)

    def tie(self) -> None:
        """Make the head share the embedding's weight again, after weights were loaded or moved one by one."""
        self.head.weight = self.embedding.weight

    def forward(
        self,
        embeddings: Float[Tensor, "B T D"],
        positions: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T S"] | None = None,
        cache: KeyValueCache | None = None,
        wanted: Int[Tensor, "B W"] | None = None,
    ) -> Float[Tensor, "B W D"]:
        """Return the hidden states of embedded tokens, after the final norm.

        Args:
            embeddings: scaled as `Kosmos.embed` returns them, positions not yet added.
            positions: of each token, from 0; padding may have any.
            mask: true where a new token may attend to a cached or new one; a row of nothing but false is harmless.
                `None` is the causal mask, for sequences without padding in front and without a cache.
            cache: keys and values of earlier tokens; the new ones are appended.
            wanted: places, among the new tokens, whose states are returned; `None` is all of them. The last block
                computes nothing but keys and values for the others.
        """
        x = embeddings
        rotation = None
        if self.config.positions == "xpos":
            head_width = self.config.width // self.config.heads
            rotation = xpos_rotation(positions, head_width, self.config.xpos_base, self.config.max_positions // 2)
        else:
            x = x + sinusoids(positions + self.config.pad + 1, self.config.width).to(x.dtype)
        if mask is not None:
            # A row that may attend to nothing would become NaN and spread; what it sees instead is of no account.
            mask = (mask | ~mask.any(-1, keepdim=True))[:, None]
        x = self.dropout(x)
        *others, last = self.blocks
        for block in others:
            x = block(x, rotation, mask, cache)
        if wanted is not None:
            if mask is None:
                mask = torch.arange(x.shape[1], device=x.device) <= wanted[:, None, :, None]
            else:
                mask = mask.gather(2, wanted[:, None, :, None].expand(-1, -1, -1, mask.shape[-1]))
        x = last(x, rotation, mask, cache, wanted)
        if cache is not None:
            cache.length += embeddings.shape[1]
        hidden: Tensor = self.norm(x)
        return hidden

    def logits(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Return the scores of all next tokens."""
        scores: Tensor = self.head(hidden)
        return scores


class TiedHead(nn.Module):
    """The output projection, which shares the embedding's weight.

    A module of its own, so that whoever moves weights about before a module's forward pass moves this one too.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = embedding.weight

    def forward(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Return the scores of all next tokens."""
        if hidden.device.type != "cpu" or torch.is_grad_enabled():
            return F.linear(hidden, self.weight)
        # A few rows times a large vocabulary: in blocks, a CPU takes down to two thirds of the time.
        rows = hidden.reshape(-1, hidden.shape[-1])
        scores = hidden.new_empty(len(rows), len(self.weight))
        for start in range(0, len(self.weight), _BLOCK):
            block = slice(start, start + _BLOCK)
            torch.mm(rows, self.weight[block].T, out=scores[:, block])
        return scores.view(*hidden.shape[:-1], len(self.weight))


class DecoderBlock(nn.Module):
    """Attention and feed-forward, each between two norms."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, config.eps)
        self.attention = DecoderAttention(config, layer)
        self.feed_forward_norm = nn.LayerNorm(config.width, config.eps)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        rotation: Rotation | None,
        mask: Bool[Tensor, "B 1 W S"] | None,
        cache: KeyValueCache | None,
        wanted: Int[Tensor, "B W"] | None = None,
    ) -> Float[Tensor, "B W D"]:
        """Return the states after attention and feed-forward, those of the wanted tokens if any are named."""
        read = self.attention(self.attention_norm(x), rotation, mask, cache, wanted)
        x = (x if wanted is None else _at(x, wanted)) + self.dropout(read)
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x  # noqa: RET504  the block in four lines


class DecoderAttention(nn.Module):
    """Masked self-attention with a norm before its output projection."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.layer = config.heads, layer
        self.dropout = config.attention_dropout
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.inner_norm = nn.LayerNorm(config.width, config.eps)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        rotation: Rotation | None,
        mask: Bool[Tensor, "B 1 W S"] | None,
        cache: KeyValueCache | None,
        wanted: Int[Tensor, "B W"] | None,
    ) -> Float[Tensor, "B W D"]:
        """Return what each token, or each wanted one, reads out of those it may attend to."""
        asking = x if wanted is None else _at(x, wanted)
        q = split_heads(self.q_proj(asking), self.heads)
        k, v = (split_heads(project(x), self.heads) for project in (self.k_proj, self.v_proj))
        if rotation is not None:
            turned = rotation if wanted is None else Rotation(*(_at(each[:, 0], wanted)[:, None] for each in rotation))
            q, k = turned.queries(q), rotation.keys(k)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        dropout = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None)
        out: Tensor = self.out_proj(self.inner_norm(join_heads(read)))
        return out


def _at(states: Float[Tensor, "B T D"], places: Int[Tensor, "B W"]) -> Float[Tensor, "B W D"]:
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))


class FeedForward(nn.Module):
    """Two linear maps with GELU and a norm between them."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.inner_norm = nn.LayerNorm(config.hidden, config.eps)
        self.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the transformed states."""
        out: Tensor = self.fc2(self.inner_norm(F.gelu(self.fc1(x))))
        return out
