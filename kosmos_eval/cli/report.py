"""`kosmos-eval report`: write a run's report again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write a run's report again.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--report", "names", default="html", show_default=True, help="Reports, separated by commas.")
@click.option(
    "--include_path", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with plugin files."
)
def report(run: Path, names: str, include_path: tuple[Path, ...]) -> None:
    """Write the reports of RUN again, from what its folder holds."""
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.record import load
    from kosmos_eval.run import write_reports

    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    for path in write_reports(load(run), wanted, Plugins(include_path)):
        click.echo(path)
