"""Documents that branch, laid out as one sequence under a tree mask.

Several questions about one picture share its tokens: the document is a tree whose trunk holds the picture and whose
branches hold the questions. Laid out in a row, a token sees itself, what stands before it in its own node, and its
ancestors; its position counts along its own path, so each branch computes what it would as a sequence of its own.

    trunk <s> [picture]           node 0   0 1 2 3 4
    branch  what colour? red      node 1             5 6 7
    branch  how many? 2           node 2             5 6 7

Several documents share a row in the same way: a forest, whose trees do not see each other.

Axes: `B` rows, `T` tokens of the longest, `P` pictures of the batch, `K` latents a picture, `M` learnt tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Words(NamedTuple):
    """Tokens in a row, and how much the loss on each of them counts."""

    ids: tuple[int, ...]
    weight: float = 0.0


class Picture(NamedTuple):
    """The place of a picture: `<image>`, its latents, `</image>`; `number` counts the batch's pictures."""

    number: int


class Node(NamedTuple):
    """A piece of a document: what stands in it, and the node whose end it continues (none for the trunk's start)."""

    parts: tuple[Words | Picture, ...]
    parent: int | None = None


class Document(NamedTuple):
    """A tree of nodes in which a parent stands before its children, and the number of the stream it is of."""

    nodes: tuple[Node, ...]
    stream: int = 0

    @property
    def text_tokens(self) -> int:
        """Tokens of its text."""
        return sum(len(part.ids) for node in self.nodes for part in node.parts if isinstance(part, Words))

    def tokens(self, marks: ImageMarks) -> int:
        """Tokens that it takes in a row, image embeddings included."""
        pictures = sum(isinstance(part, Picture) for node in self.nodes for part in node.parts)
        return self.text_tokens + pictures * (marks.latents + 2)


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
        weights: float32[M], how much the loss on each counts.
        streams: int64[M], the number of the stream that each belongs to.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    visible: NDArray[np.bool_]
    image_slots: NDArray[np.int64]
    source_rows: NDArray[np.int64]
    source_columns: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    streams: NDArray[np.int64]


class Learnt(NamedTuple):
    """A token to be learnt: the column that it is predicted from, its id, its weight, and its stream."""

    column: int
    target: int
    weight: float
    stream: int


class _Row:
    """Documents side by side, laid out token by token."""

    def __init__(self, documents: Sequence[Document], marks: ImageMarks) -> None:
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.node: list[int] = []
        self.pictures: dict[int, int] = {}
        self.learnt: list[Learnt] = []
        self._ends: list[int] = []
        self._ancestors = np.eye(sum(len(document.nodes) for document in documents), dtype=np.bool_)
        for document in documents:
            first = len(self._ends)
            for number, node in enumerate(document.nodes, start=first):
                self._previous = -1
                if node.parent is not None:
                    self._ancestors[number] |= self._ancestors[first + node.parent]
                    self._previous = self._ends[first + node.parent]
                for part in node.parts:
                    self._lay(part, number, marks, document.stream)
                self._ends.append(self._previous)

    def _lay(self, part: Words | Picture, number: int, marks: ImageMarks, stream: int) -> None:
        match part:
            case Words(ids, weight):
                for each in ids:
                    if weight and self._previous >= 0:  # nothing stands before a document's first token
                        self.learnt.append(Learnt(self._previous, each, weight, stream))
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


def pack(documents: Sequence[Document], marks: ImageMarks, room: int = 0) -> PackedBatch:
    """Return documents laid out for one forward pass.

    Args:
        documents: pictures are numbered from 0 over the whole batch, each in one place.
        marks: how a picture is laid out.
        room: tokens that documents may fill a row to; one that is longer has a row of its own.
    """
    rows = [_Row(row, marks) for row in _rows(documents, marks, room)]
    length = max((len(row.ids) for row in rows), default=0)
    ids = np.full((len(rows), length), marks.begin, dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    visible = np.zeros((len(rows), length, length), dtype=np.bool_)
    visible[:, range(length), range(length)] = True
    slots = np.full((len(rows), length), -1, dtype=np.int64)
    learnt = [(number, each) for number, row in enumerate(rows) for each in row.learnt]
    for number, row in enumerate(rows):
        size = len(row.ids)
        ids[number, :size] = row.ids
        positions[number, :size] = row.positions
        visible[number, :size, :size] = row.visible()
        for picture, column in row.pictures.items():
            slots[number, column : column + marks.latents] = picture * marks.latents + np.arange(marks.latents)
    return PackedBatch(
        ids=ids,
        positions=positions,
        visible=visible,
        image_slots=slots,
        source_rows=np.asarray([number for number, _ in learnt], dtype=np.int64),
        source_columns=np.asarray([each.column for _, each in learnt], dtype=np.int64),
        targets=np.asarray([each.target for _, each in learnt], dtype=np.int64),
        weights=np.asarray([each.weight for _, each in learnt], dtype=np.float32),
        streams=np.asarray([each.stream for _, each in learnt], dtype=np.int64),
    )


def _rows(documents: Sequence[Document], marks: ImageMarks, room: int) -> list[list[Document]]:
    """Return documents spread over rows: the longest first, each into the first row that has room for it."""
    rows: list[list[Document]] = []
    left: list[int] = []
    for document in sorted(documents, key=lambda each: -each.tokens(marks)):
        size = document.tokens(marks)
        place = next((number for number, free in enumerate(left) if size <= free), None)
        if place is None:
            rows.append([document])
            left.append(room - size)
        else:
            rows[place].append(document)
            left[place] -= size
    return rows
