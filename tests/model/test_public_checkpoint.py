"""Checkpoints in the public layouts are read strictly, and what is wrong with one is said in a line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kosmos_eval.errors import DataError
from kosmos_eval.model.checkpoint import fingerprint, load_kosmos, save_kosmos
from kosmos_eval.model.config import KOSMOS_2, ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.layouts import HEAD, TRANSFORMERS, UNILM, PublicLayout, transformers_config, unilm_config
from kosmos_eval.model.public_checkpoint import public_layout
from kosmos_eval.model.specs import embedded_folder
from kosmos_eval.model.tokenizer import RELEASED_FILE_NAME, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "model_type": "kosmos-2",
    "architectures": ["Kosmos2ForConditionalGeneration"],
    "latent_query_num": 4,
    "text_config": {"embed_dim": 64, "layers": 2, "ffn_dim": 96, "attention_heads": 1},
    "vision_config": {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 80,
        "image_size": 8,
        "patch_size": 4,
    },
}


def tokenizer_in(folder: Path) -> Tokenizer:
    (folder / RELEASED_FILE_NAME).write_bytes((embedded_folder("kosmos-tiny") / RELEASED_FILE_NAME).read_bytes())
    return Tokenizer.load(folder)


def model_of(vocabulary: int) -> Kosmos:
    text = {**CONFIG["text_config"], "vocab_size": vocabulary}
    return Kosmos.initialised(transformers_config({**CONFIG, "text_config": text}, "config"), 3).eval()


def weights_in(layout: PublicLayout, model: Kosmos) -> dict[str, torch.Tensor]:
    state = {name: weight.detach() for name, weight in model.state_dict().items() if name != HEAD}
    patch = model.eyes()[0].config.patch_size
    wanted = layout.wanted({name: weight.shape for name, weight in state.items()}, patch)
    return {theirs: state[ours].reshape(shape).clone() for ours, (theirs, shape) in wanted.items()}


@pytest.fixture
def model(tmp_path: Path) -> Kosmos:
    return model_of(tokenizer_in(tmp_path).vocabulary_size)


@pytest.fixture
def folder(model: Kosmos, tmp_path: Path) -> Path:
    """A folder in the layout of transformers."""
    text = {**CONFIG["text_config"], "vocab_size": model.config.decoder.vocabulary}
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "text_config": text}))
    save_file(weights_in(TRANSFORMERS, model), tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


@pytest.fixture
def fairseq_folder(model: Kosmos, tmp_path: Path) -> Path:
    """A folder in the layout of unilm."""
    torch.save({"model": weights_in(UNILM, model)}, tmp_path / "kosmos-2.pt")
    return tmp_path


def assert_same(model: Kosmos, loaded: Kosmos) -> None:
    assert not loaded.training
    state, expected = loaded.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_the_defaults_of_transformers_are_the_released_shape() -> None:
    assert transformers_config({"model_type": "kosmos-2"}, "config") == KOSMOS_2


def test_the_released_shape_has_the_keys_of_both_layouts() -> None:
    with torch.device("meta"):
        state = Kosmos(KOSMOS_2).state_dict()
    shapes = {name: weight.shape for name, weight in state.items() if name != HEAD}
    theirs, fairseq = (dict(layout.wanted(shapes, 14).values()) for layout in (TRANSFORMERS, UNILM))
    assert len(theirs) == len(fairseq) == len(shapes)
    assert theirs["vision_model.model.embeddings.patch_embedding.weight"] == (1024, 3, 14, 14)
    assert theirs["vision_model.model.pre_layrnorm.bias"] == (1024,)
    assert theirs["text_model.model.layers.23.ffn.ffn_layernorm.weight"] == (8192,)
    assert theirs["image_to_text_projection.latent_query"] == (64, 2048)
    assert fairseq["img_model.visual.transformer.resblocks.23.ts_attn.k_proj.bias"] == (1024,)
    assert fairseq["gpt_model.decoder.layers.0.self_attn.inner_attn_ln.weight"] == (2048,)
    assert fairseq["img_connector.x_attn.out_proj.weight"] == (2048, 2048)
    assert unilm_config(fairseq, "kosmos-2.pt") == KOSMOS_2


def test_every_weight_of_a_public_folder_is_where_it_belongs(model: Kosmos, folder: Path) -> None:
    loaded = load_kosmos(folder)
    assert loaded.model.config == model.config
    assert loaded.model.decoder.head.weight is loaded.model.decoder.embedding.weight
    assert_same(model, loaded.model)


def test_shards_and_a_tied_head_that_is_stored_too_load_as_well(model: Kosmos, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_model.lm_head.weight"] = weights["text_model.model.embed_tokens.weight"].clone()
    weights["vision_model.model.embeddings.position_ids"] = torch.arange(5)[None]
    halves = {"a.safetensors": list(weights)[::2], "b.safetensors": list(weights)[1::2]}
    for name, keys in halves.items():
        save_file({key: weights[key] for key in keys}, folder / name, metadata={"format": "pt"})
    index = {"weight_map": {key: name for name, keys in halves.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    loaded = load_kosmos(folder).model
    assert loaded.decoder.head.weight is loaded.decoder.embedding.weight
    assert_same(model, loaded)


def test_an_untied_head_is_kept_and_cannot_be_saved_as_if_it_were_tied(model: Kosmos, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    head = weights["text_model.lm_head.weight"] = torch.randn_like(weights["text_model.model.embed_tokens.weight"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded, tokenizer = load_kosmos(folder)
    hidden = torch.randn(2, 64)
    assert torch.equal(loaded.decoder.logits(hidden), hidden @ head.T)
    assert torch.equal(loaded.decoder.embedding.weight, model.decoder.embedding.weight)
    with pytest.raises(DataError, match="a head of its own"):
        save_kosmos(loaded, tokenizer, folder / "saved")


def test_a_public_checkpoint_saved_as_our_own_loads_again(folder: Path, tmp_path: Path) -> None:
    loaded, tokenizer = load_kosmos(folder)
    save_kosmos(loaded, tokenizer, tmp_path / "own", torch.float32)
    again = load_kosmos(tmp_path / "own")
    assert again.tokenizer.locations == 1024
    assert_same(loaded, again.model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "kosmos-2.5"}, "expected model_type to be 'kosmos-2', got 'kosmos-2.5'"),
        ({"latent_query_num": "64"}, "expected latent_query_num to be a value such as 64, got '64'"),
        ({"text_config": {"activation_function": "relu"}}, "expected activation_function to be 'gelu'"),
        ({"text_config": {"pad_token_id": 0}}, "expected pad_token_id to be 1"),
        ({"text_config": {"add_cross_attention": True}}, "expected add_cross_attention to be False"),
        ({"text_config": 3}, "text_config: expected an object"),
        ({"vision_config": {"hidden_act": "relu"}}, "expected hidden_act to be 'quick_gelu' or 'gelu'"),
        ({"vision_config": {"image_size": 225}}, r"image_size to be a multiple of patch_size \(14\)"),
    ],
)
def test_a_configuration_that_no_kosmos_2_has_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        transformers_config({"model_type": "kosmos-2", **change}, "config.json")


def drop(weights: dict[str, torch.Tensor]) -> None:
    del weights["image_to_text_projection.latent_query"]


def add(weights: dict[str, torch.Tensor]) -> None:
    weights["text_model.model.extra"] = torch.zeros(1)


def cut(weights: dict[str, torch.Tensor]) -> None:
    name = "vision_model.model.embeddings.patch_embedding.weight"
    weights[name] = weights[name][:, :2].contiguous()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop, r"expected weights for image_to_text_projection\.latent_query, got none"),
        (add, r"got also text_model\.model\.extra"),
        (cut, r"patch_embedding\.weight to be \[64, 3, 4, 4\] as config\.json says, got \[64, 2, 4, 4\]"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    folder: Path, damage: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    weights = load_file(folder / "model.safetensors")
    damage(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=message) as caught:
        load_kosmos(folder)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_size_is_refused(folder: Path) -> None:
    text = {**CONFIG["text_config"], "vocab_size": 2049}
    (folder / "config.json").write_text(json.dumps({**CONFIG, "text_config": text}))
    with pytest.raises(DataError, match=r"sentencepiece\.bpe\.model to have the 2049 ids"):
        load_kosmos(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", RELEASED_FILE_NAME])
def test_the_fingerprint_covers_a_public_folder(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    text = (folder / name).read_bytes()
    (folder / name).write_bytes(text + b" ")
    assert fingerprint(folder) != before
    (folder / name).write_bytes(text)
    assert fingerprint(folder) == before


def test_a_fairseq_checkpoint_loads_by_its_shapes(model: Kosmos, fairseq_folder: Path) -> None:
    assert public_layout(fairseq_folder) is UNILM
    loaded = load_kosmos(fairseq_folder, pickles=True).model
    assert loaded.config.vision == model.config.vision
    assert_same(model, loaded)
    before = fingerprint(fairseq_folder)
    (fairseq_folder / "kosmos-2.pt").write_bytes(b"other")
    assert fingerprint(fairseq_folder) != before
    with pytest.raises(DataError, match=r"kosmos-2\.pt: expected a PyTorch checkpoint"):
        load_kosmos(fairseq_folder, pickles=True)


class Options:
    """As fairseq's options, an object that only a class of its own can make; making this one would run code."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,), {"state": [1]}, iter([3]), iter([("key", 1)])


@pytest.mark.parametrize("new_format", [True, False])
def test_options_in_a_fairseq_checkpoint_are_passed_over_and_run_nothing(
    model: Kosmos, tmp_path: Path, *, new_format: bool
) -> None:
    made = tmp_path / "made"
    state = {"args": Options(str(made)), "model": weights_in(UNILM, model), "cfg": {"task": Options(str(made))}}
    torch.save(state, tmp_path / "kosmos-2.pt", _use_new_zipfile_serialization=new_format)
    assert_same(model, load_kosmos(tmp_path, pickles=True).model)
    assert not made.exists()


def test_two_fairseq_checkpoints_are_one_too_many(fairseq_folder: Path) -> None:
    (fairseq_folder / "last.pt").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected one fairseq checkpoint, got kosmos-2\.pt, last\.pt"):
        load_kosmos(fairseq_folder, pickles=True)


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path) -> None:
    tokenizer_in(tmp_path)
    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: expected the weights of a KOSMOS-2, got none named gpt_model"):
        load_kosmos(tmp_path, pickles=True)
    torch.save([1], tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: expected a fairseq checkpoint with an entry 'model'"):
        load_kosmos(tmp_path, pickles=True)


def test_a_folder_of_our_own_is_no_public_one(tmp_path: Path) -> None:
    vision = VisionConfig(image_size=8, patch_size=4, width=8, layers=1, heads=1, hidden=8)
    decoder = DecoderConfig(vocabulary=8, width=8, layers=1, heads=1, hidden=8, positions="xpos")
    config = KosmosConfig(vision, ConnectorConfig("x-attention", queries=1, heads=1), decoder)
    (tmp_path / "config.json").write_text(config.to_json())
    (tmp_path / "optimiser.pt").write_bytes(b"")
    assert public_layout(tmp_path) is None
