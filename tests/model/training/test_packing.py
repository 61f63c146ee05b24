"""A packed tree computes what its branches would as sequences of their own."""

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
from kosmos_eval.model.training.packing import ImageMarks, Node, PackedBatch, Picture, Words, pack

SMOKE = Path(training.__file__).parent / "configs" / "smoke.toml"
MARKS = ImageMarks(begin=1014, end=1015, latents=4)

TREE = [
    Node((Words((0,)), Picture(0))),
    Node((Words((10, 11)), Words((12, 2), learn=True)), 0),
    Node((Words((20, 21, 22)), Words((23,), learn=True), Picture(1)), 0),
    Node((Words((30,)), Words((31, 32, 2), learn=True)), 2),
    Node((Words((40,)), Words((41, 2), learn=True)), 2),
]
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
        return model.decoder.logits(hidden[packed.source_rows, packed.source_columns])


def _path_alone(path: list[int]) -> list[Node]:
    """Return the nodes of a path as a chain, only the last of them learnt."""
    nodes = []
    for depth, number in enumerate(path):
        parts = TREE[number].parts
        if number != path[-1]:
            parts = tuple(Words(part.ids) if isinstance(part, Words) else part for part in parts)
        nodes.append(Node(parts, depth - 1 if depth else None))
    return nodes


def test_packed_branches_have_the_logits_of_separate_sequences(model: Kosmos) -> None:
    pictures = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0)) * 32**-0.5
    other = [Node((Words((0, 50, 51)), Words((52, 2), learn=True)))]
    packed = _logits(model, pack([other, TREE], MARKS), pictures)
    chains = [_logits(model, pack([_path_alone(path)], MARKS), pictures) for path in PATHS]
    exemplar = _logits(model, pack([[TREE[0], TREE[2]]], MARKS), pictures)
    assert torch.allclose(packed[2:], torch.cat([chains[0], exemplar, chains[1], chains[2]]), atol=2e-5)


def test_a_chain_is_a_plain_causal_sequence() -> None:
    packed = pack([_path_alone(PATHS[1])], MARKS)
    length = packed.ids.shape[1]
    assert packed.positions.tolist() == [list(range(length))]
    assert np.array_equal(packed.visible[0], np.tril(np.ones((length, length), dtype=bool)))


def test_learnt_tokens_are_predicted_from_the_token_before() -> None:
    packed = pack([TREE], MARKS)
    assert packed.targets.tolist() == [12, 2, 23, 31, 32, 2, 41, 2]
    before = packed.ids[packed.source_rows, packed.source_columns].tolist()
    assert before == [11, 12, 22, 30, 31, 32, 40, 41]


def test_pictures_keep_their_numbers() -> None:
    packed = pack([TREE], MARKS)
    slots = packed.image_slots[packed.image_slots >= 0]
    assert slots.tolist() == list(range(8))
    assert (packed.ids[packed.image_slots >= 0] == MARKS.begin).all()


def test_padding_sees_itself_and_is_seen_by_nothing() -> None:
    short = [Node((Words((0, 50)), Words((2,), learn=True)))]
    packed = pack([short, TREE], MARKS)
    assert packed.visible[0, 3:].sum(-1).tolist() == [1] * (packed.ids.shape[1] - 3)
    assert not packed.visible[0, :3, 3:].any()
