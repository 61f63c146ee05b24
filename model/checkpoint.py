"""Model folders: a configuration, weights and a tokenizer, read strictly.

    FOLDER/
        config.json         the shape, as `KosmosConfig.to_json` writes it
        model.safetensors   the weights, in any float type; or model.safetensors.index.json and its shards
        tokenizer.model     SentencePiece

The tied head is stored once, as the embedding.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import torch
from accelerate import init_empty_weights, load_checkpoint_in_model
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kosmos_eval.errors import DataError

from .config import KosmosConfig
from .kosmos import Kosmos
from .preprocess import PREPROCESSING
from .tokenizer import FILE_NAME as TOKENIZER
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_TIED = "decoder.head.weight"


class LoadedKosmos(NamedTuple):
    """A model, ready to be asked, and the tokenizer that was trained with it."""

    model: Kosmos
    tokenizer: Tokenizer


def save_kosmos(model: Kosmos, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a model folder.

    Args:
        model: whose weights and configuration are written.
        tokenizer: written beside them.
        folder: made if need be; files in it are replaced.
        dtype: of the stored weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in model.state_dict().items()
        if name != _TIED
    }
    (folder / CONFIG).write_text(model.config.to_json(), encoding="utf-8")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    tokenizer.save(folder)


def load_kosmos(folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LoadedKosmos:
    """Return the model of a folder, in evaluation mode.

    Args:
        folder: a model folder.
        device: where the weights go, straight from the file.
        dtype: what they become, whatever they are stored as.

    Raises:
        DataError: a file is missing or malformed, or the weights are not those that the configuration asks for.
    """
    config = KosmosConfig.from_file(folder / CONFIG)
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocabulary_size != config.decoder.vocabulary:
        message = (
            f"{folder}: expected {TOKENIZER} to have the {config.decoder.vocabulary} ids that {CONFIG} says, "
            f"got {tokenizer.vocabulary_size}; they belong to different models"
        )
        raise DataError(message)
    with init_empty_weights():
        model = Kosmos(config)
    _check_weights(folder, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != _TIED})
    model.decoder.tie()
    file = folder / INDEX if (folder / INDEX).is_file() else folder / WEIGHTS
    load_checkpoint_in_model(model, str(file), device_map={"": device}, dtype=dtype)
    model.decoder.tie()
    return LoadedKosmos(model.eval(), tokenizer)


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of everything in a model folder that decides answers, and of the preprocessing.

    Raises:
        DataError: a file is missing or unreadable.
    """
    whole = hashlib.sha256(PREPROCESSING.encode())
    index = [folder / INDEX] if (folder / INDEX).is_file() else []
    for path in (folder / CONFIG, folder / TOKENIZER, *index, *_weight_files(folder)):
        try:
            with path.open("rb") as file:
                whole.update(f"|{path.name}:".encode() + hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            message = f"{path}: expected a file of a model folder, which cannot be read ({type(error).__name__})"
            raise DataError(message) from error
    return whole.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """Return the folder's safetensors files: the one, or those that the index names."""
    if not (folder / INDEX).is_file():
        return [folder / WEIGHTS]
    try:
        names = sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        message = f"{folder / INDEX}: expected a safetensors index with a weight_map ({type(error).__name__})"
        raise DataError(message) from error
    return [folder / name for name in names]


def _check_weights(folder: Path, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise the first difference between the weights a folder holds and those a model needs."""
    held: dict[str, tuple[int, ...]] = {}
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                held |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  no mapping
        except FileNotFoundError as error:
            message = f"{path}: expected the model's weights, and there is no such file"
            raise DataError(message) from error
        except (OSError, SafetensorError) as error:
            message = f"{path}: expected a whole safetensors file, got one cut short or damaged ({error})"
            raise DataError(message) from error
    if missing := sorted(wanted.keys() - held.keys()):
        message = f"{folder}: expected weights for {_some(missing)}, got none; is {CONFIG} another model's?"
        raise DataError(message)
    if unexpected := sorted(held.keys() - wanted.keys()):
        message = f"{folder}: expected only weights that {CONFIG} describes, got also {_some(unexpected)}"
        raise DataError(message)
    for name, shape in wanted.items():
        if held[name] != shape:
            message = f"{folder}: expected {name} to be {list(shape)} as {CONFIG} says, got {list(held[name])}"
            raise DataError(message)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= len(names[:3]) else f"{shown} and {len(names) - 3} more"
