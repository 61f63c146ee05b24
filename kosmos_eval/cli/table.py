"""`kosmos-eval table`: a paper's tables with the numbers of runs beside the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kosmos_eval import task_options as asked
from kosmos_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIXES = {".txt": "text", ".md": "md", ".tex": "latex", ".html": "html", ".csv": "csv"}

tables = click.option("--table", "--tables", "tables", callback=asked.names, metavar="NUMBERS", help="As 2,3. [all]")
margin = click.option(
    "--margin",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    help="Within which a value is the same, for all metrics.",
)
tuning = click.option(
    "--tuning",
    type=click.Choice(["tuned", "untuned"]),
    help="Whether the model was tuned on instructions; then it is not compared with those that were not, or were.",
)


@click.command(short_help="Show a paper's tables with a run's numbers.")
@click.argument("paper", required=False)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "md", "latex", "html", "csv"]),
    help="Of the tables.  [default: text, or what the end of FILE says]",
)
@tables
@margin
@tuning
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there.")
def table(paper: str | None, runs: tuple[Path, ...], kind: str | None, output: Path | None, **terms: Any) -> None:
    """Show the tables of PAPER with our numbers beside the published ones, and a verdict on each.

    Of several RUNs the best-fitting one is taken for each number. Without any, the papers and their tables are listed.
    """
    from kosmos_eval.papers.published import PAPERS, load_paper

    papers = [load_paper(name) for name in ([paper] if paper else PAPERS)]
    if not runs:
        if kind or output or terms["tables"]:
            message = f"expected a run's folder, as kosmos-eval table {paper or PAPERS[0]} RUN, got none"
            raise UsageError(message)
        for each in papers:
            click.echo("\n".join(_listed(each)))
        return
    from kosmos_eval.papers.formats import written
    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.sheet import compare_with_paper
    from kosmos_eval.papers.standing import Terms
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.record import load
    from kosmos_eval.writing import whole_file

    (chosen,) = papers
    wanted = chosen.only(terms["tables"] or ())
    records = [load(run) for run in runs]
    on = Terms(terms["margin"], terms["tuning"] or "")
    plugins = Plugins()
    comparison = compare_with_paper(chosen, wanted, records, Parts(chosen, plugins), on)
    text = written(comparison, kind or _SUFFIXES.get(output.suffix if output else "", "text"), plugins)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    with whole_file(output) as draft:
        draft.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    click.echo(output)


def _listed(paper: Any) -> Iterator[str]:
    """Yield a paper's name and title, and a line for each of its tables."""
    yield f"{paper.name}: {paper.title} ({paper.source})"
    for each in paper.tables:
        own = len(each.own)
        yield f"  {each.number:<15} {each.title}: {own} number{'' if own == 1 else 's'}"
