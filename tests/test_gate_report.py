"""What a gate found is shown as it is: tolerances as the policy says them, and each number beside its own name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kosmos_eval.gate_report import as_text
from kosmos_eval.verdicts import CellVerdict, GateResult, MetricVerdict

METRIC = MetricVerdict(
    name="cider",
    verdict="pass",
    reason="not worse by the tolerance",
    base=0.5,
    run=0.5002,
    change=0.0002,
    low=-0.01,
    high=0.011,
    tolerance=0.02,
    p_value=0.0001,
    detectable=0.02,
    needed=None,
    count=1_000,
    better=3,
    worse=2,
    higher_is_better=True,
    percent=True,
)


def shown(*metrics: MetricVerdict) -> str:
    cell = CellVerdict("vqav2@mini|0", "pass", (), metrics)
    return as_text(GateResult("pass", 0, (cell,), "base.json", "run", 0.05, 0.8))


def test_a_change_too_small_for_its_decimals_is_not_shown_as_none() -> None:
    row = shown(METRIC).splitlines()[2]
    expected = ["vqav2@mini|0", "cider", "50.0", "50.0", "<", "+0.1", "[-1.0,", "+1.1]", "2.0", "<", "0.001", "1,000"]
    assert row.split() == [*expected, "pass"]


@pytest.mark.parametrize(
    ("tolerance", "percent", "text"),
    [
        (0.02, True, " 2.0 "),
        (0.0025, True, " 0.25 "),
        (0.0, True, " 0.0 "),
        (0.5, False, " 0.5 "),
        (0.05, False, " 0.05 "),
    ],
)
def test_a_tolerance_is_shown_as_the_policy_says_it(tolerance: float, percent: bool, text: str) -> None:  # noqa: FBT001  a case
    assert text in shown(replace(METRIC, tolerance=tolerance, percent=percent)).splitlines()[2]


def test_where_a_cell_has_several_metrics_each_smallest_loss_has_its_metrics_name() -> None:
    assert "in points: 2.0 of vqav2@mini|0\n" in shown(METRIC)
    other = replace(METRIC, name="bleu_4", detectable=0.04)
    assert "in points: 2.0 of vqav2@mini|0 cider, 4.0 of vqav2@mini|0 bleu_4\n" in shown(METRIC, other)
