"""`kosmos-eval rescore`: score recorded answers again, without a model."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Score a run's answers again, without a model.")
@click.argument("run", type=click.Path(path_type=Path))
def rescore(run: Path) -> None:
    """Score the recorded answers of RUN with today's scoring code, and write its results and reports anew."""
    from kosmos_eval.control_differences import control_changes
    from kosmos_eval.failures import require_complete
    from kosmos_eval.run import rescore as rescore_run
    from kosmos_eval.table import results_table

    record = rescore_run(run)
    click.echo(results_table(record.cells, control_changes(record)))
    require_complete(record)
