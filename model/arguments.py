"""What `--model_args` says of how a checkpoint is loaded; light to import.

device_map=auto         over the GPUs, then the CPU's memory, then the disk, by Accelerate's reckoning
device_map=DEVICE       all on one device: cpu, cuda, cuda:1, mps
max_memory=D:N;D:N      with auto: the most that each device may hold, such as cpu:2GiB;0:10GiB, where a number is
                        a GPU; a device that is left out is not used
offload_folder=DIR      with auto: where the weights go that no device has room for
pickle=allow            pickled weights may be read, as tensors and nothing else
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICE_MAP, MAX_MEMORY, OFFLOAD_FOLDER, PICKLE = "device_map", "max_memory", "offload_folder", "pickle"

AUTO = "auto"
CPU = "cpu"

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]i?B|B)?", re.IGNORECASE)
_POWERS = "BKMGT"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where weights are to go.

    Attributes:
        device_map: `auto`, or the device that takes everything.
        max_memory: device (`cpu`, or `cuda:N`) to the most bytes of weights it may hold; empty is what is free.
        offload_folder: for weights that no device has room for.
    """

    device_map: str
    max_memory: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    offload_folder: Path | None = None

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, str]) -> Placement | None:
        """Return the placement that a model's arguments ask for, `None` if they ask for none.

        Raises:
            UsageError: an argument is malformed, or stands without the one that it needs.
        """
        chosen = arguments.get(DEVICE_MAP)
        if chosen != AUTO:
            for name in (MAX_MEMORY, OFFLOAD_FOLDER):
                if name in arguments:
                    got = f"device_map={chosen}" if chosen else "no device_map"
                    message = f"expected {name} to go with device_map=auto, got {got}"
                    raise UsageError(message)
        if chosen is None:
            return None
        if not _DEVICE.fullmatch(chosen):
            message = f"expected device_map to be auto, cpu, cuda, cuda:N or mps, got {chosen!r}"
            raise UsageError(message)
        folder = arguments.get(OFFLOAD_FOLDER)
        return cls(chosen, _memory(arguments.get(MAX_MEMORY)), Path(folder).expanduser() if folder else None)


def may_read_pickles(arguments: Mapping[str, str]) -> bool:
    """Return whether a model's arguments let pickled weights be read.

    Raises:
        UsageError: the argument is malformed.
    """
    chosen = arguments.get(PICKLE, "refuse")
    if chosen not in ("allow", "refuse"):
        message = f"expected pickle to be allow or refuse, got {chosen!r}"
        raise UsageError(message)
    return chosen == "allow"


def _memory(text: str | None) -> dict[str, int]:
    """Return the bytes that each device may hold."""
    found: dict[str, int] = {}
    for part in [] if text is None else text.split(";"):
        device, _, size = part.strip().rpartition(":")
        name = f"cuda:{device}" if device.isdecimal() else device
        if not re.fullmatch(r"cpu|cuda:\d+", name) or not (match := _SIZE.fullmatch(size.strip())) or name in found:
            message = (
                f"expected max_memory to be devices and sizes such as 'cpu:2GiB;0:10GiB', each device once, "
                f"got {part.strip()!r}"
            )
            raise UsageError(message)
        unit = (match[2] or "B").upper()
        found[name] = int(float(match[1]) * (1024 if "I" in unit else 1000) ** _POWERS.index(unit[0]))
    return found
