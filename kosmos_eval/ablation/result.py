"""What an ablation found, as values: for each task, shot count and category, each arm's value and its difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kosmos_eval.compare import CellComparison, MetricComparison
    from kosmos_eval.record import CellResult, MetricResult

    from kosmos_eval.ablation.spec import Spec


@dataclass(frozen=True, slots=True)
class ArmOutcome:
    """An arm at one task and shot count.

    Attributes:
        arm: its name.
        result: its value; `None` where the arm cannot do the task.
        difference: against the reference, of the headline metric; `None` for the reference itself, and where either
            of the two is not there or they cannot be compared.
        reason: why there is no value, or no difference; empty where nothing is missing.
    """

    arm: str
    result: MetricResult | None
    difference: MetricComparison | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A task at one shot count and trial, over all of its samples or those of one category.

    Attributes:
        task: the label, `vqav2@mini`.
        shots, trial: of the cell.
        metric: the headline metric's name.
        arms: one an arm, the reference first.
        breakdown, category: which samples; both empty for all.
    """

    task: str
    shots: int
    trial: int
    metric: str
    arms: tuple[ArmOutcome, ...]
    breakdown: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Ablation:
    """A finished ablation.

    Attributes:
        folder: where it lies.
        spec: what was asked.
        runs: arm to its run's folder.
        rows: of results, all samples of a cell before its categories.
        family: which tests the corrected p-values are corrected over, in words.
        tests: how many those are.
    """

    folder: Path
    spec: Spec
    runs: Mapping[str, Path]
    rows: tuple[Row, ...]
    family: str
    tests: int
