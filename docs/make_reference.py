"""Writes `docs/reference.md` from the command line and the plugins themselves.

python docs/make_reference.py           write the page
python docs/make_reference.py --check   fail when the page is not what it would write
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from kosmos_eval.cli import cli
from kosmos_eval.errors import DataError, IncompleteRunError, KosmosEvalError, RunInterruptedError, UsageError
from kosmos_eval.plugins import Plugins

PAGE = Path(__file__).parent / "reference.md"
WIDTH = 110


def reference() -> str:
    """Return the page: every command's help, every task with its settings, every model, the exit codes."""
    return "\n".join(
        [
            "# Reference",
            "",
            "Made by `make docs` from the code; edit that instead.",
            "",
            "## Commands",
            *_commands(),
            "",
            "## Exit codes",
            "",
            "| code | meaning |",
            "| --- | --- |",
            "| 0 | done |",
            f"| {UsageError.exit_code} | the command cannot be carried out as it was typed |",
            f"| {DataError.exit_code} | a dataset, an image or a checkpoint cannot be read |",
            f"| {KosmosEvalError.exit_code} | an error of kosmos-eval's own |",
            f"| {IncompleteRunError.exit_code} | done, but samples failed; `run --resume RUN` asks them again |",
            f"| {RunInterruptedError.exit_code} | interrupted; `kosmos-eval run --resume RUN` finishes the run |",
            "",
            "## Tasks",
            *_tasks(),
            "",
            "## Models",
            *_models(),
            "",
        ]
    )


def _commands() -> list[str]:
    lines: list[str] = []
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, info_name=f"kosmos-eval {name}", max_content_width=WIDTH, terminal_width=WIDTH)
        lines += ["", f"### `kosmos-eval {name}`", "", "```", command.get_help(context), "```"]
    return lines


def _tasks() -> list[str]:
    plugins = Plugins()
    lines: list[str] = []
    for name in plugins.names("task"):
        task: Any = plugins.task(name)()
        lines += ["", f"### `{name}`", "", task.description, "", f"Sources: {', '.join(task.sources)}.", ""]
        lines += ["| metric | what it is |", "| --- | --- |"]
        lines += [f"| `{metric.name}` | {metric.description} |" for metric in task.metrics]
        lines += ["", "| setting | default |", "| --- | --- |"]
        lines += [f"| `{name}.{field.name}` | `{getattr(task, field.name)!r}` |" for field in fields(task)]
    return lines


def _models() -> list[str]:
    plugins = Plugins()
    specs = [plugins.model(name) for name in plugins.names("model")]
    facts = ["; ".join(f"{key}: {value}" for key, value in spec.facts.items()) for spec in specs]
    rows = [f"| `{spec.name}` | {spec.description} | {fact} |" for spec, fact in zip(specs, facts, strict=True)]
    return ["", "| model | what it is | facts |", "| --- | --- | --- |", *rows]


def main() -> int:
    """Write or check the page; return the exit code."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == reference() else 1
    PAGE.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
