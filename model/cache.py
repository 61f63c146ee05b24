"""The key-value cache: what a decoder remembers of the tokens it has read.

Axes: B batch, N heads, S tokens, T new tokens, H head width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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
        return self._picked(
            lambda buffer: buffer[:, :, : self.length].index_select(0, rows.to(buffer.device)), self.length, room
        )

    def take(self, rows: Int[Tensor, " rows"], tokens: Int[Tensor, "rows S"], room: int) -> KeyValueCache:
        """Return a cache of the given rows with, in each, the given tokens and no others.

        Args:
            rows: of this cache.
            tokens: places of the tokens in each row.
            room: tokens that can be added to the new cache.
        """

        def picked(buffer: Tensor) -> Tensor:
            here = buffer.device  # layers may be on several devices
            return buffer[rows.to(here)[:, None], :, tokens.to(here)].transpose(1, 2)

        return self._picked(picked, tokens.shape[1], room)

    def _picked(self, pick: Callable[[Tensor], Tensor], length: int, room: int) -> KeyValueCache:
        picked = KeyValueCache(len(self._keys), length + room)
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            if keys is not None and values is not None:
                picked.append(layer, pick(keys), pick(values))
        picked.length = length
        return picked

    def join(self, other: KeyValueCache, room: int) -> KeyValueCache:
        """Return a cache of this one's rows and then the other's; the shorter rows get tokens that mean nothing.

        Args:
            other: of the same layers.
            room: tokens that can be added to the new cache.
        """
        length = max(self.length, other.length)
        joined = KeyValueCache(len(self._keys), length + room)
        for buffers, mine, theirs in (
            (joined._keys, self._keys, other._keys),
            (joined._values, self._values, other._values),
        ):
            for layer, (one, two) in enumerate(zip(mine, theirs, strict=True)):
                if one is not None and two is not None:
                    rows, heads, _, width = one.shape
                    grown = one.new_zeros(rows + len(two), heads, length + room, width)
                    grown[:rows, :, : self.length] = one[:, :, : self.length]
                    grown[rows:, :, : other.length] = two[:, :, : other.length]
                    buffers[layer] = grown
        joined.length = length
        return joined
