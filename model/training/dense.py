"""The auxiliary task: name what is in the picture, from the tower's maps and from the connector's embeddings.

A small Kosmos trained from nothing on questions alone waits on a plateau until it sees shapes; labels of what
was drawn, which cost nothing in a procedural world, end the wait. KOSMOS itself starts from a tower that was trained
before. The heads are thrown away when the model is exported.

Labels that a picture does not have are `ABSENT`.

Axes: P pictures, L labels, K embeddings a picture, D decoder width, X and Y columns and rows of a map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention
from torch import Tensor, nn

from kosmos_eval.microworld.matrices import TYPES
from kosmos_eval.microworld.scene import COLOURS, GRID, SHAPES, SIZES

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

    from kosmos_eval.microworld.matrices import Panel
    from kosmos_eval.microworld.scene import Scene

    from ..config import KosmosConfig
    from ..vision import VisionFeatures

ABSENT = -100
CELL_CLASSES = (len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1)
"""Classes of a cell's shape, colour and size, class 0 being an empty cell."""

PANEL_CLASSES = (len(TYPES), 6, 6, *(2,) * GRID**2)
"""Classes of a Raven panel's type, size and colour, and of whether each of its cells is taken."""

_CELLS = len(CELL_CLASSES) * GRID**2
LABELS = _CELLS + len(PANEL_CLASSES)
"""Labels of a picture: shape, colour and size of each cell, then those of a panel."""


def scene_labels(scene: Scene) -> NDArray[np.int64]:
    """Return int64[LABELS] of a scene."""
    cells = np.zeros((len(CELL_CLASSES), GRID, GRID), dtype=np.int64)
    for thing in scene.things:
        cells[:, thing.row, thing.column] = (
            SHAPES.index(thing.shape) + 1,
            COLOURS.index(thing.colour) + 1,
            SIZES.index(thing.size) + 1,
        )
    return np.concatenate([cells.reshape(-1), np.full(len(PANEL_CLASSES), ABSENT)])


def panel_labels(panel: Panel) -> NDArray[np.int64]:
    """Return int64[LABELS] of a Raven panel."""
    taken = [panel.position >> cell & 1 for cell in range(GRID**2)]
    return np.asarray([ABSENT] * _CELLS + [panel.type, panel.size, panel.colour, *taken], dtype=np.int64)


def no_labels() -> NDArray[np.int64]:
    """Return int64[LABELS] of a picture of which nothing is known."""
    return np.full(LABELS, ABSENT)


class Seen(NamedTuple):
    """What the heads tell.

    Attributes:
        loss: to go down.
        right: share of the scenes' things that the embeddings name wholly right; NaN when there is none.
    """

    loss: Tensor
    right: Tensor


class DenseHeads(nn.Module):
    """Linear readings of each cell on the stem's fine map, the tower's tokens and the embeddings; of panels on two."""

    def __init__(self, config: KosmosConfig) -> None:
        """Make heads for a model with a convolutional stem and anchored embeddings."""
        super().__init__()
        vision, width = config.vision, config.decoder.width
        self.grid, self.side = vision.grid, config.connector.side
        fine_cell, token_cell = 2 * self.grid // GRID, self.grid // GRID
        self.fine = nn.Conv2d(vision.stem_widths[-2], sum(CELL_CLASSES), fine_cell, fine_cell)
        self.tokens = nn.Conv2d(vision.width, sum(CELL_CLASSES), token_cell, token_cell)
        self.embeddings = nn.Conv2d(width, sum(CELL_CLASSES), 1)
        self.panel = nn.Conv2d(vision.width, sum(PANEL_CLASSES), self.grid)
        self.panel_embeddings = nn.Conv2d(width, sum(PANEL_CLASSES), self.side)

    def forward(self, features: VisionFeatures, embeddings: Float[Tensor, "P K D"], labels: Int[Tensor, "P L"]) -> Seen:
        """Return the loss over all labels that the pictures have."""
        assert features.fine_map is not None
        scale = embeddings.shape[-1] ** 0.5  # as the decoder reads them
        held = scale * embeddings.transpose(1, 2).reshape(len(labels), -1, self.side, self.side)
        plane = features.tokens[:, 1:].transpose(1, 2).reshape(len(labels), -1, self.grid, self.grid)
        cells = labels[:, :_CELLS].reshape(len(labels), -1, GRID, GRID)
        panel = labels[:, _CELLS:, None, None]
        read = self.embeddings(F.adaptive_avg_pool2d(held, GRID))
        loss = _loss(self.fine(features.fine_map), cells, CELL_CLASSES)
        loss = loss + _loss(self.tokens(plane), cells, CELL_CLASSES) + _loss(read, cells, CELL_CLASSES)
        loss = loss + _loss(self.panel(plane), panel, PANEL_CLASSES)
        loss = loss + _loss(self.panel_embeddings(held), panel, PANEL_CLASSES)
        return Seen(loss, _right(read, cells))


def _loss(logits: Float[Tensor, "P C X Y"], labels: Int[Tensor, "P L X Y"], classes: tuple[int, ...]) -> Tensor:
    """Return the sum over labels of the mean loss of those that are there."""
    parts = torch.split(logits.float(), list(classes), 1)
    total: Tensor = parts[0].new_zeros(())
    for index, part in enumerate(parts):
        wanted = labels[:, index]
        there = (wanted != ABSENT).sum().clamp(min=1)
        total = total + F.cross_entropy(part, wanted, ignore_index=ABSENT, reduction="sum") / there
    return total


def _right(logits: Float[Tensor, "P C X Y"], cells: Int[Tensor, "P L X Y"]) -> Tensor:
    right: list[Tensor] = [
        part.argmax(1) == cells[:, index] for index, part in enumerate(torch.split(logits, list(CELL_CLASSES), 1))
    ]
    things: Tensor = cells[:, 0] > 0
    return (right[0] & right[1] & right[2])[things].float().mean()
