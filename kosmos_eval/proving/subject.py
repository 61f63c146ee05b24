"""A task under proof: its samples at each shot count, and what scripted models make of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.ask import about, ask_unit, replay
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.plan import Unit
from kosmos_eval.task import Provable
from kosmos_eval.task_notes import about as about_of

from .oracle import Perfect, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.ask import Replayed
    from kosmos_eval.plan import Cell, Plan
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.request import Request
    from kosmos_eval.task import Metric, Sample, Score

    from .oracle import Script


class FaultError(KosmosEvalError):
    """Something does not hold."""

    def __init__(self, place: str, fault: str) -> None:
        """Name the sample, or whatever else is at fault, and say what was expected of it and what was found."""
        super().__init__(f"{place}: {fault}")


class NotProvable(Exception):  # noqa: N818  it is no error, but a reason
    """The question does not arise for this task."""


class Asked(NamedTuple):
    """What a sample asked of a scripted model, and what its answer was worth."""

    sample: Sample
    exemplars: tuple[Sample, ...]
    requests: tuple[Request, ...]
    score: Score


@dataclass(frozen=True)
class Subject:
    """A task under proof, with what proofs share.

    Attributes:
        plan: the task at each shot count, with the samples that are looked at.
        plugins: where it was found.
    """

    plan: Plan
    plugins: Plugins
    _asked: dict[object, list[Asked]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The task at each shot count."""
        return self.plan.cells

    @property
    def cell(self) -> Cell:
        """The task at its smallest shot count."""
        return min(self.plan.cells, key=lambda cell: cell.shots)

    @property
    def task(self) -> Any:  # noqa: ANN401  of any kind
        """The task with its settings."""
        return self.cell.task

    @property
    def exempt(self) -> dict[str, str]:
        """What the task says cannot be proven of it, or of the part that is under proof, to the reason."""
        _, *pieces = self.cell.part.split(":")
        reasons = about_of(self.task).exempt
        found = {name: why for name, why in reasons.items() if ":" not in name}
        for prefix in (f"{piece}:" for piece in pieces):
            found |= {name.removeprefix(prefix): why for name, why in reasons.items() if name.startswith(prefix)}
        return found

    @property
    def provable(self) -> Provable:
        """The task, which knows the best answers.

        Raises:
            FaultError: it does not.
        """
        if not isinstance(self.task, Provable):
            place = f"task {self.task.name}"
            raise FaultError(place, "expected a method gold, see kosmos_eval.task.Provable, got none")
        return self.task

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The samples that are looked at."""
        return tuple(self.cell.samples.values())

    @cached_property
    def labelled(self) -> tuple[Sample, ...]:
        """Those whose truth is known.

        Raises:
            NotProvable: there are none.
        """
        found = tuple(sample for sample in self.samples if sample.labelled)
        if not found:
            message = f"no truth is known of split {self.task.split}"
            raise NotProvable(message)
        return found

    def perfect(self, cell: Cell) -> list[Asked]:
        """Return what the labelled samples asked of a perfect model."""
        if cell.name not in self._asked:
            self._asked[cell.name] = asked(cell, self.labelled, Perfect(self.provable))
        return self._asked[cell.name]

    @cached_property
    def means(self) -> tuple[Metric, ...]:
        """The metrics that single samples have."""
        return tuple(metric for metric in self.task.metrics if not metric.corpus)


def asked(cell: Cell, samples: Sequence[Sample], script: Script) -> list[Asked]:
    """Return what each sample of a cell asked of a scripted model, and its score."""
    found = []
    for sample, exemplars, replayed in _replayed(cell, samples, script):
        with about(f"{cell.name}, sample {sample.key}"):
            found.append(Asked(sample, exemplars, replayed.requests, cell.task.score(sample, replayed.answer)))
    return found


def _replayed(
    cell: Cell, samples: Sequence[Sample], script: Script
) -> Iterator[tuple[Sample, tuple[Sample, ...], Replayed]]:
    held = replace(cell, samples={sample.key: sample for sample in samples})
    for sample in samples:
        with about(f"{cell.name}, sample {sample.key}"):
            exemplars = held.exemplars(sample)
            recorded = ask_unit(Unit("proof", cell.name, (sample.key,)), held, Scripted([sample], script))
            replayed = replay(held, sample, exemplars, recorded[sample.key])
        yield sample, exemplars, replayed
