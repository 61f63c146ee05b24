"""`kosmos-eval plan`: `kosmos-eval run --dry-run` by another name."""

from __future__ import annotations

from typing import Any

import click

from kosmos_eval.cli.run import run


@click.command(
    short_help="Show what a run would do and take.", params=[each for each in run.params if each.name != "dry_run"]
)
def plan(**flags: Any) -> None:
    """Show what a run with the same flags would do, and how long and how much memory it would take.

    Everything is checked that a run checks, the model is loaded, and a few samples of each cell are asked. Nothing is
    written. The same as run --dry-run.
    """
    assert run.callback is not None
    run.callback(**flags, dry_run=True)
