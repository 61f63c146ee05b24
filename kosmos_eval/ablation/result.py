"""What an ablation found, as values: for each task and shot count, each arm's value and its difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kosmos_eval.scoring import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kosmos_eval.ablation.spec import Spec
    from kosmos_eval.comparison import MetricComparison
    from kosmos_eval.record import MetricResult


@dataclass(frozen=True, slots=True)
class ArmOutcome:
    """An arm in one row of the results.

    Attributes:
        arm: its name.
        result: its value; `None` where it has none.
        difference: arm minus reference over the same samples, its p-value corrected over the whole ablation; `None`
            for the reference itself, and where there is nothing to compare.
        applies: whether the arm can be asked this at all.
        reason: why value or difference is missing, one line; empty where nothing is, and for the reference.
    """

    arm: str
    result: MetricResult | None
    difference: MetricComparison | None = None
    applies: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A task at one shot count and trial, over all of its samples or those of one category.

    Attributes:
        task: the label, `vqav2@mini`.
        shots, trial: of the cell.
        metric: the headline metric's name.
        arms: one an arm, in the spec's order.
        breakdown, category: which samples; both empty for all.
        note: what holds for all values of the row: a subset, say; empty where there is nothing to say.
    """

    task: str
    shots: int
    trial: int
    metric: str
    arms: tuple[ArmOutcome, ...]
    breakdown: str = ""
    category: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ablation:
    """A finished ablation.

    Attributes:
        folder: where it lies.
        spec: what was asked.
        runs: name of each arm to its run's folder, below `folder`; arms that could be asked nothing have none.
        rows: all samples of a cell before its categories, in the order of the tasks.
        family: which tests the p-values are corrected over, one sentence.
        tests: how many those are.
        failed: samples that a model could not take, over all runs.
        fingerprints: name of each arm that was asked to its model's.
        versions: what was installed, as a run's `environment`.
    """

    folder: Path
    spec: Spec
    runs: Mapping[str, str]
    rows: tuple[Row, ...]
    family: str
    tests: int
    failed: int
    fingerprints: Mapping[str, str]
    versions: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What the ablation is called: by its spec, else by its tasks."""
        return self.spec.title or f"Ablation of {', '.join(dict.fromkeys(row.task for row in self.rows))}"

    def to_json(self) -> dict[str, Any]:
        """Return what was found as plain values."""
        return {
            "title": self.title,
            "reference": self.spec.reference,
            "family": self.family,
            "tests": self.tests,
            "failed": self.failed,
            "fingerprints": dict(self.fingerprints),
            "folders": dict(self.runs),
            "results": plain(self.rows),
        }
