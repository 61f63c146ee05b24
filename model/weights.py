"""Weight files: which a folder has, what they hold, and whether that is what a model needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """Return the folder's safetensors files: the one, or those that the index names.

    Raises:
        DataError: the index is malformed.
    """
    if not (folder / INDEX).is_file():
        return [folder / WEIGHTS]
    try:
        names = sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        message = f"{folder / INDEX}: expected a safetensors index with a weight_map ({type(error).__name__})"
        raise DataError(message) from error
    return [folder / name for name in names]


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
        for path in weight_files(folder):
            try:
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118  no mapping
                        self.shapes[name] = tuple(file.get_slice(name).get_shape())
                        self._files[name] = path
            except FileNotFoundError as error:
                message = f"{path}: expected the model's weights, and there is no such file"
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
