"""What a gate says of a run: a verdict for each metric and limit of each cell, and one for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Verdict = Literal["pass", "regression", "inconclusive", "not comparable"]

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "regression": 1, "inconclusive": 2, "not comparable": 3}
_GRAVITY: tuple[Verdict, ...] = ("pass", "inconclusive", "not comparable", "regression")


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of some verdicts; nothing at all is not comparable."""
    return max(verdicts, key=_GRAVITY.index, default="not comparable")


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a gate ended a cell before all its samples were asked.

    Attributes:
        verdict: `pass` or `regression`.
        verdicts: name of each gated metric to its own; empty where that was still open.
        planned: samples that the run was to ask.
    """

    verdict: str
    verdicts: Mapping[str, str]
    planned: int


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """One gated metric of a cell.

    Attributes:
        name: of the metric.
        verdict: of the two tests.
        reason: one sentence, without a full stop.
        base, run: values; `None` where there is none.
        change: run minus base, paired; `None` without data.
        low, high: interval of the change at which each end is a one-sided bound at the policy's error.
        tolerance: what may be lost, in the metric's own unit.
        p_value: of *worse*, one-sided, Holm-corrected; `None` where there is no test.
        detectable: smallest true loss that such samples call a regression with the policy's power.
        needed: how many samples would show *not worse* with the policy's power if nothing had changed; `None` where
            the question does not arise, or no number would do.
        count: samples compared.
        better, worse: samples whose value became better and worse.
        higher_is_better, percent: as in `MetricResult`.
    """

    name: str
    verdict: Verdict
    reason: str
    base: float | None
    run: float | None
    change: float | None
    low: float | None
    high: float | None
    tolerance: float
    p_value: float | None
    detectable: float | None
    needed: int | None
    count: int
    better: int
    worse: int
    higher_is_better: bool
    percent: bool


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """A limit of the policy's, held against a cell.

    Attributes:
        name: `unparsed`, `failed`, `speed` or `memory`.
        verdict: `pass`, `regression`, or `not comparable` where the records do not say.
        reason: one sentence, without a full stop.
        measured, allowed: in percent; of the answers, of the samples, or of the baseline's.
    """

    name: str
    verdict: Verdict
    reason: str
    measured: float | None
    allowed: float


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """The verdict on a cell.

    Attributes:
        name: of the cell, `vqav2@mini|4`.
        verdict: the gravest of its metrics and limits.
        reasons: why it is no pass, or what is to be known of the pass; one sentence each.
        metrics: that were gated.
        limits: that the policy sets.
    """

    name: str
    verdict: Verdict
    reasons: tuple[str, ...]
    metrics: tuple[MetricVerdict, ...] = ()
    limits: tuple[LimitVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found.

    Attributes:
        verdict: the gravest of the cells'.
        exit_code: of the command; what the policy makes of an inconclusive verdict is in it.
        cells: in the baseline's order.
        base, run: what was compared, for people.
        error, power: of the policy.
        memory: the limit on memory, where the policy sets one.
        left_out: cells that only the run has, or that the run may lack; no verdict is about them.
    """

    verdict: Verdict
    exit_code: int
    cells: tuple[CellVerdict, ...]
    base: str
    run: str
    error: float
    power: float
    memory: LimitVerdict | None = None
    left_out: tuple[str, ...] = ()
