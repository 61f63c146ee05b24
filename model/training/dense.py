"""The auxiliary task: name what is in the picture, from the tower's maps and from the connector's embeddings.

KOSMOS starts from a tower that was trained before, on captions. A small tower trained on captions alone waits on a
plateau until it sees shapes; labels of what was drawn, which cost nothing in a procedural world, end the wait. So
labels train the tower first, and while the language model learns to read the connector's embeddings they keep these
to the point. The heads are thrown away when the model is exported.

Labels that a picture does not have are `ABSENT`.

Axes: P pictures, L labels, C classes, K embeddings a picture, D decoder width, X and Y columns and rows of a map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from kosmos_eval.microworld import words
from kosmos_eval.microworld.matrices import TYPES
from kosmos_eval.microworld.scene import COLOURS, GRID, JITTER, SHAPES, SIZES

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

    from kosmos_eval.microworld.matrices import Panel
    from kosmos_eval.microworld.scene import Scene
    from kosmos_eval.microworld.words import RenderedWord

    from ..config import KosmosConfig
    from ..vision import VisionFeatures

ABSENT = -100
_OFFSETS = 2 * JITTER + 1
CELL_CLASSES = (len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1, _OFFSETS + 1, _OFFSETS + 1)
"""Classes of a cell's shape, colour, size and place across and down in the cell, class 0 being an empty cell."""

LETTER_CLASSES = 27
"""Classes of a slot's letter, class 0 being none."""

PANEL_CLASSES = (len(TYPES), 6, 6, *(2,) * GRID**2)
"""Classes of a Raven panel's type, size and colour, and of whether each of its cells is taken."""

_CELLS = len(CELL_CLASSES) * GRID**2
_LETTERS = GRID * words.SLOTS
_SLOTS_A_CELL = words.SLOTS // GRID
_NOTHING = 0.3
LABELS = _CELLS + _LETTERS + len(PANEL_CLASSES)
"""Labels of a picture: those of each cell, the letter of each slot in each third, then those of a panel."""


def scene_labels(scene: Scene) -> NDArray[np.int64]:
    """Return int64[LABELS] of a scene."""
    cells = np.zeros((len(CELL_CLASSES), GRID, GRID), dtype=np.int64)
    for thing in scene.things:
        cells[:, thing.row, thing.column] = (
            SHAPES.index(thing.shape) + 1,
            COLOURS.index(thing.colour) + 1,
            SIZES.index(thing.size) + 1,
            thing.dx + JITTER + 1,
            thing.dy + JITTER + 1,
        )
    return np.concatenate([cells.reshape(-1), np.zeros(_LETTERS, np.int64), np.full(len(PANEL_CLASSES), ABSENT)])


def word_labels(word: RenderedWord) -> NDArray[np.int64]:
    """Return int64[LABELS] of a rendered word."""
    letters = np.zeros((GRID, words.SLOTS), dtype=np.int64)
    letters[word.row, word.slot : word.slot + len(word.text)] = [ord(letter) - ord("A") + 1 for letter in word.text]
    return np.concatenate([np.zeros(_CELLS, np.int64), letters.reshape(-1), np.full(len(PANEL_CLASSES), ABSENT)])


def panel_labels(panel: Panel) -> NDArray[np.int64]:
    """Return int64[LABELS] of a Raven panel."""
    taken = [panel.position >> cell & 1 for cell in range(GRID**2)]
    absent = [ABSENT] * (_CELLS + _LETTERS)
    return np.asarray([*absent, panel.type, panel.size, panel.colour, *taken], dtype=np.int64)


def no_labels() -> NDArray[np.int64]:
    """Return int64[LABELS] of a picture of which nothing is known."""
    return np.full(LABELS, ABSENT)


class Seen(NamedTuple):
    """What the heads tell.

    Attributes:
        loss: to go down.
        cells: share of the scenes' things of which the embeddings tell shape, colour and size; NaN without any.
        letters: share of the words' letters that the embeddings tell; NaN without any.
    """

    loss: Tensor
    cells: Tensor
    letters: Tensor


class DenseHeads(nn.Module):
    """Linear readings of the connector's embeddings and, while the tower is trained, of its two maps."""

    def __init__(self, config: KosmosConfig, *, tower: bool) -> None:
        """Make heads for a model whose embeddings are anchored.

        Args:
            config: of the model.
            tower: read the tower's tokens and the stem's fine map, too.
        """
        super().__init__()
        assert config.vision is not None
        assert config.connector is not None
        grid, self.side = config.vision.grid, config.connector.side
        self.grid = grid
        self.embeddings = _Reading(config.decoder.width, self.side)
        self.tokens = _Reading(config.vision.width, grid) if tower else None
        self.fine = _Reading(config.vision.stem_widths[-2], 2 * grid) if tower and config.vision.stem_widths else None

    def forward(self, features: VisionFeatures, embeddings: Float[Tensor, "P K D"], labels: Int[Tensor, "P L"]) -> Seen:
        """Return the loss over all labels that the pictures have."""
        scale = embeddings.shape[-1] ** 0.5  # as the decoder reads them
        held = self.embeddings(_plane(scale * embeddings, self.side))
        loss = _loss(held, labels)
        if self.tokens is not None:
            loss = loss + _loss(self.tokens(_plane(features.tokens[:, 1:], self.grid)), labels)
        if self.fine is not None and features.fine_map is not None:
            loss = loss + _loss(self.fine(features.fine_map), labels)
        wanted = _split(labels)
        things = wanted.cells[:, 0] > 0
        right = [part.argmax(1) == wanted.cells[:, index] for index, part in enumerate(held.cells)]
        letters = wanted.letters > 0
        return Seen(
            loss,
            (right[0] & right[1] & right[2])[things].float().mean(),
            (held.letters.argmax(1) == wanted.letters)[letters].float().mean(),
        )


class _Read(NamedTuple):
    """Scores of each label's classes: [P, C, 3, 3] each, [P, 27, 3, 6], and [P, C] each."""

    cells: tuple[Tensor, ...]
    letters: Tensor
    panel: tuple[Tensor, ...]


class _Wanted(NamedTuple):
    """Labels as maps: [P, 5, 3, 3], [P, 3, 6] and [P, labels of a panel]."""

    cells: Tensor
    letters: Tensor
    panel: Tensor


class _Reading(nn.Module):
    """A linear map from each cell of a square map to its labels, and from the whole map to a panel's."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        cell = max(1, side // GRID)
        self.fits = side % GRID == 0
        self.cells = nn.Conv2d(channels, sum(CELL_CLASSES), cell, cell)
        self.letters = nn.Conv2d(channels, _SLOTS_A_CELL * LETTER_CLASSES, cell, cell)
        self.panel = nn.Conv2d(channels, sum(PANEL_CLASSES), side)

    def forward(self, plane: Float[Tensor, "P C Y X"]) -> _Read:
        cells = plane if self.fits else F.adaptive_avg_pool2d(plane, GRID)
        letters = self.letters(cells).reshape(len(plane), LETTER_CLASSES, _SLOTS_A_CELL, GRID, GRID)
        letters = letters.permute(0, 1, 3, 4, 2).flatten(3)  # slots side by side
        return _Read(
            torch.split(self.cells(cells), list(CELL_CLASSES), 1),
            letters,
            torch.split(self.panel(plane)[..., 0, 0], list(PANEL_CLASSES), 1),
        )


def _plane(vectors: Float[Tensor, "P T C"], side: int) -> Float[Tensor, "P C Y X"]:
    """Return vectors that stand row by row as a map."""
    return vectors.transpose(1, 2).reshape(len(vectors), -1, side, side)


def _split(labels: Int[Tensor, "P L"]) -> _Wanted:
    cells, letters, panel = torch.split(labels, [_CELLS, _LETTERS, len(PANEL_CLASSES)], 1)
    return _Wanted(cells.reshape(-1, len(CELL_CLASSES), GRID, GRID), letters.reshape(-1, GRID, words.SLOTS), panel)


def _loss(read: _Read, labels: Int[Tensor, "P L"]) -> Tensor:
    """Return the sum over labels of their mean loss; where there is nothing to name, it counts less."""
    wanted = _split(labels)
    total = read.letters.new_zeros(())
    for index, part in enumerate(read.cells):
        total = total + _balanced(part, wanted.cells[:, index])
    total = total + 2 * _balanced(read.letters, wanted.letters)
    for index, part in enumerate(read.panel):
        total = total + _mean(part, wanted.panel[:, index], wanted.panel[:, index] != ABSENT)
    return total


def _balanced(logits: Tensor, wanted: Tensor) -> Tensor:
    return _mean(logits, wanted, wanted > 0) + _NOTHING * _mean(logits, wanted, wanted == 0)


def _mean(logits: Tensor, wanted: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean loss over the chosen labels; zero when none is."""
    each = F.cross_entropy(logits.float(), wanted, ignore_index=ABSENT, reduction="none")
    return (each * chosen).sum() / chosen.sum().clamp(min=1)
