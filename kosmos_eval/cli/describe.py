"""`kosmos-eval describe`: what a task asks, how it scores, and what can be set."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kosmos_eval.request import Request
    from kosmos_eval.task import Task


@click.command(short_help="Show a task's protocol, settings and a prompt.")
@click.argument("task")
@click.option(
    "--shots", type=click.IntRange(min=0), default=1, show_default=True, help="Exemplars in the prompt that is shown."
)
@click.option(
    "--include_path", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with plugin files."
)
def describe(task: str, shots: int, include_path: tuple[Path, ...]) -> None:
    """Show what TASK asks, how it scores and what can be set, with a prompt of its embedded data."""
    from kosmos_eval.selection import make_task
    from kosmos_eval.plugins import Plugins

    made: Any = make_task(task, {}, Plugins(include_path))
    click.echo(f"{made.name}, version {made.version}\n{made.description}\n")
    click.echo(f"sources: {', '.join(made.sources)}\n\nmetrics:")
    for metric in made.metrics:
        better = "higher" if metric.higher_is_better else "lower"
        click.echo(f"  {metric.name}  {metric.description} ({better} is better)")
    click.echo("\nsettings (--set TASK.SETTING=VALUE):")
    for field in fields(made):
        click.echo(f"  {made.name}.{field.name} = {getattr(made, field.name)!r}")
    if "mini" in made.sources:
        click.echo(f"\na prompt of {made.name}@mini, {shots}-shot:")
        click.echo(f"  {_show(_first_request(made, shots))}")


def _first_request(task: Task[Any, Any], shots: int) -> Request:
    from kosmos_eval.data.source import Source
    from kosmos_eval.exemplars import ExemplarPool

    source = Source("mini")
    query = next(iter(task.samples(task.split, source)))
    pool = ExemplarPool(islice(task.samples(task.exemplar_split, source), 50 * shots))
    return next(task.ask(query, pool.draw(query, shots, seed=0, task=task.name)))


def _show(request: Request) -> str:
    from kosmos_eval.request import Generate

    if isinstance(request, Generate):
        return f"{request.prompt.text()} ..."
    options = "\n".join(f"    {each.lead.text()} [{each.text}]" for each in request.continuations)
    return f"{request.prompt.text()}\n{options}"
