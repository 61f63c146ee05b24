"""The auxiliary task: labels name what is drawn where, and are read in the order in which they stand."""

from __future__ import annotations

import pytest
import torch

from kosmos_eval.microworld.matrices import make_matrix
from kosmos_eval.microworld.scene import COLOURS, GRID, JITTER, SHAPES, SIZES, Scene, Thing
from kosmos_eval.microworld.words import SLOTS, RenderedWord
from kosmos_eval.model.training import dense
from kosmos_eval.model.training.dense import ABSENT, no_labels, panel_labels, scene_labels, word_labels


def test_a_scenes_labels_name_each_thing_in_its_cell() -> None:
    scene = Scene((Thing("star", "blue", "large", 0, 2, -JITTER, JITTER), Thing("circle", "red", "small", 2, 0, 0, 0)))
    wanted = dense._split(torch.from_numpy(scene_labels(scene))[None])
    star = (SHAPES.index("star") + 1, COLOURS.index("blue") + 1, SIZES.index("large") + 1, 1, 2 * JITTER + 1)
    assert tuple(wanted.cells[0, :, 0, 2].tolist()) == star
    assert tuple(wanted.cells[0, :3, 2, 0].tolist()) == (SHAPES.index("circle") + 1, 1, 1)
    assert (wanted.cells[0, 0] > 0).sum() == 2
    assert (wanted.letters == 0).all()
    assert (wanted.panel == ABSENT).all()


def test_a_words_labels_name_each_letter_in_its_slot() -> None:
    wanted = dense._split(torch.from_numpy(word_labels(RenderedWord("AZB", "red", 1, 2, 0, 0)))[None])
    assert wanted.letters[0].tolist() == [[0] * SLOTS, [0, 0, 1, 26, 2, 0], [0] * SLOTS]
    assert (wanted.cells == 0).all()


def test_a_panels_labels_are_of_panels_alone() -> None:
    panel = make_matrix("test|1").context[0]
    wanted = dense._split(torch.from_numpy(panel_labels(panel))[None])
    assert wanted.panel[0, :3].tolist() == [panel.type, panel.size, panel.colour]
    assert wanted.panel[0, 3:].sum() == panel.number
    assert (wanted.cells == ABSENT).all()
    assert (wanted.letters == ABSENT).all()


def _told(labels: torch.Tensor) -> dense._Read:
    """Return a reading that is sure of every label."""
    wanted = dense._split(labels)

    def sure(values: torch.Tensor, classes: int) -> torch.Tensor:
        return 50.0 * torch.nn.functional.one_hot(values.clamp(min=0), classes).movedim(-1, 1).float()

    return dense._Read(
        tuple(sure(wanted.cells[:, index], classes) for index, classes in enumerate(dense.CELL_CLASSES)),
        sure(wanted.letters, dense.LETTER_CLASSES),
        tuple(sure(wanted.panel[:, index], classes) for index, classes in enumerate(dense.PANEL_CLASSES)),
    )


@pytest.mark.parametrize(
    "labels",
    [
        scene_labels(Scene((Thing("star", "blue", "large", 0, 2, 0, 0),))),
        word_labels(RenderedWord("KIFO", "red", 0, 1, 0, 0)),
        panel_labels(make_matrix("test|2").context[3]),
    ],
    ids=["scene", "word", "panel"],
)
def test_the_loss_is_nothing_for_the_truth_and_much_for_another_picture(labels: object) -> None:
    truth = torch.as_tensor(labels)[None]
    other = torch.from_numpy(word_labels(RenderedWord("ABEC", "red", 2, 0, 0, 0)))[None]
    assert dense._loss(_told(truth), truth) < 1e-6
    assert dense._loss(_told(other), truth) > 1


def test_a_picture_of_which_nothing_is_known_costs_nothing() -> None:
    labels = torch.from_numpy(no_labels())[None]
    read = _told(torch.from_numpy(word_labels(RenderedWord("ABEC", "red", 2, 0, 0, 0)))[None])
    assert dense._loss(read, labels) == 0


@pytest.mark.parametrize("side", [GRID, 2 * GRID, 4 * GRID])
def test_slots_are_read_from_left_to_right(side: int) -> None:
    """The first slot of a cell is read from the even channels, the second from the odd ones, of that cell's place."""
    reading = dense._Reading(2, side)
    with torch.no_grad():
        reading.letters.weight.zero_()
        assert reading.letters.bias is not None
        reading.letters.bias.zero_()
        for slot in range(2):
            reading.letters.weight[slot, slot] = 1 / reading.letters.weight[0, 0].numel()
    columns = torch.arange(GRID).repeat_interleave(side // GRID).float().expand(side, -1)
    plane = torch.stack([2 * columns, 2 * columns + 1])[None]
    assert torch.allclose(reading(plane).letters[0, 0], torch.arange(6.0).expand(GRID, -1))
