"""Model folders: a configuration, weights and a tokenizer, read strictly.

    FOLDER/
        config.json         the shape, as `KosmosConfig.to_json` writes it
        model.safetensors   the weights, in any float type; or model.safetensors.index.json and its shards
        tokenizer.model     SentencePiece

The tied head is stored once, as the embedding. Folders in a public layout of KOSMOS-2 are read as well: see
`layouts.py`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import torch
from accelerate import init_empty_weights, load_checkpoint_in_model
from safetensors.torch import save_file

from kosmos_eval.errors import DataError

from .config import KosmosConfig
from .kosmos import Kosmos
from .layouts import HEAD, UNILM
from .preprocess import PREPROCESSING
from .public_checkpoint import fairseq_file, load_public, open_public, public_layout
from .tokenizer import DICTIONARY, Tokenizer, tokenizer_file
from .weights import CONFIG, INDEX, WEIGHTS, SafetensorFiles, check_weights, weight_files

if TYPE_CHECKING:
    from pathlib import Path


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

    Raises:
        DataError: the model's head is not tied.
    """
    if model.decoder.head.weight is not model.decoder.embedding.weight:
        message = f"{folder}: expected a model whose head is its embedding, got one with a head of its own"
        raise DataError(message)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in model.state_dict().items()
        if name != HEAD
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
    layout = public_layout(folder)
    tokenizer = Tokenizer.load(folder)
    if layout is None:
        config = KosmosConfig.from_file(folder / CONFIG)
        _check_vocabulary(folder, tokenizer, config)
        return LoadedKosmos(_load_own(folder, config, device, dtype), tokenizer)
    checkpoint = open_public(folder, layout)
    _check_vocabulary(folder, tokenizer, checkpoint.config)
    return LoadedKosmos(load_public(folder, checkpoint, device, dtype), tokenizer)


def _load_own(folder: Path, config: KosmosConfig, device: str, dtype: torch.dtype) -> Kosmos:
    with init_empty_weights():
        model = Kosmos(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != HEAD}
    check_weights(folder, wanted, SafetensorFiles(folder).shapes)
    model.decoder.tie()
    file = folder / INDEX if (folder / INDEX).is_file() else folder / WEIGHTS
    load_checkpoint_in_model(model, str(file), device_map={"": device}, dtype=dtype)
    model.decoder.tie()
    return model.eval()


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, config: KosmosConfig) -> None:
    if tokenizer.vocabulary_size != config.decoder.vocabulary:
        message = (
            f"{folder}: expected {tokenizer_file(folder).name} to have the {config.decoder.vocabulary} ids that "
            f"{CONFIG} says, got {tokenizer.vocabulary_size}; they belong to different models"
        )
        raise DataError(message)


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of everything in a model folder that decides answers, and of the preprocessing.

    Raises:
        DataError: a file is missing or unreadable.
    """
    whole = hashlib.sha256(PREPROCESSING.encode())
    for path in _deciding_files(folder):
        try:
            with path.open("rb") as file:
                whole.update(f"|{path.name}:".encode() + hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            message = f"{path}: expected a file of a model folder, which cannot be read ({type(error).__name__})"
            raise DataError(message) from error
    return whole.hexdigest()


def _deciding_files(folder: Path) -> list[Path]:
    tokenizer = tokenizer_file(folder)
    if public_layout(folder) is UNILM:
        dictionary = folder / DICTIONARY
        return [tokenizer, *filter(None, [dictionary if dictionary.is_file() else None, fairseq_file(folder)])]
    index = [folder / INDEX] if (folder / INDEX).is_file() else []
    return [folder / CONFIG, tokenizer, *index, *weight_files(folder)]
