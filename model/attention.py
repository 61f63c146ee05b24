"""Multi-head attention without positions or cache: what the vision tower and the connectors are made of.

Axes: B batch, T query length, S key length, N heads, D width, H head width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


def split_heads(x: Float[Tensor, "B T D"], heads: int) -> Float[Tensor, "B N T H"]:
    """Return the vectors cut into heads."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def join_heads(x: Float[Tensor, "B N T H"]) -> Float[Tensor, "B T D"]:
    """Return the heads' vectors side by side."""
    return x.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Queries look at a context, all of it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B T D"], context: Float[Tensor, "B S D"]) -> Float[Tensor, "B T D"]:
        """Return what each query reads out of the context."""
        q = split_heads(self.q_proj(x), self.heads)
        k = split_heads(self.k_proj(context), self.heads)
        v = split_heads(self.v_proj(context), self.heads)
        read: Tensor = self.out_proj(join_heads(F.scaled_dot_product_attention(q, k, v)))
        return read
