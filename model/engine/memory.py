"""How much a model's forward passes need, measured, and how much there is.

What a place (a token or an image's embedding) takes is measured on the model itself, by reading two short sequences
and counting the bytes of all tensors that are alive at once. How much there is, the device or the operating system
tells. The budget of a pass follows from both; it is a power of two and has an upper bound, so that on nearly every
machine it is that bound, and results do not depend on what else is running there.
"""

from __future__ import annotations

import os
import resource
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from ..cache import KeyValueCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ..kosmos import Kosmos

_MOST_PLACES = {"cpu": 1 << 13, "cuda": 1 << 16}
"""Places that a pass never has more of: enough to keep a device busy, and little enough for most machines to hold."""

_LEAST_PLACES = 1 << 8
_SHARE = 0.5
"""Of what is free, for one pass: the rest is for copies of the cache, pictures, and whatever else comes."""

_PROBES = (32, 96)
_MEMINFO = Path("/proc/meminfo")
_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Where control groups of version 2 and 1 say what they limit."""

_HARMLESS = 0.25
"""Share of what was free at first that is taken without another look."""


class OutOfMemoryError(MemoryError):
    """What a pass needs is more than there is; raised in place of what would be the end of the process."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was no memory left, on whatever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory")
    )


class Memory:
    """What a place takes under a model, and how many a pass may have."""

    def __init__(self, model: Kosmos, device: torch.device) -> None:
        """Measure.

        Args:
            model: in evaluation mode.
            device: where its passes take memory.
        """
        self._device = device
        short, long = (_peak_bytes(model, device, places) for places in _PROBES)
        self.bytes_a_place = max(1, (long - short) // (_PROBES[1] - _PROBES[0]))
        self._harmless = int(_HARMLESS * free_bytes(device)) // self.bytes_a_place

    def budget(self) -> int:
        """Return how many places a pass may have on this machine: a power of two."""
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if self._device.type == "cpu" else 1
        places = int(_SHARE * free_bytes(self._device) / processes) // self.bytes_a_place
        most = _MOST_PLACES.get(self._device.type, _MOST_PLACES["cpu"])
        return min(most, 1 << max(places.bit_length() - 1, _LEAST_PLACES.bit_length() - 1))

    def check(self, places: int) -> None:
        """Raise `OutOfMemoryError` if so many places do not fit into main memory: trying could end the process."""
        if self._device.type != "cpu" or places <= self._harmless:
            return
        needed, free = places * self.bytes_a_place, free_bytes(self._device)
        if needed > free:
            message = f"expected {needed >> 20} MiB for {places} tokens at once, got {free >> 20} MiB free"
            raise OutOfMemoryError(message)


def free_bytes(device: torch.device) -> int:
    """Return how much memory can still be had on a device: on a CPU, under the limits of control group and process."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        return free - torch.cuda.memory_allocated(device)
    known = [_free_in_system(), _free_in_group(), _free_in_process()]
    return min(each for each in known if each is not None)


def _free_in_system() -> int:
    for line in _MEMINFO.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_group() -> int | None:
    """Return what the control group leaves; `None` without a limit."""
    for folder, limit, used in _GROUPS:
        try:
            most, now, kinds = ((folder / name).read_text(encoding="ascii") for name in (limit, used, "memory.stat"))
        except OSError:
            continue
        cached = dict(line.split() for line in kinds.splitlines()).get("inactive_file", "0")
        return max(0, int(most) - int(now) + int(cached)) if most.strip().isdecimal() else None
    return None


def _free_in_process() -> int | None:
    """Return what the limit of the process's address space leaves; `None` without a limit."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return max(0, most - pages * resource.getpagesize())


class _Meter(TorchFunctionMode):  # one of TorchDispatchMode would import torch's compiler, for seconds
    """Counts the bytes of tensors that are alive at once.

    Attributes:
        peak: most bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._known: list[weakref.ref[Tensor]] = []

    def __torch_function__(
        self,
        function: Callable[..., object],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, (tuple, list)) else (result,)
        self._known += [weakref.ref(each) for each in made if isinstance(each, torch.Tensor)]
        alive = [tensor for known in self._known if (tensor := known()) is not None]
        self._known = [weakref.ref(tensor) for tensor in alive]
        storages = {storage.data_ptr(): storage.nbytes() for storage in map(torch.Tensor.untyped_storage, alive)}
        self.peak = max(self.peak, sum(storages.values()))
        return result


@torch.inference_mode()
def _peak_bytes(model: Kosmos, device: torch.device, places: int) -> int:
    """Return the bytes that reading a sequence takes at its peak, its keys and values included."""
    tokens = torch.full((1, places), model.config.decoder.pad, device=device)
    positions = torch.arange(places, device=device)[None]
    with _Meter() as meter:
        cache = KeyValueCache(model.config.decoder.layers, places)
        model.decoder(model.embed(tokens), positions, None, cache)
    return int(meter.peak)
