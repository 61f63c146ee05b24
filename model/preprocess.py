"""Pictures to pixels: squashed to the model's square, then normalised as CLIP's were.

KOSMOS-2 was evaluated on pictures resized to the square without a crop (microsoft/unilm 768a3c87,
kosmos-2/evaluation/caption_obj_few_shot.py), bicubic, with CLIP's mean and deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

PREPROCESSING = "squash, bicubic, CLIP mean and deviation; version 1"
"""What a model's fingerprint says of this file; changes whenever pixels do."""

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def pixels_of(picture: PIL.Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """Return the normalised pixels of a picture, squashed to a square.

    Args:
        picture: of any size and mode; it is read as RGB.
        size: side of the square, in pixels.
    """
    picture = picture.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), PIL.Image.Resampling.BICUBIC)
    values = np.asarray(picture, np.float32) / np.float32(255)
    return torch.from_numpy(((values - _MEAN) / _DEVIATION).transpose(2, 0, 1).copy())
