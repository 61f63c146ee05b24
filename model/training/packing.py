"""Documents that branch, laid out as one sequence under a tree mask.

Several questions about one picture share its tokens: the document is a tree whose trunk holds the picture and whose
branches hold the questions. Laid out in a row, a token sees itself, what stands before it in its own node, and its
ancestors; its position counts along its own path, so each branch computes what it would as a sequence of its own.

    trunk <s> [picture]           node 0   0 1 2 3 4
    branch  what colour? red      node 1             5 6 7
    branch  how many? 2           node 2             5 6 7

Axes: `B` documents, `T` tokens of the longest, `P` pictures of the batch, `K` latents a picture, `M` learnt tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Words(NamedTuple):
    """Tokens in a row; when `learn` is set the model is taught to write them."""

    ids: tuple[int, ...]
    learn: bool = False


class Picture(NamedTuple):
    """The place of a picture: `<image>`, its latents, `</image>`; `number` counts the batch's pictures."""

    number: int


class Node(NamedTuple):
    """A piece of a document: what stands in it, and the node whose end it continues (none for the trunk's start)."""

    parts: tuple[Words | Picture, ...]
    parent: int | None = None


class ImageMarks(NamedTuple):
    """How a picture is laid out: the ids on its two sides, and the number of latents between."""

    begin: int
    end: int
    latents: int


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """What one forward pass reads.

    Attributes:
        ids: int64[B, T]; under a picture's latents and in the padding, the `<image>` mark's id.
        positions: int64[B, T], counted along each token's path from 0.
        visible: bool[B, T, T], whether query token (second axis) sees key token (third); padding sees itself.
        image_slots: int64[B, T], p * K + k where latent k of picture p stands, -1 elsewhere.
        source_rows, source_columns: int64[M], the token from which each learnt token is predicted.
        targets: int64[M], the learnt tokens.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    visible: NDArray[np.bool_]
    image_slots: NDArray[np.int64]
    source_rows: NDArray[np.int64]
    source_columns: NDArray[np.int64]
    targets: NDArray[np.int64]


class _Row:
    """One document, laid out token by token."""

    def __init__(self, document: Sequence[Node], marks: ImageMarks) -> None:
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.node: list[int] = []
        self.pictures: dict[int, int] = {}
        self.learnt: list[tuple[int, int]] = []
        self._ends: list[int] = []
        self._ancestors = np.eye(len(document), dtype=np.bool_)
        for number, node in enumerate(document):
            self._previous = -1
            if node.parent is not None:
                self._ancestors[number] |= self._ancestors[node.parent]
                self._previous = self._ends[node.parent]
            for part in node.parts:
                self._lay(part, number, marks)
            self._ends.append(self._previous)

    def _lay(self, part: Words | Picture, number: int, marks: ImageMarks) -> None:
        match part:
            case Words(ids, learn):
                for each in ids:
                    if learn:
                        self.learnt.append((self._previous, each))
                    self._token(each, number)
            case Picture(picture):
                self._token(marks.begin, number)
                self.pictures[picture] = len(self.ids)
                for _ in range(marks.latents):
                    self._token(marks.begin, number)
                self._token(marks.end, number)

    def _token(self, each: int, number: int) -> None:
        position = self.positions[self._previous] + 1 if self._previous >= 0 else 0
        self._previous = len(self.ids)
        self.ids.append(each)
        self.positions.append(position)
        self.node.append(number)

    def visible(self) -> NDArray[np.bool_]:
        """Return bool[T, T]: ancestors and self, no later token."""
        node = np.asarray(self.node)
        return np.tril(self._ancestors[node][:, node])


def pack(documents: Sequence[Sequence[Node]], marks: ImageMarks) -> PackedBatch:
    """Return documents laid out for one forward pass.

    Args:
        documents: each a tree in which a parent stands before its children; pictures are numbered from 0 over the
            whole batch, each in one place.
        marks: how a picture is laid out.
    """
    rows = [_Row(document, marks) for document in documents]
    length = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), length), marks.begin, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    visible = np.zeros((len(rows), length, length), dtype=np.bool_)
    visible[:, range(length), range(length)] = True
    slots = np.full((len(rows), length), -1, dtype=np.int64)
    learnt: list[tuple[int, int, int]] = []
    for number, row in enumerate(rows):
        size = len(row.ids)
        ids[number, :size] = row.ids
        positions[number, :size] = row.positions
        visible[number, :size, :size] = row.visible()
        for picture, column in row.pictures.items():
            slots[number, column : column + marks.latents] = picture * marks.latents + np.arange(marks.latents)
        learnt.extend((number, column, target) for column, target in row.learnt)
    learnt_array = np.asarray(learnt, dtype=np.int64).reshape(-1, 3)
    return PackedBatch(
        ids=ids,
        positions=positions,
        visible=visible,
        image_slots=slots,
        source_rows=learnt_array[:, 0],
        source_columns=learnt_array[:, 1],
        targets=learnt_array[:, 2],
    )
