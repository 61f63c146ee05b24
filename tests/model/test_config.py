from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
import torch

from kosmos_eval.errors import DataError
from kosmos_eval.model.config import (
    FLAMINGO_NARROW,
    KOSMOS_1,
    KOSMOS_2,
    KOSMOS_TINY,
    ConnectorConfig,
    KosmosConfig,
    VisionConfig,
)
from kosmos_eval.model.kosmos import Kosmos

PRESETS = [KOSMOS_1, KOSMOS_2, KOSMOS_TINY]


def parameters(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@cache
def on_meta(config: KosmosConfig) -> Kosmos:
    with torch.device("meta"):
        return Kosmos(config)


def test_kosmos_2_has_the_parameters_of_the_published_checkpoint() -> None:
    model = on_meta(KOSMOS_2)
    parts = {name: parameters(part) for name, part in model.named_children()}
    assert parts == {"vision": 303_179_776, "connector": 19_015_680, "decoder": 1_342_289_920}
    assert parameters(model) == 1_664_485_376


def billions(parameters: int) -> str:
    return f"{parameters / 1e9:.1f}B"


def test_kosmos_1_has_the_published_size() -> None:
    model = on_meta(KOSMOS_1)
    parts = {name: parameters(part) for name, part in model.named_children()}
    assert parts == {"vision": 303_179_776, "connector": 5_547_264, "decoder": 1_340_180_480}
    assert parameters(model) == 1_648_907_520
    assert (billions(parts["decoder"]), billions(parameters(model))) == ("1.3B", "1.6B")


def test_kosmos_1_has_the_published_shape() -> None:
    vision, connector, decoder = KOSMOS_1.vision, KOSMOS_1.connector, KOSMOS_1.decoder
    assert vision is not None
    assert connector is not None
    assert (vision.width, vision.layers, vision.heads, vision.patch_size, vision.image_size) == (1024, 24, 16, 14, 224)
    assert (connector.kind, connector.queries, connector.layers) == ("resampler", 64, 6)
    assert (decoder.layers, decoder.width, decoder.hidden, decoder.heads) == (24, 2048, 8192, 32)
    assert (decoder.vocabulary, decoder.positions, decoder.xpos_base) == (64_007, "xpos", 512)
    assert (decoder.dropout, decoder.attention_dropout) == (0.1, 0.1)


def test_kosmos_1s_resampler_is_the_widest_that_leaves_the_published_size() -> None:
    wider = replace(FLAMINGO_NARROW, width=320, heads=5, hidden=1280)
    assert FLAMINGO_NARROW.hidden == 4 * FLAMINGO_NARROW.width == 256 * FLAMINGO_NARROW.heads
    assert billions(parameters(on_meta(replace(KOSMOS_1, connector=wider)))) == "1.7B"


def test_the_tiny_model_is_small() -> None:
    assert 2_000_000 < parameters(on_meta(KOSMOS_TINY)) < 10_000_000


@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_survives_json(preset: KosmosConfig) -> None:
    assert KosmosConfig.from_json(preset.to_json()) == preset


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("decoder", "widht", 192, "unknown widht"),
        ("decoder", "width", "192", "a whole number, got '192'"),
        ("decoder", "layers", True, "a whole number, got True"),
        ("decoder", "positions", "rotary", "one of 'xpos', 'sinusoidal'"),
        ("decoder", "heads", 5, r"multiple of heads \(5\), got 192"),
        ("vision", "normalise", 1, "true or false, got 1"),
        ("vision", "stem_widths", [32, "64"], "a list of whole numbers"),
        ("vision", "stem_widths", [24, 48, 128], "halve 16 pixels to one"),
        ("vision", "stem_depths", [1], "give each of"),
        ("vision", "image_size", 100, "multiple of patch_size"),
        ("connector", "queries", 15, "square number, got 15"),
        ("connector", "width", 0, "resampler to have"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it(part: str, field: str, value: object, message: str) -> None:
    values = json.loads(KOSMOS_TINY.to_json())
    values[part][field] = value
    with pytest.raises(DataError, match=message):
        KosmosConfig.from_json(json.dumps(values))


def test_missing_fields_and_parts_are_named() -> None:
    values = json.loads(KOSMOS_TINY.to_json())
    del values["decoder"]["width"]
    with pytest.raises(DataError, match=r"decoder: .*got none of width"):
        KosmosConfig.from_json(json.dumps(values))
    del values["decoder"]
    with pytest.raises(DataError, match="got none of decoder"):
        KosmosConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"vision": 3, "connector": {}, "decoder": {}}'])
def test_text_that_is_no_configuration_is_an_error(text: str) -> None:
    with pytest.raises(DataError, match=r"config\.json"):
        KosmosConfig.from_json(text)


def test_derived_sizes() -> None:
    vision, connector = KOSMOS_2.vision, KOSMOS_TINY.connector
    assert vision is not None
    assert connector is not None
    assert (vision.grid, vision.tokens, connector.side) == (16, 257, 3)
    assert KOSMOS_2.decoder.scale == pytest.approx(45.2548, abs=1e-4)
    assert ConnectorConfig("x-attention", queries=64, heads=32).kind == "x-attention"
    assert VisionConfig(image_size=32, patch_size=16, width=8, layers=1, heads=1, hidden=8).tokens == 5
