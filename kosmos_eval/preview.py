"""What a dry run shows: the work of a plan, cell by cell, and the time and memory that it will take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kosmos_eval.estimate import estimate
from kosmos_eval.journal import JournalReader
from kosmos_eval.processes.worker import prepare_process
from kosmos_eval.table import NO_NUMBER, aligned
from kosmos_eval.trials import trial_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.estimate import CellEstimate, Estimate
    from kosmos_eval.run import Prepared

_HEADINGS = (
    "task",
    "shots",
    "control",
    "samples",
    "units",
    "images",
    "prompt tokens",
    "shared",
    "ratio",
    "new tokens",
    "time",
    "tried",
    "note",
)
_MEBIBYTE = 1024**2


def preview(prepared: Prepared, *, processes: int, began: float) -> str:
    """Return what a prepared run would do, and what it would take; nothing is written.

    Args:
        prepared: a new run, or one to be resumed, of which only what is left counts.
        processes: how many would ask at once.
        began: when preparing began, by `time.perf_counter`.
    """
    preparing = time.perf_counter() - began
    done = JournalReader(prepared.folder / "journal").timings()
    left = [unit for unit in prepared.plan.units if unit.id not in done]
    if not left:
        return "nothing is left to ask"
    prepare_process(processes)
    found = estimate(prepared.plan, left, processes=processes)
    rows = [_HEADINGS, *map(_row, found.cells)]
    table = aligned(rows, frozenset(_HEADINGS) - {"task", "control", "tried", "note"})
    return "\n".join([table, "", *_time(found, preparing), *_memory(found), *_notes(found)])


def _row(each: CellEstimate) -> tuple[str, ...]:
    cell, counted = each.cell, each.counted
    whole, shared, new = (
        sum(getattr(survey, name) for survey in counted.surveys)
        for name in ("whole_tokens", "shared_tokens", "new_tokens")
    )
    samples = sum(counted.samples)
    tried, seconds = sum(trial.samples for trial in each.basis), sum(trial.seconds for trial in each.basis)
    told = bool(counted.surveys)
    return (
        cell.label,
        trial_name(cell.shots, cell.trial),
        cell.control,
        f"{samples:,}",
        f"{len(counted.samples):,}",
        f"{counted.images:,}",
        f"{whole:,}" if told else NO_NUMBER,
        f"{shared:,}" if told else NO_NUMBER,
        f"{whole / shared:.1f}" if shared else NO_NUMBER,
        f"{new:,}" if told else NO_NUMBER,
        duration(sum(each.seconds)),
        f"{tried:,} of {samples:,} samples in {seconds:.1f} s",
        f"left of {len(cell.samples):,}" if samples < len(cell.samples) else "",
    )


def _time(found: Estimate, preparing: float) -> Iterator[str]:
    whole = preparing + found.loading + found.asking
    by = "1 process" if found.processes == 1 else f"{found.processes} processes"
    yield (
        f"time: about {duration(whole)} with {by}: preparing {duration(preparing)}, loading {duration(found.loading)}, "
        f"asking {duration(found.asking)}; then scores and reports are written"
    )
    if found.processes > 1:
        yield "      a cell's time above is that of one process; here they are taken not to slow each other down"
    if found.lanes < found.processes:
        yield f"      {found.processes} processes on {found.lanes} cores or GPUs are no faster than {found.lanes}"
    known = all(each.counted.surveys for each in found.cells)
    yield f"      estimated from what was tried of each cell, in proportion to its {'tokens' if known else 'samples'}"


def _memory(found: Estimate) -> Iterator[str]:
    one = f"{found.kind}: {_mebibytes(found.measured)} measured"
    if found.bounded is not None:
        one += f", {_mebibytes(found.bounded)} at most"
    if found.processes == 1:
        yield one
        return
    most = found.measured if found.bounded is None else found.bounded
    yield f"{one}, for each of {found.processes} processes: {_mebibytes(found.processes * most)} in all"


def _notes(found: Estimate) -> Iterator[str]:
    if any(each.cell.control for each in found.cells):
        yield "controls are asked together with their cells, and share what they have in common; here they are apart"
    if more := [each for each in found.cells if each.requests_a_sample > 1]:
        names = ", ".join(f"{each.cell.name} {each.requests_a_sample:.1f}" for each in more)
        yield f"more than one request a sample, as tried: {names}; tokens and images are of first ones, times of all"
    for each in found.cells:
        failed = {key: reason for trial in each.trials for key, reason in trial.failed.items()}
        if failed:
            key, reason = next(iter(failed.items()))
            yield f"{each.cell.name}: {len(failed):,} of those tried failed, first {key}: {' '.join(reason.split())}"


def _mebibytes(size: int) -> str:
    return f"{size / _MEBIBYTE:,.0f} MiB"


def duration(seconds: float) -> str:
    """Return a time for people: `8.3 s`, `4:05` minutes, `2:04:05` hours."""
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
