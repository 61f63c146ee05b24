"""Carries an ablation out: a run for each model, its controls among the run's cells, then the comparison.

    ABLATION/
        ablation.json       the spec, the runs' configurations, and, when all is done, the results
        report.html         the same for people
        runs/MODEL/         an ordinary run folder for each model

Everything that can be checked is, for all models, before the first of them is loaded. What is interrupted is finished
by `prepare_resumed` and `execute`, which leave what is finished as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kosmos_eval.ablation.applying import ModelRun, check_groups, finished, planned, require_comparison, resolve_runs
from kosmos_eval.ablation.comparing import Asked, compare_arms, describe_family
from kosmos_eval.ablation.record import ABLATION, read_ablation, write_ablation, write_reports
from kosmos_eval.ablation.result import Ablation
from kosmos_eval.ablation.spec import Spec, parse_spec
from kosmos_eval.config import IDENTITY
from kosmos_eval.data.source import Source
from kosmos_eval.errors import IncompleteRunError, RunInterruptedError, RunRefusedError, UsageError
from kosmos_eval.failures import require_complete
from kosmos_eval.fingerprint import environment
from kosmos_eval.plugins import Plugins
from kosmos_eval.processes.joined import joined_size
from kosmos_eval.progress import Progress
from kosmos_eval.record import RunRecord, load
from kosmos_eval.run import execute as execute_run
from kosmos_eval.run import prepare as prepare_run
from kosmos_eval.run import prepare_resumed as prepare_resumed_run
from kosmos_eval.run_folder import default_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.ablation.applying import Held
    from kosmos_eval.config import RunConfig
    from kosmos_eval.run import Prepared

RUNS = "runs"

_OF_MODELS = ("arms", "reference")  # what `models` says of a preset
_MAY_CHANGE = ("device", "batch_size", "include_path", "report")


@dataclass(frozen=True)
class PreparedAblation:
    """An ablation that is ready to ask: everything checked, nothing loaded.

    Attributes:
        folder: of the ablation.
        spec: what is asked.
        runs: one a model.
        ready: name of each run that asks something to what is left of it: a prepared run, or the record of one that is
            finished.
    """

    folder: Path
    spec: Spec
    runs: tuple[ModelRun, ...]
    ready: Mapping[str, Prepared | RunRecord]


def prepare(spec: Spec, folder: Path) -> PreparedAblation:
    """Plan a new ablation and check everything that can fail, before a folder is made or a weight loaded.

    Raises:
        UsageError: the spec cannot be carried out, or the folder holds something already.
        DataError: data or a checkpoint cannot be read.
    """
    _refuse_launcher()
    if folder.exists() and not folder.is_dir():
        message = f"expected --output_path {folder} to be a folder or a new name, got a file"
        raise UsageError(message)
    if (folder / ABLATION).exists():
        message = f"{folder} holds an ablation already; resume it with --resume {folder}, or choose another folder"
        raise RunRefusedError(message)
    if folder.exists() and any(folder.iterdir()):
        message = f"expected --output_path {folder} to be a new or an empty folder, got one with files; choose another"
        raise RunRefusedError(message)
    plugins = Plugins(map(Path, spec.run.include_path))
    spec, runs = resolve_runs(spec, plugins)
    ready = {run.name: prepare_run(run.config, folder / RUNS / run.name) for run in runs if run.config is not None}
    return _checked(PreparedAblation(folder, spec, runs, ready))


def prepare_resumed(folder: Path, overrides: Mapping[str, Any]) -> PreparedAblation:
    """Plan what is left of an ablation, and make sure that it is the same work.

    Args:
        folder: of the ablation.
        overrides: keys of the spec given anew; those that decide what is measured must be as they were.

    Raises:
        RunRefusedError: the spec, or a run's weights, data, prompts or scorer changed; the message names which.
        DataError: the folder holds no ablation, or one that cannot be read.
    """
    _refuse_launcher()
    written = read_ablation(folder)
    before = parse_spec(written["spec"], str(folder / ABLATION))
    known = {
        key: value for key, value in written["spec"].items() if not (overrides.get("models") and key in _OF_MODELS)
    }
    spec = parse_spec({**known, **overrides}, "the command line")
    _refuse_changes(folder, before, spec)
    changed = {key: getattr(spec.run, key) for key in _MAY_CHANGE if key in overrides}
    runs = tuple(ModelRun.from_json(values, str(folder / ABLATION)) for values in written["runs"])
    ready = {
        run.name: _left(run.config.model_copy(update=changed), folder / RUNS / run.name, changed)
        for run in runs
        if run.config is not None
    }
    return _checked(PreparedAblation(folder, spec, runs, ready))


def _refuse_launcher() -> None:
    if (size := joined_size()) > 1:
        message = (
            f"expected one process, which starts others with --processes, got {size} of a launcher; each run of an "
        )
        message += "ablation can be made under it with kosmos-eval run, and compared with kosmos-eval compare"
        raise UsageError(message)


def _left(config: RunConfig, folder: Path, changed: Mapping[str, Any]) -> Prepared | RunRecord:
    """Return what is left of a run: all, a part, or nothing but its record."""
    if not (folder / "run.json").exists():
        return prepare_run(config, folder)
    if (folder / "results.json").exists():
        record = load(folder)
        if not any(cell.failed for cell in record.cells):
            return record
    return prepare_resumed_run(folder, changed)


def _refuse_changes(folder: Path, before: Spec, now: Spec) -> None:
    known, asked = before.to_json(), now.to_json()
    asked["data"] = str(Source.parse(asked["data"]))  # as it was written down
    for key in ("arms", "reference", "groups", "title", "data", *IDENTITY):
        if key in known and asked[key] != known[key]:
            message = f"{folder}: cannot resume with {key} = {asked[key]!r}, the ablation has {known[key]!r}; "
            message += "start a new one"
            raise RunRefusedError(message)


def _checked(prepared: PreparedAblation) -> PreparedAblation:
    """Return a prepared ablation whose groups are there and whose arms have something to be compared at."""
    cells = {name: _cells(ready) for name, ready in prepared.ready.items()}
    spec = check_groups(prepared.spec, (cell for of_run in cells.values() for cell in of_run))
    require_comparison(spec, prepared.runs, cells)
    return replace(prepared, spec=spec)


def _cells(ready: Prepared | RunRecord) -> list[Held]:
    return list(map(finished, ready.cells)) if isinstance(ready, RunRecord) else list(map(planned, ready.plan.cells))


def execute(prepared: PreparedAblation, *, processes: int = 1, progress: TextIO | None = None) -> Ablation:
    """Do what is left of an ablation, write its record and page, and return it; see `require_all_answered`.

    Args:
        prepared: a new or a resumed ablation.
        processes: how many ask at once.
        progress: where to show what has been done; silent by default.

    Raises:
        RunInterruptedError: stopped by Ctrl-C or a termination signal; the ablation can be resumed.
        KosmosEvalError: asking or scoring failed; what was answered is kept.
    """
    folder = prepared.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the ablation's folder {folder} ({error.strerror}); choose another with --output_path"
        raise UsageError(message) from error
    write_ablation(folder, prepared.spec, prepared.runs, None)
    records: dict[str, RunRecord] = {}
    try:
        for number, (name, ready) in enumerate(prepared.ready.items(), start=1):
            if progress is not None:
                progress.write(f"{name} ({number} of {len(prepared.ready)} models)\n")
            records[name] = _done(ready, processes, progress)
    except RunInterruptedError as error:
        message = f"interrupted; finish the ablation with: kosmos-eval ablate --resume {folder}"
        raise RunInterruptedError(message) from error
    return _finish(prepared, records)


def _done(ready: Prepared | RunRecord, processes: int, progress: TextIO | None) -> RunRecord:
    if isinstance(ready, RunRecord):
        return ready
    return execute_run(ready, processes=processes, progress=None if progress is None else Progress(progress))


def _finish(prepared: PreparedAblation, records: Mapping[str, RunRecord]) -> Ablation:
    """Compare the arms of finished runs, and write the record and the pages."""
    spec = prepared.spec
    runs = {arm: run for run in prepared.runs for arm in run.arms}
    asked = {arm: Asked(records.get(run.name), run.left_out) for arm, run in runs.items()}
    family = compare_arms(spec, asked)
    ablation = Ablation(
        folder=prepared.folder,
        spec=spec,
        runs={arm: f"{RUNS}/{run.name}" for arm, run in runs.items() if run.name in records},
        rows=family.rows,
        family=describe_family(spec, family),
        tests=family.tests,
        failed=sum(cell.failed for record in records.values() for cell in record.cells),
        fingerprints={
            arm: records[run.name].run["model"]["fingerprint"] for arm, run in runs.items() if run.name in records
        },
        versions=environment(),
    )
    write_ablation(prepared.folder, spec, prepared.runs, ablation)
    write_reports(ablation, Plugins(map(Path, spec.run.include_path)))
    return ablation


def require_all_answered(ablation: Ablation) -> None:
    """Raise unless every sample of every run was answered.

    Raises:
        IncompleteRunError: some failed; the message names those of the first run, and how to ask them again.
    """
    for place in dict.fromkeys(ablation.runs.values()):
        try:
            require_complete(load(ablation.folder / place))
        except IncompleteRunError as error:
            message = f"{error}; then compare again with: kosmos-eval ablate --resume {ablation.folder}"
            raise IncompleteRunError(message, error.record) from None


def ablate(
    *,
    arms: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    tasks: str | Sequence[str] | None = None,
    preset: str = "",
    output_path: Path | str | None = None,
    processes: int = 1,
    **settings: Any,  # noqa: ANN401  whatever a spec has a key for
) -> Ablation:
    """Ask several arms the same samples, and return what each loses or gains against the reference.

    Args:
        arms: `MODEL` or `MODEL:CONTROL` each, or name to a table with `model`, `model_args` and `control`.
        tasks: a task's name, or several, as `--tasks` takes them.
        preset: that the spec begins with; `models` then exchanges its models.
        output_path: folder of the ablation; by default one under `runs/`, named after time and tasks.
        processes: how many ask at once.
        settings: any other key of `kosmos_eval.ablation.spec.KEYS`: `reference`, `groups`, `shots`, `limit`, ...

    Raises:
        IncompleteRunError: some samples failed; the results, which are over the others, are written.
        KosmosEvalError: of the kind that the command's exit code would show.
    """
    given: dict[str, Any] = {"arms": arms, "tasks": [tasks] if isinstance(tasks, str) else tasks, "preset": preset}
    values = {**{key: value for key, value in given.items() if value}, **settings}
    spec = parse_spec(values, "ablate()")
    folder = Path(output_path) if output_path is not None else new_folder(spec)
    ablation = execute(prepare(spec, folder), processes=processes)
    require_all_answered(ablation)
    return ablation


def new_folder(spec: Spec) -> Path:
    """Return a new folder under `runs/`, named after time and tasks."""
    return default_folder(spec.run.model_copy(update={"model": "ablation"}))
