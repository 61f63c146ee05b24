"""Branches behind a common prefix, as a tree over tokens: what several branches share is read once.

Only tokens that something comes after become nodes; the last token of a branch is a target and needs no forward
pass. Three continuations `a b c`, `a b d` and `a` give two nodes, `a` and `b`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .layout import Layout

PREFIX = -1
"""In place of a node: the last token of the prefix."""


@dataclass(slots=True)
class BranchTree:
    """A tree of tokens, in an order where parents come first.

    Attributes:
        prefix: number of the prefix that the tree stands behind.
        ids, slots: of the nodes, as in a `Layout`.
        parents: of the nodes, `PREFIX` for those that follow the prefix.
        depths: of the nodes, 0 for those that follow the prefix.
    """

    prefix: int
    ids: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def layout(self) -> Layout:
        """The nodes in a row."""
        return Layout(tuple(self.ids), tuple(self.slots))

    def add(self, branch: Layout) -> list[int]:
        """Add a branch and return, for each of its tokens, the node that comes before it."""
        before = [PREFIX]
        for token, slot in zip(branch.ids[:-1], branch.slots[:-1], strict=True):
            edge = (before[-1], token, slot)
            if edge not in self._children:
                self._children[edge] = len(self.ids)
                self.depths.append(0 if before[-1] == PREFIX else self.depths[before[-1]] + 1)
                self.ids.append(token)
                self.slots.append(slot)
                self.parents.append(before[-1])
            before.append(self._children[edge])
        return before

    def mask(self) -> np.ndarray:
        """Return [nodes, nodes]: true where the row's node is, or descends from, the column's."""
        nodes = len(self.ids)
        mask = np.zeros((nodes, nodes), bool)
        for node, parent in enumerate(self.parents):
            if parent != PREFIX:
                mask[node] = mask[parent]
            mask[node, node] = True
        return mask
