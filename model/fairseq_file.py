"""The weights of a fairseq checkpoint, without fairseq and without running what the file holds.

A `.pt` file is a pickle, and fairseq keeps its options in it, some as objects of its own classes. Only what tensors
and plain options are made of is taken from it; every other class becomes an empty stand-in, so neither fairseq need be
installed nor can a file run code.
"""

from __future__ import annotations

import pickle
import zipfile
from argparse import Namespace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TAKEN = {
    ("argparse", "Namespace"),
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
}


class FairseqFile:
    """The weights of a checkpoint's `model` entry.

    Attributes:
        shapes: key to shape.
        options: of the model, those with plain values; none where the file has no options, or not as fairseq has them.
    """

    def __init__(self, path: Path) -> None:
        """Open a checkpoint; its tensors stay on disk until they are asked for, unless the file is of the old kind.

        Raises:
            DataError: it cannot be read, or has no `model` entry of tensors.
        """
        try:
            state = torch.load(
                path,
                map_location="cpu",
                mmap=zipfile.is_zipfile(path),
                weights_only=False,  # the unpickler below is what keeps code out
                pickle_module=SimpleNamespace(__name__=__name__, Unpickler=_TensorUnpickler, load=_load),
            )
        except (OSError, RuntimeError, ValueError, EOFError, AttributeError, TypeError, pickle.PickleError) as error:
            message = f"{path}: expected a PyTorch checkpoint, which cannot be read ({type(error).__name__})"
            raise DataError(message) from error
        model = state.get("model") if isinstance(state, dict) else None
        if not isinstance(model, dict) or not all(isinstance(each, torch.Tensor) for each in model.values()):
            message = f"{path}: expected a fairseq checkpoint with an entry 'model' of tensors, got none"
            raise DataError(message)
        self._tensors: dict[str, torch.Tensor] = model
        self.shapes = {name: tuple(tensor.shape) for name, tensor in model.items()}
        self.options = _options(state)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a weight as it is stored."""
        return self._tensors[name]


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the model, from where fairseq keeps them today (`cfg`) or kept them before (`args`)."""
    whole = state.get("cfg")
    for options in (whole.get("model") if isinstance(whole, dict) else None, state.get("args")):
        values = vars(options) if isinstance(options, Namespace) else options
        if isinstance(values, dict):
            return {str(name): value for name, value in values.items() if type(value) in (bool, int, float, str)}
    return {}


class _StandIn:
    """In place of an object of a class that is not taken: it can be made, filled and called, to no effect."""

    def __new__(cls, *_: object, **__: object) -> _StandIn:  # noqa: PYI034  a pickle makes it, nobody subclasses it
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> _StandIn:
        return _StandIn()

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None: ...

    def extend(self, _: object) -> None: ...

    def __hash__(self) -> int:
        return id(self)


class _TensorUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  a class or a function
        return super().find_class(module, name) if (module, name) in _TAKEN else _StandIn


def _load(file: Any, **options: Any) -> object:  # noqa: ANN401  as pickle.load
    loaded: object = _TensorUnpickler(file, **options).load()
    return loaded
