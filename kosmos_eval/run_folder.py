"""A run's folder: named, made, and opened again by workers and by later commands."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.config import RunConfig, parse_config
from kosmos_eval.errors import DataError
from kosmos_eval.plan import Plan, Unit, make_plan, with_nearest
from kosmos_eval.plugins import Plugins
from kosmos_eval.record import read_run
from kosmos_eval.scoring import plain
from kosmos_eval.writing import whole_file, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_NAME = 100
_EXEMPLARS = "exemplars.jsonl"
_UNSAFE = re.compile(r"[^\w.-]+")  # what globs and parts have in their names


def default_folder(config: RunConfig) -> Path:
    """Return a new folder under `runs/`, named after time, model and tasks."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    tasks = _UNSAFE.sub("_", "-".join(config.tasks))
    name = f"{stamp}-{Path(config.model).name}-{tasks}"[:_LONGEST_NAME]
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def open_folder(folder: Path, plan: Plan, run: Mapping[str, Any]) -> None:
    """Put the plan and `run.json` into a run's folder; the latter comes last and makes it a run."""
    if rankings := {cell.label: cell.nearest for cell in plan.cells if cell.nearest}:
        with whole_file(folder / _EXEMPLARS) as draft, draft.open("w", encoding="utf-8") as file:
            for task, ranking in rankings.items():
                for key, nearest in ranking.items():
                    line = {"task": task, "key": key, "nearest": list(nearest)}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    with whole_file(folder / "plan.jsonl") as draft:
        lines = (json.dumps(_unit_json(unit), ensure_ascii=False) for unit in plan.units)
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_json(folder / "run.json", run)


def _unit_json(unit: Unit) -> dict[str, Any]:
    return {name: value for name, value in plain(unit).items() if value}  # `main`, of a unit under a control, or none


def read_units(folder: Path) -> tuple[Unit, ...]:
    """Return the units of a run's plan."""
    with (folder / "plan.jsonl").open(encoding="utf-8") as lines:  # not splitlines: a key may hold U+2028 and its like
        return tuple(Unit(**{**each, "keys": tuple(each["keys"])}) for each in map(json.loads, lines))


def read_nearest(folder: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return label of a task to the ranking of its exemplars; nothing if the run's exemplars were drawn.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder / _EXEMPLARS
    rankings: dict[str, dict[str, tuple[str, ...]]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for each in map(json.loads, lines):
                rankings.setdefault(each["task"], {})[each["key"]] = tuple(each["nearest"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError) as error:
        message = f"{path}: expected a task, a key and its nearest exemplars on each line, got something else; "
        message += "start a new run"
        raise DataError(message) from error
    return rankings


def reopen(folder: Path) -> Plan:
    """Return the plan of a run from its folder, without checking it: for workers and for scoring again.

    Raises:
        DataError: there is no run, or its data cannot be read.
    """
    config = parse_config(read_run(folder)["config"], str(folder / "run.json"))
    return with_nearest(make_plan(config, Plugins(map(Path, config.include_path))), read_nearest(folder))
