"""The decoder computes and starts as torchscale's does, whose values golden/make_torchscale_decoder.py recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kosmos_eval.model.config import DecoderConfig
from kosmos_eval.model.decoder import Decoder
from kosmos_eval.model.layouts import UNILM

GOLDEN = Path(__file__).parent / "golden" / "torchscale_decoder.safetensors"
VARIANTS = {"plain": (512, False), "scaled": (512, True), "fast": (64, True)}
LENGTHS = (1, 7, 64, 129, 700)
LAYERS = 3


def config(layers: int = LAYERS, base: int = 512, *, scale: bool = True) -> DecoderConfig:
    return DecoderConfig(
        vocabulary=100,
        width=64,
        layers=layers,
        heads=4,
        hidden=128,
        positions="xpos",
        max_positions=128,  # so that the longer sequences lie beyond
        embedding_scale=scale,
        xpos_base=base,
    )


def torchscale_name(ours: str) -> str:
    """What torchscale calls a weight: as unilm does, which is built on it."""
    return UNILM.name_of(f"decoder.{ours}").removeprefix("gpt_model.decoder.")


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    golden: dict[str, torch.Tensor] = load_file(GOLDEN)
    return golden


def decoder(golden: dict[str, torch.Tensor], variant: str) -> Decoder:
    base, scale = VARIANTS[variant]
    model = Decoder(config(base=base, scale=scale)).eval()
    weights = {name.removeprefix("weights."): x for name, x in golden.items() if name.startswith("weights.")}
    ours = {name: weights.pop(torchscale_name(name)).float() for name in model.state_dict() if name != "head.weight"}
    assert not weights, "torchscale has weights that ours lacks"
    model.load_state_dict(ours | {"head.weight": ours["embedding.weight"]})
    return model


@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_logits_are_torchscales_at_every_length(golden: dict[str, torch.Tensor], variant: str) -> None:
    model = decoder(golden, variant)
    for length in LENGTHS:
        embeddings = model.embedding(golden["tokens"][None, :length].long()) * model.config.scale
        found = model.logits(model(embeddings, torch.arange(length)[None])[0])
        expected = golden[f"logits.{variant}.{length}"]
        assert expected.std() > 0.5
        assert (found[golden[f"rows.{length}"].long()] - expected).abs().max() < 1e-5


@torch.inference_mode()
def test_variants_differ(golden: dict[str, torch.Tensor]) -> None:
    plain, scaled, fast = (golden[f"logits.{variant}.700"] for variant in VARIANTS)
    assert (plain - scaled).abs().max() > 0.1
    assert (fast - scaled).abs().max() > 0.01


@pytest.mark.parametrize("layers", [1, 2, 6, 24])
def test_each_weight_and_bias_starts_scaled_as_torchscales(
    golden: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    """Linear layers that begin as ones show what each is multiplied by."""

    def ones(linear: torch.nn.Linear) -> None:
        torch.nn.init.ones_(linear.weight)
        torch.nn.init.ones_(linear.bias)

    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", ones)
    expected = {name: x.item() for name, x in golden.items() if name.startswith(f"initial.{layers}.")}
    found: dict[str, set[float]] = {}
    for name, weight in Decoder(config(layers)).blocks.named_parameters():
        kind = re.sub(r"^layers\.\d+\.", "", torchscale_name(f"blocks.{name}"))
        found.setdefault(f"initial.{layers}.{kind}", set()).update(weight.flatten().tolist())
    assert found == {name: {value} for name, value in expected.items()}


def test_embeddings_start_as_torchscales(golden: dict[str, torch.Tensor]) -> None:
    many = DecoderConfig(vocabulary=4001, width=64, layers=1, heads=4, hidden=8, positions="xpos")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        embedding = Decoder(many).embedding.weight.double()
    others = torch.cat([embedding[:1], embedding[2:]])
    assert others.std().item() == pytest.approx(golden["initial.embedding_std"].item(), rel=0.01)
    assert golden["initial.padding"] == embedding[1].abs().max() == 0
