"""`kosmos-eval version`: what is installed."""

from __future__ import annotations

import click


@click.command(short_help="Show versions.")
def version() -> None:
    """Show the version of kosmos-eval and of what it runs on."""
    from kosmos_eval.fingerprint import environment

    for name, value in environment().items():
        click.echo(f"{name:<13} {value}")
