"""Whether a dispatched model computes what its weights do: one small fixed input, through it and through a reference.

A weight that a hook has moved away leaves no error behind: torch takes what memory happens to hold for the product
of a tensor that is there and one that is not. So a dispatched model is run once, and then the same model undispatched,
with one unit's weights in memory at a time, read from the checkpoint just before the unit is called. What each unit
returns must agree. Weights of the reference that are not in use are NaN, so that it cannot go wrong in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from kosmos_eval.errors import DataError

from .device_map import loose_weights, units

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .device_map import DeviceMap
    from .kosmos import Kosmos
    from .weights import ModelWeights

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-3}
"""How far an output may be off, as a share of the largest number in it."""

LOGITS = "the logits"

_TOKENS = 16

_CURE = "the device map is no good: load the model without device_map, or with another max_memory"


class Finding(NamedTuple):
    """What a probe found.

    Attributes:
        largest_difference: of all outputs, as a share of the largest number in an output.
        tolerance: what it may be.
        outputs: how many were compared: each module's, and the logits.
    """

    largest_difference: float
    tolerance: float
    outputs: int


@torch.inference_mode()
def probe(where: Path, model: Kosmos, reference: Kosmos, weights: ModelWeights, places: DeviceMap) -> Finding:
    """Return how far a dispatched model is from what its weights compute.

    Args:
        where: the folder that messages name.
        model: dispatched.
        reference: the same model on the meta device, in the type of the weights; it is used up.
        weights: of the checkpoint.
        places: where the modules of the dispatched model are.

    Raises:
        DataError: a module's output is off, or is no number.
    """
    try:
        seen = _dispatched_outputs(model, places.main)
    except RuntimeError as error:
        message = f"{where}: expected the model to run as it is placed, got an error: {_first_line(error)}; {_CURE}"
        raise DataError(message) from error
    dtype = model.decoder.norm.weight.dtype
    tolerance, largest = TOLERANCES[dtype], 0.0
    for name, right in _reference_outputs(reference, weights, places.main, dtype).items():
        if not right.isfinite().all():
            message = (
                f"{where}: expected {name} to return numbers, got NaN or infinity from the weights as they are stored; "
                f"check them, or load them in another --dtype"
            )
            raise DataError(message)
        scale = max(float(right.abs().max()), torch.finfo(torch.float32).tiny)
        off = float((seen[name] - right).abs().max()) / scale if name in seen else torch.inf
        if not off <= tolerance:
            message = (
                f"{where}: expected {name}, placed on {places.places.get(name, places.main)}, to compute what its "
                f"weights do within {tolerance:g}, got {off:.3g} off; {_CURE}"
            )
            raise DataError(message)
        largest = max(largest, off)
    return Finding(largest, tolerance, len(seen))


def _dispatched_outputs(model: Kosmos, device: str) -> dict[str, Tensor]:
    """Return what each unit of a model returns for the probe's input, in the order of their calls."""
    outputs: dict[str, Tensor] = {}
    handles = [unit.register_forward_hook(_keeper(name, outputs)) for name, unit in units(model).items()]
    try:
        outputs[LOGITS] = _run(model, device)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def _reference_outputs(reference: Kosmos, weights: ModelWeights, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return what each unit returns when it has its weights from the checkpoint, and no other has."""
    for name in loose_weights(reference):
        _set(reference, name, weights.tensor(name).to(device, dtype))
    outputs: dict[str, Tensor] = {}
    for name, unit in units(reference).items():
        guest = _Guest(unit, name, weights, device, dtype)
        guest.leave()
        unit.register_forward_pre_hook(lambda *_, guest=guest: guest.come())
        unit.register_forward_hook(_keeper(name, outputs))
        unit.register_forward_hook(lambda *_, guest=guest: guest.leave())
    outputs[LOGITS] = _run(reference, device)
    return outputs


class _Guest:
    """The weights of a unit, which are there for its call and NaN at all other times; these take no memory."""

    def __init__(self, unit: nn.Module, name: str, weights: ModelWeights, device: str, dtype: torch.dtype) -> None:
        self._unit, self._name, self._weights, self._device, self._dtype = unit, name, weights, device, dtype
        self._held = [each for each, _ in unit.named_parameters()]

    def come(self) -> None:
        for each in self._held:
            _set(self._unit, each, self._weights.tensor(f"{self._name}.{each}").to(self._device, self._dtype))

    def leave(self) -> None:
        nothing = torch.full((), torch.nan, device=self._device, dtype=self._dtype)
        for each in self._held:
            _set(self._unit, each, nothing.expand(self._weights.shapes[f"{self._name}.{each}"]))


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    path, _, last = name.rpartition(".")
    setattr(module.get_submodule(path), last, nn.Parameter(value, requires_grad=False))


def _keeper(name: str, outputs: dict[str, Tensor]) -> Callable[[nn.Module, object, Tensor | tuple[Tensor, ...]], None]:
    """Return a hook that keeps what a unit returns, the first of several tensors."""

    def keep(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs[name] = (output if isinstance(output, Tensor) else output[0]).float().cpu()

    return keep


def _run(model: Kosmos, device: str) -> Tensor:
    """Return the logits of the probe's input, a picture if the model sees pictures and a text, on the CPU."""
    config = model.config
    pictured = config.image_tokens
    tokens = torch.linspace(0, config.decoder.vocabulary - 1, _TOKENS + pictured, device=device).long()[None]
    slots = torch.full_like(tokens, -1)
    images = None
    if pictured:
        side = config.image_size
        wave = torch.arange(3 * side * side, dtype=torch.float32, device=device).sin().reshape(1, 3, side, side)
        images = model.image_embeddings(wave.to(model.decoder.norm.weight.dtype)).to(device)
        slots[0, 2 : 2 + pictured] = torch.arange(pictured, device=device)
    positions = torch.arange(tokens.shape[1], device=device)[None]
    logits = model.decoder.logits(model.decoder(model.embed(tokens, slots, images), positions))
    return logits.float().cpu()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
