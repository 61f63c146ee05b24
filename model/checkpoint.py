"""Model folders: a configuration, weights and a tokenizer, read strictly.

    FOLDER/
        config.json                 the shape, as `KosmosConfig.to_json` writes it
        model.safetensors           the weights, in any float type; or model.safetensors.index.json and its shards
        sentencepiece.bpe.model     the tokenizer, with markup; or tokenizer.model, without: see `tokenizer.py`

The tied head is stored once, as the embedding. Folders in a public layout of KOSMOS-2 are read as well: see
`layouts.py`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save

from kosmos_eval.errors import DataError

from .config import KosmosConfig
from .dispatch import EMBEDDING, Dispatched, dispatch, materialise
from .layouts import HEAD, UNILM
from .pickled_files import open_weights, weight_files
from .preprocess import PREPROCESSING
from .public_checkpoint import fairseq_file, open_public, public_layout, public_weights, weight_shapes
from .tokenizer import DICTIONARY, Tokenizer, tokenizer_file
from .weights import CONFIG, WEIGHTS, Checkpoint, ModelWeights, check_weights

if TYPE_CHECKING:
    from pathlib import Path

    from .arguments import Placement
    from .kosmos import Kosmos


class LoadedKosmos(NamedTuple):
    """A model, ready to be asked, and the tokenizer that was trained with it."""

    model: Kosmos
    tokenizer: Tokenizer


class SpreadKosmos(NamedTuple):
    """A model that is spread over devices and disk, and the tokenizer that was trained with it."""

    dispatched: Dispatched
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
    (folder / WEIGHTS).write_bytes(save(weights, metadata={"format": "pt"}))  # for all to read, unlike save_file's
    tokenizer.save(folder)


def load_kosmos(
    folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, *, pickles: bool = False
) -> LoadedKosmos:
    """Return the model of a folder, in evaluation mode, on one device.

    Args:
        folder: a model folder.
        device: where the weights go, straight from the file.
        dtype: what they become, whatever they are stored as.
        pickles: whether pickled weights may be read.

    Raises:
        DataError: a file is missing or malformed, or the weights are not those that the configuration asks for.
    """
    tokenizer, checkpoint = _open(folder, pickles=pickles)
    return LoadedKosmos(materialise(*checkpoint, device, dtype), tokenizer)


def spread_kosmos(
    folder: Path, placement: Placement, device: str, dtype: torch.dtype, *, pickles: bool = False
) -> SpreadKosmos:
    """Return the model of a folder, in evaluation mode, spread over devices and disk.

    Args:
        folder: a model folder.
        placement: where the weights go.
        device: with `device_map=auto`, `cuda` for all GPUs, or the one device that computes.
        dtype: what the weights become, whatever they are stored as.
        pickles: whether pickled weights may be read.

    Raises:
        DataError: as for `load_kosmos`, or the model does not compute what its weights do.
        UsageError: the placement cannot be had here.
    """
    tokenizer, checkpoint = _open(folder, pickles=pickles)
    return SpreadKosmos(dispatch(folder, checkpoint, placement, device, dtype), tokenizer)


def _open(folder: Path, *, pickles: bool) -> tuple[Tokenizer, Checkpoint]:
    layout = public_layout(folder)
    tokenizer = Tokenizer.load(folder)
    if layout is not None:
        files = open_public(folder, layout, pickles=pickles)
        _check_vocabulary(folder, tokenizer, files.config)
        return tokenizer, Checkpoint(files.config, public_weights(folder, files))
    config = KosmosConfig.from_file(folder / CONFIG)
    _check_vocabulary(folder, tokenizer, config)
    return tokenizer, Checkpoint(config, _own_weights(folder, config, pickles=pickles))


def _own_weights(folder: Path, config: KosmosConfig, *, pickles: bool) -> ModelWeights:
    shapes = weight_shapes(config)
    stored = open_weights(folder, pickles=pickles)
    check_weights(folder, {name: shape for name, shape in shapes.items() if name != HEAD}, stored.shapes)
    return ModelWeights(stored, {name: EMBEDDING if name == HEAD else name for name in shapes}, shapes)


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, config: KosmosConfig) -> None:
    if tokenizer.vocabulary_size != config.decoder.vocabulary:
        message = (
            f"{folder}: expected {tokenizer_file(folder).name} to have the {config.decoder.vocabulary} ids that "
            f"{CONFIG} says, got {tokenizer.vocabulary_size}; they belong to different models"
        )
        raise DataError(message)


def check_folder(folder: Path, *, pickles: bool = False) -> KosmosConfig:
    """Return the shape of a folder's model, and raise what loading it would raise but for damage to the numbers.

    The numbers themselves are not read.

    Args:
        folder: a model folder.
        pickles: whether pickled weights may be read.

    Raises:
        DataError: as for `load_kosmos`.
    """
    return _open(folder, pickles=pickles)[1].config


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
    return [folder / CONFIG, tokenizer, *weight_files(folder)]
