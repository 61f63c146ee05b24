"""`kosmos-eval power`: how small a drop can be seen, and with how many samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from kosmos_eval import task_options as asked
from kosmos_eval.errors import UsageError

_LEAST_DROP = 1e-6
"""Of any metric; that many samples there are nowhere."""


@click.command(short_help="Say how small a drop a run can show.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Another run of the same work, by which the scatter of paired differences is measured.",
)
@click.option(
    "--drop",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    help="That is to be seen, in the metric's own unit: 0.01 is one point of a percentage.",
)
@click.option("--power", type=float, default=0.8, show_default=True, help="Probability of seeing it.")
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, help="Probability of seeing one where there is none."
)
@click.option("--one-sided", is_flag=True, help="For a test of a drop alone, as a gate's, and not of any difference.")
@click.option(
    "--correlation",
    type=float,
    metavar="R",
    help="Without --against: between two runs' values of a sample.  [default: 0, more samples than a real pair needs]",
)
@click.option("--tasks", callback=asked.names, metavar="NAMES", help="Tasks, cells or globs.  [default: all]")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what was found as JSON, too.",
)
def power(**flags: Any) -> None:
    """Say how small a drop of each task of RUN a comparison of so many samples sees, and how many --drop takes.

    With --against the two runs' paired differences are measured; with RUN alone its own scatter is taken, and
    --correlation says how much of it two runs share.
    """
    from kosmos_eval.power import Aim, as_json, as_text, power_of
    from kosmos_eval.record import load
    from kosmos_eval.writing import write_json

    against, correlation = flags["against"], flags["correlation"]
    if against is not None and correlation is not None:
        message = "expected --against, which measures the correlation, or --correlation, got both"
        raise UsageError(message)
    if against is not None and against.resolve() == flags["run"].resolve():
        message = f"expected two runs, got {against} twice"
        raise UsageError(message)
    aim = Aim(flags["drop"], flags["power"], flags["alpha"], 1 if flags["one_sided"] else 2)
    shared = correlation or 0.0
    if not _LEAST_DROP <= aim.drop < math.inf:
        message = f"expected --drop from {_LEAST_DROP:g} and finite, got {aim.drop:g}"
        raise UsageError(message)
    if not 0 < aim.alpha < aim.power < 1:
        message = f"expected 0 < --alpha < --power < 1, got {aim.alpha:g} and {aim.power:g}"
        raise UsageError(message)
    if not -1 <= shared < 1:
        message = f"expected --correlation from -1 to below 1, got {shared:g}"
        raise UsageError(message)
    run, other = load(flags["run"]), None if against is None else load(against)
    found = power_of(run, aim, against=other, correlation=shared, tasks=flags["tasks"] or ())
    basis = f"scatter of the paired differences: assumed, from {flags['run']} alone, at a correlation of {shared:g}"
    if against is not None:
        basis = f"scatter of the paired differences: measured, {against} against {flags['run']}"
    click.echo(as_text(found, aim, basis))
    if flags["json_path"] is not None:
        write_json(flags["json_path"], as_json(found, aim, basis))
