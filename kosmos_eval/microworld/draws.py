"""Random draws that are a pure function of a text, the same on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

_WORD = 4  # bytes; 2**32 is so much more than any range drawn from that the remainder's bias does not show


class Draws:
    """A stream of draws fixed by its subject: SHA-256 of the subject and a block number, read four bytes at a time."""

    __slots__ = ("_block", "_subject", "_unread")

    def __init__(self, subject: str) -> None:
        """Start the stream of a subject; two streams of one subject are alike."""
        self._subject = subject
        self._block = 0
        self._unread = b""

    def below(self, size: int) -> int:
        """Return a whole number from 0 to size - 1."""
        if not self._unread:
            self._unread = hashlib.sha256(f"{self._subject}|{self._block}".encode()).digest()
            self._block += 1
        word, self._unread = self._unread[:_WORD], self._unread[_WORD:]
        return int.from_bytes(word) % size

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all the items in a drawn order (Fisher-Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return that many different items."""
        return self.shuffled(items)[:count]
