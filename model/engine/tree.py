"""The prefix tree of pending requests, and the rows in which it is read.

Sequences that begin alike are one path of the tree until they part, so what they share is read once. A node is a
symbol: a token, or a whole image.

A *row* is what one row of a batch reads: nodes of the tree, those that part under a tree attention mask. A tree that
is small is one row. A larger one is cut: where a shared prefix is long enough to be worth a forward pass of its own,
it becomes a *trunk*, read before what stands behind it, and the branches behind it are packed into rows that begin
with a copy of its keys and values. A prefix shorter than that is read again in every row.

    <s> <image> ... </image> | Question: what is it? Answer:         five questions about a picture: one row
                             | Question: how many? Answer:
                             | ...
    <s> <image> ... </image> The photo of the | tench                1,000 names: a trunk, and rows of many names each
                                              | goldfish
                                              | great white shark
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray


ROOT = -1
"""In place of a node: what comes before the first one."""

_MOST_PACKED = 128
"""Embeddings of a row with branches: attention and its mask grow with their square."""

_OPEN_PACKS = 16
"""Rows behind a trunk that are looked at for room."""

_LEAST_TRUNK = 16
"""Embeddings of a prefix that is worth a forward pass of its own."""


class PrefixTree:
    """Symbols in a tree, numbered so that parents come first.

    Attributes:
        symbols: of the nodes, as in a `Layout`.
        parents: of the nodes; `ROOT` for the first of a sequence.
        ends: position behind each node, which is the length of the path to it.
    """

    def __init__(self, image_length: int) -> None:
        """Begin with no sequence.

        Args:
            image_length: embeddings an image.
        """
        self.symbols: list[int] = []
        self.parents: list[int] = []
        self.ends: list[int] = []
        self._image_length = image_length
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.symbols)

    def width(self, node: int) -> int:
        """Return how many embeddings a node is."""
        return self._image_length if self.symbols[node] < 0 else 1

    def add(self, symbols: Iterable[int], after: int = ROOT) -> list[int]:
        """Add a path behind a node and return its nodes, one a symbol; what is there already is not added again."""
        nodes = []
        children, end = self._children, self.ends[after] if after != ROOT else 0
        for symbol in symbols:
            end += 1 if symbol >= 0 else self._image_length
            node = children.setdefault((after, symbol), len(self.symbols))
            if node == len(self.symbols):
                self.symbols.append(symbol)
                self.parents.append(after)
                self.ends.append(end)
            nodes.append(node)
            after = node
        return nodes

    def path(self, node: int) -> list[int]:
        """Return the nodes from the first of a sequence to the given one."""
        path = []
        while node != ROOT:
            path.append(node)
            node = self.parents[node]
        return path[::-1]


@dataclass(eq=False, slots=True)
class Row:
    """What a row of a batch reads.

    Attributes:
        nodes: in reading order, parents first.
        length: embeddings of these.
        behind: embeddings that come before: the whole path of the trunk, 0 without one.
        chain: whether each node is the child of the one before it.
        rows: that are read behind this one, which is a trunk if there are any.
    """

    nodes: list[int]
    length: int
    behind: int = 0
    chain: bool = True
    rows: list[Row] = field(default_factory=list)

    @property
    def reach(self) -> int:
        """Embeddings of the row and of all that comes before."""
        return self.behind + self.length


def every_row(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows and all that are read behind them."""
    left = list(rows)
    while left:
        row = left.pop()
        yield row
        left += row.rows


def rows_alone(tree: PrefixTree, last: Iterable[int]) -> list[Row]:
    """Return a row for each distinct one of the given nodes: its whole sequence, shared with none."""
    return [Row(tree.path(node), tree.ends[node]) for node in dict.fromkeys(last) if node != ROOT]


def rows_shared(tree: PrefixTree, most: int) -> list[Row]:
    """Return the rows that read every node of a tree, what is shared once; those behind a trunk are within its row.

    Args:
        tree: to be read.
        most: embeddings of a row with branches.
    """
    return _Cut(tree, min(most, _MOST_PACKED)).rows


@dataclass(frozen=True, slots=True)
class _Siblings:
    """Subtrees that are to be read.

    Attributes:
        tops: their first nodes.
        rows: where their rows go: of a trunk, or those of the tree.
        head: nodes that are read again in every row, the siblings' parent last.
        behind: embeddings before the head.
        extra: embeddings of the head.
    """

    tops: Sequence[int]
    rows: list[Row]
    head: list[int]
    behind: int
    extra: int


@dataclass(frozen=True, slots=True)
class _Pack:
    """A row that may take more subtrees, and the parents whose children may stand in it without a head of their own."""

    row: Row
    parents: set[int]


class _Cut:
    """Cuts a tree into rows."""

    def __init__(self, tree: PrefixTree, most: int) -> None:
        self._tree = tree
        self._most = most
        self._children: list[list[int]] = [[] for _ in tree.parents]
        self._sizes = [tree.width(node) for node in range(len(tree))]
        self.rows: list[Row] = []
        self._packs: dict[int, list[_Pack]] = {}
        """The last rows behind each trunk, by the `id` of the trunk's list, which lives as long as this."""
        tops = []
        for node in range(len(tree) - 1, -1, -1):
            parent = tree.parents[node]
            if parent == ROOT:
                tops.append(node)
            else:
                self._children[parent].append(node)  # the last child first
                self._sizes[parent] += self._sizes[node]
        left = [_Siblings(tops[::-1], self.rows, [], 0, 0)]
        while left:
            left += self._place(left.pop())

    def _place(self, siblings: _Siblings) -> Iterator[_Siblings]:
        """Read siblings in rows, and yield those further down that have yet to be read."""
        tops = siblings.tops
        if siblings.behind:
            tops = sorted(tops, key=lambda top: -self._sizes[top])  # large ones first, so that small ones fill the rows
        for top in tops:
            if siblings.extra + self._sizes[top] > self._most:
                yield from self._cut(top, siblings)
            elif siblings.behind:
                self._pack(top, siblings)
            else:
                below = self._subtree(top)
                length = siblings.extra + self._sizes[top]
                siblings.rows.append(Row([*siblings.head, *below], length, chain=self._is_chain(below)))

    def _pack(self, top: int, siblings: _Siblings) -> None:
        """Read a subtree behind a trunk: in the first row there that has room, with its head if that is not there."""
        below, size, head = self._subtree(top), self._sizes[top], siblings.head
        parent = self._tree.parents[top]  # tells one head from another
        packs = self._packs.setdefault(id(siblings.rows), [])
        for pack in packs:
            more = [] if parent in pack.parents else head
            length = pack.row.length + size + (siblings.extra if more else 0)
            if length <= self._most:
                pack.row.nodes += [*more, *below]
                pack.row.length, pack.row.chain = length, False
                pack.parents.add(parent)
                return
        row = Row([*head, *below], siblings.extra + size, siblings.behind, self._is_chain(below))
        siblings.rows.append(row)
        packs.append(_Pack(row, {parent}))
        del packs[:-_OPEN_PACKS]

    def _cut(self, top: int, siblings: _Siblings) -> Iterator[_Siblings]:
        """Read what does not part of a subtree that is too large for one row, and yield its branches."""
        chain = [top]
        while len(self._children[chain[-1]]) == 1:
            chain += self._children[chain[-1]]
        nodes, behind = [*siblings.head, *chain], siblings.behind
        length = self._tree.ends[chain[-1]] - behind
        below = self._children[chain[-1]][::-1]
        if below and length < _LEAST_TRUNK:
            yield _Siblings(below, siblings.rows, nodes, behind, length)
            return
        row = Row(nodes, length, behind)
        siblings.rows.append(row)
        if below:
            yield _Siblings(below, row.rows, [], behind + length, 0)

    def _subtree(self, top: int) -> list[int]:
        found, left = [], [top]
        while left:
            node = left.pop()
            found.append(node)
            left += self._children[node]
        return found

    def _is_chain(self, nodes: Sequence[int]) -> bool:
        return all(self._tree.parents[after] == before for before, after in pairwise(nodes))


@dataclass(frozen=True, slots=True)
class Spread:
    """A row as a row of numbers, one an embedding.

    Attributes:
        tokens: ids; anything under an image.
        slots: -1 where a token stands, else image number * L + l for embedding l of the image.
        positions: in the sequence that the embedding is part of.
        lasts: node to the place, in the row, of its last embedding.
        mask: [length, length], true where a place may attend to another; `None` for a chain.
    """

    tokens: list[int]
    slots: list[int]
    positions: list[int]
    lasts: dict[int, int]
    mask: NDArray[np.bool_] | None


def spread(tree: PrefixTree, row: Row, image_length: int) -> Spread:
    """Return a row as numbers."""
    tokens: list[int] = []
    slots: list[int] = []
    positions: list[int] = []
    lasts: dict[int, int] = {}
    mask = None if row.chain else np.zeros((row.length, row.length), bool)
    for node in row.nodes:
        symbol, end, first = tree.symbols[node], tree.ends[node], len(tokens)
        if symbol >= 0:
            tokens.append(symbol)
            slots.append(-1)
            positions.append(end - 1)
        else:
            number = (-1 - symbol) * image_length
            tokens += [0] * image_length
            slots += range(number, number + image_length)
            positions += range(end - image_length, end)
        lasts[node] = len(tokens) - 1
        if mask is not None:
            if (before := lasts.get(tree.parents[node])) is not None:
                mask[first : len(tokens)] = mask[before]
            for place in range(first, len(tokens)):
                mask[place, first : place + 1] = True
    return Spread(tokens, slots, positions, lasts, mask)
