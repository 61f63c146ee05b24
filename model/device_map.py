"""Which module of a model goes to which device: Accelerate's reckoning over the modules that may be moved.

A model is cut into units, modules that are placed as a whole. Decoder, vision and resampler blocks, the connector's
attention, the embedding and the head may be moved, each being called with all that it needs; the decoder's are
placed first, since they run for every token. The rest (stems, norms, class tokens, latents, projections) is small,
and stays on the device that the engine works on. A tied head goes where the embedding goes.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelerate import infer_auto_device_map
from accelerate.utils import get_balanced_memory, get_max_memory
from torch import nn

from kosmos_eval.errors import UsageError

from .arguments import AUTO, CPU
from .attention import Attention
from .decoder import Decoder, DecoderBlock, TiedHead
from .kosmos import Kosmos
from .layouts import HEAD
from .resampler import CrossAttentionConnector, PerceiverResampler, ResamplerBlock
from .vision import VisionBlock, VisionTower

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from .arguments import Placement

DISK = "disk"

EMBEDDING_UNIT, HEAD_UNIT = "decoder.embedding", "decoder.head"

_CONTAINERS = (Kosmos, VisionTower, PerceiverResampler, CrossAttentionConnector, Decoder, nn.ModuleList)
_MOVABLE = (DecoderBlock, VisionBlock, ResamplerBlock, Attention, nn.Embedding, TiedHead)
_ORDER = (EMBEDDING_UNIT, "decoder.blocks", HEAD_UNIT, "connector", "vision")

_SHARE = 0.8
"""Of a device's free memory that weights may take; the rest is left to activations and the key-value cache."""


def units(model: Kosmos) -> dict[str, nn.Module]:
    """Return the modules that are placed as a whole, and that hold weights, by name."""
    return {name: unit for name, unit in _units(model, "") if any(True for _ in unit.parameters())}


def _units(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, _CONTAINERS):
            yield from _units(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def loose_weights(model: Kosmos) -> list[str]:
    """Return the names of the weights that are in no unit: class tokens, position tables, latents."""
    held = tuple(f"{name}." for name in units(model))
    return [name for name, _ in model.named_parameters() if not name.startswith(held) and name != HEAD]


@dataclass(frozen=True, slots=True)
class DeviceMap:
    """Where everything goes.

    Attributes:
        main: the device that the engine works on, and that runs what another place only keeps.
        places: unit to device, or `disk`.
    """

    main: str
    places: Mapping[str, str]

    @property
    def modules(self) -> dict[str, int]:
        """Device, or `disk`, to the number of units that are kept there."""
        return dict(sorted(Counter(self.places.values()).items()))

    def of(self, weight: str) -> str:
        """Return where a weight goes."""
        return next((place for name, place in self.places.items() if weight.startswith(f"{name}.")), self.main)


def device_map(model: Kosmos, placement: Placement, device: str, dtype: torch.dtype, *, tied: bool) -> DeviceMap:
    """Return where the modules of a model go.

    Args:
        model: on the meta device.
        placement: what is asked for.
        device: the one that the run asks for, resolved. A GPU without a number stands for all there are.
        dtype: of the weights.
        tied: whether the head is the embedding.

    Raises:
        UsageError: a device that was named is not to be used, or the weights have no room.
    """
    if placement.device_map != AUTO:
        return DeviceMap(placement.device_map, dict.fromkeys(units(model), placement.device_map))
    memory = _memory(placement, device)
    main = next(iter(memory))
    movable = _in_order({name: unit for name, unit in units(model).items() if isinstance(unit, _MOVABLE)})
    if tied:
        del movable[HEAD_UNIT]
    fixed = sum(weight.numel() for weight in model.parameters()) - sum(
        weight.numel() for unit in movable.values() for weight in unit.parameters()
    )
    fixed *= dtype.itemsize
    if memory[main] < fixed:
        message = (
            f"expected {main} to have room for {_kilobytes(fixed)} of norms, projections and latents, which cannot be "
            f"offloaded, got {_kilobytes(memory[main])}; give it more by max_memory"
        )
        raise UsageError(message)
    memory[main] -= fixed
    found = _inferred(movable, memory, dtype)
    places = dict.fromkeys(units(model), main) | found
    if tied:
        places[HEAD_UNIT] = places[EMBEDDING_UNIT]
    if DISK in places.values() and placement.offload_folder is None:
        message = (
            f"expected offload_folder=DIR among the model's arguments, since {list(places.values()).count(DISK)} of "
            f"{len(places)} modules have no room in memory and go to disk, got none"
        )
        raise UsageError(message)
    return DeviceMap(main, places)


def _memory(placement: Placement, device: str) -> dict[str, int]:
    """Return the bytes that each device in use may hold, the main device first."""
    free = {name if isinstance(name, str) else f"cuda:{name}": size for name, size in get_max_memory().items()}
    kind, _, number = device.partition(":")
    usable = [name for name in free if name in (CPU, device) or (not number and name.startswith(f"{kind}:"))]
    if unusable := [name for name in placement.max_memory if name not in usable]:
        message = f"expected max_memory to name devices in use ({', '.join(usable)}), got {unusable[0]}"
        raise UsageError(message)
    if placement.max_memory:
        return {name: placement.max_memory[name] for name in usable if name in placement.max_memory}
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return {name: int(free[name] * _SHARE) // (processes if name == CPU else 1) for name in usable}


def _in_order(movable: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    return {name: movable[name] for start in _ORDER for name in movable if name.startswith(start)}


def _inferred(movable: Mapping[str, nn.Module], memory: Mapping[str, int], dtype: torch.dtype) -> dict[str, str]:
    """Return where Accelerate puts the movable units, in a model that has no others."""
    whole = nn.Module()
    for name, unit in movable.items():
        parent, *path = whole, *name.split(".")
        for step in path[:-1]:
            if not hasattr(parent, step):
                parent.add_module(step, nn.Module())
            parent = parent.get_submodule(step)
        parent.add_module(path[-1], unit)
    limits: dict[int | str, int | str] = {
        int(name.removeprefix("cuda:")) if name.startswith("cuda:") else name: size for name, size in memory.items()
    }
    whole_units = [kind.__name__ for kind in _MOVABLE]
    limits = get_balanced_memory(whole, limits, no_split_module_classes=whole_units, dtype=dtype)
    found = infer_auto_device_map(whole, limits, no_split_module_classes=whole_units, dtype=dtype)
    places: dict[str, str] = {}
    for name in movable:
        place = next(place for key, place in found.items() if not key or f"{name}.".startswith(f"{key}."))
        places[name] = f"cuda:{place}" if isinstance(place, int) else str(place)
    return places


def _kilobytes(size: int) -> str:
    return f"{size / 1e3:,.0f} kB"
