from __future__ import annotations

import json

import pytest
import torch

from kosmos_eval.errors import DataError
from kosmos_eval.model.config import KOSMOS_1, KOSMOS_2, KOSMOS_TINY, ConnectorConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos

PRESETS = [KOSMOS_1, KOSMOS_2, KOSMOS_TINY]


def parameters(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def on_meta(config: KosmosConfig) -> Kosmos:
    with torch.device("meta"):
        return Kosmos(config)


def test_kosmos_2_has_the_parameters_of_the_published_checkpoint() -> None:
    model = on_meta(KOSMOS_2)
    parts = [parameters(part) for part in (model.decoder, model.vision, model.connector)]
    assert parts == [1_342_289_920, 303_179_776, 19_015_680]
    assert parameters(model) == 1_664_485_376


def test_kosmos_1_has_the_published_decoder_and_tower() -> None:
    model = on_meta(KOSMOS_1)
    assert parameters(model.vision) == 303_179_776
    assert parameters(model.decoder) == pytest.approx(1.3e9, rel=0.05)
    assert KOSMOS_1.decoder.vocabulary == 64_007


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
    assert (KOSMOS_2.vision.grid, KOSMOS_2.vision.tokens) == (16, 257)
    assert KOSMOS_TINY.connector.side == 3
    assert KOSMOS_2.decoder.scale == pytest.approx(45.2548, abs=1e-4)
    assert ConnectorConfig("x-attention", queries=64, heads=32).kind == "x-attention"
    assert VisionConfig(image_size=32, patch_size=16, width=8, layers=1, heads=1, hidden=8).tokens == 5
