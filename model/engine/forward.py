"""Forward passes over rows of a prefix tree, and over sequences that are being continued: masks, padding, positions.

Rows of a batch are padded behind. Rows that begin a sequence and do not part need no mask but the causal one; all
others see the cache and each other through an explicit mask that leaves the padding out. Positions are explicit too,
so padding never shifts them.

Axes: R rows, T new places, W those of them whose states are asked for, S cached places, B beams, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..cache import KeyValueCache
from .tree import ROOT, Row, spread

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from jaxtyping import Float, Int
    from numpy.typing import NDArray
    from torch import Tensor

    from ..kosmos import Kosmos
    from .memory import Memory
    from .tree import PrefixTree, Spread

_MOST_LOGITS = 1 << 23
"""Logits held at once, 32 MB in float32: more leave the caches of a CPU."""


@dataclass(frozen=True, slots=True)
class Way:
    """How rows are made and batched; all ways give the same answers but for float rounding.

    Attributes:
        share: whether what sequences have in common is read once; else each is read whole, by itself.
        sort: whether rows of like length are batched together; else as they come.
        pad: whether rows of unequal length are batched at all.
        rows: at most so many in a batch; `None` leaves it to the budget.
    """

    share: bool = True
    sort: bool = True
    pad: bool = True
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A batch of rows that has been read.

    Attributes:
        cache: keys and values: `base` places of trunks, then the rows' own.
        base: places in front of every row's own.
        rows: that were read.
        spreads: the rows as numbers.
        nodes: node to (row, place) of its last embedding.
        hidden: states of the rows' wanted places, [R, W, D].
        wanted: node to (row, number of the wanted place), for the nodes whose states there are.
    """

    cache: KeyValueCache
    base: int
    rows: Sequence[Row]
    spreads: Sequence[Spread]
    nodes: dict[int, tuple[int, int]]
    hidden: Float[Tensor, "R W D"]
    wanted: dict[int, tuple[int, int]]

    def states(self, nodes: Sequence[int]) -> Float[Tensor, "nodes D"]:
        """Return the hidden states of wanted nodes, each at its last embedding."""
        rows, places = zip(*(self.wanted[node] for node in nodes), strict=True)
        device = self.hidden.device
        return self.hidden[torch.as_tensor(rows, device=device), torch.as_tensor(places, device=device)]

    def behind(self, nodes: Sequence[int], room: int) -> tuple[KeyValueCache, Int[Tensor, " nodes"]]:
        """Return a cache with a row for each node, of all that leads up to it and itself, and how many places that is.

        Args:
            nodes: that were read; they may come more than once.
            room: places that can be added to the cache.
        """
        rows, paths = zip(*(self._path(node) for node in nodes), strict=True)
        lengths = [len(path) for path in paths]
        device = self.hidden.device
        counts = torch.as_tensor(lengths, device=device)
        if all(path[-1] == len(path) - 1 for path in paths) and max(lengths) == self.cache.length:
            return self.cache.select(torch.as_tensor(rows, device=device), room), counts
        places = np.zeros((len(nodes), max(lengths)), np.int64)
        for row, path in zip(places, paths, strict=True):
            row[: len(path)] = path
        taken = self.cache.take(torch.as_tensor(rows, device=device), torch.as_tensor(places, device=device), room)
        return taken, counts

    def _path(self, node: int) -> tuple[int, NDArray[np.int64]]:
        """Return a node's row and the places, in the cache, of all that leads up to it, itself included."""
        row, place = self.nodes[node]
        mask = self.spreads[row].mask
        own = np.arange(place + 1) if mask is None else np.flatnonzero(mask[place])
        return row, np.concatenate([np.arange(self.rows[row].behind), self.base + own])


class Forward:
    """A model, and the image embeddings that symbols refer to."""

    def __init__(self, model: Kosmos, images: Float[Tensor, "N L D"], memory: Memory) -> None:
        """Keep what every forward pass needs.

        Args:
            model: in evaluation mode.
            images: embeddings of the numbered images.
            memory: of the device.
        """
        self.model = model
        self.device = images.device
        self._memory = memory
        self._images = images

    def tensor(self, values: np.ndarray | Sequence[int]) -> Tensor:
        """Return values as a tensor on the model's device."""
        return torch.as_tensor(values, device=self.device)

    def read(
        self,
        tree: PrefixTree,
        rows: Sequence[Row],
        wanted: Container[int],
        trunks: tuple[Read, Sequence[int]] | None = None,
    ) -> Read:
        """Read a batch of rows.

        Args:
            tree: that the rows are of.
            rows: none, or all, behind trunks.
            wanted: nodes whose states are asked for.
            trunks: the batch that the trunks are in, and for each row the last node of its trunk.

        Raises:
            OutOfMemoryError: there is not enough for so many places.
        """
        config = self.model.config
        self._memory.check(len(rows) * (max(row.behind for row in rows) + max(row.length for row in rows)))
        spreads = [spread(tree, row, config.image_tokens) for row in rows]
        shape = (len(rows), max(row.length for row in rows))
        ids, slots, positions = np.zeros(shape, np.int64), np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
        for number, each in enumerate(spreads):
            inside = slice(len(each.tokens))
            ids[number, inside], slots[number, inside] = each.tokens, each.slots
            positions[number, inside] = each.positions
        if trunks is None:
            cache = KeyValueCache(config.decoder.layers, shape[1])
        else:
            cache, _ = trunks[0].behind(trunks[1], shape[1])
        base = cache.length
        plain = trunks is None and all(each.mask is None for each in spreads)
        mask = None if plain else self.tensor(_masks(rows, spreads, base, shape[1]))
        embeddings = self.model.embed(self.tensor(ids), self.tensor(slots), self._images)
        kept = [[node for node in each.lasts if node in wanted] for each in spreads]
        places = np.zeros((len(rows), max(1, *map(len, kept))), np.int64)
        for row, of_row, each in zip(places, kept, spreads, strict=True):
            row[: len(of_row)] = [each.lasts[node] for node in of_row]
        few = 2 * places.shape[1] < shape[1]
        asked = self.tensor(places) if few else None
        hidden = self.model.decoder(embeddings, self.tensor(positions), mask, cache, asked)
        nodes = {node: (number, place) for number, each in enumerate(spreads) for node, place in each.lasts.items()}
        told = {node: (number, place) for number, of_row in enumerate(kept) for place, node in enumerate(of_row)}
        if not few:
            told = {node: nodes[node] for node in told}
        return Read(cache, base, rows, spreads, nodes, hidden, told)

    def logits(self, hidden: Float[Tensor, "rows D"]) -> Iterator[Float[Tensor, "rows V"]]:
        """Yield float32 logits of hidden states, in parts of bounded size that follow each other."""
        part = max(1, _MOST_LOGITS // self.model.config.decoder.vocabulary)
        for rows in torch.split(hidden, part):
            yield self.model.decoder.logits(rows).float()


def normalisers(logits: Float[Tensor, "R V"], best: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
    """Return the log of the summed exponentials of each row, in whose place the exponentials are left.

    Args:
        logits: which are overwritten.
        best: the largest of each row.
    """
    return logits.sub_(best[:, None]).exp_().sum(-1).log_() + best


def _masks(rows: Sequence[Row], spreads: Sequence[Spread], base: int, width: int) -> NDArray[np.bool_]:
    """Return [R, T, base + T]: true where a row's new place may attend to a place of the cache."""
    masks = np.zeros((len(rows), width, base + width), bool)
    causal = np.tri(width, dtype=bool)
    for mask, row, each in zip(masks, rows, spreads, strict=True):
        mask[: row.length, : row.behind] = True
        own = causal[: row.length, : row.length] if each.mask is None else each.mask
        mask[: row.length, base : base + row.length] = own
    return masks


class Reader:
    """Reads the rows of a tree, batch by batch: trunks before what stands behind them."""

    def __init__(self, forward: Forward, tree: PrefixTree, wanted: Container[int], budget: int, way: Way) -> None:
        """Keep what reading needs.

        Args:
            forward: the model.
            tree: whose rows are read.
            wanted: nodes whose states are asked for.
            budget: most places of a batch, those of trunks and padding included.
            way: how rows are batched.
        """
        self.forward = forward
        self.tree = tree
        self._wanted = wanted
        self._budget = budget
        self._way = way

    def reads(self, rows: Iterable[Row]) -> Iterator[Read]:
        """Yield batch after batch; what a batch holds may be let go before the next."""
        return self._reads([(row, ROOT) for row in rows], None)

    def _reads(self, rows: Sequence[tuple[Row, int]], trunks: Read | None) -> Iterator[Read]:
        for batch in self._batches(rows):
            behind = (trunks, [node for _, node in batch]) if trunks is not None else None
            read = self.forward.read(self.tree, [row for row, _ in batch], self._wanted, behind)
            yield read
            if below := [(row, trunk.nodes[-1]) for trunk, _ in batch for row in trunk.rows]:
                yield from self._reads(below, read)

    def _batches(self, rows: Sequence[tuple[Row, int]]) -> Iterator[Sequence[tuple[Row, int]]]:
        """Cut rows into batches, the longest first, so that memory runs out at once or not at all."""
        way = self._way
        ordered = sorted(rows, key=lambda each: (-each[0].reach, -each[0].length)) if way.sort else rows
        start = behind = length = 0
        for at, (row, _) in enumerate(ordered):
            wider = max(behind, row.behind) + max(length, row.length)
            size = at + 1 - start
            if at > start and (
                size * wider > self._budget
                or size > (way.rows or size)
                or (not way.pad and (row.behind, row.length) != (behind, length))
            ):
                yield ordered[start:at]
                start = at
                behind = length = 0
            behind, length = max(behind, row.behind), max(length, row.length)
        if start < len(ordered):
            yield ordered[start:]
