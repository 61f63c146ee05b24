"""Whatever a KOSMOS-2 configuration says, the model computes what transformers computes, or it is refused in a line."""

from __future__ import annotations

import argparse
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kosmos_eval.errors import DataError
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.config import KOSMOS_2
from kosmos_eval.model.fairseq_file import FairseqFile
from kosmos_eval.model.layouts import UNILM, transformers_config, unilm_config
from kosmos_eval.model.tokenizer import RELEASED_FILE_NAME, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.model.config import KosmosConfig
    from kosmos_eval.model.kosmos import Kosmos

transformers = pytest.importorskip("transformers")

SMALL: dict[str, dict[str, Any]] = {
    "text_config": {"embed_dim": 48, "layers": 2, "ffn_dim": 64, "attention_heads": 4},
    "vision_config": {
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "image_size": 12,
        "patch_size": 4,
    },
}


@pytest.fixture
def folder(tmp_path: Path, pieces: Callable[[], bytes]) -> Path:
    (tmp_path / RELEASED_FILE_NAME).write_bytes(pieces())
    return tmp_path


def saved(folder: Path, text: dict[str, Any], vision: dict[str, Any], top: dict[str, Any]) -> Any:  # noqa: ANN401  transformers is untyped here
    """A random model of theirs, whose norms and biases matter, saved in the folder."""
    config = transformers.Kosmos2Config(
        text_config=SMALL["text_config"] | {"vocab_size": Tokenizer.load(folder).vocabulary_size} | text,
        vision_config=SMALL["vision_config"] | vision,
        **({"latent_query_num": 5} | top),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = transformers.Kosmos2ForConditionalGeneration(config).eval()
        for parameter in model.parameters():
            spread = 0.2 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            parameter.data.add_(spread * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return model


@torch.inference_mode()
def difference(theirs: Any, ours: Kosmos) -> float:  # noqa: ANN401  as above
    """The largest difference between logits of a sequence with two images, one of them at its start."""
    assert ours.config.connector is not None
    assert ours.config.vision is not None
    rng, length, most = random.Random(4), ours.config.connector.queries, ours.config.decoder.vocabulary
    ids, under = [0], [0]
    for _ in range(2):
        ids += [5, *[6] * length, 7, *(rng.randrange(4, most) for _ in range(4))]
        under += [0, *[1] * length, *[0] * 5]
    size = ours.config.vision.image_size
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(5))
    tokens, mask = torch.tensor([ids]), torch.tensor([under])
    want = theirs(input_ids=tokens, pixel_values=pixels, image_embeds_position_mask=mask).logits
    slots = torch.where(mask > 0, mask.cumsum(1) - 1, -1)
    x = ours.embed(tokens, slots, ours.image_embeddings(pixels))
    got = ours.decoder.logits(ours.decoder(x, torch.arange(len(ids))[None]))
    assert want.isfinite().all()
    return float((got - want).abs().max())


@pytest.mark.parametrize(
    ("text", "vision", "top"),
    [
        ({"attention_heads": 1}, {"num_attention_heads": 1}, {"latent_query_num": 1}),
        ({"attention_heads": 3}, {"num_attention_heads": 12}, {"latent_query_num": 64}),
        ({"embed_dim": 60, "attention_heads": 5, "ffn_dim": 31}, {"intermediate_size": 7}, {}),
        ({"layers": 1}, {"image_size": 5, "patch_size": 1}, {}),
        ({"layers": 4}, {"image_size": 12, "patch_size": 12, "num_hidden_layers": 3}, {}),
        ({"layer_norm_eps": 1e-2}, {"layer_norm_eps": 0.1}, {}),
        ({"scale_embedding": False, "max_position_embeddings": 64}, {"hidden_act": "gelu"}, {}),
        ({"dropout": 0.5, "activation_dropout": 0.5, "layerdrop": 0.5}, {"attention_dropout": 0.5}, {}),
        ({"tie_word_embeddings": False}, {}, {"tie_word_embeddings": False}),
        ({"tie_word_embeddings": False}, {}, {}),
        ({}, {}, {"tie_word_embeddings": False}),
    ],
    ids=lambda each: ",".join(each) or "-",
)
def test_a_variant_computes_what_transformers_computes(
    folder: Path, text: dict[str, Any], vision: dict[str, Any], top: dict[str, Any]
) -> None:
    theirs = saved(folder, text, vision, top)
    assert difference(theirs, load_kosmos(folder).model) < 1e-4


def test_a_head_that_differs_from_the_embedding_counts_whatever_the_configuration_says(folder: Path) -> None:
    saved(folder, {}, {}, {})
    weights = load_file(folder / "model.safetensors")
    embedding = weights["text_model.model.embed_tokens.weight"]
    weights["text_model.lm_head.weight"] = torch.roll(embedding, 1, 0).clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    theirs = transformers.Kosmos2ForConditionalGeneration.from_pretrained(folder).eval()
    assert difference(theirs, load_kosmos(folder).model) < 1e-4


def test_a_head_of_its_own_that_is_not_there_is_missed(folder: Path) -> None:
    saved(folder, {}, {}, {})
    values = json.loads((folder / "config.json").read_bytes())
    values["tie_word_embeddings"] = values["text_config"]["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"expected weights for text_model\.lm_head\.weight, got none"):
        load_kosmos(folder)


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        ("", {"quantization_config": {"load_in_8bit": True}}, "got also quantization_config"),
        ("", {"is_encoder_decoder": True}, "expected is_encoder_decoder to be False"),
        ("", {"latent_query_num": 0}, "expected latent_query_num to be 1 or more, got 0"),
        ("text_config", {"num_attention_heads": 2, "hidden_size": 8}, "got also hidden_size, num_attention_heads"),
        ("text_config", {"rope_theta": 1e4}, "text_config: expected only fields of a KOSMOS-2, got also rope_theta"),
        ("text_config", {"per_layer_config": {"0": {"ffn_dim": 8}}}, "got also per_layer_config"),
        ("text_config", {"pruned_heads": {"0": [1]}}, "expected pruned_heads to be {}"),
        ("text_config", {"layers": 0}, "expected layers to be 1 or more, got 0"),
        ("text_config", {"add_cross_attention": 1}, "expected add_cross_attention to be False"),
        ("text_config", {"activation_function": "gelu_new"}, "expected activation_function to be 'gelu'"),
        ("text_config", {"attention_heads": 3}, "config.json: expected decoder.width to be a multiple of heads"),
        ("vision_config", {"num_channels": 1}, "expected num_channels to be 3"),
        ("vision_config", {"image_size": [224, 224]}, "expected image_size to be a value such as 224"),
        ("vision_config", {"use_head": True}, "vision_config: expected only fields of a KOSMOS-2, got also use_head"),
    ],
)
def test_a_field_that_is_not_supported_is_refused_and_not_ignored(
    section: str, fields: dict[str, Any], message: str
) -> None:
    values = {"model_type": "kosmos-2"} | ({section: fields} if section else fields)
    with pytest.raises(DataError, match=message) as caught:
        transformers_config(values, "config.json")
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


def test_what_transformers_writes_of_its_own_accord_decides_nothing() -> None:
    config = transformers.Kosmos2Config()
    assert transformers_config(config.to_dict() | {"model_type": "kosmos-2"}, "config.json") == KOSMOS_2
    older = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "cross_attention_hidden_size"))
    older |= {"is_encoder_decoder": False, "is_decoder": False, "pruned_heads": {}, "torchscript": False, "top_k": 50}
    older |= {"id2label": {"0": "LABEL_0"}, "torch_dtype": "float32", "_name_or_path": "", "an_unknown_one": None}
    assert transformers_config({"model_type": "kosmos-2", "vision_config": older, **older}, "config.json") == KOSMOS_2


UNILM_SHAPES = {
    "gpt_model.decoder.embed_tokens.weight": (99, 128),
    "gpt_model.decoder.layers.0.self_attn_layer_norm.weight": (128,),
    "gpt_model.decoder.layers.0.ffn.fc1.weight": (256, 128),
    "img_connector.latent_query": (3, 128),
    "img_model.visual.conv1.weight": (64, 3, 4, 4),
    "img_model.visual.positional_embedding": (10, 64),
    "img_model.visual.transformer.resblocks.0.ln_1.weight": (64,),
    "img_model.visual.transformer.resblocks.0.mlp.c_fc.weight": (80, 64),
}


def heads_of(config: KosmosConfig) -> tuple[int, int, int]:
    assert config.connector is not None
    assert config.vision is not None
    return config.decoder.heads, config.connector.heads, config.vision.heads


def test_options_of_a_fairseq_checkpoint_say_what_shapes_cannot() -> None:
    config = unilm_config(UNILM_SHAPES, "kosmos-2.pt")
    assert heads_of(config) == (2, 2, 1)
    assert config.decoder.embedding_scale
    options = {"decoder_attention_heads": 8, "no_scale_embedding": True, "activation_fn": "gelu", "arch": "any"}
    config = unilm_config(UNILM_SHAPES, "kosmos-2.pt", options)
    assert heads_of(config) == (8, 8, 1)
    assert not config.decoder.embedding_scale


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ({}, {"activation_fn": "relu"}, "model options: expected activation_fn to be 'gelu'"),
        ({}, {"no_token_positional_embeddings": True}, "expected no_token_positional_embeddings to be False"),
        ({}, {"decoder_attention_heads": 3}, "expected decoder.width to be a multiple of heads"),
        ({UNILM.name_of("decoder.embedding.weight"): (99, 96)}, {}, "decoder to be a multiple of 64 channels wide"),
        ({UNILM.name_of("vision.stem.projection.weight"): (96, 3, 4, 4)}, {}, "tower to be a multiple of 64"),
    ],
)
def test_a_fairseq_checkpoint_that_would_be_computed_otherwise_is_refused(
    shapes: dict[str, tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        unilm_config(UNILM_SHAPES | shapes, "kosmos-2.pt", options)
    assert str(caught.value).startswith("kosmos-2.pt: ")


class Other:
    """An object of a class that is not taken from a file."""


@pytest.mark.parametrize(
    "keep",
    [
        lambda options: {"args": None, "cfg": {"model": options, "task": Other()}},
        lambda options: {"args": None, "cfg": {"model": argparse.Namespace(**options)}},
        lambda options: {"args": argparse.Namespace(**options)},
        lambda options: {"args": argparse.Namespace(**options), "cfg": Other()},
    ],
)
def test_options_are_found_where_fairseq_keeps_them(
    tmp_path: Path, keep: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    options = {"decoder_attention_heads": 4, "activation_fn": "gelu", "odd": Other(), "none": None}
    torch.save(keep(options) | {"model": {"weight": torch.zeros(1)}}, tmp_path / "kosmos-2.pt")
    assert FairseqFile(tmp_path / "kosmos-2.pt").options == {"decoder_attention_heads": 4, "activation_fn": "gelu"}
