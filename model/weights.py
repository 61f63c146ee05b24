"""Weight files: which a folder has, what they hold, and whether that is what a model needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from safetensors import SafetensorError, safe_open

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from .config import KosmosConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


class StoredWeights(Protocol):
    """The weights of a checkpoint, under the names that its files give them."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Key to shape."""
        ...

    def tensor(self, name: str) -> Tensor:
        """Return a weight as it is stored."""
        ...


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """The weights of a checkpoint, under the names that the model gives them.

    Attributes:
        stored: what the files hold.
        names: the model's names, the head's among them, to the files'. A tied head has the embedding's.
        shapes: the model's names to the shapes that the model gives the weights.
        tied: whether the head is the embedding.
    """

    stored: StoredWeights
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    tied: bool = True

    def tensor(self, name: str) -> Tensor:
        """Return a weight in the model's shape, of the type in which it is stored.

        Raises:
            DataError: it is stored as whole numbers, or cannot be read.
        """
        tensor = self.stored.tensor(self.names[name])
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            message = f"expected weight {self.names[name]} to be stored in a float type, got {kind}"
            raise DataError(message)
        return tensor.reshape(self.shapes[name])


class Checkpoint(NamedTuple):
    """A checkpoint whose weights have not been read yet.

    Attributes:
        config: the shape of the model.
        weights: known to be those that the shape asks for.
    """

    config: KosmosConfig
    weights: ModelWeights


def indexed_files(index: Path) -> list[Path]:
    """Return the files that an index of shards names.

    Raises:
        DataError: the index is malformed.
    """
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        return [index.parent / name for name in names]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        message = f"{index}: expected an index of shards with a weight_map ({type(error).__name__})"
        raise DataError(message) from error


def safetensors_files(folder: Path) -> list[Path]:
    """Return the folder's safetensors files: those that the index names, or the one.

    Raises:
        DataError: the index is malformed.
    """
    return indexed_files(folder / INDEX) if (folder / INDEX).is_file() else [folder / WEIGHTS]


class SafetensorFiles:
    """The weights of a folder's safetensors files, read one by one.

    Attributes:
        shapes: key to shape.
    """

    def __init__(self, folder: Path) -> None:
        """Read the files' headers.

        Raises:
            DataError: a file is missing or damaged.
        """
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._files: dict[str, Path] = {}
        for path in safetensors_files(folder):
            try:
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118  no mapping
                        self.shapes[name] = tuple(file.get_slice(name).get_shape())
                        self._files[name] = path
            except FileNotFoundError as error:
                named = f", which {INDEX} names" if (folder / INDEX).is_file() else ""
                message = f"{path}: expected the model's weights{named}, and there is no such file"
                raise DataError(message) from error
            except (OSError, SafetensorError) as error:
                message = f"{path}: expected a whole safetensors file, got one cut short or damaged ({error})"
                raise DataError(message) from error

    def tensor(self, name: str) -> Tensor:
        """Return a weight as it is stored."""
        with safe_open(self._files[name], framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


def check_weights(
    where: Path, wanted: Mapping[str, tuple[int, ...]], held: Mapping[str, tuple[int, ...]], shaped_by: str = CONFIG
) -> None:
    """Raise the first difference between the weights that are held and those that a model needs.

    Args:
        where: the folder or file that messages name.
        wanted: key to shape.
        held: key to shape.
        shaped_by: what said which weights a model needs.
    """
    if missing := sorted(wanted.keys() - held.keys()):
        message = f"{where}: expected weights for {_some(missing)}, got none; is {shaped_by} another model's?"
        raise DataError(message)
    if unexpected := sorted(held.keys() - wanted.keys()):
        message = f"{where}: expected only weights that {shaped_by} describes, got also {_some(unexpected)}"
        raise DataError(message)
    for name, shape in wanted.items():
        if held[name] != shape:
            message = f"{where}: expected {name} to be {list(shape)} as {shaped_by} says, got {list(held[name])}"
            raise DataError(message)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= len(names[:3]) else f"{shown} and {len(names) - 3} more"
