"""`kosmos-eval run`: ask a model the samples of tasks, and write the run's record."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kosmos_eval import model_options as options
from kosmos_eval.errors import KosmosEvalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from kosmos_eval.run import Prepared

_NOT_CONFIG = {"config", "resume", "output_path", "processes", "quiet"}
_FILE_KINDS = {"resume": str, "output_path": str, "processes": int, "quiet": bool}  # of these, in a configuration file


def _names(_context: click.Context, _parameter: click.Parameter, text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _counts(_context: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError as error:
        message = f"{parameter.opts[0]}: expected whole numbers such as 0,4, got {text!r}"
        raise UsageError(message) from error


def _settings(_context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, Any] | None:
    import yaml

    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        task, dot, name = place.partition(".")
        if not (task and dot and name and equals):
            message = f"{parameter.opts[0]}: expected TASK.SETTING=VALUE such as vqav2.split=val, got {text!r}"
            raise UsageError(message)
        try:
            settings.setdefault(task, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            message = f"{parameter.opts[0]} {place}: expected a YAML value such as 3, val or [a, b], got {value!r}"
            raise UsageError(message) from error
    return settings or None


def _batch_size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    if text is None or text == "auto":
        return None
    if not (text.isdigit() and int(text) > 0):
        message = f"--batch_size: expected auto or a whole number from 1, got {text!r}"
        raise UsageError(message)
    return int(text)


@click.command(short_help="Run tasks and write their results.")
@click.option("-t", "--tasks", callback=_names, metavar="NAMES", help="Tasks, separated by commas (see: ls tasks).")
@click.option(
    "-f", "--shots", "--num_fewshot", callback=_counts, metavar="COUNTS", help="Shot counts, as 0,4.  [default: 0]"
)
@options.model
@options.model_args
@click.option(
    "-d", "--data", metavar="mini|hub|DIR", help="Source of samples.  [default: mini for embedded models, else hub]"
)
@click.option("-L", "--limit", type=float, metavar="N", help="At most N samples of each task, or a share below 1.")
@click.option(
    "--sample-order", type=click.Choice(["random", "first"]), help="Which ones --limit keeps.  [default: random]"
)
@click.option(
    "--exemplars",
    type=click.Choice(["per-sample", "fixed"]),
    help="Draw exemplars for each query, or once.  [default: per-sample]",
)
@click.option("--seed", type=int, help="Of every random choice.  [default: 0]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=_settings,
    metavar="TASK.SETTING=VALUE",
    help="A task's setting (see: describe TASK).",
)
@options.device
@options.dtype
@click.option(
    "-b", "--batch_size", callback=_batch_size, metavar="auto|N", help="Sequences in one forward pass.  [default: auto]"
)
@click.option(
    "-j", "--processes", type=click.IntRange(min=1), default=1, help="Processes that ask at once.  [default: 1]"
)
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
@click.option("--report", callback=_names, metavar="NAMES", help="Reports to write.  [default: html]")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Finish an interrupted run.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def run(context: click.Context, /, **flags: Any) -> None:
    """Run tasks at one or more shot counts, and write their results and a report.

    A run that is interrupted, by whatever means, is finished by --resume with the same results.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    from kosmos_eval.launch import joined_rank, joined_size

    if joined_size() > 1 and joined_rank() > 0:
        _follow()
        return
    try:
        prepared = _prepare(context, flags)
    except KosmosEvalError as error:
        if joined_size() > 1:
            _dismiss(error)
        raise
    from kosmos_eval.progress import Progress
    from kosmos_eval.run import execute
    from kosmos_eval.table import results_table

    record = execute(prepared, processes=flags["processes"], progress=None if flags["quiet"] else Progress(sys.stderr))
    click.echo(results_table(record.cells))
    click.echo(f"\nresults: {record.folder / 'results.json'}")
    for written in sorted(record.folder.glob("report*")):
        click.echo(f"report:  {written}")


def _prepare(context: click.Context, flags: dict[str, Any]) -> Prepared:
    from kosmos_eval.config import parse_config
    from kosmos_eval.run import prepare, prepare_resumed
    from kosmos_eval.run_folder import default_folder

    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    values = _merged(_read_file(flags["config"]), given) if flags["config"] else given
    flags |= {name: values.pop(name) for name in _NOT_CONFIG & values.keys()}
    if flags["resume"] is not None:
        if flags["output_path"]:
            message = "--resume finishes a run in its own folder; leave out --output_path"
            raise UsageError(message)
        return prepare_resumed(Path(flags["resume"]), values)
    if "tasks" not in values:
        message = "expected --tasks, such as --tasks vqav2,raven (all of them: kosmos-eval ls tasks)"
        raise UsageError(message)
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


def _merged(file: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the file's values under the command line's, which win: model argument by argument, setting by setting."""
    merged = {**file, **given}
    if file.get("model_args") and given.get("model_args"):
        merged["model_args"] = {**file["model_args"], **given["model_args"]}
    if file.get("settings") and given.get("settings"):
        old, new = file["settings"], given["settings"]
        merged["settings"] = {task: {**old.get(task, {}), **new.get(task, {})} for task in {**old, **new}}
    return merged


def _normal(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a configuration file's values with what the command line also allows spelt out."""
    if "num_fewshot" in values:
        if "shots" in values:
            message = f"--config {path}: expected either shots or num_fewshot, which are the same, got both"
            raise UsageError(message)
        values["shots"] = values.pop("num_fewshot")
    for name in ("tasks", "report", "include_path", "shots"):
        if isinstance(value := values.get(name), str):
            values[name] = [part.strip() for part in value.split(",")]
        elif isinstance(value, int):
            values[name] = [value]
    if values.get("batch_size") == "auto":
        del values["batch_size"]
    if isinstance(arguments := values.get("model_args"), dict):
        values["model_args"] = {str(key): str(value) for key, value in arguments.items()}
    return values


def _follow() -> None:
    """Be one of several processes that a launcher started: do a share of the run that the first one owns."""
    from kosmos_eval.launch import hear_first, joined_rank, joined_size
    from kosmos_eval.worker import join, prepare_process

    prepare_process(joined_size())
    news = hear_first()
    if "launch" not in news:
        raise SystemExit(news["exit_code"])
    join(Path(str(news["folder"])), str(news["launch"]), joined_rank())


def _dismiss(error: KosmosEvalError) -> None:
    """Tell the other processes that there will be no run."""
    from kosmos_eval.launch import tell_others

    tell_others({"exit_code": error.exit_code})


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
