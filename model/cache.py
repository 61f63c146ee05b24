"""The key-value cache: what a decoder remembers of the tokens it has read.

Axes: B batch, N heads, S tokens, T new tokens, H head width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


class KeyValueCache:
    """Keys and values of every layer, in buffers that grow by half when they are full.

    Attributes:
        length: tokens held; the decoder moves it on after its last layer.
    """

    def __init__(self, layers: int, capacity: int) -> None:
        """Make an empty cache.

        Args:
            layers: of the decoder.
            capacity: tokens that it makes room for at first.
        """
        self._keys: list[Tensor | None] = [None] * layers
        self._values: list[Tensor | None] = [None] * layers
        self._capacity = capacity
        self.length = 0

    def append(
        self, layer: int, keys: Float[Tensor, "B N T H"], values: Float[Tensor, "B N T H"]
    ) -> tuple[Float[Tensor, "B N S H"], Float[Tensor, "B N S H"]]:
        """Add the new tokens of a layer and return all of that layer's keys and values."""
        stop = self.length + keys.shape[2]
        joined = []
        for buffers, new in ((self._keys, keys), (self._values, values)):
            buffer = buffers[layer]
            if buffer is None or stop > buffer.shape[2]:
                batch, heads, _, width = new.shape
                grown = new.new_empty(batch, heads, max(self._capacity, stop + self.length // 2), width)
                if buffer is not None:
                    grown[:, :, : self.length] = buffer[:, :, : self.length]
                buffer = buffers[layer] = grown
            buffer[:, :, self.length : stop] = new
            joined.append(buffer[:, :, :stop])
        return joined[0], joined[1]

    def select(self, rows: Int[Tensor, " rows"], room: int) -> KeyValueCache:
        """Return a cache of the given rows, repeated or left out as they come.

        Args:
            rows: of this cache.
            room: tokens that can be added to the new cache.
        """
        chosen = KeyValueCache(len(self._keys), self.length + room)
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            if keys is not None and values is not None:
                held = slice(0, self.length)
                here = rows.to(keys.device)  # layers may be on several devices
                chosen.append(layer, keys[:, :, held].index_select(0, here), values[:, :, held].index_select(0, here))
        chosen.length = self.length
        return chosen
