"""What a gate lets pass: tolerances, error rates and limits, out of a TOML file.

    error = 0.05                    # chance of calling unchanged work a regression, over all that is gated
    inconclusive = "inconclusive"   # or "pass", or "fail"
    tolerance = 2.0                 # points of a metric that may be lost
    required = ["vqav2", "raven*"]  # left out: every cell that the baseline has

    [tasks."vqav2@mini|4"]          # a task, its label, a cell, or a glob; where several fit, the later one wins
    tolerance = 1.0
    tolerances = { vqa_accuracy = 1.5 }
    metrics = ["vqa_accuracy", "exact_match"]

What is said of a task may be said at the top, too, of all tasks.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kosmos_eval.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.record import CellResult, MetricResult

Outcome = Literal["inconclusive", "pass", "fail"]
_Points = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
_Percent = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
_Share = Annotated[float, Field(ge=0, le=100, strict=True)]

TOLERANCE = 2.0
"""Points of a metric in percent that may be lost where the policy does not say otherwise."""

MIN_SAMPLES = 30
"""Fewer are too few to trust a test that rests on the spread among them."""


class TaskRules(BaseModel):
    """What the policy says of some tasks; what it leaves out is decided one level up.

    Attributes:
        metrics: that are gated; the headline alone where none are named.
        tolerance: points of any metric in percent that may be lost.
        tolerances: metric to the points of it that may be lost; for a metric that is no percentage, in its own unit.
        min_samples: with fewer a cell cannot pass, unless nothing changed at all.
        max_unparsed: percentage of the answers that may be unreadable.
        max_failed: percentage of the samples that the model may fail on; the baseline's own where nothing is said.
        min_speed: least samples a second, in percent of the baseline's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    tolerance: _Points | None = None
    tolerances: dict[str, _Points] = Field(default_factory=dict)
    min_samples: Annotated[int, Field(ge=0, strict=True)] | None = None
    max_unparsed: _Share | None = None
    max_failed: _Share | None = None
    min_speed: _Percent | None = None


@dataclass(frozen=True, slots=True)
class CellRules:
    """What holds for one cell; see `TaskRules`.

    Attributes:
        metrics: that are gated; empty for the headline alone.
        max_failed: `None` is the baseline's own share.
        max_unparsed, min_speed: `None` is no limit.
    """

    metrics: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    tolerances: Mapping[str, float] = field(default_factory=dict)
    min_samples: int = MIN_SAMPLES
    max_unparsed: float | None = None
    max_failed: float | None = None
    min_speed: float | None = None

    def tolerance_of(self, metric: MetricResult) -> float:
        """Return how much of a metric may be lost, in its own unit: 0.02 for 2 points of a metric in percent.

        Raises:
            UsageError: the metric is no percentage, and nothing is said of it.
        """
        if (points := self.tolerances.get(metric.name)) is None and metric.percent:
            points = self.tolerance
        if points is None:
            message = f"the gate's policy: expected a tolerance for {metric.name}, which is not in percent; "
            message += f"say it as tolerances = {{ {metric.name} = ... }}"
            raise UsageError(message)
        return points / 100 if metric.percent else points


class Policy(TaskRules):
    """A gate's policy.

    Attributes:
        error: most probable share of gates that call a run without any change a regression, over all that is gated.
        power: with which a drop is to be found where the gate says how many samples would do.
        inconclusive: what an inconclusive verdict comes to.
        required: cells that the run must have; `None` for all that the baseline has.
        max_memory: most memory, in percent of the baseline's.
        tasks: a name or glob to what holds for the cells that it fits.
    """

    error: Annotated[float, Field(gt=0, lt=0.5, strict=True)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1, strict=True)] = 0.8
    inconclusive: Outcome = "inconclusive"
    required: tuple[str, ...] | None = None
    max_memory: _Percent | None = None
    tasks: dict[str, TaskRules] = Field(default_factory=dict)

    def of(self, cell: CellResult) -> CellRules:
        """Return what holds for a cell: the rules for all tasks under those of each name that fits, the last on top."""
        told: dict[str, Any] = {}
        tolerances: dict[str, float] = {}
        for rules in (self, *(rules for name, rules in self.tasks.items() if fits(name, cell))):
            for key in TaskRules.model_fields:
                if key != "tolerances" and (value := getattr(rules, key)) is not None:
                    told[key] = value
            tolerances |= rules.tolerances
        return CellRules(**told, tolerances=tolerances)

    def requires(self, cell: CellResult) -> bool:
        """Whether the run must have a cell that the baseline has."""
        return self.required is None or any(fits(name, cell) for name in self.required)

    def check_names(self, cells: Iterable[CellResult]) -> None:
        """Raise unless each name fits a cell or one of its metrics, for what is said of it would count for nothing.

        Raises:
            UnknownNameError: one fits none; the nearest is named.
        """
        known = list(cells)
        for name, rules in {"*": self, **self.tasks}.items():
            fitting = [cell for cell in known if rules is self or fits(name, cell)]
            if not fitting and rules is not self:
                kind = "task of the gate's policy"
                raise UnknownNameError(kind, name, {each for cell in known for each in _names(cell)})
            metrics = {metric.name for cell in fitting for metric in cell.metrics}
            for metric in rules.tolerances:
                if metric not in metrics:
                    kind = f"metric (of tolerances, in the gate's policy{'' if rules is self else f' of {name}'})"
                    raise UnknownNameError(kind, metric, metrics)


def gated_metrics(policy: Policy, cell: CellResult) -> list[MetricResult]:
    """Return a cell's gated metrics: those that the policy names, or the headline.

    Raises:
        UnknownNameError: the policy names one that there is not.
    """
    known = {metric.name: metric for metric in cell.metrics}
    for name in (names := policy.of(cell).metrics):
        if name not in known:
            kind = "metric of the gate's policy"
            raise UnknownNameError(kind, name, known)
    return [known[name] for name in names] or list(cell.metrics[:1])


def fits(name: str, cell: CellResult) -> bool:
    """Whether a name or glob means a cell: `vqav2`, `vqav2@mini`, `vqav2@mini|4`, `vqav2*`, `*|4`."""
    return any(fnmatchcase(each, name) for each in _names(cell))


def _names(cell: CellResult) -> Iterator[str]:
    yield from (cell.task.rpartition("@")[0] or cell.task, cell.task, cell.name)


def read_policy(path: Path) -> Policy:
    """Return the policy that a TOML file holds.

    Raises:
        UsageError: the file cannot be read, or a value is of the wrong type or out of range.
        UnknownNameError: a key is no setting; the nearest is named.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"policy {path}: cannot be read ({error})"
        raise UsageError(message) from error
    _check_keys(values, Policy.model_fields, str(path))
    tasks = values.get("tasks", {})
    for name, rules in tasks.items() if isinstance(tasks, dict) else ():
        if isinstance(rules, dict):
            _check_keys(rules, TaskRules.model_fields, f"{path}, tasks.{name}")
    try:
        return Policy(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"policy {path}: {place}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r:.80}"
        raise UsageError(message) from error


def _check_keys(values: Mapping[str, object], known: Iterable[str], origin: str) -> None:
    names = set(known)
    for key in values:
        if key not in names:
            kind = f"setting in policy {origin}"
            raise UnknownNameError(kind, key, names)
