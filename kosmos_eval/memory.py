"""How much memory this process takes, where its model computes; and giving back what it needs no more."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Memory:
    """A reading, in bytes.

    Attributes:
        kind: `memory` of the machine, or `GPU memory`.
        now: in use.
        peak: most that was ever in use.
    """

    kind: str
    now: int
    peak: int


def measure(device: str) -> Memory:
    """Return how much memory this process takes: of the GPU for a model that is on one, else of the machine."""
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415  a model that is on a GPU has imported it already

        return Memory("GPU memory", torch.cuda.memory_allocated(device), torch.cuda.max_memory_reserved(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not _STATM.exists():  # only Linux has it
        return Memory("memory", peak, peak)
    now = int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Memory("memory", now, max(now, peak))  # the kernel counts the two apart, and the peak a little late


def give_back() -> None:
    """Return freed memory to system and GPU: what a model leaves behind, so that what comes next does not add to it.

    `prepare_process` has freed memory kept for as long as a model computes.
    """
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None:
        torch.cuda.empty_cache()  # of no effect where none was used
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # other C libraries have none
        trim(0)
