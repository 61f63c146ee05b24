"""Models of random weights in KOSMOS-2's layout, pictures of noise, and a tokenizer that spells numbers.

What weights, pictures and words mean does not change the time; how long a text is does. So names of things are given
as the ids that a real tokenizer makes of them, written as numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import PIL.Image

import kosmos_eval
from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

KOSMOS_2_VOCABULARY = 65_037
TINY_VOCABULARY = 2_048

_SIDE = 112
_FIRST = 16  # ids below are special here
TINY = Path(kosmos_eval.__file__).parent / "model" / "checkpoints" / "kosmos-tiny"
"""Folder of the embedded model."""

_NAMES = Path(__file__).parent / "imagenet_names.tsv"


class Shape(NamedTuple):
    """A decoder's size; `side` is that of a picture, of which `latents` embeddings are made."""

    width: int
    layers: int
    heads: int
    side: int = _SIDE
    latents: int = 64

    def config(self, vocabulary: int) -> KosmosConfig:
        """Return the configuration in KOSMOS-2's layout."""
        tower = VisionConfig(self.side, 14, 192, 6, 6, 768, normalise=True)
        decoder = DecoderConfig(vocabulary, self.width, self.layers, self.heads, 4 * self.width, "sinusoidal")
        return KosmosConfig(tower, ConnectorConfig("x-attention", self.latents, self.heads), decoder)

    def model(self, vocabulary: int) -> Kosmos:
        """Return a model of random weights, the same each time."""
        return Kosmos.initialised(self.config(vocabulary), 0).eval()


SMALL = Shape(256, 6, 8)
LARGE = Shape(1024, 24, 16)
"""About 300 million weights beside the embedding."""
TOY = Shape(32, 2, 2, side=28, latents=4)
"""For a check that takes seconds."""


class NumberTokenizer:
    """Text as the numbers of its tokens, `17 4011`."""

    bos, pad, eos, unk, image_begin, image_end = 0, 1, 2, 3, 4, 5

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def encode(self, text: str) -> list[int]:
        """Return the ids that a text spells."""
        return [int(word) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """Return ids as text, special ones left out."""
        return " ".join(str(each) for each in ids if each >= _FIRST)


def words(draw: np.random.Generator, vocabulary: int, count: int) -> str:
    """Return a text of as many random tokens."""
    return " ".join(map(str, draw.integers(_FIRST, vocabulary, count).tolist()))


def noise(seed: int, side: int = _SIDE) -> Image:
    """Return a picture of noise."""

    def drawn() -> PIL.Image.Image:
        return PIL.Image.frombytes("RGB", (side, side), np.random.default_rng(seed).bytes(3 * side * side))

    return Image(drawn, f"noise {seed}")


def imagenet_names() -> list[tuple[str, str]]:
    """Return the 1,000 names in the order of the classes, each with its ids under KOSMOS-2's tokenizer as text."""
    lines = _NAMES.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(name, ids) for name, ids in pairs]
