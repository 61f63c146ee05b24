"""Forward passes over layouts: padding, masks and positions, in one place.

Sequences of a batch are padded behind, so a causal mask keeps padding out of sight while they are first read. What
comes later, a tree of branches or one new token a row, sees the cache through an explicit mask that leaves the
padding out; positions are explicit too, so padding never shifts them.

Axes: R rows, T tokens, S cached tokens, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..cache import KeyValueCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from ..kosmos import Kosmos
    from .layout import Layout

_MOST_LOGITS = 1 << 24
"""Logits held at once, 64 MB in float32."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A batch of sequences that has been read.

    Attributes:
        cache: keys and values, [R, S].
        lengths: of the sequences, without padding.
        last: hidden state of each sequence's last token, [R, D].
    """

    cache: KeyValueCache
    lengths: Int[Tensor, " R"]
    last: Float[Tensor, "R D"]

    def visible(self, rows: Int[Tensor, " rows"]) -> Bool[Tensor, "rows S"]:
        """Return which cached tokens of the given rows are no padding."""
        columns = torch.arange(int(self.lengths.max()), device=self.lengths.device)
        return columns < self.lengths[rows][:, None]


class Forward:
    """A model, and the image embeddings that layouts refer to."""

    def __init__(self, model: Kosmos, pad: int, images: Float[Tensor, "N L D"]) -> None:
        """Keep what every forward pass needs.

        Args:
            model: in evaluation mode.
            pad: id of the padding token.
            images: embeddings of the numbered images.
        """
        self.model = model
        self.device = images.device
        self._pad = pad
        self._images = images

    def embed(self, layouts: Sequence[Layout]) -> Float[Tensor, "R T D"]:
        """Return the embeddings of layouts, padded behind to the longest."""
        shape = (len(layouts), max(map(len, layouts)))
        ids, slots = np.full(shape, self._pad, np.int64), np.full(shape, -1, np.int64)
        for row, layout in enumerate(layouts):
            ids[row, : len(layout)] = layout.ids
            slots[row, : len(layout)] = layout.slots
        return self.model.embed(self.tensor(ids), self.tensor(slots), self._images)

    def tensor(self, values: np.ndarray | Sequence[int]) -> Tensor:
        """Return values as a tensor on the model's device."""
        return torch.as_tensor(values, device=self.device)

    def read(self, layouts: Sequence[Layout], room: int = 0) -> Prefix:
        """Read whole sequences from their start.

        Args:
            layouts: of the sequences.
            room: tokens that will be added to the cache at once, if that is known.
        """
        embeddings = self.embed(layouts)
        rows, width, _ = embeddings.shape
        cache = KeyValueCache(self.model.config.decoder.layers, width + room)
        positions = torch.arange(width, device=self.device).expand(rows, -1)
        hidden = self.model.decoder(embeddings, positions, None, cache)
        lengths = self.tensor([len(layout) for layout in layouts])
        return Prefix(cache, lengths, hidden[torch.arange(rows, device=self.device), lengths - 1])

    def logits(self, hidden: Float[Tensor, "rows D"]) -> Iterator[Float[Tensor, "rows V"]]:
        """Yield float32 logits of hidden states, in parts of bounded size that follow each other."""
        part = max(1, _MOST_LOGITS // self.model.config.decoder.vocabulary)
        for rows in torch.split(hidden, part):
            yield self.model.decoder.logits(rows).float()
