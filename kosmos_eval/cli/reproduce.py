"""`kosmos-eval reproduce`: run all that a paper's tables need, and set the results beside the paper."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kosmos_eval import model_options as options
from kosmos_eval import task_options as asked
from kosmos_eval.cli.table import margin, tables, tuning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.papers.published import Paper, PaperTable
    from kosmos_eval.papers.reproduce import Reproduction

_WRITTEN = {"text": "tables.txt", "md": "tables.md", "latex": "tables.tex", "html": "tables.html", "csv": "tables.csv"}
_NOT_CONFIG = {"tables", "margin", "tuning", "processes", "output_path", "dry_run", "quiet"}


@click.command(short_help="Run all that a paper's tables need, and write the tables.")
@click.argument("paper")
@options.model
@options.model_args
@asked.data
@tables
@tuning
@margin
@asked.limit
@asked.sample_order
@asked.exemplars
@asked.seed
@asked.settings
@options.device
@options.dtype
@options.batch_size
@options.processes
@options.include_path
@click.option(
    "-o",
    "--output_path",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the runs and tables.  [default: runs/PAPER-MODEL]",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be run, how much it is, and what is missing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def reproduce(paper: str, **flags: Any) -> int:
    """Run the parts, splits, variants and shot counts that the tables of PAPER need, and write the tables.

    Each is a run of its own in the folder; the same command goes on where it was stopped, and does nothing twice. What
    cannot be run here is left out, and the tables say why.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from kosmos_eval.errors import DataError, IncompleteRunError
    from kosmos_eval.papers.published import load_paper
    from kosmos_eval.papers.reproduce import carry_out, plan_steps, show_plan, steps_of
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.progress import Progress

    chosen = load_paper(paper)
    wanted = chosen.only(flags["tables"] or ())
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if name not in _NOT_CONFIG and value is not None
    }
    folder = flags["output_path"] or Path("runs") / f"{chosen.name}-{Path(flags['model']).name}"
    planned = plan_steps(steps_of(wanted), settings, folder, Plugins(map(Path, flags["include_path"])))
    if flags["dry_run"]:
        click.echo(show_plan(planned))
        return 0
    quiet = flags["quiet"]
    done = carry_out(
        planned,
        processes=flags["processes"],
        progress=lambda: None if quiet else Progress(sys.stderr),
        tell=lambda line: None if quiet else click.echo(line, err=True),
    )
    if not done.records:
        message = f"nothing that the tables of {paper} need can be run here: {next(iter(done.missing.values()))}"
        raise DataError(message)
    _write(chosen, wanted, done, folder, flags)
    return IncompleteRunError.exit_code if done.failed else 0


def _write(
    paper: Paper, wanted: Sequence[PaperTable], done: Reproduction, folder: Path, flags: Mapping[str, Any]
) -> None:
    """Write the tables in every format into the folder, and say where they and the runs' reports are."""
    from kosmos_eval.papers.formats import written
    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.sheet import compare_with_paper
    from kosmos_eval.papers.standing import Terms
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.writing import whole_file

    terms = Terms(flags["margin"], flags["tuning"] or "", done.missing)
    plugins = Plugins()
    comparison = compare_with_paper(paper, wanted, done.records, Parts(paper, plugins), terms)
    for kind, name in _WRITTEN.items():
        with whole_file(folder / name) as draft:
            draft.write_text(written(comparison, kind, plugins), encoding="utf-8")
    click.echo(written(comparison, "text", plugins))
    click.echo(f"\ntables:  {folder / _WRITTEN['html']}, and as {', '.join(sorted(_WRITTEN.values()))}")
    click.echo(f"reports: {folder / '*' / 'report.html'}, one for each of {len(done.records)} runs")
    if done.failed:
        click.echo(f"{done.failed:,} samples failed and are in no score; the same command asks them again", err=True)
