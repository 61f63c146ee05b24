"""`kosmos-eval gate`: may a run take a baseline's place?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Fail when a run is worse than a baseline.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    required=True,
    type=click.Path(path_type=Path),
    metavar="BASE",
    help="A run folder, or a file made by kosmos-eval baseline save.",
)
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="TOML with tolerances and limits.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write the verdict as JUnit XML, too.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Write it as Markdown, for a CI's summary.")
@click.option("--json", "json_path", type=_FILE, metavar="FILE", help="Write it as JSON.")
@click.pass_context
def gate(context: click.Context, /, run: Path, **flags: Any) -> None:
    """Hold RUN against a baseline, sample by sample, and say whether it may take its place.

    Ends with code 0 for a pass, 1 for a regression, 2 when the samples are too few to tell (unless the policy decides),
    and 3 when the two are not comparable: other data, prompts, shots, scorer or settings, or a required task missing.
    """
    from kosmos_eval.baseline import read_measured
    from kosmos_eval.gate import judge
    from kosmos_eval.gate_policy import Policy, read_policy
    from kosmos_eval.gate_report import as_json, as_junit, as_markdown, as_text
    from kosmos_eval.writing import whole_file, write_json

    rules = Policy() if flags["policy"] is None else read_policy(flags["policy"])
    found = judge(read_measured(flags["baseline"]), read_measured(run), rules)
    click.echo(as_text(found))
    for path, write in ((flags["junit"], as_junit), (flags["markdown"], as_markdown)):
        if path is not None:
            with whole_file(path) as draft:
                draft.write_text(write(found), encoding="utf-8")
    if flags["json_path"] is not None:
        write_json(flags["json_path"], as_json(found))
    context.exit(found.exit_code)
