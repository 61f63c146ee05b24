"""`kosmos-eval ablate`: ask several models, or one with its input taken away, the same samples, and compare them."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kosmos_eval import model_options as options
from kosmos_eval import task_options as asked
from kosmos_eval.cli.run import interrupt, merged
from kosmos_eval.errors import UsageError

if TYPE_CHECKING:
    from kosmos_eval.ablation.result import Ablation

_NOT_SPEC = {"spec", "resume", "output_path", "processes", "quiet", "style"}
_IN_FILE = {"output_path": str, "processes": int}  # of these, in a spec file


@click.command(short_help="Compare models, or a model without its input.")
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option("--preset", metavar="NAME", help="instruction-tuning, mllm-vs-llm or image-encoder.")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME|DIR",
    help="In place of the preset's model; once for each of its models, the reference first.",
)
@click.option(
    "--arms",
    callback=asked.names,
    metavar="ARMS",
    help="MODEL or MODEL:CONTROL, as kosmos-tiny,kosmos-tiny:image=none.",
)
@click.option("--reference", metavar="ARM", help="What the others are compared with.  [default: the first arm]")
@click.option("--groups", callback=asked.names, metavar="NAMES", help="Breakdowns to compare by category, as stated.")
@click.option("--title", metavar="TEXT", help="Of the report.")
@asked.tasks
@asked.shots
@options.model_args
@asked.data
@asked.limit
@asked.sample_order
@asked.exemplars
@asked.seed
@asked.trials
@asked.trial_seeds
@asked.settings
@options.device
@options.dtype
@options.batch_size
@options.include_path
@click.option("--report", callback=asked.names, metavar="NAMES", help="Reports to write.  [default: html]")
@options.processes
@click.option(
    "-o",
    "--output_path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the ablation.  [default: a new one in runs/]",
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Finish an interrupted ablation.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Of what is printed.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def ablate(context: click.Context, /, **flags: Any) -> None:
    """Ask several arms the same samples before the same exemplars, and compare each with the reference.

    An arm is a model, or a model with a control of its input. Arms, tasks and everything else come from SPEC, a TOML
    file, from a preset, or from flags, which win over both. Differences are paired, with intervals, and their p-values
    are corrected over all tests of the ablation. An ablation that is interrupted is finished by --resume.
    """
    signal.signal(signal.SIGTERM, interrupt)
    from kosmos_eval.ablation.running import (
        execute,
        new_folder,
        prepare,
        prepare_resumed,
        require_all_answered,
    )
    from kosmos_eval.ablation.spec import parse_spec

    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if flags["spec"] is not None:
        given = merged(_read_file(flags["spec"]), given)
    flags |= {name: given.pop(name) for name in _NOT_SPEC & given.keys()}
    if flags["resume"] is not None:
        if flags["output_path"]:
            message = "--resume finishes an ablation in its own folder; leave out --output_path"
            raise UsageError(message)
        prepared = prepare_resumed(flags["resume"], given)
    else:
        if not given.keys() & {"arms", "preset"}:
            message = "expected a spec file, --preset NAME, or --arms such as kosmos-tiny,kosmos-tiny:image=none"
            raise UsageError(message)
        if not given.keys() & {"tasks", "preset"}:
            raise asked.tasks_missing()
        spec = parse_spec(given, "the ablation")
        folder = Path(flags["output_path"]) if flags["output_path"] else new_folder(spec)
        prepared = prepare(spec, folder)
    done = execute(prepared, processes=flags["processes"], progress=None if flags["quiet"] else sys.stderr)
    _show(done, flags["style"])
    require_all_answered(done)


def _read_file(path: Path) -> dict[str, Any]:
    """Return a spec file's values, checked here so that a message names the file."""
    from kosmos_eval.ablation.spec import check_keys, read_spec_file
    from kosmos_eval.config import RunConfig, parse_config

    values = read_spec_file(path)
    for name, kind in _IN_FILE.items():
        if name in values and (type(values[name]) is not kind or (name == "processes" and values[name] < 1)):
            expected = {int: "a whole number from 1", str: "a folder"}[kind]
            message = f"{path}: {name}: expected {expected}, got {values[name]!r}"
            raise UsageError(message)
    check_keys(values, str(path), _IN_FILE)
    of_the_runs = {name: value for name, value in values.items() if name in RunConfig.model_fields}
    parse_config({"tasks": ["named by --tasks"], **of_the_runs}, str(path))
    return values


def _show(done: Ablation, style: str) -> None:
    from kosmos_eval.ablation.writing import as_markdown, as_text

    if style == "json":
        click.echo(json.dumps(done.to_json(), indent=2, ensure_ascii=False))
        return
    click.echo(as_markdown(done) if style == "markdown" else as_text(done))
    if style == "text":
        click.echo(f"\nresults: {done.folder / 'ablation.json'}")
        for written in sorted(done.folder.glob("report*")):
            click.echo(f"report:  {written}")
