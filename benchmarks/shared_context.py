"""Raven's candidates behind one shared context, beside one whole sequence a candidate.

    python benchmarks/shared_context.py [--items 40] [--shots 0,4]

Both go through the same model with the same weights in one process, in turns; the answers must agree to 1e-4 nats,
and the ratio of the median times is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING

from kosmos_eval.config import RunConfig
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Score, Scored
from kosmos_eval.worker import prepare_process

if TYPE_CHECKING:
    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Cell

_REPEATS = 3
_TOLERANCE = 1e-4


def shared(cell: Cell) -> list[Score]:
    """Return a request an item: the context once, the candidates behind it."""
    requests = [next(cell.task.ask(sample, cell.exemplars(sample))) for sample in cell.samples.values()]
    return [request for request in requests if isinstance(request, Score)]


def whole(requests: list[Score]) -> list[Score]:
    """Return a request a candidate: the context again before each."""
    return [
        Score(Prompt.of(request.prompt, each.lead), (Continuation(each.text),))
        for request in requests
        for each in request.continuations
    ]


def ask(model: Model, requests: list[Score]) -> tuple[float, list[float]]:
    """Return the seconds that the requests took and every candidate's log-likelihood, in order."""
    clock = time.perf_counter()
    answers = dict(model.answer(enumerate(requests)))
    seconds = time.perf_counter() - clock
    totals: list[float] = []
    for number in range(len(requests)):
        answer = answers[number]
        assert isinstance(answer, Scored)
        totals += [each.total for each in answer.continuations]
    return seconds, totals


def main() -> int:
    """Print a line for each shot count; return 1 if the answers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--shots", default="0,4")
    parser.add_argument("--model", default="kosmos-tiny")
    options = parser.parse_args()
    prepare_process(1)
    shots = tuple(int(count) for count in options.shots.split(","))
    config = RunConfig(tasks=("raven",), shots=shots, model=options.model, limit=options.items, data="mini")
    plan = make_plan(config, Plugins())
    model = plan.model.load(ModelOptions())
    for cell in plan.cells:
        together = shared(cell)
        alone = whole(together)
        ask(model, together)
        times: dict[str, list[float]] = {"shared": [], "whole": []}
        for _ in range(_REPEATS):
            seconds, ours = ask(model, together)
            times["shared"].append(seconds)
            seconds, theirs = ask(model, alone)
            times["whole"].append(seconds)
            apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
            if apart > _TOLERANCE:
                print(f"{cell.name}: answers differ by {apart:.2e} nats")
                return 1
        fast, slow = statistics.median(times["shared"]), statistics.median(times["whole"])
        print(
            f"{cell.name}: {len(together)} items, shared {fast:.2f} s, whole {slow:.2f} s, ratio {slow / fast:.1f}x, "
            f"answers within {apart:.0e} nats"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
