"""The vision tower: a CLIP-style ViT (arXiv 2103.00020) that returns all its tokens after the final layer norm.

KOSMOS takes every token, the class token among them, and no projection; KOSMOS-2 scales each to unit length. A small
tower learns better behind a convolutional stem, whose map at half the patch size is returned too, so that training
can hang dense labels on it.

Axes: B batch, T tokens, D width, Y and X rows and columns of a map, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from .attention import Attention

if TYPE_CHECKING:
    from jaxtyping import Float

    from .config import VisionConfig


class QuickGELU(nn.Module):
    """The sigmoid approximation of GELU that OpenAI's CLIP was trained with."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return x * sigmoid(1.702 x)."""
        return x * torch.sigmoid(1.702 * x)


class VisionFeatures(NamedTuple):
    """What the tower sees.

    Attributes:
        tokens: [B, T, D], the class token first, then the patches row by row.
        fine_map: [B, C, Y, X], the stem's map at half the patch size; `None` without a convolutional stem.
    """

    tokens: Tensor
    fine_map: Tensor | None


class VisionTower(nn.Module):
    """Pixels to tokens."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem: ConvStem | PatchStem = ConvStem(config) if config.stem == "conv" else PatchStem(config)
        self.class_token = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn(config.tokens, width) * width**-0.5)
        self.first_norm = nn.LayerNorm(width, config.eps)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.layers))
        self.last_norm = nn.LayerNorm(width, config.eps)

    def forward(self, pixels: Float[Tensor, "B 3 Y X"]) -> Float[Tensor, "B T D"]:
        """Return the tokens of normalised pixels."""
        return self.features(pixels).tokens

    def features(self, pixels: Float[Tensor, "B 3 Y X"]) -> VisionFeatures:
        """Return the tokens, and the stem's finer map if it has one."""
        patches, fine_map = self.stem(pixels)
        first = self.class_token.expand(len(patches), 1, -1)
        x = self.first_norm(torch.cat([first, patches], 1) + self.positions)
        for block in self.blocks:
            x = block(x)
        x = self.last_norm(x)
        return VisionFeatures(F.normalize(x, dim=-1) if self.config.normalise else x, fine_map)


def freeze_but_last_layer(tower: VisionTower) -> None:
    """Leave the last block and the final norm of a tower to be trained, and nothing else of it.

    KOSMOS-1 trains so: "We freeze the parameters of the CLIP model except for the last layer". It does not say whether
    the norm behind that layer counts. It does here, as in the training code of Kosmos-G, which shares KOSMOS-2's
    (arXiv 2310.02992; `no_freeze_layer` of its `KosmosGModelConfig` is `resblocks.23,ln_post`).

    `tower.requires_grad_()` undoes it. An optimiser takes what is left: `[p for p in model.parameters() if
    p.requires_grad]`.

    Source: arXiv 2302.14045, section 3.2.
    """
    tower.requires_grad_(requires_grad=False)
    tower.blocks[-1].requires_grad_()
    tower.last_norm.requires_grad_()


class VisionBlock(nn.Module):
    """A pre-norm Transformer layer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, config.eps)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(config.width, config.eps)
        self.fc1 = nn.Linear(config.width, config.hidden)
        self.activation = QuickGELU() if config.activation == "quick_gelu" else nn.GELU()
        self.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the tokens after attention and feed-forward."""
        seen = self.attention_norm(x)
        x = x + self.attention(seen, seen)
        x = x + self.fc2(self.activation(self.fc1(self.feed_forward_norm(x))))
        return x  # noqa: RET504  the block in four lines


class PatchStem(nn.Module):
    """One linear map a patch, as a matrix product: the same as CLIP's strided convolution without bias."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Linear(3 * config.patch_size**2, config.width, bias=False)

    def forward(self, pixels: Float[Tensor, "B 3 Y X"]) -> tuple[Float[Tensor, "B T D"], None]:
        """Return the patches' vectors, row by row."""
        patches = F.unfold(pixels, self.patch_size, stride=self.patch_size).transpose(1, 2)
        return self.projection(patches), None


class ConvStem(nn.Module):
    """Stages of 3x3 convolutions, each beginning with one of stride 2."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        widths = (3, *config.stem_widths)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    ConvLayer(before if index == 0 else after, after, stride=2 if index == 0 else 1)
                    for index in range(depth)
                )
            )
            for before, after, depth in zip(widths[:-1], widths[1:], config.stem_depths, strict=True)
        )

    def forward(self, pixels: Float[Tensor, "B 3 Y X"]) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B C Y X"]]:
        """Return the patches' vectors, row by row, and the map before the last stage."""
        x = fine_map = pixels
        for stage in self.stages:
            fine_map, x = x, stage(x)
        return x.flatten(2).transpose(1, 2), fine_map


class ConvLayer(nn.Module):
    """A 3x3 convolution, normalised over all channels of an image, then GELU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(1, after)

    def forward(self, x: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C Y X"]:
        """Return the next map."""
        return F.gelu(self.norm(self.conv(x)))
