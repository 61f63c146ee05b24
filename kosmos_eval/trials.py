"""Trials: a task at one shot count, asked again with other exemplars, and how far the draws lie apart.

A score's interval says how it would move with other samples. How it moves with other exemplars before the same samples
is another question: each trial draws them with a seed of its own, and mean and standard deviation over the trials
stand apart from the intervals. Zero-shot prompts have no exemplars, so there is one trial of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kosmos_eval.record import CellResult


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over the trials of a task at one shot count.

    Attributes:
        name: of the metric.
        values: one a trial, in their order; `None` where a trial has no value.
        mean: of those that there are; `None` without any.
        standard_deviation: of those that there are, about their mean, with n - 1; `None` with fewer than two.
        count: how many there are.
        percent: tables show it times 100.
    """

    name: str
    values: tuple[float | None, ...]
    mean: float | None
    standard_deviation: float | None
    count: int
    percent: bool = True


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a task at one shot count.

    Attributes:
        task: the label, such as `vqav2@mini`.
        shots: number of exemplars before each query.
        seeds: of the draws.
        cells: names of the trials' cells, in the same order.
        metrics: over the trials, the headline first.
        control: name of the input control that all were asked under; empty without.
    """

    task: str
    shots: int
    seeds: tuple[int | None, ...]
    cells: tuple[str, ...]
    metrics: tuple[Spread, ...]
    control: str = ""

    @property
    def name(self) -> str:
        """The name of the first of the cells: `vqav2@mini|4`."""
        return self.cells[0]


def cell_name(label: str, shots: int, trial: int, control: str = "") -> str:
    """Return a cell's name: `vqav2@mini|4`, `vqav2@mini|4#2` for the second trial, `vqav2@mini|4~image=none`."""
    return f"{label}|{trial_name(shots, trial)}" + (f"~{control}" if control else "")


def trial_name(shots: int, trial: int) -> str:
    """Return a shot count for people: `4`, and `4#2` in the second trial."""
    return f"{shots}#{trial + 1}" if trial else str(shots)


def gather_trials(cells: Iterable[CellResult]) -> tuple[Trials, ...]:
    """Return the tasks and shot counts among the cells that have several trials, in the order of their first cells."""
    together: dict[tuple[str, int, str], list[CellResult]] = {}
    for cell in cells:
        together.setdefault((cell.task, cell.shots, cell.control), []).append(cell)
    return tuple(_trials(each) for each in together.values() if any(cell.trial for cell in each))


def _trials(cells: Sequence[CellResult]) -> Trials:
    metrics = [
        spread_of(each.name, [cell.metrics[place].value for cell in cells], percent=each.percent)
        for place, each in enumerate(cells[0].metrics)
    ]
    first = cells[0]
    seeds = tuple(cell.exemplar_seed for cell in cells)
    names = tuple(cell.name for cell in cells)
    return Trials(first.task, first.shots, seeds, names, tuple(metrics), first.control)


def spread_of(name: str, values: Sequence[float | None], *, percent: bool) -> Spread:
    """Return how far apart the values of trials lie, one a trial; `None` where a trial has none."""
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    deviation = None
    if mean is not None and len(known) > 1:
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return Spread(name, tuple(values), mean, deviation, len(known), percent)
