"""Pickled weights are refused with the cure, read as tensors where that is asked for, and never run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from kosmos_eval.errors import DataError
from kosmos_eval.model.checkpoint import check_folder, fingerprint
from kosmos_eval.model.pickled_files import BIN, BIN_INDEX, open_weights, weight_files
from kosmos_eval.model.weights import WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}


class Evil:
    """Making this object would run code."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickled_file_is_read_where_that_is_asked_for(tmp_path: Path, *, new_format: bool) -> None:
    torch.save(STATE, tmp_path / BIN, _use_new_zipfile_serialization=new_format)
    weights = open_weights(tmp_path, pickles=True)
    assert weights.shapes == {"a": (2, 3), "b": (4,)}
    assert all(torch.equal(weights.tensor(name), STATE[name]) for name in STATE)


def test_a_pickled_file_is_refused_otherwise_and_the_message_names_the_argument(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / BIN)
    with pytest.raises(DataError, match=rf"{BIN}: .*pickled.*--model_args pickle=allow"):
        open_weights(tmp_path, pickles=False)


def test_safetensors_beside_a_pickled_file_are_what_is_read(tmp_path: Path) -> None:
    torch.save({"x": Evil(str(tmp_path / "made"))}, tmp_path / BIN)
    save_file(STATE, tmp_path / WEIGHTS)
    for pickles in (False, True):
        assert open_weights(tmp_path, pickles=pickles).shapes.keys() == STATE.keys()
    assert weight_files(tmp_path) == [tmp_path / WEIGHTS]


def test_shards_are_read_and_a_missing_one_is_named(tmp_path: Path) -> None:
    for name, value in STATE.items():
        torch.save({name: value}, tmp_path / f"{name}.bin")
    (tmp_path / BIN_INDEX).write_text(json.dumps({"weight_map": {name: f"{name}.bin" for name in STATE}}))
    assert open_weights(tmp_path, pickles=True).shapes.keys() == STATE.keys()
    assert weight_files(tmp_path) == [tmp_path / BIN_INDEX, tmp_path / "a.bin", tmp_path / "b.bin"]
    (tmp_path / "b.bin").unlink()
    with pytest.raises(DataError, match=r"b\.bin: .*no such file"):
        open_weights(tmp_path, pickles=True)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, *, new_format: bool) -> None:
    state = {"a": torch.ones(2), "b": Evil(str(tmp_path / "made"))}
    torch.save(state, tmp_path / BIN, _use_new_zipfile_serialization=new_format)
    with pytest.raises(DataError, match="tensors alone") as caught:
        open_weights(tmp_path, pickles=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("what", ["cut", "empty", "text", "list", "nested"])
def test_damage_is_one_line(tmp_path: Path, what: str) -> None:
    torch.save([1] if what == "list" else {"model": STATE} if what == "nested" else STATE, tmp_path / BIN)
    whole = (tmp_path / BIN).read_bytes()
    damaged = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no weights"}.get(what, whole)
    (tmp_path / BIN).write_bytes(damaged)
    with pytest.raises(DataError, match=f"{BIN}: expected") as caught:
        open_weights(tmp_path, pickles=True)
    assert "\n" not in str(caught.value)


def test_a_public_folder_with_pickled_weights_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kosmos_eval.model.checkpoint.Tokenizer.load", lambda _: None)
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "kosmos-2"}))
    torch.save(STATE, tmp_path / BIN)
    with pytest.raises(DataError, match="--model_args pickle=allow"):
        check_folder(tmp_path)
    before = fingerprint(tmp_path)
    torch.save({"a": STATE["a"]}, tmp_path / BIN)
    assert fingerprint(tmp_path) != before
