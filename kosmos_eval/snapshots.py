"""A task's prompts as text, so that a changed prompt is seen in review and asks for a new version of the task.

A snapshot shows, for the task and each of its variants, at each shot count, what the first sample of the embedded data
asks when it is answered perfectly, and a digest of what the first samples ask. Images are marks in it: how a picture is
drawn is no part of a prompt.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kosmos_eval.config import RunConfig
from kosmos_eval.plan import make_plan
from kosmos_eval.proving.oracle import Perfect
from kosmos_eval.proving.subject import Subject, asked
from kosmos_eval.request import Generate
from kosmos_eval.selection import variants_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kosmos_eval.plan import Cell
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.request import Request

SHOTS = (0, 2)
SAMPLES = 20
_SHOWN = 8
"""How many options or allowed answers are written out; the digest is of all."""


def snapshot(name: str, plugins: Plugins) -> str:
    """Return the snapshot of a task's prompts: first line `NAME, version N`, then a paragraph for each cell.

    Raises:
        KosmosEvalError: its embedded data cannot be read, or it does not know the best answers.
    """
    task = plugins.task(name)
    parts = (name, *(f"{name}:{variant}" for variant in variants_of(task)))
    config = RunConfig(tasks=parts, shots=SHOTS, limit=SAMPLES, sample_order="first", data="mini", report=())
    plan = make_plan(config, plugins)
    paragraphs = ["\n".join(_paragraph(cell, Subject(replace(plan, cells=(cell,)), plugins))) for cell in plan.cells]
    return "\n\n".join([f"{name}, version {task.version}", *paragraphs]) + "\n"


def _paragraph(cell: Cell, subject: Subject) -> Iterator[str]:
    found = asked(cell, subject.samples, Perfect(subject.provable))
    whole = "\n".join(line for each in found for request in each.requests for line in _lines(request, None))
    yield f"== {cell.name} =="
    yield f"digest of {len(found)} samples: {hashlib.sha256(whole.encode()).hexdigest()[:16]}"
    yield f"sample {found[0].sample.key}:"
    for request in found[0].requests:
        yield from _lines(request, _SHOWN)


def _lines(request: Request, most: int | None) -> Iterator[str]:
    """Yield a request as lines: what is asked for, the prompt, and the options, of which at most so many."""
    if isinstance(request, Generate):
        names = ("max_new_tokens", "stop", "num_beams", "length_penalty", "no_repeat_ngram")
        yield f"Generate {', '.join(f'{name}={getattr(request, name)!r}' for name in names)}"
        yield f"  prompt {request.prompt.text()!r}"
        if request.constraint is not None:
            yield from _first("allowed", map(repr, request.constraint), most)
    else:
        yield "Score"
        yield f"  prompt {request.prompt.text()!r}"
        yield from _first("option", (f"{each.lead.text()!r} [{each.text!r}]" for each in request.continuations), most)


def _first(kind: str, texts: Iterable[str], most: int | None) -> Iterator[str]:
    held = list(texts)
    yield from (f"  {kind} {text}" for text in held[:most])
    if most is not None and len(held) > most:
        yield f"  and {len(held) - most} more"


def compare(recorded: str | None, now: str, cure: str) -> str:
    """Return what to do about a snapshot that is not the recorded one; empty when they are the same.

    Args:
        recorded: as it was written; `None` when there is none.
        now: as it is.
        cure: the command that writes snapshots.
    """
    title = now.partition("\n")[0]
    if recorded == now:
        return ""
    if recorded is None:
        return f"{title}: its prompts have no snapshot; write it with: {cure}"
    if recorded.partition("\n")[0] != title:
        return f"{title}: its snapshot is of {recorded.partition(chr(10))[0]}; write it anew with: {cure}"
    old, new = recorded.splitlines(), now.splitlines()
    line = next((place for place, each in enumerate(new) if each not in old), len(new) - 1)
    changed = f"first at {new[line][:160]!r}"
    return f"{title}: its prompts changed, {changed}; give the task the next `version`, then: {cure}"
