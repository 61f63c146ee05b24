from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from kosmos_eval.errors import DataError
from kosmos_eval.model.checkpoint import fingerprint, load_kosmos, save_kosmos

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos

pytestmark = pytest.mark.usefixtures("letters_on_disk")


@pytest.fixture
def folder(model: Kosmos, tokenizer: SegmentTokenizer, tmp_path: Path) -> Path:
    save_kosmos(model, tokenizer, tmp_path / "made" / "model", torch.float32)  # type: ignore[arg-type]  # as good as one
    return tmp_path / "made" / "model"


def test_a_saved_model_comes_back_and_computes_the_same(model: Kosmos, folder: Path) -> None:
    loaded = load_kosmos(folder).model
    assert loaded.config == model.config
    assert not loaded.training
    assert loaded.decoder.head.weight is loaded.decoder.embedding.weight
    assert not any(tensor.is_meta for tensor in loaded.state_dict().values())
    pixels = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded.image_embeddings(pixels), model.image_embeddings(pixels))
    hidden = torch.randn(3, 32)
    assert torch.equal(loaded.decoder.logits(hidden), model.decoder.logits(hidden))


def test_weights_stored_in_half_precision_load_as_float32(
    model: Kosmos, tokenizer: SegmentTokenizer, tmp_path: Path
) -> None:
    save_kosmos(model, tokenizer, tmp_path)  # type: ignore[arg-type]  # as above
    assert {weight.dtype for weight in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    loaded = load_kosmos(tmp_path).model
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.decoder.embedding.weight, model.decoder.embedding.weight.half().float())


def test_shards_load_as_one_file_does(model: Kosmos, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    halves = {"a.safetensors": list(weights)[::2], "b.safetensors": list(weights)[1::2]}
    for name, keys in halves.items():
        save_file({key: weights[key] for key in keys}, folder / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: name for name, keys in halves.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    pixels = torch.randn(1, 3, 16, 16)
    assert torch.equal(load_kosmos(folder).model.image_embeddings(pixels), model.image_embeddings(pixels))
    before = fingerprint(folder)
    (folder / "b.safetensors").write_bytes(b"other")
    assert fingerprint(folder) != before


def damage(folder: Path, what: str) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = "decoder.blocks.0.attention.q_proj.weight"
    match what:
        case "cut":
            file.write_bytes(file.read_bytes()[:-100])
            return
        case "empty":
            file.write_bytes(b"")
            return
        case "gone":
            file.unlink()
            return
        case "missing":
            del weights[name]
        case "unexpected":
            weights["decoder.extra"] = torch.zeros(1)
        case "mis-shaped":
            weights[name] = weights[name][:-1].contiguous()
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", "cut short or damaged"),
        ("empty", "cut short or damaged"),
        ("gone", "no such file"),
        ("missing", r"expected weights for decoder\.blocks\.0\.attention\.q_proj\.weight"),
        ("unexpected", r"got also decoder\.extra"),
        ("mis-shaped", r"q_proj\.weight to be \[32, 32\].*got \[31, 32\]"),
    ],
)
def test_damaged_weights_are_one_line_that_names_them(folder: Path, what: str, message: str) -> None:
    damage(folder, what)
    with pytest.raises(DataError, match=message) as caught:
        load_kosmos(folder)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_of_another_size_is_an_error(
    folder: Path, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "vocabulary_size", 65)
    with pytest.raises(DataError, match=r"64 ids that config\.json says, got 65"):
        load_kosmos(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.model"])
def test_the_fingerprint_changes_with_every_file_and_needs_each(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    assert before == fingerprint(folder)
    assert len(before) == 64
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert fingerprint(folder) != before
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        fingerprint(folder)
