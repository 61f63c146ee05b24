"""Compares the arms of an ablation with the reference, sample by sample, over finished runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.ablation.applying import Place, finished
from kosmos_eval.ablation.result import ArmOutcome, Row
from kosmos_eval.compare import compare_cells
from kosmos_eval.measurements import read_measurements
from kosmos_eval.statistics.multiple import holm
from kosmos_eval.table import failed_note, subset_note
from kosmos_eval.trials import cell_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.ablation.spec import Arm, Spec
    from kosmos_eval.comparison import CellComparison
    from kosmos_eval.measurements import Measurements
    from kosmos_eval.record import CellResult, RunRecord


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked.

    Attributes:
        record: of its run; `None` where nothing could be asked.
        left_out: name of each cell that it cannot be asked, to the reason.
    """

    record: RunRecord | None
    left_out: Mapping[str, str]

    def cell(self, place: Place, control: str) -> CellResult | None:
        """Return the cell at a place under a control; `None` if there is none."""
        cells = self.record.cells if self.record is not None else ()
        return next((cell for cell in cells if finished(cell).place == place and cell.control == control), None)

    def missing(self, place: Place, control: str) -> str:
        """Return why there is no cell at a place under a control."""
        known = (cell_name(*place, control), cell_name(*place))
        return next((self.left_out[name] for name in known if name in self.left_out), "was not asked")


class Family(NamedTuple):
    """Rows whose p-values are corrected over all of them, and how many tests that are."""

    rows: tuple[Row, ...]
    tests: int


def compare_arms(spec: Spec, asked: Mapping[str, Asked]) -> Family:
    """Return the rows of an ablation's results.

    Args:
        spec: of the ablation.
        asked: name of each arm to what its model was asked.

    Raises:
        DataError: a run's samples cannot be read.
    """
    rows = [row for place in _places(spec, asked) for row in _rows(spec, asked, place)]
    found = [each.difference for row in rows for each in row.arms if each.difference is not None]
    adjusted = iter(holm([each.difference.p_value for each in found]))

    def corrected(outcome: ArmOutcome) -> ArmOutcome:
        if outcome.difference is None:
            return outcome
        return replace(outcome, difference=replace(outcome.difference, adjusted=next(adjusted)))

    return Family(
        tuple(replace(row, arms=tuple(map(corrected, row.arms))) for row in rows),
        sum(each.difference.p_value is not None for each in found),
    )


def describe_family(spec: Spec, family: Family) -> str:
    """Return which tests the p-values are corrected over, one sentence."""
    whole = [row for row in family.rows if not row.breakdown]
    parts = f"{len(whole):,} {'cell' if len(whole) == 1 else 'cells'} (a task at a shot count, in a trial)"
    if categories := len(family.rows) - len(whole):
        named = ", ".join(dict.fromkeys(row.breakdown for row in family.rows if row.breakdown))
        parts += f" and {categories:,} categories of them, by {named}"
    tests = f"{family.tests:,} test{'s' * (family.tests != 1)}"
    return (
        f"p-values are corrected (Holm) over all {tests} of this ablation: the headline metric of each "
        f"arm against {spec.reference}, in {parts}."
    )


def _places(spec: Spec, asked: Mapping[str, Asked]) -> list[Place]:
    """Return the places of any arm's cells, the reference's first."""
    arms = sorted(spec.arms, key=lambda arm: arm.name != spec.reference)
    records = [asked[arm.name].record for arm in arms]
    cells = (cell for record in records if record is not None for cell in record.cells)
    return list(dict.fromkeys(finished(cell).place for cell in cells))


def _rows(spec: Spec, asked: Mapping[str, Asked], place: Place) -> Iterator[Row]:
    """Yield the row of a place's whole samples, then one for each category of the spec's breakdowns."""
    arms = {arm.name: arm for arm in spec.arms}
    cells = {name: asked[name].cell(place, arm.control) for name, arm in arms.items()}
    first = next((cell for cell in (cells[spec.reference], *cells.values()) if cell is not None), None)
    if first is None:  # the main cell of a model of which the ablation has only controls
        return
    read = {name: _read(asked[name], cell) for name, cell in cells.items()}
    categories = [("", ""), *((name, each) for name in spec.groups for each in first.groups.get(name, ()))]
    for breakdown, category in categories:
        outcomes = tuple(
            _outcome(arm, arms[spec.reference], _Part(cells, read, breakdown, category), asked[arm.name], place)
            for arm in spec.arms
        )
        metric = first.metrics[0].name if first.metrics else ""
        yield Row(*place, metric, outcomes, breakdown, category, subset_note(first))


@dataclass(frozen=True, slots=True)
class _Part:
    """The cells of a place by arm, as results and as measurements, whole or narrowed to a category."""

    cells: Mapping[str, CellResult | None]
    read: Mapping[str, Measurements | None]
    breakdown: str
    category: str

    def measured(self, arm: str) -> Measurements | None:
        whole = self.read[arm]
        if whole is None or not self.breakdown:
            return whole
        return whole.take([place for place in whole.measured if self._inside(whole.groups[place])])

    def _inside(self, groups: Mapping[str, str]) -> bool:
        return groups.get(self.breakdown) == self.category


def _read(asked: Asked, cell: CellResult | None) -> Measurements | None:
    return None if cell is None or asked.record is None else read_measurements(asked.record, cell)


def _outcome(arm: Arm, reference: Arm, part: _Part, asked: Asked, place: Place) -> ArmOutcome:
    cell = part.cells[arm.name]
    if cell is None:
        return ArmOutcome(arm.name, None, applies=False, reason=asked.missing(place, arm.control))
    if part.breakdown:
        result = cell.groups.get(part.breakdown, {}).get(part.category)
    else:
        result = cell.metrics[0] if cell.metrics else None
    if arm is reference:
        return ArmOutcome(arm.name, result, reason=failed_note(cell))
    base, other = part.measured(reference.name), part.measured(arm.name)
    if base is None or other is None:
        return ArmOutcome(arm.name, result, reason=f"{reference.name} has no value to compare it with")
    found = compare_cells(base, other, point=_point(arm, reference))
    return ArmOutcome(arm.name, result, found.main, reason="; ".join(_reasons(found, cell)))


def _point(arm: Arm, reference: Arm) -> frozenset[str]:
    """Return what may differ between two arms, as `kosmos_eval.compare` names it."""
    model = {"model"} if arm.loaded != reference.loaded else set()
    return frozenset(model | ({"control"} if arm.control != reference.control else set()))


def _reasons(found: CellComparison, cell: CellResult) -> Sequence[str]:
    """Return why a difference is missing, or what to know of it."""
    refused = [f"not comparable: {reason}" for reason in found.reasons or found.refused]
    missing = [found.missing[found.headline]] if found.headline in found.missing else []
    own = (
        ["compared by the mean of the samples' own values"] if found.main is not None and found.main.own_values else []
    )
    failed = [failed_note(cell)] if cell.failed else []
    return [*refused, *missing, *own, *failed]
