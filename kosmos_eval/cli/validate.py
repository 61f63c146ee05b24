"""`kosmos-eval validate`: prove a task without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kosmos_eval import model_options as options
from kosmos_eval import task_options as asked
from kosmos_eval.errors import DataError


@click.command(short_help="Prove a task's data, prompts and scores without a model.")
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@asked.data
@click.option(
    "-n",
    "--n",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="K",
    help="Samples of each task, drawn as --limit of run draws them.",
)
@click.option(
    "-f", "--shots", callback=asked.counts, default="0,2", show_default=True, metavar="COUNTS", help="Shot counts."
)
@asked.exemplars
@asked.seed
@asked.settings
@options.model
@options.model_args
@options.include_path
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write what was found as JSON, too."
)
def validate(**flags: Any) -> None:
    """Prove each TASK, named as --tasks of run names them, with models that know the answers instead of weights.

    The best answers must earn full marks and no answer nothing, whatever the order of options; prompts must show the
    images and not the answer; exemplars must be neither the query nor near copies of its picture; splits must share
    nothing; and what is read, asked and written must be the same the second time. Ends with code 65 when something
    does not hold, naming the sample. A model is loaded only for --exemplars rices, which are chosen by it.
    """
    from kosmos_eval.config import parse_config
    from kosmos_eval.validate import as_text
    from kosmos_eval.validate import validate as validate_tasks
    from kosmos_eval.writing import write_json

    names = ("data", "shots", "exemplars", "seed", "settings", "model", "model_args", "include_path")
    values = {name: flags[name] for name in names if flags[name] is not None}
    tasks = [part.strip() for text in flags["tasks"] for part in text.split(",") if part.strip()]
    config = parse_config({**values, "tasks": tasks, "limit": flags["n"], "report": ()}, "the command line")
    found = []
    for each in validate_tasks(config):
        click.echo(as_text(each))
        found.append(each)
    if flags["json_path"] is not None:
        write_json(flags["json_path"], [each.to_json() for each in found])
    if failed := [f"{each.task} {check.name}" for each in found for check in each.failed]:
        message = f"{len(failed)} of {sum(len(each.checks) for each in found)} checks do not hold: {', '.join(failed)}"
        raise DataError(message)
