"""`kosmos-eval doctor`: what is there, what is missing, and how to get it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kosmos_eval.doctor import Finding

_MARKS = {"ok": "ok     ", "optional": "warning", "missing": "MISSING"}


@click.command(short_help="Say what is missing on this machine and how to get it.")
@click.option(
    "--include_path", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder with plugin files."
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects: name, state, found, cure.")
def doctor(include_path: tuple[Path, ...], *, as_json: bool) -> None:
    """Say what is there and what is missing on this machine, one line each, and how to get it.

    Warnings are about what only some work needs; the command ends with 0 where nothing required is missing. No network
    is tried.
    """
    from kosmos_eval.doctor import examine
    from kosmos_eval.errors import UsageError
    from kosmos_eval.plugins import Plugins

    findings = examine(Plugins(include_path))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(_line(finding, width))
    missing = [finding.name for finding in findings if finding.state == "missing"]
    if missing:
        message = f"required and not there: {', '.join(missing)}"
        raise UsageError(message)


def _line(finding: Finding, width: int) -> str:
    cure = f"; {finding.cure}" if finding.cure else ""
    return f"{_MARKS[finding.state]}  {finding.name:<{width}}  {finding.found}{cure}"
