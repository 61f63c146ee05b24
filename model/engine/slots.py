"""Answers that are being written: as one is complete, its place in the batch goes to the next that waits.

A slot holds one prompt and, behind it, all that its beams have written: a small tree of its own, under a mask that
lets each beam see its own line of tokens. So beams share the keys and values of what they have in common, nothing is
copied when they change places, and greedy generation is the case of one beam.

Axes: P slots, B beams, S cached places, D width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import torch

from .forward import Forward, Reader, Way
from .tree import PrefixTree, rows_alone, rows_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float
    from torch import Tensor

    from ..cache import KeyValueCache
    from .forward import Read
    from .generate import GenerateJob

_MOST_SLOTS = 256
"""Sequences in one forward pass, each beam counted."""

_ROOM = 32
"""Places that a cache has room for when slots are filled or emptied; it grows by half when they are used up."""


class Continuing(Protocol):
    """An answer that is being written.

    Attributes:
        next_tokens: what each beam has written last, to be read next; none when the answer is complete.
        parents: for each of these, the number of the beam that it continues.
    """

    @property
    def next_tokens(self) -> Sequence[int]: ...  # noqa: D102  in the class docstring

    @property
    def parents(self) -> Sequence[int]: ...  # noqa: D102  in the class docstring


C = TypeVar("C", bound=Continuing)

Advance = Callable[["Tensor", "Sequence[C]"], None]
"""Chooses, given the hidden states [P, B, D] of answers, how these go on; complete ones are passed over."""


class Slots(Generic[C]):
    """The answers that are being written, and what the model remembers of them.

    Attributes:
        live: the answer in each slot; it may be complete.
    """

    def __init__(self, forward: Forward, beams: int) -> None:
        """Begin with no slot.

        Args:
            forward: the model.
            beams: of every answer.
        """
        self._forward = forward
        self._beams = beams
        self._cache: KeyValueCache | None = None
        self._seen = torch.zeros(0, beams, 0, dtype=torch.bool, device=forward.device)
        self._positions = torch.zeros(0, dtype=torch.int64, device=forward.device)
        self.live: list[C] = []

    @property
    def busy(self) -> int:
        """Answers that are not complete."""
        return sum(bool(answer.next_tokens) for answer in self.live)

    def admit(self, read: Read, arrived: Sequence[tuple[int, C]], advance: Advance[C]) -> Iterator[C]:
        """Begin answers, and yield those that are complete with their first token.

        Args:
            read: what comes before.
            arrived: for each answer, the node that its prompt ends with.
            advance: chooses the first token.
        """
        if not arrived:
            return
        advance(read.states([node for node, _ in arrived])[:, None], [answer for _, answer in arrived])
        yield from (answer for _, answer in arrived if not answer.next_tokens)
        if fresh := [(node, answer) for node, answer in arrived if answer.next_tokens]:
            self._add(read, fresh)

    def _add(self, read: Read, fresh: Sequence[tuple[int, C]]) -> None:
        cache, positions = read.behind([node for node, _ in fresh], _ROOM)
        seen = torch.arange(cache.length, device=positions.device) < positions[:, None]
        seen = seen[:, None].expand(-1, self._beams, -1)
        if self._cache is not None and self.busy:
            self._settle()
            cache = self._cache.join(cache, _ROOM)
            seen = torch.cat([_widened(self._seen, cache.length), _widened(seen, cache.length)])
            positions = torch.cat([self._positions, positions])
        else:
            self.live = []
        self._cache, self._seen, self._positions = cache, seen, positions
        self.live += [answer for _, answer in fresh]

    def _settle(self) -> None:
        """Give up the slots of complete answers, and forget what no beam sees."""
        assert self._cache is not None
        kept = [number for number, answer in enumerate(self.live) if answer.next_tokens]
        rows = self._forward.tensor(kept)
        seen = self._seen[rows]
        wanted = seen.any(1)
        width = int(wanted.sum(-1).max())
        places = wanted.int().argsort(dim=-1, descending=True, stable=True)[:, :width]
        self._cache = self._cache.take(rows, places, _ROOM)
        self._seen = seen.gather(2, places[:, None].expand(-1, self._beams, -1))
        self._positions = self._positions[rows]
        self.live = [self.live[number] for number in kept]

    def step(self, advance: Advance[C]) -> Iterator[C]:
        """Take every answer a token further, and yield those that are complete with it."""
        if 4 * self.busy <= 3 * len(self.live):
            self._settle()
        going = [answer for answer in self.live if answer.next_tokens]
        advance(self._read(), self.live)
        yield from (answer for answer in going if not answer.next_tokens)

    def _read(self) -> Float[Tensor, "P B D"]:
        """Read what every beam has written last and return the hidden states; those of complete answers are void."""
        tensor, beams = self._forward.tensor, self._beams
        tokens, parents = np.zeros((2, len(self.live), beams), np.int64)
        for number, answer in enumerate(self.live):
            count = len(answer.next_tokens)
            tokens[number, :count], parents[number, :count] = answer.next_tokens, answer.parents
        seen = self._seen
        if beams > 1:
            seen = seen.gather(1, tensor(parents)[..., None].expand(-1, -1, seen.shape[2]))
        own = torch.eye(beams, dtype=torch.bool, device=seen.device).expand(len(seen), -1, -1)
        self._seen = torch.cat([seen, own], -1)
        embeddings = self._forward.model.embed(tensor(tokens))
        positions = self._positions[:, None].expand(-1, beams)
        hidden: Tensor = self._forward.model.decoder(embeddings, positions, self._seen, self._cache)
        self._positions = self._positions + 1
        return hidden


def _widened(seen: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(seen, (0, width - seen.shape[2]))


def planted(jobs: Sequence[GenerateJob], image_length: int) -> tuple[PrefixTree, list[int]]:
    """Return the tree of the jobs' prompts, and the node that each prompt ends with."""
    tree = PrefixTree(image_length)
    return tree, [tree.add(job.prompt.symbols)[-1] for job in jobs]


def continued(
    forward: Forward, asked: Sequence[tuple[GenerateJob, C]], advance: Advance[C], budget: int, way: Way
) -> Iterator[C]:
    """Yield the answers as they are completed.

    Args:
        forward: the model.
        asked: jobs of one number of beams, each with its answer, which is empty.
        advance: chooses how answers go on.
        budget: most places of one forward pass.
        way: how prompts are read and batched.
    """
    tree, nodes = planted([job for job, _ in asked], forward.model.config.image_tokens)
    ends: dict[int, list[C]] = {}
    for node, (_, answer) in zip(nodes, asked, strict=True):
        ends.setdefault(node, []).append(answer)
    rows = rows_shared(tree, budget) if way.share else rows_alone(tree, ends)
    beams = asked[0][0].beams
    widest = max(job.longest for job, _ in asked)
    most = max(1, (way.rows or min(_MOST_SLOTS, budget // widest)) // beams)
    reads = Reader(forward, tree, frozenset(ends), budget, way).reads(rows)
    slots: Slots[C] = Slots(forward, beams)
    waiting: deque[tuple[Read, Sequence[tuple[int, C]]]] = deque()
    while True:
        while 4 * slots.busy <= 3 * most and (free := most - slots.busy):
            if not waiting and (read := next(reads, None)) is not None:
                waiting.append((read, [(node, answer) for node in read.wanted for answer in ends.pop(node, ())]))
            if not waiting:
                break
            read, arrived = waiting.popleft()
            if arrived[free:]:
                waiting.append((read, arrived[free:]))
            yield from slots.admit(read, arrived[:free], advance)
        if not slots.busy:
            return
        yield from slots.step(advance)
