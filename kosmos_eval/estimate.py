"""How much work a plan is, and how long it will take: counted, and tried on a few samples of each cell.

Counting asks the model for a `Survey` of the first requests of each unit; within a unit beginnings are shared, between
units nothing is. Trying asks whole clusters of samples from units that are spread over the cell, more at a time, up to
whole units while that fits into a few seconds; the largest pieces, which are most like whole units, give the seconds a
token, and the survey of each unit its seconds.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kosmos_eval.ask import ask_unit
from kosmos_eval.language_model import Survey, Surveyor
from kosmos_eval.memory import measure
from kosmos_eval.request import Failed
from kosmos_eval.scoring import group_by_cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Cell, Plan, Unit
    from kosmos_eval.request import Request

TRIAL_SECONDS = 5.0
"""How long whole units of a cell are tried; a slow model may take three times as long to get to a whole one."""

_PATIENCE = 3
_GROWTH = 8
_ALIKE = 0.75

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Counted:
    """What a cell's units hold.

    Attributes:
        samples: in each unit.
        images: distinct ones of the whole cell, in first requests.
        surveys: of the first requests of each unit; empty where the model cannot tell.
    """

    samples: tuple[int, ...]
    images: int
    surveys: tuple[Survey, ...]

    @property
    def work(self) -> tuple[float, ...]:
        """What each unit's time is taken to grow with: tokens, or samples where the model cannot tell tokens."""
        return tuple(map(_work, self.samples, self.surveys or [None] * len(self.samples)))


@dataclass(frozen=True, slots=True)
class Trial:
    """A piece of a cell that was asked.

    Attributes:
        samples, requests: in it, of all rounds.
        work: as of `Counted.work`.
        seconds: that it took.
        failed: key to reason, of samples that the model could not take.
    """

    samples: int
    requests: int
    work: float
    seconds: float
    failed: dict[str, str]


@dataclass(frozen=True, slots=True)
class CellEstimate:
    """What is left of a cell, and how long it will take.

    Attributes:
        cell: of which.
        counted: what is left.
        trials: what was asked, in order.
    """

    cell: Cell
    counted: Counted
    trials: tuple[Trial, ...]

    @property
    def basis(self) -> tuple[Trial, ...]:
        """The trials that the estimate is made from: the largest and those about as large, the first one left out."""
        later = self.trials[1:] or self.trials  # the first also made the model ready
        largest = max(trial.samples for trial in later)
        return tuple(trial for trial in later if trial.samples >= _ALIKE * largest)

    @property
    def seconds(self) -> tuple[float, ...]:
        """How long each unit will take, asked by one process."""
        rate = sum(trial.seconds for trial in self.basis) / sum(trial.work for trial in self.basis)
        return tuple(rate * work for work in self.counted.work)

    @property
    def requests_a_sample(self) -> float:
        """The mean number of requests of a sample, as tried."""
        return sum(trial.requests for trial in self.trials) / sum(trial.samples for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a plan, and what it will take.

    Attributes:
        cells: in the plan's order, those that are done left out.
        processes: how many ask at once.
        lanes: how many of them have a core or GPU to themselves.
        loading: seconds that one process took to load the model.
        kind: of memory, that which the model computes in.
        measured: bytes that one process took at most, until it was tried.
        bounded: bytes that one process will take at most, by the surveys; `None` where the model cannot tell.
    """

    cells: tuple[CellEstimate, ...]
    processes: int
    lanes: int
    loading: float
    kind: str
    measured: int
    bounded: int | None

    @property
    def asking(self) -> float:
        """Seconds of asking, when whoever is free takes the next unit and nobody slows another down."""
        busy = [0.0] * self.lanes
        for cell in self.cells:
            for seconds in cell.seconds:
                heapq.heapreplace(busy, busy[0] + seconds)
        return max(busy)


def estimate(
    plan: Plan, units: Sequence[Unit], *, processes: int = 1, trial_seconds: float = TRIAL_SECONDS
) -> Estimate:
    """Load the plan's model, count its work, try each cell, and return what the whole will take.

    Args:
        plan: what will be asked.
        units: of it that are left to do.
        processes: how many will ask at once.
        trial_seconds: how long a cell is tried.

    Raises:
        KosmosEvalError: the model cannot be loaded, or does not answer as it should.
    """
    from kosmos_eval.processes.worker import model_options  # noqa: PLC0415  it imports much that counting needs not

    clock = time.perf_counter()
    model = plan.model.load(model_options(plan.config))
    loading = time.perf_counter() - clock
    device = str(model.facts.get("device", "cpu"))
    loaded = measure(device)
    cells = []
    for name, of_cell in group_by_cell(units).items():
        cell = plan.cell(name)
        counted = _count(cell, of_cell, model)
        cells.append(CellEstimate(cell, counted, tuple(_tried(cell, of_cell, model, trial_seconds))))
    tried = measure(device)
    most = [loaded.now + survey.memory for each in cells for survey in each.counted.surveys]
    return Estimate(
        cells=tuple(cells),
        processes=processes,
        lanes=min(processes, _places(device)),
        loading=loading,
        kind=tried.kind,
        measured=tried.peak,
        bounded=max(*most, tried.peak) if most else None,
    )


def _places(device: str) -> int:
    """Return how many processes can compute at once without sharing: GPUs, or cores."""
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415  the model has imported it already

        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0))


def _count(cell: Cell, units: Sequence[Unit], model: Model) -> Counted:
    images: set[str] = set()
    surveys: list[Survey] = []
    for unit in units:
        requests = _first_requests(cell, unit)
        images.update(image.digest for request in requests for image in request.images)
        if isinstance(model, Surveyor):
            surveys.append(model.survey(requests))
    return Counted(tuple(len(unit.keys) for unit in units), len(images), tuple(surveys))


def _first_requests(cell: Cell, unit: Unit) -> list[Request]:
    samples = [cell.samples[key] for key in unit.keys]
    return [next(cell.ask(sample, cell.exemplars(sample))) for sample in samples]


def _work(samples: int, survey: Survey | None) -> float:
    """Return what the time of requests is taken to grow with; never zero."""
    return float(survey.shared_tokens + survey.new_tokens if survey is not None else samples) or 1.0


def _tried(cell: Cell, units: Sequence[Unit], model: Model, budget: float) -> Iterator[Trial]:
    """Ask larger and larger pieces of a cell, whole units if time allows, and yield how each went.

    Small pieces take more than their share, for much is done in passes of one size; so a whole unit is worth waiting
    for. That the next piece takes longer in proportion is the worst that is expected of it.
    """
    pieces, size, left = _Pieces(cell, units), 1, _PATIENCE * budget
    warm = False
    while (piece := pieces.take(size)) is not None:
        trial = _try(cell, piece, model)
        yield trial
        whole = len(piece.keys) < size
        if warm:
            left -= trial.seconds
            growth = min(_GROWTH, left / max(trial.seconds, 1e-9))
            if growth < 1 or (whole and left <= (_PATIENCE - 1) * budget):
                return
        else:  # this one made the model ready, too; how long that took says little about the next
            growth = _GROWTH if trial.seconds <= left else 1
        size = max(len(piece.keys), int(len(piece.keys) * growth))
        warm = True


def _try(cell: Cell, piece: Unit, model: Model) -> Trial:
    surveys = [model.survey(_first_requests(cell, piece))] if isinstance(model, Surveyor) else [None]
    clock = time.perf_counter()
    exchanges = ask_unit(piece, cell, model)
    seconds = time.perf_counter() - clock
    failed = {key: done[-1].response.reason for key, done in exchanges.items() if isinstance(done[-1].response, Failed)}
    requests = sum(map(len, exchanges.values()))
    return Trial(len(piece.keys), requests, _work(len(piece.keys), surveys[0]), seconds, failed)


class _Pieces:
    """Cuts pieces from the units of a cell, by turns from units that are spread over it, each sample once."""

    def __init__(self, cell: Cell, units: Sequence[Unit]) -> None:
        self._cell = cell
        last = len(units) - 1  # the rest of a cell, which may be smaller than any other unit
        self._left = deque(units[place] for place in (*_spread(last), last))

    def take(self, size: int) -> Unit | None:
        """Return the next so many samples of a unit, or a few more, so that clusters stay whole; `None` at the end."""
        if not self._left:
            return None
        unit = self._left.popleft()
        end = min(size, len(unit.keys))
        while end < len(unit.keys) and self._share(unit.keys[end - 1], unit.keys[end]):
            end += 1
        if rest := unit.keys[end:]:
            self._left.append(replace(unit, keys=rest))
        return replace(unit, keys=unit.keys[:end])

    def _share(self, one: str, other: str) -> bool:
        cluster = self._cell.samples[one].cluster
        return bool(cluster) and cluster == self._cell.samples[other].cluster


def _spread(size: int) -> list[int]:
    """Return 0..size-1 in an order of which every beginning is spread evenly (multiples of the golden ratio)."""
    return sorted(range(size), key=lambda place: (place - size // 2) * _GOLDEN % 1.0)
