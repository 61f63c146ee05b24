"""Whether a run may take a baseline's place: a verdict for each cell, and one for all.

Two one-sided tests of the paired change of a metric decide, for a tolerance m (points of the metric):

- *worse*: that the metric has not fallen is refuted, at the policy's error, Holm-corrected over all that is gated;
- *not worse*: that it has fallen by m or more is refuted, at the policy's error.

*Not worse* is a pass, however sure it is that the metric fell a little. *Worse* alone is a regression. Neither is
inconclusive: the samples are too few. So work without any change fails at most at the stated rate whatever the
tolerance; a metric that fell by the tolerance or more passes at most at the stated rate; and a small true change within
the tolerance passes if only the samples are many enough. (What must hold of every cell for a pass needs no correction:
each of the tests has to succeed.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "regression", "inconclusive", "not comparable"]


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
        exit_code: of the command.
        cells: in the baseline's order.
        base, run: what was compared, for people.
        error, power: of the policy.
        new: cells of the run that the baseline lacks, and that no verdict is about.
    """

    verdict: Verdict
    exit_code: int
    cells: tuple[CellVerdict, ...]
    base: str
    run: str
    error: float
    power: float
    new: tuple[str, ...] = ()
