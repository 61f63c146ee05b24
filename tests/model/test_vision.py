from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  torch's own convention

from kosmos_eval.model.config import KOSMOS_1, KOSMOS_TINY, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.resampler import PerceiverResampler
from kosmos_eval.model.vision import PatchStem, QuickGELU, VisionTower, freeze_but_last_layer

SMALL = VisionConfig(image_size=16, patch_size=4, width=16, layers=2, heads=2, hidden=32)


def test_the_patch_stem_is_a_strided_convolution() -> None:
    stem = PatchStem(SMALL)
    pixels = torch.randn(2, 3, 16, 16)
    kernel = stem.projection.weight.reshape(16, 3, 4, 4)
    expected = F.conv2d(pixels, kernel, stride=4).flatten(2).transpose(1, 2)
    assert torch.allclose(stem(pixels)[0], expected, atol=1e-5)


def test_the_tower_returns_a_token_a_patch_behind_the_class_token() -> None:
    assert VisionTower(SMALL)(torch.randn(2, 3, 16, 16)).shape == (2, 17, 16)


def test_normalised_tokens_have_unit_length() -> None:
    tokens = VisionTower(replace(SMALL, normalise=True))(torch.randn(2, 3, 16, 16))
    assert torch.allclose(tokens.norm(dim=-1), torch.ones(2, 17))


def test_quick_gelu_is_near_gelu() -> None:
    x = torch.linspace(-4, 4, 50)
    assert (QuickGELU()(x) - F.gelu(x)).abs().max() < 0.03


def test_the_tiny_towers_finer_map_has_half_the_patch_size() -> None:
    config = KOSMOS_TINY.vision
    assert config is not None
    features = VisionTower(config).features(torch.randn(1, 3, 96, 96))
    assert features.tokens.shape == (1, 37, config.width)
    assert features.fine_map is not None
    assert features.fine_map.shape == (1, config.stem_widths[-2], 12, 12)
    assert VisionTower(SMALL).features(torch.randn(1, 3, 16, 16)).fine_map is None


def test_each_anchored_latent_starts_from_its_own_cell() -> None:
    resampler = Kosmos(KOSMOS_TINY).connector
    assert isinstance(resampler, PerceiverResampler)
    assert resampler.grid == 6  # three cells a side, two tokens a cell
    features = torch.zeros(1, 37, 192)
    features[0, 1 + 6 * 2 + 5] = 4.0  # third row, last column: the last cell of the second row of cells
    cells = resampler._cells(features)[0]
    assert cells[:, 0].nonzero().flatten().tolist() == [5]
    assert cells[5, 0] == 1.0


def test_both_connectors_give_the_configured_number_of_embeddings(model: Kosmos) -> None:
    embeddings = model.image_embeddings(torch.randn(3, 3, 16, 16))
    assert embeddings.shape == (3, 4, 32)
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-3


def test_an_images_embeddings_do_not_depend_on_its_batch(model: Kosmos) -> None:
    pixels = torch.randn(3, 3, 16, 16)
    assert torch.allclose(model.image_embeddings(pixels)[1:2], model.image_embeddings(pixels[1:2]), atol=1e-5)


@pytest.mark.parametrize("preset", [KOSMOS_1, KOSMOS_TINY], ids=["kosmos-1", "kosmos-tiny"])
def test_a_frozen_tower_trains_its_last_block_and_final_norm_alone(preset: KosmosConfig) -> None:
    with torch.device("meta"):
        model = Kosmos(preset)
    tower = model.vision
    assert tower is not None
    freeze_but_last_layer(tower)
    kept = {name: weight.numel() for name, weight in tower.named_parameters() if weight.requires_grad}
    last = tower.config.layers - 1
    block = {f"blocks.{last}.{name}" for name, _ in tower.blocks[last].named_parameters()}
    assert kept.keys() == block | {"last_norm.weight", "last_norm.bias"}
    if preset is KOSMOS_1:
        assert sum(kept.values()) == 12_598_272  # of 303,179,776
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert all(name.startswith("vision.") for name in frozen)
    tower.requires_grad_()
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_frozen_tower_still_teaches_its_last_block() -> None:
    tower = VisionTower(SMALL)
    freeze_but_last_layer(tower)
    freeze_but_last_layer(tower)  # a second time changes nothing
    (tower(torch.randn(2, 3, 16, 16)) * torch.randn(2, 17, 16)).sum().backward()
    learning = {name for name, weight in tower.named_parameters() if weight.grad is not None}
    assert learning == {f"blocks.1.{name}" for name, _ in tower.blocks[1].named_parameters()} | {
        "last_norm.weight",
        "last_norm.bias",
    }
