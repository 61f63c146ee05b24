"""Digests by which a run knows that it is still the same work: of data, prompts and scoring code."""

from __future__ import annotations

import hashlib
import inspect
import platform
from dataclasses import is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kosmos_eval.task import Task

_RECORDED = ("kosmos-eval", "torch", "accelerate", "transformers", "datasets", "lm-eval", "numpy", "pillow", "pyarrow")


def digest_lines(lines: Iterable[str]) -> str:
    """Return the SHA-256 of lines of text in the given order: 64 hex digits."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode())
        total.update(b"\n")
    return total.hexdigest()


def scorer_fingerprint(task: type[Task[Any, Any]]) -> str:
    """Return the task's version and the digest of its own code, of what it inherits, and of the core's metrics.

    The version says that a number means something else now; the code's digest catches a change that forgot to say so.
    A task whose scores follow from more than that has the digest of it in `scored_by`.
    """
    file = Path(inspect.getfile(task))
    own_folder = file.parent.name == task.name.replace("-", "_")  # a task in several files has a folder of its name
    files = sorted(file.parent.glob("*.py")) if own_folder else [file]
    inherited = {Path(inspect.getfile(base)) for base in task.__mro__[1:] if is_dataclass(base)}
    files += sorted(inherited - set(files))
    files += sorted((Path(__file__).parent / "metrics").rglob("*.py"))
    lines = [f"{each.name}:{hashlib.sha256(each.read_bytes()).hexdigest()}" for each in files]
    lines += [scored_by] if (scored_by := getattr(task, "scored_by", "")) else []
    code = digest_lines(lines)
    return f"{task.version}:{code[:16]}"


def environment() -> dict[str, str]:
    """Return what the run ran on: Python, platform and the packages that can move a number."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine()}
    for package in _RECORDED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
