"""What the benchmarks ask first of each sample of the mini data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.config import RunConfig
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins

if TYPE_CHECKING:
    from kosmos_eval.request import Request


def first_requests(task: str, shots: int, samples: int) -> list[Request]:
    """Return the first requests of a task's samples in the order of the data, the exemplars the same for all.

    Questions on one picture follow each other.
    """
    config = RunConfig(
        tasks=(task,), shots=(shots,), limit=samples, sample_order="first", exemplars="fixed", data="mini"
    )
    (cell,) = make_plan(config, Plugins()).cells
    return [next(cell.ask(sample, cell.exemplars(sample))) for sample in cell.samples.values()]
