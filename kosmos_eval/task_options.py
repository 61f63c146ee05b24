"""Command-line options that several sub-commands share: what is asked, and of which samples.

None has a default of its own: what is not given is left to `kosmos_eval.config.RunConfig`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kosmos_eval.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def names(_context: click.Context, _parameter: click.Parameter, text: str | None) -> list[str] | None:
    """Return the names that commas separate: a callback for options that take some."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def counts(_context: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | None:
    """Return the whole numbers that commas separate: a callback for options that take some."""
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError as error:
        message = f"{parameter.opts[0]}: expected whole numbers such as 0,4, got {text!r}"
        raise UsageError(message) from error


def _settings(_context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, Any] | None:
    import yaml  # noqa: PLC0415  only --set needs it, and --help must be instant

    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        task, dot, name = place.partition(".")
        if not (task and dot and name and equals):
            message = f"{parameter.opts[0]}: expected TASK.SETTING=VALUE such as vqav2.split=val, got {text!r}"
            raise UsageError(message)
        try:
            settings.setdefault(task, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            message = f"{parameter.opts[0]} {place}: expected a YAML value such as 3, val or [a, b], got {value!r}"
            raise UsageError(message) from error
    return settings or None


def _complete(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    """Return how a shell may go on with a text: the last of its names, completed to tasks, parts and groups."""
    from kosmos_eval.plugins import Plugins  # noqa: PLC0415  only a shell that completes needs it
    from kosmos_eval.selection import find_groups, parts_of  # noqa: PLC0415  as above

    before, comma, last = text.rpartition(",")
    plugins = Plugins()
    task = last.partition(":")[0]
    known = [*plugins.names("task"), *find_groups(plugins).members]
    if ":" in last:
        known = [f"{task}:{part}" for part in parts_of(plugins.task(task))] if task in plugins.names("task") else []
    return [f"{before}{comma}{each}" for each in known if each.startswith(last)]


def tasks_missing() -> UsageError:
    """Return what to raise where no task was named."""
    return UsageError("expected --tasks, such as --tasks vqav2,raven (all of them: kosmos-eval ls tasks)")


tasks = click.option(
    "-t",
    "--tasks",
    callback=names,
    metavar="NAMES",
    shell_complete=_complete,
    help="Tasks, as vqav2,refcoco:testA,lm_eval:gsm8k, groups, or globs, as 'refcoco:*' (see: ls tasks, ls groups).",
)
shots = click.option(
    "-f", "--shots", "--num_fewshot", callback=counts, metavar="COUNTS", help="Shot counts, as 0,4.  [default: 0]"
)
data = click.option(
    "-d", "--data", metavar="mini|hub|DIR", help="Source of samples.  [default: mini for embedded models, else hub]"
)
limit = click.option(
    "-L", "--limit", type=float, metavar="N", help="At most N samples of each task, or a share below 1."
)
sample_order = click.option(
    "--sample-order", type=click.Choice(["random", "first"]), help="Which ones --limit keeps.  [default: random]"
)
exemplars = click.option(
    "--exemplars",
    type=click.Choice(["per-sample", "fixed", "rices"]),
    help="Draw exemplars for each query, or once, or take those with the most similar pictures.  [default: per-sample]",
)
seed = click.option("--seed", type=int, help="Of every random choice.  [default: 0]")
trials = click.option("--trials", type=int, metavar="N", help="Ask few-shot tasks N times, with other exemplars.")
trial_seeds = click.option(
    "--trial-seeds",
    callback=counts,
    metavar="SEEDS",
    help="Of the trials' exemplars, as 3,5,7.  [default: from --seed]",
)
controls = click.option(
    "--controls",
    callback=names,
    metavar="NAMES",
    help="Ask once more under each input control, as image=none,image=noise (all of them: ls controls).",
)
blind = click.option(
    "--blind", is_flag=True, help="Ask once more without the pictures: short for --controls image=none."
)
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    callback=_settings,
    metavar="TASK.SETTING=VALUE",
    help="A setting of a task, or of a part of it (see: describe TASK).",
)
