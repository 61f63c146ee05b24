"""Checks, before any weight is loaded, of everything that could stop a run later."""

from __future__ import annotations

import os
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from kosmos_eval.errors import DataError, KosmosEvalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kosmos_eval.data.source import Source
    from kosmos_eval.plan import Plan
    from kosmos_eval.prompt import Image
    from kosmos_eval.task import Task

_BYTES_A_SAMPLE = 16_384
_BYTES_FREE = 64 * 1024**2
_WINDOW = 1_024

T = TypeVar("T")
R = TypeVar("R")


def check_requirements(task: Task[Any, Any], source: Source) -> None:
    """Check that a task can read the source, and finds the programs that it needs.

    Raises:
        UsageError: it cannot, or a program is not on PATH.
    """
    if source.kind not in task.sources:
        known = ", ".join("--data DIR" if kind == "folder" else f"--data {kind}" for kind in task.sources)
        message = f"{task.name} cannot read --data {source}; it reads {known}"
        raise UsageError(message)
    for program in getattr(task, "requires", ()):
        if shutil.which(program) is None:
            message = (
                f"{task.name} needs the program {program!r}, which is not on PATH; install it, or leave out {task.name}"
            )
            raise UsageError(message)


def preflight(plan: Plan, folder: Path) -> None:
    """Check, before any weight is loaded, everything that could stop the run later: the contents, and the disk.

    Raises:
        DataError: an image or sample is unreadable; the message names it.
        UsageError: the disk of the run's folder is too full.
    """
    check_contents(plan)
    needed = _BYTES_FREE + _BYTES_A_SAMPLE * sum(len(cell.samples) for cell in plan.cells)
    place = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        message = f"{place}: expected {needed // 1024**2} MiB free for the run's record, got {free // 1024**2} MiB"
        raise UsageError(message)


def check_contents(plan: Plan) -> None:
    """Open every image that will be used, and build every first prompt.

    Raises:
        DataError: an image or sample is unreadable; the message names it.
    """
    _open_images(plan)
    for cell in plan.cells:
        cell.fingerprints  # noqa: B018  a cached property whose making opens images and builds prompts


def _open_images(plan: Plan) -> None:
    """Open every image that will be used, many at a time: the queries', then those of the exemplars drawn for them."""
    images = {id(image): image for cell in plan.cells for sample in cell.samples.values() for image in sample.images}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
        found = in_windows(workers, _fault, images.values())
        faults = list(dict.fromkeys(fault for fault in found if fault is not None))
        if faults:
            more = f"; unreadable images in all: {len(faults)}" if len(faults) > 1 else ""
            message = f"{faults[0]}{more}"
            raise DataError(message)
        for cell in plan.cells:
            if cell.shots:  # drawing compares pixels
                deque(in_windows(workers, cell.exemplars, cell.samples.values()), maxlen=0)


def in_windows(workers: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield the results of work on items, in order; only so many are handed out to the workers at a time."""
    left = iter(items)
    while window := list(islice(left, _WINDOW)):
        yield from workers.map(work, window)


def _fault(image: Image) -> str | None:
    try:
        image.digest  # noqa: B018  a property that opens the image
    except KosmosEvalError as error:
        return str(error)
    return None
