"""The gate's verdicts on planted measurements, of which the truth is known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.baseline import MeasuredCell, MeasuredRun, answers_digest
from kosmos_eval.errors import UnknownNameError
from kosmos_eval.gate import judge
from kosmos_eval.gate_policy import Policy, TaskRules
from kosmos_eval.measurements import Measurements, Origin
from kosmos_eval.record import CellResult, MetricResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kosmos_eval.verdicts import CellVerdict, GateResult

    Values = Sequence[float | None]


def cell(values: Values, **changes: Any) -> CellResult:  # noqa: ANN401  any field
    known = [each for each in values if each is not None]
    value = sum(known) / len(known) if known else None
    told: dict[str, Any] = {
        "name": "accuracy",
        "value": value,
        "low": None,
        "high": None,
        "stderr": None,
        "count": len(known),
    }
    metric = MetricResult(**told, clusters=len(known), unparsed=0, truncated=0)
    facts: dict[str, Any] = {
        "task": "planted",
        "shots": 0,
        "version": 1,
        "split": "val",
        "metrics": (metric,),
        "groups": {},
    }
    facts |= {"samples": len(values), "total": len(values), "unlabelled": 0, "settings": {}}
    return CellResult(**{**facts, "fingerprints": {"data": "d", "prompts": "p", "scorer": "1:s"}, **changes})


def measured(
    values: Values,
    clusters: Sequence[str] = (),
    answers: Values = (),
    **changes: Any,  # noqa: ANN401  any field
) -> MeasuredCell:
    keys = tuple(f"{number:05}" for number in range(len(values)))
    measurements = Measurements(
        cell=cell(values, **changes),
        keys=keys,
        contents=tuple(f"content {key}" for key in keys),
        clusters=tuple(clusters) or ("",) * len(keys),
        answers=tuple(map(str, answers or values)),
        values={"accuracy": tuple(values)},
        measured=tuple(place for place, value in enumerate(values) if value is not None),
        asked=tuple(f"prompt {key}" for key in keys),
    )
    return MeasuredCell(measurements, answers_digest(measurements), 10.0)


def run_of(*cells: MeasuredCell, memory: int | None = None) -> MeasuredRun:
    return MeasuredRun(Path("somewhere"), Origin(), cells, memory)


def gate(base: Values, run: Values, clusters: Sequence[str] = (), **policy: Any) -> GateResult:  # noqa: ANN401  any
    rules = Policy(**policy)
    return judge(run_of(measured(base, clusters)), run_of(measured(run, clusters)), rules)


def only(found: GateResult) -> CellVerdict:
    (verdict,) = found.cells
    assert found.verdict == verdict.verdict
    return verdict


def with_flips(count: int, lost: int, won: int, right: float = 0.7) -> tuple[list[float], list[float]]:
    """Return a baseline and a run over as many samples, of which some were lost and some won."""
    good = round(count * right)
    base = [1.0] * good + [0.0] * (count - good)
    run = [0.0] * lost + [1.0] * (good - lost) + [1.0] * won + [0.0] * (count - good - won)
    return base, run


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_identical_answers_pass_however_few(size: int, share: float) -> None:
    values = [float(number < size * share) for number in range(size)]
    found = gate(values, values)
    assert (found.verdict, found.exit_code) == ("pass", 0)
    assert only(found).metrics[0].reason == "no answer changed"


def test_a_drop_of_three_points_on_a_thousand_samples_is_a_regression() -> None:
    found = gate(*with_flips(1000, lost=60, won=30))
    assert (found.verdict, found.exit_code) == ("regression", 1)
    metric = only(found).metrics[0]
    assert metric.base == 0.7
    assert metric.run == pytest.approx(0.67)
    assert metric.change == pytest.approx(-0.03)
    assert (metric.worse, metric.better) == (60, 30)
    assert metric.p_value is not None
    assert metric.p_value < 0.01


def test_a_gain_passes() -> None:
    found = gate(*with_flips(1000, lost=30, won=60))
    assert (found.verdict, found.exit_code) == ("pass", 0)


def test_where_lower_is_better_a_rise_is_a_regression() -> None:
    base, run = with_flips(1000, lost=60, won=30)

    def turned(values: Values) -> MeasuredCell:
        each = measured(values)
        metric = each.measurements.cell.metrics[0]
        lower = MetricResult(
            **{**{name: getattr(metric, name) for name in metric.__slots__}, "higher_is_better": False}
        )
        return measured(values, metrics=(lower,))

    found = judge(run_of(turned(run)), run_of(turned(base)), Policy())
    assert found.verdict == "regression"
    assert (found.cells[0].metrics[0].worse, found.cells[0].metrics[0].better) == (60, 30)
    assert judge(run_of(turned(base)), run_of(turned(run)), Policy()).verdict == "pass"


def test_a_small_certain_drop_within_the_tolerance_passes() -> None:
    base, run = with_flips(20_000, lost=200, won=50)
    found = gate(base, run)
    assert found.verdict == "pass"
    p_value = only(found).metrics[0].p_value
    assert p_value is not None
    assert p_value < 0.001
    assert gate(base, run, tolerance=0.5).verdict == "regression"


def test_too_few_samples_are_inconclusive_and_it_is_said_how_many_would_do() -> None:
    found = gate(*with_flips(100, lost=8, won=7))
    assert (found.verdict, found.exit_code) == ("inconclusive", 2)
    metric = only(found).metrics[0]
    assert metric.needed is not None
    assert 1_000 < metric.needed < 4_000  # (1.645 + 0.842)² 0.15 / 0.02² is 2,320
    assert f"{metric.needed:,} would do" in only(found).reasons[0]
    assert "more than the 100 of the split" in only(found).reasons[0]


@pytest.mark.parametrize(("choice", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 2)])
def test_the_policy_says_what_inconclusive_comes_to(choice: str, code: int) -> None:
    found = gate(*with_flips(100, lost=8, won=7), inconclusive=choice)
    assert (found.verdict, found.exit_code) == ("inconclusive", code)


def test_fewer_samples_than_the_policy_asks_for_are_no_pass_unless_nothing_changed() -> None:
    base, run = with_flips(1000, lost=10, won=10)
    assert gate(base, run).verdict == "pass"
    assert gate(base, run, min_samples=1001).verdict == "inconclusive"
    assert gate(base, base, min_samples=1001).verdict == "pass"


def test_other_answers_of_the_same_worth_are_a_change_that_few_samples_cannot_vouch_for() -> None:
    values = [1.0, 0.0] * 20
    base, run = measured(values), measured(values, answers=[*values[:-1], 2.0])
    found = judge(run_of(base), run_of(run), Policy())
    assert found.verdict == "inconclusive"
    many = [1.0, 0.0] * 2000
    found = judge(run_of(measured(many)), run_of(measured(many, answers=[*many[:-1], 2.0])), Policy())
    assert found.verdict == "pass"


def test_samples_that_err_together_count_as_few() -> None:
    base, run = with_flips(1000, lost=60, won=30)
    together = ["lost"] * 60 + [f"other {number // 10}" for number in range(940)]
    assert gate(base, run, together).verdict == "inconclusive"


def test_a_single_cluster_is_inconclusive() -> None:
    base, run = with_flips(1000, lost=60, won=30)
    found = gate(base, run, ["one"] * 1000)
    assert found.verdict == "inconclusive"
    assert "single cluster" in only(found).reasons[0]


def two(change: Callable[[MeasuredCell], MeasuredCell]) -> tuple[MeasuredRun, MeasuredRun]:
    values = [1.0, 0.0] * 200
    return run_of(measured(values)), run_of(change(measured(values)))


@pytest.mark.parametrize("what", ["prompts", "scorer"])
def test_another_prompt_or_scorer_is_not_comparable(what: str) -> None:
    values = [1.0, 0.0] * 200
    marks = {"data": "d", "prompts": "p", "scorer": "1:s"}
    run = measured(values, fingerprints={**marks, what: "9:other"}, version=9 if what == "scorer" else 1)
    if what == "prompts":
        asked = tuple(f"other {key}" for key in run.measurements.keys)
        changed = {name: getattr(run.measurements, name) for name in Measurements.__slots__}
        run = MeasuredCell(Measurements(**{**changed, "asked": asked}), run.answers)
    found = judge(run_of(measured(values)), run_of(run), Policy())
    assert (found.verdict, found.exit_code) == ("not comparable", 3)
    assert what in only(found).reasons[0]
    assert f"(kosmos-eval compare --point {what} compares" in only(found).reasons[0]  # the gate itself has no such flag


def test_a_cell_that_the_run_lacks_is_not_comparable_unless_it_is_not_required() -> None:
    values = [1.0, 0.0] * 200
    base = run_of(measured(values), measured(values, task="other"))
    found = judge(base, run_of(measured(values)), Policy())
    assert (found.verdict, found.exit_code) == ("not comparable", 3)
    assert [each.verdict for each in found.cells] == ["pass", "not comparable"]
    allowed = judge(base, run_of(measured(values)), Policy(required=("planted",)))
    assert (allowed.verdict, allowed.left_out) == ("pass", ("other|0",))
    unknown = judge(base, run_of(measured(values)), Policy(required=("planted", "third")))
    assert unknown.verdict == "not comparable"


def test_a_regression_beside_what_is_not_comparable_decides() -> None:
    base, worse = with_flips(1_000, 60, 10)
    run = run_of(measured(worse))
    found = judge(run_of(measured(base), measured(base, task="missing")), run, Policy())
    assert [each.verdict for each in found.cells] == ["regression", "not comparable"]
    assert (found.verdict, found.exit_code) == ("regression", 1)


def test_a_run_without_any_cell_is_not_comparable() -> None:
    assert judge(run_of(), run_of(), Policy()).exit_code == 3


def test_no_score_at_all_is_not_comparable() -> None:
    nothing: list[float | None] = [None] * 50
    assert gate(nothing, nothing).verdict == "not comparable"
    assert gate([], []).verdict == "not comparable"


def test_controls_are_not_gated() -> None:
    base, run = with_flips(1000, lost=600, won=0)
    cells = [measured(base), measured(base, control="image=none")]
    found = judge(run_of(*cells), run_of(measured(base), measured(run, control="image=none")), Policy())
    assert (found.verdict, len(found.cells)) == ("pass", 1)


def test_failed_samples_beyond_the_baselines_are_a_regression_and_the_policy_may_allow_them() -> None:
    values = [1.0, 0.0] * 200
    base, run = run_of(measured(values)), run_of(measured(values, failed=4))
    found = judge(base, run, Policy())
    assert found.verdict == "regression"
    assert "1.0 % of the samples failed" in only(found).reasons[0]
    assert judge(base, run, Policy(max_failed=1)).verdict == "pass"
    assert judge(run, run, Policy()).verdict == "pass"


def test_a_run_that_failed_on_every_sample_is_a_regression() -> None:
    values = [1.0, 0.0] * 200
    nothing = measured([None] * 400, failed=400)
    failed = Measurements(
        **{name: getattr(nothing.measurements, name) for name in Measurements.__slots__ if name != "failed"},
        failed=frozenset(nothing.measurements.keys),
    )
    found = judge(run_of(measured(values)), run_of(MeasuredCell(failed, "")), Policy())
    assert found.verdict == "regression"
    assert "100.0 % of the samples failed" in " ".join(only(found).reasons)


def test_limits_on_unparsed_answers_speed_and_memory() -> None:
    values = [1.0, 0.0] * 200
    slow = MeasuredCell(measured(values).measurements, measured(values).answers, 7.0)
    base, run = run_of(measured(values), memory=100), run_of(slow, memory=150)
    assert judge(base, run, Policy()).verdict == "pass"
    assert judge(base, run, Policy(min_speed=70)).verdict == "pass"
    assert judge(base, run, Policy(min_speed=71)).verdict == "regression"
    assert judge(base, run, Policy(max_memory=150)).verdict == "pass"
    assert judge(base, run, Policy(max_memory=149)).verdict == "regression"
    assert judge(base, run_of(slow), Policy(max_memory=149)).verdict == "not comparable"
    assert judge(base, run, Policy(max_unparsed=0)).verdict == "pass"


def test_names_that_the_policy_has_wrong_are_refused() -> None:
    values = [1.0, 0.0] * 200
    base = run_of(measured(values))
    with pytest.raises(UnknownNameError, match="did you mean 'planted'"):
        judge(base, base, Policy(tasks={"plantd": TaskRules()}))
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        judge(base, base, Policy(metrics=("acuracy",)))


def test_no_false_alarm_beyond_the_stated_rate_and_a_planted_drop_is_found() -> None:
    generator = random.Random(0)

    def pair(drop: float) -> tuple[list[float], list[float]]:
        base, run = [], []
        for _ in range(1000):
            right = generator.random() < 0.7
            flipped = (
                generator.random() < (0.08 + drop / 2) / 0.7 if right else generator.random() < (0.08 - drop / 2) / 0.3
            )
            base.append(float(right))
            run.append(float(right != flipped))
        return base, run

    def share(drop: float, verdict: str, times: int = 40) -> float:
        return sum(gate(*pair(drop)).verdict == verdict for _ in range(times)) / times

    assert share(0.0, "regression") <= 0.1  # 5 % and what forty draws add to it
    assert share(0.04, "regression") >= 0.75  # 80 % of drops of 3.1 points are found
