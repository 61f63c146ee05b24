"""`kosmos-eval compare`: what changed from one run to another, sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kosmos_eval import task_options as asked
from kosmos_eval.errors import UsageError
from kosmos_eval.likeness import POINTS

if TYPE_CHECKING:
    from kosmos_eval.comparison import Comparison

_SUFFIXES = {".txt": "text", ".json": "json", ".md": "markdown", ".html": "html"}


@click.command(short_help="Say what changed from one run to another, sample by sample.")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.option(
    "--point",
    callback=asked.names,
    metavar="NAMES",
    help=f"What may differ, for it is the point: {', '.join(POINTS)}.  [default: model]",
)
@click.option("--tasks", callback=asked.names, metavar="NAMES", help="Tasks to compare, or globs.  [default: all]")
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_SUFFIXES.values())),
    help="Of what is written.  [default: text, or what the end of FILE says]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there.")
@click.option(
    "--flips",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Show so many samples of each task that gained, and as many that lost.",
)
@click.pass_context
def compare(
    context: click.Context,
    /,
    base: Path,
    other: Path,
    *,
    point: tuple[str, ...] | None,
    tasks: tuple[str, ...] | None,
    kind: str | None,
    output: Path | None,
    flips: int,
) -> None:
    """Say what changed from the run BASE to the run OTHER, over the samples that both have.

    Tasks are refused by name where data, prompts, exemplars, shots, settings, control or scorer are not the same.
    Ends with code 0 when anything could be compared, and 3 when nothing could.
    """
    from kosmos_eval.compare import compare_runs
    from kosmos_eval.record import load
    from kosmos_eval.verdicts import EXIT_CODES

    kind = kind or _SUFFIXES.get(output.suffix if output else "", "text")
    if kind == "html" and output is None:
        message = "expected -o FILE with --format html, got none"
        raise UsageError(message)
    if base.resolve() == other.resolve():
        message = f"expected two runs, got {base} twice"
        raise UsageError(message)
    comparison = compare_runs(load(base), load(other), point=frozenset(point or ()), tasks=tasks or ())
    if output is None:
        click.echo(_written(comparison, kind, flips), nl=kind != "markdown")
    else:
        _write(comparison, kind, flips, output)
        click.echo(output)
    context.exit(0 if comparison.compared else EXIT_CODES["not comparable"])


def _written(comparison: Comparison, kind: str, flips: int) -> str:
    import json

    from kosmos_eval.comparison_report import as_json, as_markdown, as_text

    if kind == "json":
        return json.dumps(as_json(comparison, flips), indent=2, ensure_ascii=False)
    return as_markdown(comparison, flips) if kind == "markdown" else as_text(comparison, flips)


def _write(comparison: Comparison, kind: str, flips: int, path: Path) -> None:
    from kosmos_eval.comparison_report import ComparisonWriter
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.writing import whole_file

    if kind != "html":
        with whole_file(path) as draft:
            draft.write_text(_written(comparison, kind, flips).rstrip("\n") + "\n", encoding="utf-8")
        return
    writer = Plugins().report(kind)
    if not isinstance(writer, ComparisonWriter):
        message = f"expected the report {kind} to write comparisons, got one that writes runs only"
        raise UsageError(message)
    writer.write_comparison(comparison, path, flips)
