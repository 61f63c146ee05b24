"""`kosmos-eval ls`: what there is to run, and what has been run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.record import CellResult


@click.command(short_help="List tasks, groups of tasks, models, controls or runs.")
@click.argument("what", type=click.Choice(["tasks", "groups", "models", "controls", "runs"]), default="tasks")
@click.option(
    "--include_path",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with plugin files, or YAML files of lm-eval.",
)
@click.option(
    "--runs_dir", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of the runs.  [default: runs]"
)
def ls(what: str, include_path: tuple[Path, ...], runs_dir: Path) -> None:
    """List tasks (the default), groups of tasks, models, input controls or runs."""
    if what == "runs":
        rows = _runs(runs_dir)
        if not rows:
            click.echo(f"no runs in {runs_dir}/")
    elif what == "controls":
        from kosmos_eval.controls import CONTROLS

        rows = list(CONTROLS.items())
    elif what == "groups":
        rows = _groups(include_path)
    else:
        rows = _plugins(what, include_path)
    width = max((len(name) for name, _ in rows), default=0)
    for name, about in rows:
        click.echo(f"{name:<{width}}  {about}")


def _plugins(what: str, include_path: tuple[Path, ...]) -> list[tuple[str, str]]:
    from kosmos_eval.errors import PluginError
    from kosmos_eval.plugins import Plugins

    plugins = Plugins(include_path)
    describe = _model if what == "models" else _task

    def about(name: str) -> str:
        try:
            return describe(plugins, name)
        except PluginError as error:  # which must not hide the others
            return f"broken: {error}"

    rows = [(name, about(name)) for name in plugins.names("model" if what == "models" else "task")]
    return rows if what == "models" else [*rows, *_lm_eval(plugins)]


def _lm_eval(plugins: Plugins) -> list[tuple[str, str]]:
    """Return the tasks of the given folders' YAML files, and how to run lm-eval's own, which are too many to list."""
    from kosmos_eval.lm_eval_tasks.names import PREFIX

    own = [(f"{PREFIX}{name}", "a text task of the folder's YAML files") for name in plugins.lm_eval.included()]
    return [*own, (f"{PREFIX}NAME", "any text task, group or tag of lm-eval, see docs/lm-eval.md")]


def _model(plugins: Plugins, name: str) -> str:
    spec = plugins.model(name)
    facts = ", ".join(f"{key} {value}" for key, value in spec.facts.items())
    return f"{spec.description} ({facts})" if facts else spec.description


def _task(plugins: Plugins, name: str) -> str:
    from kosmos_eval.selection import groups_of, splits_of, variants_of

    task = plugins.task(name)
    about = f"{task.description}  [{', '.join(task.sources)}]"
    parts = {"splits": splits_of(task), "variants": variants_of(task), "groups": groups_of(task)}
    named = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in parts.items() if names)
    return f"{about}  {named}" if named else about


def _groups(include_path: tuple[Path, ...]) -> list[tuple[str, str]]:
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.selection import find_groups

    groups = find_groups(Plugins(include_path))
    broken = [(name, f"broken, its groups are not known: {why}") for name, why in groups.broken.items()]
    return [(group, ", ".join(members)) for group, members in groups.members.items()] + broken


def _runs(folder: Path) -> list[tuple[str, str]]:
    from kosmos_eval.errors import DataError
    from kosmos_eval.record import load, read_run
    from kosmos_eval.table import percent

    def scored(cell: CellResult) -> str:
        failed = f" ({cell.failed:,} failed)" if cell.failed else ""
        return f"{cell.name} {percent(cell.metrics[0].value)}{failed}"

    def about(run: Path) -> str:
        try:
            if (run / "results.json").exists():
                return "  ".join(map(scored, load(run).cells))
            return f"unfinished: {','.join(read_run(run)['config']['tasks'])}; kosmos-eval run --resume {run}"
        except DataError as error:
            return f"unreadable: {error}"

    return [(str(path.parent), about(path.parent)) for path in sorted(folder.glob("*/run.json"))]
