"""The command that does a run's work again, from its recorded configuration."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLAGS = {
    "tasks": "--tasks",
    "shots": "--shots",
    "model": "--model",
    "model_args": "--model_args",
    "data": "--data",
    "limit": "--limit",
    "sample_order": "--sample-order",
    "exemplars": "--exemplars",
    "seed": "--seed",
    "trials": "--trials",
    "trial_seeds": "--trial-seeds",
    "controls": "--controls",
    "gate": "--gate",
    "baseline": "--baseline",
    "settings": "--set",
    "device": "--device",
    "dtype": "--dtype",
    "batch_size": "--batch_size",
    "include_path": "--include_path",
    "report": "--report",
}


def run_command(config: Mapping[str, Any]) -> str:
    """Return `kosmos-eval run` with a flag for each value of the configuration that is set; empty without tasks."""
    if not config.get("tasks"):
        return ""
    words = ["kosmos-eval", "run"]
    for name, flag in FLAGS.items():
        for text in _texts(name, config.get(name)):
            words += [flag, text]
    return shlex.join(words)


def _texts(name: str, value: object) -> Iterator[str]:
    """Yield what stands after a flag, once for each time that the flag is given."""
    match value:
        case None | () | []:
            return
        case dict() if name == "settings":
            for task, settings in value.items():
                yield from (f"{task}.{key}={json.dumps(each)}" for key, each in settings.items())
        case dict():
            if value:
                yield ",".join(f"{key}={each}" for key, each in value.items())
        case list() | tuple() if name == "include_path":
            yield from map(str, value)
        case list() | tuple():
            yield ",".join(map(str, value))
        case float() if value.is_integer() and value >= 1:
            yield str(int(value))
        case _:
            yield str(value)
