"""Where a token stands: xPos rotations and sinusoidal embeddings, computed from explicit positions.

Both are computed in float32 when they are needed. No table is stored, so there is none to load, move or outgrow.

Axes: B batch, T tokens, N heads, D width, H head width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Rotation(NamedTuple):
    """xPos at given positions, [B, 1, T, H/2] each.

    Attributes:
        cosine, sine: of the angle by which each pair of channels turns.
        growth: what a query's pair is multiplied by, and a key's divided by.
    """

    cosine: Tensor
    sine: Tensor
    growth: Tensor

    def queries(self, x: Float[Tensor, "B N T H"]) -> Float[Tensor, "B N T H"]:
        """Return queries, rotated and scaled up."""
        return self._turn(x, self.growth)

    def keys(self, x: Float[Tensor, "B N T H"]) -> Float[Tensor, "B N T H"]:
        """Return keys, rotated and scaled down."""
        return self._turn(x, self.growth.reciprocal())

    def _turn(self, x: Tensor, scale: Tensor) -> Tensor:
        """Return x with neighbouring channels (0 and 1, 2 and 3, ...) turned as pairs and scaled."""
        even, odd = x[..., ::2], x[..., 1::2]
        cosine, sine = self.cosine * scale, self.sine * scale
        return torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], -1).flatten(-2).to(x.dtype)


def xpos_rotation(positions: Int[Tensor, "B T"], head_width: int, base: int, centre: int) -> Rotation:
    """Return xPos (arXiv 2212.10554) at the given positions.

    The pair i of a head of width d turns by 10000^(-2i/d) a position and grows by zeta_i^(1/base), with
    zeta_i = (2i + 0.4 d) / (1.4 d). This leaves the range of float32 some 70 bases away from the centre, and that of
    float16, to which queries and keys of that type return, some 7.

    Args:
        positions: of the tokens, from 0.
        head_width: d.
        base: positions over which a pair grows by zeta once.
        centre: position at which nothing grows. It cancels in the product of query and key, and keeps numbers small.
    """
    pair = torch.arange(0, head_width, 2, dtype=torch.float32, device=positions.device)
    place = positions[:, None, :, None].to(torch.float32)
    angle = place * 10000.0 ** (-pair / head_width)
    zeta = (pair + 0.4 * head_width) / (1.4 * head_width)
    return Rotation(angle.cos(), angle.sin(), zeta ** ((place - centre) / base))


def sinusoids(rows: Int[Tensor, "B T"], width: int) -> Float[Tensor, "B T D"]:
    """Return rows of fairseq's sinusoidal table: all sines, then all cosines.

    fairseq numbers the first real token's row padding id + 1; the caller adds that.
    """
    half = width // 2
    channel = torch.arange(half, dtype=torch.float32, device=rows.device)
    frequency = torch.exp(channel * -(math.log(10000.0) / (half - 1)))
    angle = rows[..., None].to(torch.float32) * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)
