"""`kosmos-eval baseline`: make the small file that a gate holds runs against, and read it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(short_help="Make or show a baseline for kosmos-eval gate.")
def baseline() -> None:
    """Make the small file that kosmos-eval gate holds runs against, and read it."""


@baseline.command(short_help="Make a baseline of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file, to be committed beside the code.",
)
def save(run: Path, output_path: Path) -> None:
    """Write what a gate needs of RUN into a file: each sample's values and digests, and no answers or pictures."""
    from kosmos_eval.baseline import measure_run, save_baseline
    from kosmos_eval.failures import require_complete
    from kosmos_eval.record import load

    record = load(run)
    require_complete(record)
    measured = measure_run(record)
    save_baseline(measured, output_path)
    samples = sum(len(each.measurements.keys) for each in measured.cells)
    size = output_path.stat().st_size
    click.echo(f"{output_path}: {len(measured.cells)} cells, {samples:,} samples, {size:,} bytes")


@baseline.command(short_help="Show what a baseline holds.")
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Show the scores that FILE, a baseline or a run folder, holds, and of what model they are."""
    from kosmos_eval.baseline import read_measured
    from kosmos_eval.table import results_table

    held = read_measured(file)
    click.echo(results_table([each.measurements.cell for each in held.cells]))
    click.echo(f"\nmodel {held.origin.model}, {held.origin.dtype}, weights {held.origin.weights[:16]}")
