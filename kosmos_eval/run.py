"""The pipeline: plan, ask, journal, score, summarise, write.

Each step is a function that a reader can follow by name; what each leaves behind is in `record.py`'s docstring. A run
can be stopped after any committed unit, by any means, and resumed at another number of processes.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.config import IDENTITY, RunConfig, parse_config
from kosmos_eval.errors import KosmosEvalError, RunInterruptedError, RunRefusedError, UsageError
from kosmos_eval.failures import require_complete
from kosmos_eval.fingerprint import environment
from kosmos_eval.journal import JournalReader
from kosmos_eval.memory import give_back
from kosmos_eval.plan import Plan, make_plan, with_nearest
from kosmos_eval.plugins import Plugins
from kosmos_eval.preflight import preflight
from kosmos_eval.processes.launch import Launch
from kosmos_eval.processes.lock import RunLock
from kosmos_eval.processes.worker import model_options
from kosmos_eval.record import SCHEMA_VERSION, RunRecord, load, read_run
from kosmos_eval.rices import rank_exemplars
from kosmos_eval.run_folder import default_folder, open_folder, read_nearest, reopen
from kosmos_eval.selection import select
from kosmos_eval.task import Traced
from kosmos_eval.vector_cache import tell
from kosmos_eval.watched import wanted
from kosmos_eval.writing import write_json, write_results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.plan import Unit
    from kosmos_eval.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to ask: everything checked, nothing loaded.

    Attributes:
        folder: of the run; made by `open_folder`.
        plan: of the run.
        run: what `run.json` holds.
    """

    folder: Path
    plan: Plan
    run: dict[str, Any]


def prepare(config: RunConfig, folder: Path) -> Prepared:
    """Plan a new run and check everything that can fail, before a folder is made or a weight loaded.

    Only where exemplars are chosen by similarity may the model be loaded, and let go again.

    Raises:
        UsageError: the configuration cannot be carried out, or the folder holds a run already.
        DataError: data or checkpoint cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        message = f"expected --output_path {folder} to be a folder or a new name, got a file"
        raise UsageError(message)
    refuse_existing(folder)
    plan = make_plan(config, Plugins(map(Path, config.include_path)))
    weights = plan.model.fingerprint(model_options(plan.config))
    plan = rank_exemplars(plan, weights)
    preflight(plan, folder)
    for cell in plan.cells if plan.config.gate is not None else ():
        if cell.watched is None:
            tell(f"{cell.name} is asked to its end: the gate can tell no sooner")
    for control in plan.config.controls:
        for label, reason in plan.uncontrolled(control).items():
            tell(f"{label} is not asked under {control}: {reason}")
    return Prepared(folder, plan, _describe(plan, weights))


def refuse_existing(folder: Path) -> None:
    """Raise `RunRefusedError` if a folder holds a run."""
    if (folder / "run.json").exists():
        state = "finished" if (folder / "results.json").exists() else "unfinished"
        message = f"{folder} holds a run already ({state}); resume it with --resume {folder}, or choose another folder"
        raise RunRefusedError(message)


def prepare_resumed(folder: Path, overrides: Mapping[str, Any]) -> Prepared:
    """Plan a run again from its folder, and make sure that it is the same work.

    Args:
        folder: of the run.
        overrides: configuration fields given anew; those that decide what is measured must be as they were.

    Raises:
        RunRefusedError: configuration, weights, data, prompts or scorer changed; the message names which.
    """
    run = read_run(folder)
    before = parse_config(run["config"], str(folder / "run.json"))
    config = parse_config({**run["config"], **overrides}, "the command line")
    if "tasks" in overrides:
        parts = select(config, Plugins(map(Path, config.include_path))).parts
        config = config.model_copy(update={"tasks": tuple(part.name for part in parts)})
    for field in IDENTITY:
        if getattr(config, field) != getattr(before, field):
            asked, known = getattr(config, field), getattr(before, field)
            message = f"{folder}: cannot resume with {field} = {asked!r}, the run has {known!r}"
            raise RunRefusedError(message)
    plan = with_nearest(make_plan(config, Plugins(map(Path, config.include_path))), read_nearest(folder))
    weights = plan.model.fingerprint(model_options(plan.config))
    preflight(plan, folder)
    now = _describe(plan, weights)
    _refuse_changes(folder, run, now)
    return Prepared(folder, plan, {**run, "config": now["config"]})


def _describe(plan: Plan, weights: str) -> dict[str, Any]:
    described = {
        "schema": SCHEMA_VERSION,
        "config": plan.config.model_dump(mode="json"),
        "model": {"name": plan.model.name, "fingerprint": weights},
        "fingerprints": plan.fingerprints,
        "provenance": _provenance(plan),
        "environment": environment(),
        "launches": [],
        "timings": {},
    }
    if any(cell.nearest for cell in plan.cells):
        vectors = {"model": plan.model.name, "fingerprint": weights, "dtype": plan.config.dtype}
        described["exemplars"] = {"policy": plan.config.exemplars, "vectors": vectors}
    return described


def _provenance(plan: Plan) -> dict[str, dict[str, str | None]]:
    tasks = {cell.part or cell.task.name: (cell.task, cell.source) for cell in plan.cells}
    return {name: dict(task.provenance(source)) for name, (task, source) in tasks.items() if isinstance(task, Traced)}


def _refuse_changes(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = []
    if before["model"]["fingerprint"] != now["model"]["fingerprint"]:
        changed.append(f"the model's weights ({now['model']['name']})")
    changed += changed_fingerprints(before["fingerprints"], now["fingerprints"])
    if changed:
        message = f"{folder}: cannot resume, changed since the run began: {', '.join(changed)}; start a new run"
        raise RunRefusedError(message)


def changed_fingerprints(
    before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]], *, besides: str = ""
) -> list[str]:
    """Return what differs between two plans' fingerprints, as `the data of vqav2|4`, leaving one kind aside."""
    return [
        f"the {kind} of {cell}"
        for cell, fingerprints in now.items()
        for kind, digest in fingerprints.items()
        if kind != besides and before.get(cell, {}).get(kind) != digest
    ]


def execute(prepared: Prepared, *, processes: int = 1, progress: Progress | None = None) -> RunRecord:
    """Do what is left of a prepared run, and write its results; samples may have failed, see `require_complete`.

    Args:
        prepared: a new or a resumed run.
        processes: how many ask at once.
        progress: is told what has been done; silent by default.

    Raises:
        RunInterruptedError: stopped by Ctrl-C or a termination signal; the run can be resumed.
        RunRefusedError: another process has the run.
        UsageError: the folder cannot be made.
        KosmosEvalError: asking or scoring failed; what is in the journal is kept.
    """
    folder, launch = prepared.folder, uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the run's folder {folder} ({error.strerror}); choose another with --output_path"
        raise UsageError(message) from error
    with RunLock(folder, launch) as lock:
        if not prepared.run["launches"]:
            refuse_existing(folder)  # once more, now that nobody else can make one
        clock = time.perf_counter()
        launched = {"started": time.time(), "processes": processes, "seconds": 0.0}
        prepared.run["launches"].append(launched)
        open_folder(folder, prepared.plan, prepared.run)
        try:
            ask_all(prepared, Launch(folder, launch, processes, lock), progress)
            give_back()
            finish(prepared)
        except KeyboardInterrupt as error:
            message = f"interrupted; finish the run with: kosmos-eval run --resume {folder}"
            raise RunInterruptedError(message) from error
        finally:
            launched["seconds"] = time.perf_counter() - clock
            with suppress(OSError):
                write_json(folder / "run.json", prepared.run)
    return load(folder)


def ask_all(prepared: Prepared, launch: Launch, progress: Progress | None) -> None:
    """Have every unit asked that no journal holds yet, and those anew that hold a failed sample."""
    units: Sequence[Unit] = prepared.plan.units
    journal = JournalReader(prepared.folder / "journal")
    journal.forget_failures([unit.id for unit in bundle] for bundle in prepared.plan.bundles if len(bundle) > 1)
    if progress is not None:
        progress.begin(units, journal, launch.watch)
    try:
        done = journal.timings()
        if any(unit.id not in done for unit in wanted(prepared.plan, units, journal, done)):
            launch.run(prepared.plan)
    finally:
        if progress is not None:
            progress.end()
    done = journal.timings()
    units = wanted(prepared.plan, units, journal, done)
    if missing := sum(unit.id not in done for unit in units):
        cure = f"finish them with: kosmos-eval run --resume {prepared.folder}"
        message = f"{missing} of {len(units)} units were not answered; {cure}"
        raise KosmosEvalError(message)


def finish(prepared: Prepared) -> RunRecord:
    """Score what the journal holds, write results and reports, and return the record."""
    folder, plan = prepared.folder, prepared.plan
    journal = JournalReader(folder / "journal")
    write_results(plan, plan.units, journal, folder, prepared.run["model"]["fingerprint"])
    prepared.run["timings"] = _timings(plan, journal)
    with suppress(FileNotFoundError):
        prepared.run["model"]["facts"] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    write_json(folder / "run.json", prepared.run)
    record = load(folder)
    write_reports(record, plan.config.report, Plugins(map(Path, plan.config.include_path)))
    shutil.rmtree(folder / "claims", ignore_errors=True)
    return record


def _timings(plan: Plan, journal: JournalReader) -> dict[str, dict[str, float]]:
    done = journal.timings()
    timings: dict[str, dict[str, float]] = {}
    for unit in (unit for unit in plan.units if unit.id in done):
        cell = timings.setdefault(unit.cell, {"samples": 0, "requests": 0, "seconds": 0.0})
        cell["samples"] += done[unit.id].samples
        cell["requests"] += done[unit.id].requests
        cell["seconds"] += done[unit.id].seconds
    return timings


def write_reports(record: RunRecord, names: tuple[str, ...], plugins: Plugins) -> list[Path]:
    """Write the named reports into the run's folder and return their paths."""
    return [plugins.report(name).write(record, record.folder) for name in names]


def rescore(folder: Path) -> RunRecord:
    """Score a run's recorded answers again, with today's scoring code, and write results and reports anew.

    Raises:
        DataError: the run is unfinished, or its data cannot be read.
        RunRefusedError: a process is working on the run, or its data or prompts are others now.
    """
    run = read_run(folder)
    with RunLock(folder, uuid.uuid4().hex):
        plan = reopen(folder)
        if changed := changed_fingerprints(run["fingerprints"], plan.fingerprints, besides="scorer"):
            message = f"{folder}: cannot score again, changed since the run: {', '.join(changed)}; start a new run"
            raise RunRefusedError(message)
        return finish(Prepared(folder, plan, {**run, "fingerprints": plan.fingerprints}))


def evaluate(
    *,
    tasks: str | list[str],
    model: str = "kosmos-tiny",
    shots: int | list[int] = 0,
    output_path: Path | str | None = None,
    processes: int = 1,
    **settings: Any,  # noqa: ANN401  whatever RunConfig has a field for
) -> RunRecord:
    """Run tasks at several shot counts and return the record that the command would leave.

    When the model cannot take some of the requests, the run goes on without them and all results are written; then
    an `IncompleteRunError` names those samples, and its `record` is the record. What is returned lacks nothing.

    Args:
        tasks: a task's name, or several, as `--tasks` takes them: parts, groups and globs too.
        model: a model's name, or a folder with one.
        shots: a number of exemplars, or several.
        output_path: folder of the run; by default one under `runs/`, named after time, model and tasks.
        processes: how many ask at once.
        settings: any other field of `kosmos_eval.config.RunConfig`.

    Raises:
        IncompleteRunError: some samples failed; the results, which are over the others, are written.
        KosmosEvalError: of the kind that the command's exit code would show.
    """
    names = [tasks] if isinstance(tasks, str) else tasks
    counts = [shots] if isinstance(shots, int) else shots
    config = parse_config({"tasks": names, "model": model, "shots": counts, **settings}, "evaluate()")
    folder = Path(output_path) if output_path is not None else default_folder(config)
    record = execute(prepare(config, folder), processes=processes)
    require_complete(record)
    return record
