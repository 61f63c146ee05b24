"""`kosmos-eval run`: ask a model the samples of tasks, and write the run's record."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kosmos_eval import model_options as options
from kosmos_eval import task_options as asked
from kosmos_eval.errors import KosmosEvalError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from kosmos_eval.record import RunRecord
    from kosmos_eval.run import Prepared

_NOT_CONFIG = {"config", "resume", "output_path", "processes", "quiet", "dry_run"}
# of these, in a configuration file
_FILE_KINDS = {"resume": str, "output_path": str, "processes": int, "quiet": bool, "dry_run": bool}


@click.command(short_help="Run tasks and write their results.")
@asked.tasks
@asked.shots
@options.model
@options.model_args
@asked.data
@asked.limit
@asked.sample_order
@asked.exemplars
@asked.seed
@asked.trials
@asked.trial_seeds
@asked.controls
@asked.blind
@asked.settings
@click.option(
    "--gate",
    metavar="FILE",
    help="Hold the run against --baseline by this policy, and stop a task when its verdict is certain.",
)
@click.option("--baseline", metavar="BASE", help="A run folder, or a file made by kosmos-eval baseline save.")
@options.device
@options.dtype
@options.batch_size
@options.processes
@click.option(
    "-o",
    "--output_path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the run.  [default: a new one in runs/]",
)
@options.include_path
@click.option(
    "-C",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YAML with any of these flags; the command line wins.",
)
@click.option("--report", callback=asked.names, metavar="NAMES", help="Reports to write.  [default: html]")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Finish an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Only show what the run would do and take (the same: kosmos-eval plan).")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def run(context: click.Context, /, **flags: Any) -> None:
    """Run tasks at one or more shot counts, and write their results and a report.

    A run that is interrupted, by whatever means, is finished by --resume with the same results. Samples that are too
    big for the machine, or too long for the model, fail by name and the run goes on; --resume asks them again.
    """
    began = time.perf_counter()
    signal.signal(signal.SIGTERM, interrupt)
    from kosmos_eval.processes.joined import joined_rank, joined_size

    if joined_size() > 1 and joined_rank() > 0:
        _follow()
        return
    if joined_size() > 1:
        _lead()
    try:
        prepared = _prepare(context, flags)
    except KosmosEvalError as error:
        if joined_size() > 1:
            _dismiss(error)
        raise
    if flags["dry_run"]:
        _preview(prepared, flags["processes"], began)
        return
    from kosmos_eval.control_differences import control_changes
    from kosmos_eval.failures import require_complete
    from kosmos_eval.progress import Progress
    from kosmos_eval.run import execute
    from kosmos_eval.table import results_table

    record = execute(prepared, processes=flags["processes"], progress=None if flags["quiet"] else Progress(sys.stderr))
    click.echo(results_table(record.cells, control_changes(record)))
    click.echo(f"\nresults: {record.folder / 'results.json'}")
    for written in sorted(record.folder.glob("report*")):
        click.echo(f"report:  {written}")
    code = _gate(record) if prepared.plan.config.gate is not None else 0
    if not code:
        require_complete(record)
    context.exit(code)


def _gate(record: RunRecord) -> int:
    """Show the verdict of the gate that followed a run, and return its exit code."""
    from kosmos_eval.baseline import measure_run, read_measured
    from kosmos_eval.gate import judge
    from kosmos_eval.gate_policy import read_policy
    from kosmos_eval.gate_report import as_text

    config = record.run["config"]
    found = judge(read_measured(Path(config["baseline"])), measure_run(record), read_policy(Path(config["gate"])))
    click.echo(f"\n{as_text(found)}")
    return found.exit_code


def _preview(prepared: Prepared, processes: int, began: float) -> None:
    """Show what a run would do and take; processes that a launcher started are not needed for it."""
    from kosmos_eval.preview import preview
    from kosmos_eval.processes.joined import dismiss, joined_size

    if joined_size() > 1:
        processes = joined_size()
        dismiss(0)
    click.echo(preview(prepared, processes=processes, began=began))


def _prepare(context: click.Context, flags: dict[str, Any]) -> Prepared:
    from kosmos_eval.config import parse_config
    from kosmos_eval.controls import BLIND
    from kosmos_eval.run import prepare, prepare_resumed
    from kosmos_eval.run_folder import default_folder

    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    values = merged(_read_file(flags["config"]), given) if flags["config"] else given
    if values.pop("blind", False):
        values["controls"] = [*values.get("controls", ()), BLIND]
    flags |= {name: values.pop(name) for name in _NOT_CONFIG & values.keys()}
    if flags["resume"] is not None:
        if flags["output_path"]:
            message = "--resume finishes a run in its own folder; leave out --output_path"
            raise UsageError(message)
        return prepare_resumed(Path(flags["resume"]), values)
    if "tasks" not in values:
        raise asked.tasks_missing()
    config = parse_config(values, "the command line")
    return prepare(config, Path(flags["output_path"]) if flags["output_path"] else default_folder(config))


def _read_file(path: Path) -> dict[str, Any]:
    """Return a configuration file's values, checked here so that a message names the file and not the command line."""
    from kosmos_eval.config import parse_config, read_config_file

    values = _normal(read_config_file(path), path)
    for name in _FILE_KINDS.keys() & values.keys():
        if type(values[name]) is not _FILE_KINDS[name] or (name == "processes" and values[name] < 1):
            expected = {int: "a whole number from 1", bool: "true or false", str: "a folder"}[_FILE_KINDS[name]]
            message = f"--config {path}: {name}: expected {expected}, got {values[name]!r}"
            raise UsageError(message)
    of_the_run = {name: value for name, value in values.items() if name not in _FILE_KINDS}
    parse_config({"tasks": ["named by --tasks"], **of_the_run}, f"--config {path}")
    return values


def merged(file: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the file's values under the command line's, which win: model argument by argument, setting by setting."""
    whole = {**file, **given}
    if file.get("model_args") and given.get("model_args"):
        whole["model_args"] = {**file["model_args"], **given["model_args"]}
    if file.get("settings") and given.get("settings"):
        old, new = file["settings"], given["settings"]
        whole["settings"] = {task: {**old.get(task, {}), **new.get(task, {})} for task in {**old, **new}}
    return whole


def _normal(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a configuration file's values with what the command line also allows spelt out."""
    from kosmos_eval.controls import BLIND

    if "num_fewshot" in values:
        if "shots" in values:
            message = f"--config {path}: expected either shots or num_fewshot, which are the same, got both"
            raise UsageError(message)
        values["shots"] = values.pop("num_fewshot")
    for name in ("tasks", "report", "include_path", "shots", "trial_seeds", "controls"):
        if isinstance(value := values.get(name), str):
            values[name] = [part.strip() for part in value.split(",")]
        elif isinstance(value, int):
            values[name] = [value]
    if not isinstance(blind := values.pop("blind", False), bool):
        message = f"--config {path}: blind: expected true or false, got {blind!r}"
        raise UsageError(message)
    if blind:
        values["controls"] = [*(values.get("controls") or ()), BLIND]
    if values.get("batch_size") == "auto":
        del values["batch_size"]
    if isinstance(arguments := values.get("model_args"), dict):
        values["model_args"] = {str(key): str(value) for key, value in arguments.items()}
    return values


def _follow() -> None:
    """Be one of several processes that a launcher started: do a share of the run that the first one owns."""
    from kosmos_eval.processes.joined import hear_first, joined_rank, neighbours
    from kosmos_eval.processes.worker import join, prepare_process

    prepare_process(len(neighbours()))
    news = hear_first()
    if "launch" not in news:
        raise SystemExit(news["exit_code"])
    join(Path(str(news["folder"])), str(news["launch"]), joined_rank(), owner=0)


def _lead() -> None:
    """Be the first of several processes that a launcher started."""
    from kosmos_eval.processes.joined import gather, neighbours
    from kosmos_eval.processes.worker import prepare_process

    prepare_process(len(neighbours()))
    gather()


def _dismiss(error: KosmosEvalError) -> None:
    """Tell the other processes that there will be no run."""
    from kosmos_eval.processes.joined import dismiss

    dismiss(error.exit_code)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: a handler of termination signals."""
    raise KeyboardInterrupt
