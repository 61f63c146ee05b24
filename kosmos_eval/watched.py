"""Follows a cell while it is asked, and says when its gate's verdict is certain: a function of its answers alone.

A watched cell's clusters are asked in random order. Whenever its units are answered without a gap up to some unit, what
the runs differ by so far is held against the gate (`statistics/certainty.py`); the first unit at which the verdict is
certain is the cell's last. The decision looks at units in the plan's order only, and so is the same whoever asked them,
in whatever order, and however often the run was interrupted. Units beyond that some process had begun are left out.

While a run is asked, no process may read another's journal. So each puts the values of the units that it has committed
down in small files beside the claims (`Ledger`), and reads the others'. At the end the journal decides.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.scoring import score_cell
from kosmos_eval.verdicts import Stopped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.journal import Answers, Recorded
    from kosmos_eval.plan import Cell, Plan, Unit
    from kosmos_eval.statistics.certainty import Certainty, Levels
    from kosmos_eval.task import Sample

    Values = Mapping[str, Mapping[str, float]]
    """Sample key to metric name to the run's value."""


@dataclass(frozen=True, slots=True)
class WatchedMetric:
    """A gated metric of a watched cell.

    Attributes:
        name: of the metric.
        base: sample key to the baseline's value.
        tolerance: what may be lost, in the metric's own unit.
        width: greatest possible difference.
        higher_is_better: the direction of improvement.
    """

    name: str
    base: Mapping[str, float]
    tolerance: float
    width: float
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """How a gate follows a cell.

    Attributes:
        gate: digest of policy and baseline.
        metrics: that are gated.
        contents: sample key to the beginning of the digest of its content, as the baseline has it.
        levels: the errors that are allowed.
        min_samples: nothing is certain before.
    """

    gate: str
    metrics: tuple[WatchedMetric, ...]
    contents: Mapping[str, str]
    levels: Levels
    min_samples: int


def in_random_order(samples: Iterable[Sample], seed: str) -> list[Sample]:
    """Return samples with their clusters in an order that hashing draws; those of one cluster stay together."""

    def rank(sample: Sample) -> tuple[bytes, str, str]:
        cluster = f"cluster|{sample.cluster}" if sample.cluster else f"sample|{sample.key}"
        return hashlib.sha256(f"gate|{seed}|{cluster}".encode()).digest(), sample.cluster, sample.key

    return sorted(samples, key=rank)


class Decision:
    """What is certain of a cell's verdict, unit after unit in the plan's order."""

    def __init__(self, cell: Cell, units: Sequence[Unit]) -> None:
        """Begin before the first unit of a watched cell."""
        from kosmos_eval.statistics.certainty import Certainty  # noqa: PLC0415  scipy, which only gates need

        assert cell.watched is not None
        self._watched, self._units, self._taken = cell.watched, len(units), 0
        self._blocks = list(_clusters(cell, units))
        self._fed = 0
        self._values: dict[str, Mapping[str, float]] = {}
        self._metrics: list[tuple[WatchedMetric, Certainty]] = []
        for metric in cell.watched.metrics:
            sizes = [size for _, keys in self._blocks if (size := sum(key in metric.base for key in keys))]
            certainty = Certainty(
                sizes,
                width=metric.width,
                tolerance=metric.tolerance,
                levels=cell.watched.levels,
                min_samples=cell.watched.min_samples,
            )
            self._metrics.append((metric, certainty))
        self.stopped: Stopped | None = None
        self._planned = len(cell.samples)

    def add(self, values: Values) -> bool:
        """Add the next unit's values, and return whether the verdict is certain now; nothing is added after that."""
        if self.stopped is not None:
            return True
        self._values.update(values)
        self._taken += 1
        while self._fed < len(self._blocks) and self._blocks[self._fed][0] < self._taken:
            self._feed(self._blocks[self._fed][1])
            self._fed += 1
        if self._taken < self._units:
            verdicts: dict[str, str] = {metric.name: certainty.verdict for metric, certainty in self._metrics}
            worse = "regression" in verdicts.values()
            if worse or "" not in verdicts.values():
                self.stopped = Stopped("regression" if worse else "pass", verdicts, self._planned)
        return self.stopped is not None

    def _feed(self, keys: Collection[str]) -> None:
        for metric, certainty in self._metrics:
            known = [key for key in keys if key in metric.base]
            sign = 1 if metric.higher_is_better else -1
            if known:
                values = self._values
                certainty.add([sign * (values[key][metric.name] - metric.base[key]) for key in known if key in values])


def _clusters(cell: Cell, units: Sequence[Unit]) -> Iterator[tuple[int, list[str]]]:
    """Yield each cluster's keys, in the units' order, with the number of the unit that completes it."""
    held: list[str] = []
    last, place = "", 0
    for number, unit in enumerate(units):
        for key in unit.keys:
            cluster = cell.samples[key].cluster
            if held and not (cluster and cluster == last):
                yield place, held
                held = []
            held.append(key)
            last, place = cluster, number
    if held:
        yield place, held


def values_of(cell: Cell, unit: Unit, answers: Answers) -> dict[str, dict[str, float]]:
    """Return what a unit's samples are worth: those that were labelled, did not fail, and are the baseline's own."""
    assert cell.watched is not None
    names, contents = [metric.name for metric in cell.watched.metrics], cell.watched.contents
    return {
        each.sample.key: {name: each.score.values[name] for name in names}
        for each in score_cell(cell, [unit], answers)
        if each.sample.labelled
        and each.record.failed is None
        and each.record.content.startswith(contents.get(each.sample.key, "no digest"))
    }


def settle(cell: Cell, units: Sequence[Unit], journal: Answers) -> tuple[Sequence[Unit], Stopped | None]:
    """Return the units that a cell's results are over, and why no more, out of the journal.

    Args:
        cell: watched or not.
        units: all of the cell's, in the plan's order.
        journal: holds each of them, up to the one at which the verdict is certain.

    Raises:
        DataError: the journal lacks one.
    """
    if cell.watched is None:
        return units, None
    decision = Decision(cell, units)
    for number, unit in enumerate(units, 1):
        if decision.add(values_of(cell, unit, journal)):
            return units[:number], decision.stopped
    return units, None


def wanted(plan: Plan, units: Iterable[Unit], journal: Answers, done: Collection[str]) -> list[Unit]:
    """Return the units that a run needs: all, but those after the verdict on their cell was certain.

    Args:
        plan: of the run.
        units: all of the plan's.
        journal: with the answers so far.
        done: ids of the units that it holds.
    """
    found: list[Unit] = []
    of_cells: dict[str, list[Unit]] = {}
    for unit in units:
        of_cells.setdefault(unit.cell, []).append(unit)
    for name, of_cell in of_cells.items():
        cell = plan.cell(name)
        decision = None if cell.watched is None else Decision(cell, of_cell)
        for unit in of_cell:
            found.append(unit)
            if decision is not None:
                if unit.id not in done:
                    decision = None  # what comes after a gap is not looked at
                elif decision.add(values_of(cell, unit, journal)):
                    break
    return found


class _Held:
    """The answers of one unit, before they are read from a journal."""

    def __init__(self, answers: Mapping[str, Sequence[Recorded]]) -> None:
        self._answers = answers

    def unit(self, unit: str) -> Mapping[str, Sequence[Recorded]]:  # noqa: ARG002  there is but one
        return self._answers


class Ledger:
    """What the processes of a launch tell each other of watched cells: a file of values for each unit."""

    def __init__(self, folder: Path, plan: Plan, units: Iterable[Unit]) -> None:
        """Know where the files lie, which the processes share, and all of the plan's units."""
        self._folder, self._plan = folder / "values", plan
        self._units: dict[str, list[Unit]] = {}
        for unit in units:
            if plan.cell(unit.cell).watched is not None:
                self._units.setdefault(unit.cell, []).append(unit)
        self._decisions = {name: Decision(plan.cell(name), of_cell) for name, of_cell in self._units.items()}
        self._read = dict.fromkeys(self._units, 0)

    def note_done(self, journal: Answers, done: Collection[str]) -> None:
        """Put down what was done before the launch; for the owner of the run, before any other process begins."""
        for of_cell in self._units.values():
            for unit in of_cell:
                if unit.id in done:
                    self._write(unit, values_of(self._plan.cell(unit.cell), unit, journal))

    def note(self, unit: Unit, answers: Mapping[str, Sequence[Recorded]]) -> None:
        """Put down a unit that this process has committed."""
        if unit.cell in self._units:
            self._write(unit, values_of(self._plan.cell(unit.cell), unit, _Held(answers)))

    def over(self, name: str) -> bool:
        """Return whether the verdict on a cell is certain, by the units that are put down without a gap."""
        if name not in self._units:
            return False
        of_cell, decision = self._units[name], self._decisions[name]
        while decision.stopped is None and self._read[name] < len(of_cell):
            try:
                text = self._path(of_cell[self._read[name]]).read_text(encoding="utf-8")
            except FileNotFoundError:
                break
            decision.add(json.loads(text))
            self._read[name] += 1
        return decision.stopped is not None

    def _write(self, unit: Unit, values: Values) -> None:
        from kosmos_eval.writing import write_json  # noqa: PLC0415  which needs this module to settle what it writes

        write_json(self._path(unit), values)

    def _path(self, unit: Unit) -> Path:
        return self._folder / f"{unit.id.replace('/', '~')}.json"
