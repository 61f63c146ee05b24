"""What the page of an ablation says, before it is HTML."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kosmos_eval.ablation.writing import NOT_APPLICABLE, notes, samples_name
from kosmos_eval.table import STAND_IN_NOTE, p_text, points, points_interval, shown, shown_interval
from kosmos_eval.trials import trial_name

from .marks import difference_bar, difference_reach
from .samples import Fact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kosmos_eval.ablation.result import Ablation, ArmOutcome, Row

    from .marks import DifferenceBar

_SURE = 0.05
_FACTS = ("data", "shots", "limit", "exemplars", "seed", "trials", "dtype")


@dataclass(frozen=True, slots=True)
class ArmRow:
    """An arm in one table, as text.

    Attributes:
        name: of the arm.
        link: to its run's report; empty where it was asked nothing.
        is_reference: whether the others are compared with it.
        applies: whether it can be asked this.
        value, interval, chance, count: its own.
        difference, difference_interval, p, adjusted: against the reference; empty for the reference.
        sure: whether the corrected p-value is at most 5 %.
        turned: how many samples got better, and how many worse, in words.
        bar: the difference drawn; `None` without one.
        reason: why something is missing; empty where nothing is.
    """

    name: str
    link: str
    is_reference: bool
    applies: bool
    value: str
    interval: str
    chance: str
    count: str
    difference: str
    difference_interval: str
    p: str
    adjusted: str
    sure: bool
    turned: str
    bar: DifferenceBar | None
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """The arms over all samples of a cell, or over those of one category.

    Attributes:
        samples: `all`, or `stated: no`.
        rows: one an arm.
    """

    samples: str
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True, slots=True)
class CellTable:
    """A task at one shot count and trial.

    Attributes:
        anchor: its id within the page.
        task: the label.
        run: shots and trial in short, `4#2`.
        metric: the headline's name.
        unit: `%`, or nothing where the metric is shown as it is.
        note: what holds for all of its numbers; empty where there is nothing to say.
        parts: all samples, then the categories.
    """

    anchor: str
    task: str
    run: str
    metric: str
    unit: str
    note: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class AblationPage:
    """The report of an ablation.

    Attributes:
        title: of the page.
        warnings: stand-in data, subsets and failed samples.
        head: what was compared.
        cells: in the order of the tasks.
        notes: what is to be known of all numbers.
        arms: what each arm is.
        details: what was installed.
    """

    title: str
    warnings: tuple[str, ...]
    head: tuple[Fact, ...]
    cells: tuple[CellTable, ...]
    notes: tuple[str, ...]
    arms: tuple[Fact, ...]
    details: tuple[Fact, ...]


def build_ablation_page(ablation: Ablation) -> AblationPage:
    """Return all that the report of an ablation says."""
    reach = difference_reach(
        each.difference for row in ablation.rows for each in row.arms if each.difference is not None
    )
    cells = groupby(ablation.rows, key=lambda row: (row.task, row.shots, row.trial))
    warnings = tuple(_warnings(ablation))
    return AblationPage(
        title=ablation.title,
        warnings=warnings,
        head=tuple(_head(ablation)),
        cells=tuple(
            _cell(f"cell-{number}", list(rows), ablation, reach) for number, (_, rows) in enumerate(cells, start=1)
        ),
        notes=tuple(note for note in notes(ablation) if note not in warnings),
        arms=tuple(_arms(ablation)),
        details=tuple(Fact(str(name), str(value)) for name, value in ablation.versions.items()),
    )


def _warnings(ablation: Ablation) -> Iterator[str]:
    yield from (note for note in notes(ablation) if note == STAND_IN_NOTE)
    if ablation.failed:
        yield f"{ablation.failed:,} samples failed and are in no score"


def _head(ablation: Ablation) -> Iterator[Fact]:
    run = ablation.spec.run.model_dump(mode="json")
    yield Fact("reference", ablation.spec.reference)
    yield from (Fact(name, _written(run[name])) for name in _FACTS if run[name] not in (None, "", []))
    yield Fact("tests", f"{ablation.tests:,}")
    yield Fact("version", str(ablation.versions.get("kosmos-eval", "not recorded")))


def _written(value: Any) -> str:  # noqa: ANN401  of a configuration
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _arms(ablation: Ablation) -> Iterator[Fact]:
    for arm in ablation.spec.arms:
        arguments = "".join(f", {key}={value}" for key, value in arm.model_args.items())
        control = f", {arm.control}" if arm.control else ""
        weights = ablation.fingerprints.get(arm.name, "")[:16]
        yield Fact(arm.name, f"{arm.model}{arguments}{control}" + (f", weights {weights}" if weights else ""))


def _cell(anchor: str, rows: list[Row], ablation: Ablation, reach: Mapping[str, float]) -> CellTable:
    first = rows[0]
    results = [each.result for each in first.arms if each.result is not None]
    return CellTable(
        anchor=anchor,
        task=first.task,
        run=trial_name(first.shots, first.trial),
        metric=first.metric,
        unit="%" if all(each.percent for each in results) else "",
        note=first.note,
        parts=tuple(Part(samples_name(row), tuple(_arm(each, ablation, reach) for each in row.arms)) for row in rows),
    )


def _arm(outcome: ArmOutcome, ablation: Ablation, reach: Mapping[str, float]) -> ArmRow:
    result, compared = outcome.result, outcome.difference
    place = ablation.runs.get(outcome.arm, "")
    words = ""
    if compared is not None:
        words = f"difference {points(compared.difference.value, compared)}, 95 % interval {points_interval(compared)}"
    found = None if compared is None else compared.difference
    return ArmRow(
        name=outcome.arm,
        link=quote(f"{place}/report.html") if place else "",
        is_reference=outcome.arm == ablation.spec.reference,
        applies=outcome.applies,
        value="" if result is None else shown(result.value, result),
        interval="" if result is None else shown_interval(result),
        chance="" if result is None else shown(result.chance, result),
        count="" if result is None else f"{result.count:,}",
        difference="" if compared is None else points(compared.difference.value, compared),
        difference_interval="" if compared is None else points_interval(compared),
        p="" if found is None else p_text(found.p_value),
        adjusted="" if compared is None else p_text(compared.adjusted),
        sure=compared is not None and compared.adjusted is not None and compared.adjusted <= _SURE,
        turned="" if found is None else f"{found.better:,} up, {found.worse:,} down",
        bar=None if compared is None else difference_bar(compared, reach, words),
        reason=outcome.reason if outcome.applies else f"{NOT_APPLICABLE}: {outcome.reason}",
    )
