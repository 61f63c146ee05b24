"""What a task says of itself, for people: its settings as its docstring explains them, and its requests as text."""

from __future__ import annotations

import inspect
import re
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.source import Source
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plan import source_of
from kosmos_eval.request import Generate
from kosmos_eval.task import About

if TYPE_CHECKING:
    from kosmos_eval.request import Request
    from kosmos_eval.task import Task

_HEADING = "Attributes:"
_ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")


def setting_notes(task: type[Task[Any, Any]] | Task[Any, Any]) -> dict[str, str]:
    """Return setting to what the docstrings of its class and of what that inherits say under `Attributes:`."""
    notes: dict[str, str] = {}
    for kind in reversed((task if isinstance(task, type) else type(task)).__mro__):
        notes |= _attributes(vars(kind).get("__doc__") or "")
    return notes


def _attributes(docstring: str) -> dict[str, str]:
    lines = inspect.cleandoc(docstring).splitlines()
    if _HEADING not in lines:
        return {}
    below = lines[lines.index(_HEADING) + 1 :]
    notes: dict[str, str] = {}
    names: list[str] = []
    for line in takewhile(lambda each: not each or each.startswith("    "), below):
        entry = _ENTRY.fullmatch(line[4:])
        if entry is not None:
            names = entry[1].split(", ")
            notes |= dict.fromkeys(names, entry[2])
        elif line.strip():
            notes |= {name: f"{notes[name]} {line.strip()}" for name in names}
    return notes


def about(task: type[Task[Any, Any]] | Task[Any, Any]) -> About:
    """Return a task's notes, empty ones where it has none."""
    notes = getattr(task, "about", None)
    return notes if isinstance(notes, About) else About()


def first_request(task: Task[Any, Any], shots: int) -> Request:
    """Return what a task asks first about the first sample of its embedded or own data, after so many exemplars.

    Raises:
        DataError: there are not so many.
    """
    source = source_of(task, Source("mini"))
    query = next(iter(task.samples(task.split, source)))
    pool = ExemplarPool(islice(task.samples(task.exemplar_split, source), 50 * shots) if shots else ())
    if getattr(task, "exemplars_in_order", False):
        return next(task.ask(query, pool.first(query, shots, task=task.name)))
    return next(task.ask(query, pool.draw(query, shots, seed=0, task=task.name)))


def request_text(request: Request) -> str:
    """Return what a model is asked as text, images as `<image>`: the prompt, and under it the candidates if any."""
    if isinstance(request, Generate):
        return f"{request.prompt.text()} ..."
    options = "\n".join(f"    {each.lead.text()} [{each.text}]" for each in request.continuations)
    return f"{request.prompt.text()}\n{options}"
