"""Writes torchscale_decoder.safetensors: what torchscale's decoder computes, and how it starts its weights.

torchscale pins packages that replace torch, so it gets an environment of its own, anywhere outside this repository.
It wants one function of timm, which is used only with `drop_path_rate` above 0 and is replaced by an empty stub:

    python3.11 -m venv ENV
    ENV/bin/pip install torch==2.13.0 numpy==2.4.6 safetensors==0.8.0 'setuptools<81' wheel
    ENV/bin/pip install --no-deps --no-build-isolation fairscale==0.4.0
    ENV/bin/pip install --no-deps torchscale==0.3.0
    mkdir -p ENV/lib/python3.11/site-packages/timm/models
    touch ENV/lib/python3.11/site-packages/timm/__init__.py ENV/lib/python3.11/site-packages/timm/models/__init__.py
    echo 'def drop_path(*_): raise NotImplementedError' > ENV/lib/python3.11/site-packages/timm/models/layers.py
    ENV/bin/python tests/model/golden/make_torchscale_decoder.py

The golden file holds

    weights.NAME              float16; torchscale's own names; rounded before they were used, so nothing is lost
    tokens                    int16 [700]
    logits.VARIANT.T          float32 [rows, vocabulary], of the first T tokens; float32 arithmetic
    rows.T                    int16 [rows]; all positions, or for long sequences a few of them
    initial.LAYERS.NAME       float64; what a weight or bias that torch starts as 1 is after torchscale started it
    initial.embedding_std     float64; of torchscale's embedding, of 4,000 tokens and a padding row
    initial.padding           float64; the largest entry of the padding row

A variant is a configuration in `VARIANTS`; all have sub-LayerNorm, xPos and the same weights. An `initial.LAYERS.NAME`
names no layer, because torchscale treats all alike; that it does is checked here.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchscale.architecture.config import DecoderConfig  # type: ignore[import-not-found]  # in its own environment
from torchscale.architecture.decoder import Decoder  # type: ignore[import-not-found]  # in its own environment
from torchscale.component.embedding import TextEmbedding  # type: ignore[import-not-found]  # in its own environment

GOLDEN = Path(__file__).with_name("torchscale_decoder.safetensors")
VOCABULARY, WIDTH, LAYERS, HEADS, HIDDEN, PADDING = 100, 64, 3, 4, 128, 1
LENGTHS = (1, 7, 64, 129, 700)
VARIANTS = {
    "plain": {"xpos_scale_base": 512, "no_scale_embedding": True},
    "scaled": {"xpos_scale_base": 512, "no_scale_embedding": False},
    "fast": {"xpos_scale_base": 64, "no_scale_embedding": False},
}
DEPTHS = (1, 2, 6, 24)


def decoder(layers: int = LAYERS, **options: object) -> Decoder:
    config = DecoderConfig(
        decoder_embed_dim=WIDTH,
        decoder_attention_heads=HEADS,
        decoder_ffn_embed_dim=HIDDEN,
        decoder_layers=layers,
        vocab_size=VOCABULARY,
        subln=True,
        xpos_rel_pos=True,
        share_decoder_input_output_embed=True,
        **options,
    )
    return Decoder(config, embed_tokens=TextEmbedding(VOCABULARY, WIDTH, PADDING)).eval()


def perturbed_weights() -> dict[str, Tensor]:
    """Return weights in which every norm and every bias matters, as float16."""
    state = decoder().state_dict()
    for name, weight in state.items():
        if weight.ndim == 1 and "xpos" not in name:
            weight.add_(0.2 * torch.randn(weight.shape))
    return {
        name: weight.half()
        for name, weight in state.items()
        if "xpos" not in name and name != "output_projection.weight"
    }


def kept_rows(length: int) -> Tensor:
    few = {0, 1, length // 2, length - 2, length - 1}
    return torch.tensor(range(length) if length < 10 else sorted(few), dtype=torch.int16)


def logits(weights: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    found = {}
    for variant, options in VARIANTS.items():
        model = decoder(**options)
        given = {name: weight.float() for name, weight in weights.items()}
        given["output_projection.weight"] = given["embed_tokens.weight"]
        missing, unexpected = model.load_state_dict(given, strict=False)
        assert not unexpected
        assert all("xpos" in name for name in missing)
        for length in LENGTHS:
            scores, _ = model(tokens[None, :length].long())
            rows = kept_rows(length)
            found[f"logits.{variant}.{length}"] = scores[0, rows.long()].contiguous()
            found[f"rows.{length}"] = rows
    return found


def initial_factors(layers: int) -> dict[str, Tensor]:
    """Return what torchscale multiplies each kind of weight and bias of a linear layer by, once it is there."""

    def ones(linear: nn.Linear) -> None:
        nn.init.ones_(linear.weight)
        if "bias" in dict(linear.named_parameters()):
            nn.init.ones_(linear.bias)

    with mock.patch.object(nn.Linear, "reset_parameters", ones):
        model = decoder(layers)
    found: dict[str, Tensor] = {}
    for name, weight in model.layers.named_parameters():
        kind = re.sub(r"^\d+\.", "", name)
        value = weight.flatten()[0].double()
        assert (weight.double() == value).all(), name
        assert found.setdefault(kind, value) == value, name
    return {f"initial.{layers}.{kind}": value for kind, value in found.items()}


def main() -> None:
    torch.manual_seed(20221012)
    weights = perturbed_weights()
    tokens = torch.randint(2, VOCABULARY, (max(LENGTHS),), dtype=torch.int16)
    embedding = TextEmbedding(4001, WIDTH, PADDING).weight.double()
    golden = {f"weights.{name}": weight for name, weight in weights.items()} | {"tokens": tokens}
    with torch.inference_mode():
        golden |= logits(weights, tokens)
    for layers in DEPTHS:
        golden |= initial_factors(layers)
        assert math.isclose(golden[f"initial.{layers}.ffn.fc1.bias"].item(), math.log(2 * layers) ** 0.5, rel_tol=1e-6)
    golden["initial.embedding_std"] = torch.cat([embedding[:PADDING], embedding[PADDING + 1 :]]).std()
    golden["initial.padding"] = embedding[PADDING].abs().max()
    save_file({name: value.detach().clone() for name, value in sorted(golden.items())}, GOLDEN)
    spread = golden["logits.scaled.700"].std().item()
    sys.stdout.write(f"{len(golden)} tensors, {GOLDEN.stat().st_size} bytes; logits' deviation {spread:.2f}\n")


if __name__ == "__main__":
    main()
