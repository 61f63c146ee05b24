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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kosmos_eval.baseline import alike, gate_digest
from kosmos_eval.compare import compare_cells
from kosmos_eval.gate_policy import fits, gated_metrics
from kosmos_eval.statistics.certainty import fixed_error
from kosmos_eval.statistics.multiple import holm
from kosmos_eval.statistics.power import detectable_difference, samples_needed
from kosmos_eval.table import stopped_text
from kosmos_eval.verdicts import EXIT_CODES, CellVerdict, GateResult, LimitVerdict, MetricVerdict, gravest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kosmos_eval.baseline import MeasuredCell, MeasuredRun
    from kosmos_eval.compare import CellComparison, MetricComparison
    from kosmos_eval.gate_policy import CellRules, Policy
    from kosmos_eval.verdicts import Stopped, Verdict

_CHOSEN: dict[str, Verdict] = {"pass": "pass", "fail": "regression", "inconclusive": "inconclusive"}
_FEWEST = 2
"""Clusters: a single one says nothing of others."""


def judge(base: MeasuredRun, run: MeasuredRun, policy: Policy) -> GateResult:
    """Return the verdict on a run that is to take a baseline's place.

    Cells under an input control are no part of it: that a model can do less without its picture is no regression.

    Args:
        base: what the run is held against.
        run: that is judged.
        policy: what may be lost.

    Raises:
        UnknownNameError: the policy names a task or metric that there is not.
        UsageError: the policy names no tolerance for a metric that is no percentage.
    """
    stated = policy.error
    if run.sequential:  # looking all along has taken a part
        digest, policy = gate_digest(base, policy), policy.model_copy(update={"error": fixed_error(stated)})
    else:
        digest = ""
    held, judged = _by_name(base), _by_name(run)
    policy.check_names(each.measurements.cell for each in (*held.values(), *judged.values()))
    pairs = [_Pair.of(each, judged[name], policy, digest) for name, each in held.items() if name in judged]
    adjusted = iter(holm([test.worse for pair in pairs for test in pair.tests]))
    tests = sum(test.worse is not None for pair in pairs for test in pair.tests)
    found = {pair.name: pair.verdict(policy, [next(adjusted) for _ in pair.tests], tests) for pair in pairs}
    left_out = [name for name in judged if name not in held]
    for name, each in held.items():
        if name not in judged and policy.requires(each.measurements.cell):
            found[name] = CellVerdict(name, "not comparable", ("the run has no such cell",))
        elif name not in judged:
            left_out.append(name)
    for name in policy.required or ():
        if not any(fits(name, each.measurements.cell) for each in held.values()):
            found[name] = CellVerdict(name, "not comparable", ("required, and the baseline has no such cell",))
    memory = _memory(base, run, policy)
    places = {name: place for place, name in enumerate(held)}
    cells = tuple(sorted(found.values(), key=lambda cell: places.get(cell.name, len(places))))
    verdict = gravest([*(cell.verdict for cell in cells), *([memory.verdict] if memory else [])])
    code = EXIT_CODES[_CHOSEN[policy.inconclusive] if verdict == "inconclusive" else verdict]
    return GateResult(
        verdict, code, cells, str(base.path), str(run.path), stated, policy.power, memory, tuple(left_out)
    )


def _by_name(run: MeasuredRun) -> dict[str, MeasuredCell]:
    cells = {each.measurements.cell.name: each for each in run.cells}
    return {name: each for name, each in cells.items() if not each.measurements.cell.control}


@dataclass(frozen=True, slots=True)
class _Test:
    """A metric of a pair of cells, turned so that up is better.

    Attributes:
        found: the comparison.
        tolerance: in the metric's unit.
        worse: one-sided p-value of a fall; `None` without a test. Of a metric whose verdict was certain early it is
            what Holm's correction of the others needs: 0 of a regression, else 1.
        low: lower bound of the change for the better; `None` without one.
        certain: the verdict that was certain early; `None` where the run was asked to its end.
    """

    found: MetricComparison
    tolerance: float
    worse: float | None
    low: float | None
    certain: str | None = None

    @classmethod
    def of(cls, found: MetricComparison, tolerance: float) -> _Test:
        difference, up = found.difference, found.higher_is_better
        change = None if difference.value is None else difference.value if up else -difference.value
        worse = difference.p_value
        if change is not None and worse is not None:
            worse = worse / 2 if change < 0 else 1 - worse / 2 if change > 0 else 1.0
        low, high = difference.low, difference.high
        return cls(found, tolerance, worse, low if up else None if high is None else -high)

    def settled(self, stopped: Stopped) -> _Test:
        """Return the test of a cell that was stopped: its own would be biased by when that was."""
        certain = stopped.verdicts.get(self.found.name, "")
        return replace(self, worse=0.0 if certain == "regression" else 1.0, low=None, certain=certain)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A cell of the baseline and the run's, compared."""

    name: str
    base: MeasuredCell
    run: MeasuredCell
    rules: CellRules
    found: CellComparison
    tests: tuple[_Test, ...]
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, base: MeasuredCell, run: MeasuredCell, policy: Policy, digest: str) -> _Pair:
        cell, stopped = base.measurements.cell, run.measurements.cell.stopped
        rules = policy.of(cell)
        tolerances = {metric.name: rules.tolerance_of(metric) for metric in gated_metrics(policy, cell)}
        found = compare_cells(*alike(base.measurements, run.measurements), confidence=1 - 2 * policy.error)
        if found.refused:
            return cls(cell.name, base, run, rules, found, (), found.reasons or found.refused)
        if stopped is not None and run.measurements.cell.fingerprints.get("gate") != digest:
            why = "stopped early by a gate of another policy or baseline, and so over too few samples; run it whole"
            return cls(cell.name, base, run, rules, found, (), (why,))
        compared = {each.name: each for each in found.metrics}
        reasons = [
            f"{name}: {found.missing.get(name, 'not in the run')}" for name in tolerances if name not in compared
        ]
        reasons += [
            f"{name}: {reason}"
            for name in tolerances
            if name in compared and (reason := _undefined(compared[name])) is not None
        ]
        tests = () if reasons else tuple(_Test.of(compared[name], points) for name, points in tolerances.items())
        if stopped is not None:
            tests = tuple(test.settled(stopped) for test in tests)
        return cls(cell.name, base, run, rules, found, tests, tuple(reasons))

    @property
    def identical(self) -> bool:
        """Whether the run gave the very answers of the baseline, to the very samples, and each scored the same."""
        unchanged = all(test.found.base == test.found.other for test in self.tests)
        differences = (test.found.difference for test in self.tests)
        same = all(each.better == each.worse == 0 for each in differences)
        return self.base.answers == self.run.answers and unchanged and same

    def verdict(self, policy: Policy, adjusted: Sequence[float | None], tests: int) -> CellVerdict:
        """Return the verdict, given the p-values for the number of tests."""
        if self.found.refused:
            return CellVerdict(self.name, "not comparable", self.reasons)
        limits = tuple(_limits(self.base, self.run, self.rules))
        metrics = tuple(
            _decide(test, p_value, tests, self, policy) for test, p_value in zip(self.tests, adjusted, strict=True)
        )
        all_of_it: list[MetricVerdict | LimitVerdict] = [*metrics, *limits]
        verdicts: list[Verdict] = [each.verdict for each in all_of_it]
        verdict = gravest(verdicts if metrics else [*verdicts, "not comparable"])
        reasons = [*self.reasons]
        reasons += [f"{each.name}: {each.reason}" for each in all_of_it if each.verdict != "pass"]
        reasons += [
            f"{test.found.name}: compared by the mean of the samples' own values, for the records hold no more"
            for test in self.tests
            if test.found.own_values
        ]
        if (stopped := self.run.measurements.cell.stopped) is not None:
            if verdict == "pass":
                reasons.append(f"stopped: {stopped_text(stopped, self.run.measurements.cell.samples)}")
        elif self.found.only_base or self.found.only_other:
            reasons.append(_uncommon(self.found))
        return CellVerdict(self.name, verdict, tuple(reasons), metrics, limits)


def _undefined(found: MetricComparison) -> str | None:
    """Return why there is nothing to compare; `None` if there is."""
    if not found.difference.count:
        return "no sample was scored in both"
    without = [side for side, value in (("baseline", found.base), ("run", found.other)) if value is None]
    return f"undefined in the {' and the '.join(without)}" if without else None


def _uncommon(found: CellComparison) -> str:
    parts = [
        f"{count:,} only in the {side}"
        for side, count in (("baseline", found.only_base), ("run", found.only_other))
        if count
    ]
    return f"compared over the {found.common:,} samples that both have ({', '.join(parts)})"


def _decide(test: _Test, p_value: float | None, tests: int, pair: _Pair, policy: Policy) -> MetricVerdict:
    """Return the verdict on a metric.

    Args:
        test: of the metric.
        p_value: of a fall, for the number of tests.
        tests: that were made in all.
        pair: of the cells.
        policy: of the gate.
    """
    found, difference = test.found, test.found.difference
    needed = None
    verdict: Verdict
    if test.certain is not None:
        verdict, reason = _stopped_verdict(test.certain, pair)
        difference, p_value = replace(difference, low=None, high=None), None
    elif pair.identical:
        verdict, reason = "pass", "no answer changed"
    elif test.low is not None and test.low > -test.tolerance and difference.count >= pair.rules.min_samples:
        verdict, reason = "pass", "not worse by the tolerance"
    elif p_value is not None and p_value <= policy.error and (test.low is None or test.low <= -test.tolerance):
        verdict, reason = "regression", "significantly worse, and perhaps by more than the tolerance"
    else:
        needed = _needed(test, pair.rules, policy)
        verdict, reason = "inconclusive", _too_few(test, needed, pair, policy)
    return MetricVerdict(
        name=found.name,
        verdict=verdict,
        reason=reason,
        base=found.base,
        run=found.other,
        change=difference.value,
        low=difference.low,
        high=difference.high,
        tolerance=test.tolerance,
        p_value=p_value,
        detectable=_detectable(test, tests, policy),
        needed=needed,
        count=difference.count,
        better=difference.better if found.higher_is_better else difference.worse,
        worse=difference.worse if found.higher_is_better else difference.better,
        higher_is_better=found.higher_is_better,
        percent=found.percent,
    )


def _stopped_verdict(certain: str, pair: _Pair) -> tuple[Verdict, str]:
    """Return a metric's verdict, and the reason, in a cell that was stopped early."""
    cell = pair.run.measurements.cell
    assert cell.stopped is not None
    after = f"after {cell.samples:,} of {cell.stopped.planned:,} samples"
    if certain == "regression":
        return "regression", f"certain {after}, where the run was stopped"
    if certain == "pass":
        return "pass", f"certain {after}"
    return "inconclusive", f"open {after}, where the run was stopped for another metric"


def _detectable(test: _Test, tests: int, policy: Policy) -> float | None:
    """Return the smallest loss that is called a regression with the policy's power, if every other test is sound."""
    difference = test.found.difference
    if test.certain is not None or difference.stderr is None or difference.clusters < _FEWEST:
        return None
    alpha = policy.error / max(1, tests)
    seen = detectable_difference(
        difference.stderr, alpha=alpha, power=policy.power, sides=1, clusters=difference.clusters
    )
    return max(seen, test.tolerance)  # a smaller one is within the tolerance, and passes


def _needed(test: _Test, rules: CellRules, policy: Policy) -> int | None:
    """Return how many samples would pass with the policy's power if nothing had changed; `None` if none would do."""
    difference = test.found.difference
    if not test.tolerance or difference.stderr is None or difference.clusters < _FEWEST:
        return None
    enough = samples_needed(
        test.tolerance,
        difference.stderr,
        difference.count,
        alpha=policy.error,
        power=policy.power,
        sides=1,
        clusters=difference.clusters,
    )
    return max(enough, rules.min_samples)


def _too_few(test: _Test, needed: int | None, pair: _Pair, policy: Policy) -> str:
    difference = test.found.difference
    count = f"{difference.count:,} samples"
    if difference.clusters < _FEWEST:
        return f"{count} of a single cluster say nothing of others"
    if not test.tolerance:
        return "neither worse nor better for certain; a tolerance of 0 passes only what is better, or unchanged"
    if needed is None or needed <= difference.count:
        return f"{count} leave it open whether it fell by the tolerance"
    total = pair.run.measurements.cell.total
    beyond = f", more than the {total:,} of the split: raise the tolerance" if needed > total else ""
    return f"{count} are too few: {needed:,} would do in {policy.power:.0%} of cases without a change{beyond}"


def _limits(base: MeasuredCell, run: MeasuredCell, rules: CellRules) -> Iterator[LimitVerdict]:
    """Yield what the policy's limits say of a cell."""
    cells = base.measurements.cell, run.measurements.cell
    failed = [_share(cell.failed, cell.samples) for cell in cells]
    allowed = rules.max_failed if rules.max_failed is not None else failed[0]
    if failed[1] is not None and allowed is not None:
        yield _limit("failed", failed[1], allowed, "of the samples failed", most=True)
    if rules.max_unparsed is not None and run.measurements.cell.metrics:
        answered = cells[1].samples - cells[1].failed
        yield _limit(
            "unparsed",
            _share(cells[1].metrics[0].unparsed, answered),
            rules.max_unparsed,
            "of the answers could not be read",
            most=True,
        )
    if rules.min_speed is not None:
        speed = run.speed / base.speed * 100 if run.speed and base.speed else None
        yield _limit("speed", speed, rules.min_speed, "of the baseline's samples a second", most=False)


def _memory(base: MeasuredRun, run: MeasuredRun, policy: Policy) -> LimitVerdict | None:
    if policy.max_memory is None:
        return None
    share = run.memory / base.memory * 100 if run.memory and base.memory else None
    return _limit("memory", share, policy.max_memory, "of the baseline's memory", most=True)


def _share(part: int, whole: int) -> float | None:
    return part / whole * 100 if whole else None


def _limit(name: str, measured: float | None, allowed: float, what: str, *, most: bool) -> LimitVerdict:
    if measured is None:
        return LimitVerdict(name, "not comparable", f"the records do not say how many {what}", None, allowed)
    kept = measured <= allowed if most else measured >= allowed
    than = "at most" if most else "at least"
    reason = f"{measured:.1f} % {what}, allowed {than} {allowed:g} %"
    return LimitVerdict(name, "pass" if kept else "regression", reason, measured, allowed)
