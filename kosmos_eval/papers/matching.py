"""Which cell of a run stands beside a published number, and what keeps the two from being compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kosmos_eval.papers.published import TUNINGS
from kosmos_eval.scoring import plain
from kosmos_eval.selection import make_task, variants_of
from kosmos_eval.table import STAND_IN_SUFFIX, failed_note, is_stand_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kosmos_eval.papers.published import Number, Paper, Protocol
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.record import CellResult, MetricResult, RunRecord


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell that may stand beside a published number.

    Attributes:
        record: of its run.
        cell: of the task, at the number's shots.
        metric: the number's; `None` where the cell lacks it.
    """

    record: RunRecord
    cell: CellResult
    metric: MetricResult | None


class Parts:
    """What the parts of tasks that a paper's numbers need are, here and now.

    A part's settings are those that a run has when nothing is said; `splits` holds the splits that the paper has
    numbers of, by task: a run of one of them never stands beside the number of another.
    """

    def __init__(self, paper: Paper, plugins: Plugins) -> None:
        """Know a paper's parts; a task is imported when it is first asked for."""
        self._plugins = plugins
        self._settings: dict[str, dict[str, Any]] = {}
        self._paper = paper

    def settings(self, part: str) -> Mapping[str, Any]:
        """Return the settings of a part, by name, as results write them.

        Raises:
            UnknownNameError: there is no such task, split or variant.
        """
        if part not in self._settings:
            self._settings[part] = plain(asdict(make_task(part, {}, self._plugins)))  # type: ignore[call-overload]  # a task is a dataclass: plugins.py checks it
        return self._settings[part]

    def telling(self, part: str) -> frozenset[str]:
        """Return the settings that tell a task's variants apart."""
        variants = variants_of(self._plugins.task(task_of(part)))
        return frozenset(name for fixed in variants.values() for name in fixed) - _SPLITS

    @cached_property
    def splits(self) -> Mapping[str, frozenset[str]]:
        """Task to the splits that the paper has numbers of."""
        numbers = [number for table in self._paper.tables for number in table.own]
        protocols = [number.protocol for number in numbers if number.protocol is not None]
        return {
            task_of(each.part): frozenset(
                other.split for other in protocols if task_of(other.part) == task_of(each.part)
            )
            for each in protocols
        }


_SPLITS = frozenset({"split", "exemplar_split"})


def task_of(name: str) -> str:
    """Return the task of a part or of a cell's label: `refcoco` of `refcoco:testA@mini`."""
    return name.removesuffix(STAND_IN_SUFFIX).partition(":")[0]


def find_candidates(
    number: Number, records: Iterable[RunRecord], parts: Parts, tuning: str = ""
) -> tuple[Candidate, ...]:
    """Return the cells that may stand beside a number, the best-fitting first.

    Those come first that can be compared, of them those with more samples, and of them those of the newest run.
    """
    protocol = number.protocol
    assert protocol is not None  # an average is made of numbers that have one
    found = [
        Candidate(record, cell, next((each for each in cell.metrics if each.name == number.metric), None))
        for record in records
        for cell in record.cells
        if _may_stand(cell, number, protocol, parts)
    ]

    def fit(candidate: Candidate) -> tuple[Any, ...]:
        without = candidate.metric is None or candidate.metric.value is None
        in_the_way = len(obstacles(number, candidate, parts, tuning))
        count = 0 if candidate.metric is None else candidate.metric.count
        return (without, in_the_way, -count, -_began(candidate.record), candidate.cell.trial)

    return tuple(sorted(found, key=fit))


def _began(record: RunRecord) -> float:
    launches = record.run.get("launches") or [{}]
    return float(launches[-1].get("started", 0.0))


def _may_stand(cell: CellResult, number: Number, protocol: Protocol, parts: Parts) -> bool:
    """Whether a cell asks what the number is of: not another split or variant that the paper has numbers of, too."""
    if task_of(cell.task) != task_of(protocol.part) or cell.shots != number.shots:
        return False
    if cell.split != protocol.split and cell.split in parts.splits[task_of(protocol.part)]:
        return False
    known = parts.settings(protocol.part)
    return all(cell.settings.get(name, known[name]) == known[name] for name in parts.telling(protocol.part))


def obstacles(number: Number, candidate: Candidate, parts: Parts, tuning: str = "") -> list[str]:
    """Return why a cell cannot be compared with a number, each reason a few words; nothing where it can."""
    assert number.protocol is not None  # as above
    return list(_obstacles(number, number.protocol, candidate, parts, tuning))


def _obstacles(number: Number, protocol: Protocol, candidate: Candidate, parts: Parts, tuning: str) -> Iterator[str]:
    cell, config = candidate.cell, candidate.record.run.get("config", {})
    if is_stand_in(cell):
        yield "mini: stand-in data"
    elif cell.split != protocol.split:
        yield f"split {cell.split}, published for {protocol.split}"
    elif protocol.samples is not None and cell.total != protocol.samples:
        yield f"a split of {cell.total:,} samples, published for {protocol.samples:,}"
    if cell.control:
        yield f"a control, {cell.control}"
    if tuning and number.tuning not in {"", tuning}:
        yield f"a model that is {TUNINGS[tuning]}"
    yield from _other_settings(cell, parts.settings(protocol.part))
    policy = config.get("exemplars", "per-sample")
    if cell.shots and policy not in protocol.exemplars:
        yield f"exemplars {policy}, published for {' or '.join(protocol.exemplars)}"
    if cell.subset and config.get("sample_order") == "first":
        yield f"the first {cell.samples:,} of {cell.total:,} samples, no random subset"
    if cell.failed:
        yield failed_note(cell)


def _other_settings(cell: CellResult, known: Mapping[str, Any]) -> Iterator[str]:
    for name, value in cell.settings.items():
        if name == "split" or name not in known or _only_a_place(name) or value == known[name]:
            continue
        if cell.shots or not name.startswith("exemplar_"):
            yield f"{name} = {value!r} instead of {known[name]!r}"


def _only_a_place(name: str) -> bool:
    """Whether a setting says where data are read, and not what is asked."""
    return "hub_" in name or name.endswith("_column")
