"""All that a paper's tables need, as runs: planned, done one after the other, each resumable, and set beside the paper.

There is one run for a part of a task without exemplars and one for it with them, so that what one lacks stops no
other. A run that is finished is not done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from kosmos_eval.config import IDENTITY, RunConfig, parse_config
from kosmos_eval.errors import (
    DataError,
    KosmosEvalError,
    RunInterruptedError,
    RunRefusedError,
    UnknownNameError,
    UsageError,
)
from kosmos_eval.papers.matching import task_of
from kosmos_eval.plan import make_plan, resolve_model
from kosmos_eval.processes.worker import model_options
from kosmos_eval.proving.oracle import Perfect
from kosmos_eval.proving.subject import asked
from kosmos_eval.record import load, read_run
from kosmos_eval.run import execute, prepare, prepare_resumed
from kosmos_eval.selection import parse_part
from kosmos_eval.table import NO_NUMBER, aligned
from kosmos_eval.task import Provable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kosmos_eval.papers.published import PaperTable
    from kosmos_eval.plan import Cell
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.progress import Progress
    from kosmos_eval.record import RunRecord
    from kosmos_eval.selection import Part

_HEADINGS = ("tables", "part", "shots", "samples", "requests", "state")


@dataclass(frozen=True, slots=True)
class Step:
    """A run that tables need.

    Attributes:
        part: of a task, as `--tasks` takes it.
        shots: numbers of exemplars; 0 alone, or others without it.
        tables: that need it, by their numbers.
        served: the published split is another, whose answers only a server has.
    """

    part: str
    shots: tuple[int, ...]
    tables: tuple[str, ...]
    served: bool

    @property
    def name(self) -> str:
        """Of its folder: `coco_caption`, and `coco_caption_few` with exemplars."""
        return self.part.replace(":", ".") + ("_few" if any(self.shots) else "")


@dataclass(frozen=True, slots=True)
class Planned:
    """A step as it can be carried out here.

    Attributes:
        step: the run.
        config: of it.
        folder: of it.
        samples: of each of its shot counts.
        requests: as many as a perfect model would be asked, by shot count; `None` where only their least is known.
        finished: it has been done.
        missing: why it cannot be done; empty where it can.
    """

    step: Step
    config: RunConfig
    folder: Path
    samples: Mapping[int, int]
    requests: Mapping[int, int]
    finished: bool = False
    missing: str = ""


def steps_of(tables: Iterable[PaperTable]) -> tuple[Step, ...]:
    """Return the runs that tables need, in the order in which they are first needed."""
    needed: dict[tuple[str, bool], tuple[dict[int, None], dict[str, None], bool]] = {}
    for table in tables:
        for number in table.own:
            protocol, shots = number.protocol, number.shots
            if protocol is None or shots is None:
                continue
            counts, numbers, _ = needed.setdefault((protocol.part, shots > 0), ({}, {}, protocol.served))
            counts[shots] = None
            numbers[table.number] = None
    return tuple(
        Step(part, tuple(sorted(counts)), tuple(numbers), served)
        for (part, _), (counts, numbers, served) in needed.items()
    )


def plan_steps(steps: Iterable[Step], settings: Mapping[str, Any], folder: Path, plugins: Plugins) -> list[Planned]:
    """Return what each step would ask, and what is missing for it; nothing is written and no weight loaded.

    Args:
        steps: of the tables.
        settings: fields of the runs' configurations, without tasks and shots.
        folder: where the runs are, or will be.
        plugins: where tasks and the model are found.

    Raises:
        UsageError: what holds for all steps cannot be carried out, such as an unknown model.
        RunRefusedError: the folder has a run of other work.
    """
    planned = []
    weights = ""
    steps = tuple(steps)
    _refuse_idle(settings.get("settings", {}), steps)
    for step in steps:
        told = {**settings, "tasks": (step.part,), "shots": step.shots}
        if settings.get("settings"):
            told["settings"] = _of_step(settings["settings"], parse_part(step.part, plugins), plugins)
        spec, config = resolve_model(parse_config(told, "the command line"), plugins)
        place = folder / step.name
        if (place / "run.json").exists():
            weights = weights or spec.fingerprint(model_options(config))
            _refuse_other_work(place, config, weights)
        planned.append(_planned(step, config, place, plugins))
    return planned


def _refuse_idle(settings: Mapping[str, Any], steps: Iterable[Step]) -> None:
    """Raise `UnknownNameError` for a setting of a task that no step runs."""
    tasks = {task_of(step.part) for step in steps}
    for name in settings:
        if task_of(name) not in tasks:
            kind = "task of these tables"
            raise UnknownNameError(kind, name, tasks)


def _of_step(settings: Mapping[str, Any], part: Part, plugins: Plugins) -> dict[str, Any]:
    """Return the settings that hold for a part: those of its task, and those of parts that it is of."""
    return {
        name: values
        for name, values in settings.items()
        if task_of(name) == part.task and parse_part(name, plugins).covers(part)
    }


def _planned(step: Step, config: RunConfig, folder: Path, plugins: Plugins) -> Planned:
    try:
        cells = make_plan(config, plugins).cells
        samples = {cell.shots: len(cell.samples) for cell in cells}
        requests = {cell.shots: len(cell.samples) * _requests(cell) for cell in cells}
    except (DataError, UsageError) as error:  # a plugin that is missing or broken is one of the latter
        return Planned(step, config, folder, {}, {}, missing=str(error))
    return Planned(step, config, folder, samples, requests, finished=_finished(folder))


def _requests(cell: Cell) -> int:
    """Return how many requests a sample of a cell is, as a perfect model is asked; at least 1 where nobody knows."""
    first = list(islice((sample for sample in cell.samples.values() if sample.labelled), 1))
    if not first or not isinstance(cell.task, Provable):
        return 1
    return len(asked(cell, first, Perfect(cell.task))[0].requests)


def _finished(folder: Path) -> bool:
    """Whether a folder's run is done, and no sample of it failed."""
    return (folder / "results.json").exists() and not any(cell.failed for cell in load(folder).cells)


def _refuse_other_work(folder: Path, config: RunConfig, weights: str) -> None:
    run = read_run(folder)
    before = parse_config(run["config"], str(folder / "run.json"))
    for name in ("data", *(each for each in IDENTITY if each != "tasks")):
        if getattr(config, name) != getattr(before, name):
            was, now = getattr(before, name), getattr(config, name)
            message = f"{folder} holds a run with {name} = {was!r}, not {now!r}; choose another folder with -o"
            raise RunRefusedError(message)
    if run["model"]["fingerprint"] != weights:
        message = f"{folder} holds a run of other weights ({run['model']['name']}); choose another folder with -o"
        raise RunRefusedError(message)


def show_plan(planned: Iterable[Planned]) -> str:
    """Return what would be run, how much it is, and what is missing, for a terminal."""
    every = list(planned)
    rows = [_HEADINGS, *map(_row, every)]
    todo = [each for each in every if not (each.missing or each.finished)]
    samples = sum(sum(each.samples.values()) for each in todo)
    requests = sum(sum(each.requests.values()) for each in todo)
    done = sum(each.finished for each in every)
    lacking = [each for each in every if each.missing]
    counted = f"{len(todo)} to do with {samples:,} samples and {requests:,} requests"
    lines = [
        aligned(rows, {"shots", "samples", "requests"}),
        "",
        f"{len(every)} runs: {done} finished, {counted}, {len(lacking)} that lack something",
        *(f"missing for {each.step.name}: {each.missing}" for each in lacking),
    ]
    if served := dict.fromkeys(each.step.part for each in every if each.step.served):
        lines.append(
            f"published for splits whose answers only a server has: {', '.join(served)}; what is asked here instead "
            "is never compared"
        )
    return "\n".join(lines)


def _row(each: Planned) -> tuple[str, ...]:
    state = "missing" if each.missing else "finished" if each.finished else "to do"
    return (
        ", ".join(each.step.tables),
        each.step.part,
        ", ".join(map(str, each.step.shots)),
        f"{sum(each.samples.values()):,}" if each.samples else NO_NUMBER,
        f"{sum(each.requests.values()):,}" if each.requests else NO_NUMBER,
        state,
    )


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of the steps.

    Attributes:
        records: of those that are finished.
        missing: part and shot count to why there is no run of it.
        failed: how many samples of all runs the model could not take.
    """

    records: tuple[RunRecord, ...]
    missing: Mapping[tuple[str, int], str]
    failed: int


def carry_out(
    planned: Iterable[Planned], *, processes: int, progress: Callable[[], Progress | None], tell: Callable[[str], None]
) -> Reproduction:
    """Do what is left of the steps, one run after the other; one that cannot be done stops no other.

    Args:
        planned: the steps.
        processes: how many ask at once.
        progress: gives what is told how each run goes; silent for `None`.
        tell: is told of each step, one line.

    Raises:
        RunInterruptedError: stopped by Ctrl-C or a termination signal; the same command goes on.
    """
    records: list[RunRecord] = []
    missing: dict[tuple[str, int], str] = {}
    every = list(planned)
    for place, each in enumerate(every, start=1):
        why = each.missing
        if not why:
            tell(f"{place} of {len(every)}: {each.step.name}" + (" (finished)" if each.finished else ""))
            try:
                records.append(_carried_out(each, processes, progress()))
            except RunInterruptedError as error:
                message = f"interrupted at {each.folder}; the same command goes on from there"
                raise RunInterruptedError(message) from error
            except KosmosEvalError as error:
                why = str(error)
        if why:
            tell(f"{place} of {len(every)}: {each.step.name} is left out: {why}")
            missing |= {(each.step.part, shots): why for shots in each.step.shots}
    failed = sum(cell.failed for record in records for cell in record.cells)
    return Reproduction(tuple(records), missing, failed)


def _carried_out(each: Planned, processes: int, progress: Progress | None) -> RunRecord:
    if each.finished:
        return load(each.folder)
    if (each.folder / "run.json").exists():
        prepared = prepare_resumed(each.folder, {})
    else:
        prepared = prepare(each.config, each.folder)
    return execute(prepared, processes=processes, progress=progress)
