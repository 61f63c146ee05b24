"""A packed forest computes what its branches would as sequences of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kosmos_eval.model import training
from kosmos_eval.model.config import KosmosConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.training.config import read_config
from kosmos_eval.model.training.packing import Document, ImageMarks, Node, PackedBatch, Picture, Words, pack

SMOKE = Path(training.__file__).parent / "configs" / "smoke.toml"
MARKS = ImageMarks(begin=1014, end=1015, latents=4)

TREE = Document(
    (
        Node((Words((0,)), Picture(0))),
        Node((Words((10, 11), 0.1), Words((12, 2), 1.0)), 0),
        Node((Words((20, 21, 22)), Words((23,), 1.0), Picture(1)), 0),
        Node((Words((30,)), Words((31, 32, 2), 1.0)), 2),
        Node((Words((40,)), Words((41, 2), 1.0)), 2),
    ),
    stream=1,
)
OTHER = Document((Node((Words((0, 50, 51)), Words((52, 2), 1.0))),))
PATHS = [[0, 1], [0, 2, 3], [0, 2, 4]]


@pytest.fixture(scope="module")
def model() -> Kosmos:
    shape = json.dumps(read_config(SMOKE).model)
    return Kosmos.initialised(KosmosConfig.from_json(shape), seed=3).eval()


def _logits(model: Kosmos, packed: PackedBatch, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        slots = torch.from_numpy(packed.image_slots)
        embeddings = model.embed(torch.from_numpy(packed.ids), slots, pictures)
        hidden = model.decoder(embeddings, torch.from_numpy(packed.positions), torch.from_numpy(packed.visible))
        logits: torch.Tensor = model.decoder.logits(hidden[packed.source_rows, packed.source_columns])
        return logits


def _path_alone(path: list[int]) -> Document:
    """Return the nodes of a path as a chain, only the last of them learnt."""
    nodes = []
    for depth, number in enumerate(path):
        parts = TREE.nodes[number].parts
        if number != path[-1]:
            parts = tuple(Words(part.ids) if isinstance(part, Words) else part for part in parts)
        nodes.append(Node(parts, depth - 1 if depth else None))
    return Document(tuple(nodes))


@pytest.mark.parametrize("room", [0, 200], ids=["a row each", "side by side"])
def test_packed_branches_have_the_logits_of_separate_sequences(model: Kosmos, room: int) -> None:
    pictures = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0)) * 32**-0.5
    whole = pack([OTHER, TREE], MARKS, room)
    assert len(whole.ids) == (1 if room else 2)
    packed = _logits(model, whole, pictures)[whole.streams == 1]
    chains = [_logits(model, pack([_path_alone(path)], MARKS), pictures) for path in PATHS]
    exemplar = _logits(model, pack([Document((TREE.nodes[0], TREE.nodes[2]))], MARKS), pictures)
    assert torch.allclose(packed, torch.cat([chains[0], exemplar, chains[1], chains[2]]), atol=2e-5)
    alone = _logits(model, pack([OTHER], MARKS), pictures)
    assert torch.allclose(_logits(model, whole, pictures)[whole.streams == 0], alone, atol=2e-5)


def test_a_chain_is_a_plain_causal_sequence() -> None:
    packed = pack([_path_alone(PATHS[1])], MARKS)
    length = packed.ids.shape[1]
    assert packed.positions.tolist() == [list(range(length))]
    assert np.array_equal(packed.visible[0], np.tril(np.ones((length, length), dtype=bool)))


def test_learnt_tokens_are_predicted_from_the_token_before() -> None:
    packed = pack([TREE], MARKS)
    assert packed.targets.tolist() == [10, 11, 12, 2, 23, 31, 32, 2, 41, 2]
    before = packed.ids[packed.source_rows, packed.source_columns].tolist()
    assert before == [MARKS.end, 10, 11, 12, 22, 30, 31, 32, 40, 41]
    assert packed.weights.tolist() == pytest.approx([0.1, 0.1, *[1.0] * 8])


def test_the_first_token_of_a_document_is_learnt_from_nothing() -> None:
    packed = pack([Document((Node((Words((0, 7), 1.0),)),))] * 2, MARKS, room=10)
    assert packed.targets.tolist() == [7, 7]


def test_pictures_keep_their_numbers() -> None:
    packed = pack([TREE], MARKS)
    slots = packed.image_slots[packed.image_slots >= 0]
    assert slots.tolist() == list(range(8))
    assert (packed.ids[packed.image_slots >= 0] == MARKS.begin).all()


def test_padding_sees_itself_and_is_seen_by_nothing() -> None:
    packed = pack([OTHER, TREE], MARKS)
    row = int(np.argmin((packed.positions > 0).sum(1)))
    assert packed.visible[row, 5:].sum(-1).tolist() == [1] * (packed.ids.shape[1] - 5)
    assert not packed.visible[row, :5, 5:].any()


def test_documents_fill_rows_as_far_as_there_is_room() -> None:
    documents = [Document((Node((Words((0,) * size),)),)) for size in (3, 9, 4, 5, 20)]
    packed = pack(documents, ImageMarks(1, 2, 4), room=12)
    lengths = sorted(int(np.trim_zeros(row).size) for row in np.where(packed.ids == 1, 0, 1))
    assert lengths == [9, 12, 20]
