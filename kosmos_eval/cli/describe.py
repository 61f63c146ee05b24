"""`kosmos-eval describe`: what a task asks, how it scores, and what can be set."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


_WIDTH = 110
_INDENT = " " * 6


@click.command(short_help="Show a task's protocol, settings and a prompt.")
@click.argument("task")
@click.option(
    "--shots", type=click.IntRange(min=0), default=1, show_default=True, help="Exemplars in the prompt that is shown."
)
@click.option(
    "--include_path",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with plugin files, or YAML files of lm-eval.",
)
def describe(task: str, shots: int, include_path: tuple[Path, ...]) -> None:
    """Show what TASK asks, how it scores and what can be set, with a prompt of its embedded data.

    TASK is a task, or a split or variant of one: refcoco, refcoco:testA. Of a task of lm-eval, lm_eval:gsm8k, its own
    data are read.
    """
    from kosmos_eval.data.source import Source
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.selection import make_task
    from kosmos_eval.task_notes import first_request, request_text, setting_notes

    made: Any = make_task(task, {}, Plugins(include_path))
    click.echo(f"{task}, version {made.version}\n{made.description}\n")
    for line in (*_about(made), *_parts(made)):
        click.echo(line)
    click.echo("\nmetrics:")
    for metric in made.metrics:
        better = "higher" if metric.higher_is_better else "lower"
        click.echo(f"  {metric.name}  {metric.description} ({better} is better)")
    if fields(made):
        click.echo("\nsettings (--set TASK.SETTING=VALUE):")
    notes = setting_notes(made)
    for field in fields(made):
        click.echo(f"  {made.name}.{field.name} = {getattr(made, field.name)!r}")
        if field.name in notes:
            click.echo(fill(notes[field.name], _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))
    if "mini" in made.sources:
        click.echo(f"\na prompt of {Source('mini').label(task)}, {shots}-shot:")
    elif getattr(made, "own_data", False):
        if without := getattr(made, "no_exemplars", ""):
            click.echo(f"\nexemplars: none, as {without}")
            shots = 0
        click.echo(f"\na prompt, {shots}-shot:")
    else:
        return
    click.echo(f"  {request_text(first_request(made, shots))}")


def _about(task: Any) -> Iterator[str]:
    from kosmos_eval.task_notes import about

    notes = about(task)
    for name in ("paper", "licence"):
        if text := getattr(notes, name):
            yield fill(f"{name}: {text}", _WIDTH)
    if notes.files:
        yield "files:"
        yield from (f"  {line}" for line in notes.files.splitlines())
    if notes.deviations:
        yield "deviations:"
        yield from (
            fill(f"- {each}", _WIDTH, initial_indent="  ", subsequent_indent="    ") for each in notes.deviations
        )


def _parts(task: Any) -> Iterator[str]:
    from kosmos_eval.selection import groups_of, splits_of, variants_of

    yield f"sources: {', '.join(task.sources)}"
    if splits := splits_of(task):
        yield f"splits ({task.name}:SPLIT): {', '.join(splits)}"
    if variants := variants_of(task):
        yield f"variants ({task.name}:VARIANT):"
        for name, changed in variants.items():
            yield f"  {name}: {', '.join(f'{key} = {value!r}' for key, value in changed.items())}"
    for group, members in groups_of(task).items():
        yield f"group {group}: {', '.join(f'{task.name}:{part}' if part else task.name for part in members)}"
