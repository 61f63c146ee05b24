"""PyTorch's pickled weights, read only where that was asked for, and then as tensors and nothing else.

A pickle can run code as it is read, so a folder of safetensors is what a model should come in. `--model_args
pickle=allow` lets pickled files be read all the same: a `pytorch_model.bin` by torch's `weights_only` reader, a
fairseq `.pt` by `fairseq_file.py`. Neither runs code that the file holds.
"""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING

import torch

from kosmos_eval.errors import DataError

from .weights import INDEX, WEIGHTS, SafetensorFiles, StoredWeights, indexed_files, safetensors_files

if TYPE_CHECKING:
    from pathlib import Path

BIN = "pytorch_model.bin"
BIN_INDEX = "pytorch_model.bin.index.json"


def open_weights(folder: Path, *, pickles: bool) -> StoredWeights:
    """Return the weights of a folder: its safetensors files, or else its pickled ones.

    Args:
        folder: of a model.
        pickles: whether pickled files may be read.

    Raises:
        DataError: a file is missing or damaged, or is a pickle that may not be read.
    """
    files = pickled_files(folder)
    if not files:
        return SafetensorFiles(folder)
    expect_permission(files[0], pickles=pickles)
    return PickledFiles(files)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights of a folder, an index of shards among them.

    Raises:
        DataError: an index is malformed.
    """
    pickled = pickled_files(folder)
    index = folder / (BIN_INDEX if pickled else INDEX)
    return [*([index] if index.is_file() else []), *(pickled or safetensors_files(folder))]


def pickled_files(folder: Path) -> list[Path]:
    """Return the pickled weights of a folder that has no safetensors, none if it has.

    Raises:
        DataError: the index of the shards is malformed.
    """
    if (folder / INDEX).is_file() or (folder / WEIGHTS).is_file():
        return []
    if (folder / BIN_INDEX).is_file():
        return indexed_files(folder / BIN_INDEX)
    return [folder / BIN] if (folder / BIN).is_file() else []


def expect_permission(path: Path, *, pickles: bool) -> None:
    """Raise unless pickled files may be read.

    Raises:
        DataError: they may not; the message says how to let them.
    """
    if not pickles:
        message = (
            f"{path}: expected weights in safetensors, got a pickled file, which could run code; convert it, or have "
            f"its tensors read, and nothing else of it, with --model_args pickle=allow"
        )
        raise DataError(message)


class PickledFiles:
    """The weights of pickled state dicts, which stay on disk until they are asked for, unless of the old kind.

    Attributes:
        shapes: key to shape.
    """

    def __init__(self, files: list[Path]) -> None:
        """Open the files.

        Raises:
            DataError: a file is missing or damaged, or holds more than tensors.
        """
        self._tensors: dict[str, torch.Tensor] = {}
        for path in files:
            self._tensors |= _tensors_of(path)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """Return a weight as it is stored."""
        return self._tensors[name]


def _tensors_of(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
    except FileNotFoundError as error:
        message = f"{path}: expected the model's weights, and there is no such file"
        raise DataError(message) from error
    except pickle.UnpicklingError as error:
        message = f"{path}: expected a pickled file of tensors alone, got one that is damaged or holds other objects"
        raise DataError(message) from error
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, TypeError, KeyError) as error:
        message = f"{path}: expected a whole PyTorch file, got one cut short or damaged ({type(error).__name__})"
        raise DataError(message) from error
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        message = f"{path}: expected a dictionary of tensors, got something else"
        raise DataError(message)
    return state
