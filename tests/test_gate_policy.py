"""A policy is read from TOML, and what it gets wrong is one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.gate_policy import CellRules, Policy, TaskRules, fits, read_policy
from kosmos_eval.record import CellResult, MetricResult

if TYPE_CHECKING:
    from pathlib import Path


def cell(task: str, shots: int = 0) -> CellResult:
    return CellResult(task, shots, 1, "val", (), {}, 0, 0, 0, {}, {})


def metric(name: str, *, percent: bool = True) -> MetricResult:
    return MetricResult(name, 0.5, None, None, None, 10, 10, 0, 0, percent=percent)


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    return tmp_path / "gate.toml"


def test_rules_of_a_task_stand_on_those_for_all_and_the_last_that_fits_wins(policy_file: Path) -> None:
    policy_file.write_text(
        """
        error = 0.01
        tolerance = 3
        tolerances = { cider = 5, bleu4 = 1 }
        [tasks."vqa*"]
        tolerance = 1.5
        min_samples = 7
        [tasks."vqav2@mini|4"]
        tolerance = 0.5
        tolerances = { cider = 4 }
        metrics = ["vqa_accuracy", "cider"]
        """
    )
    policy = read_policy(policy_file)
    assert policy.error == 0.01
    assert policy.of(cell("raven")) == CellRules(tolerance=3, tolerances={"cider": 5, "bleu4": 1})
    assert policy.of(cell("vqav2@mini")).tolerance == 1.5
    most = policy.of(cell("vqav2@mini", 4))
    assert (most.tolerance, most.min_samples, most.metrics) == (0.5, 7, ("vqa_accuracy", "cider"))
    assert most.tolerances == {"cider": 4, "bleu4": 1}
    assert most.tolerance_of(metric("cider")) == 0.04
    assert most.tolerance_of(metric("vqa_accuracy")) == 0.005


def test_nothing_said_is_the_documented_default(policy_file: Path) -> None:
    policy_file.write_text("")
    policy = read_policy(policy_file)
    assert policy == Policy()
    assert (policy.error, policy.power, policy.inconclusive, policy.required) == (0.05, 0.8, "inconclusive", None)
    assert policy.of(cell("raven")) == CellRules()
    assert CellRules().tolerance_of(metric("accuracy")) == 0.02


def test_a_metric_that_is_no_percentage_needs_a_tolerance_of_its_own() -> None:
    with pytest.raises(UsageError, match="expected a tolerance for mean_rank"):
        CellRules().tolerance_of(metric("mean_rank", percent=False))
    assert CellRules(tolerances={"mean_rank": 0.5}).tolerance_of(metric("mean_rank", percent=False)) == 0.5


@pytest.mark.parametrize("name", ["vqav2", "vqav2@mini", "vqav2@mini|4", "vqa*", "*|4"])
def test_a_cell_is_meant_by_its_task_label_name_or_a_glob(name: str) -> None:
    assert fits(name, cell("vqav2@mini", 4))
    assert not fits(name, cell("raven@mini", 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tolerence = 1", "did you mean 'tolerance'"),
        ('tolerance = "2"', "tolerance: Input should be a valid number, got '2'"),
        ("tolerance = true", "tolerance: Input should be a valid number, got True"),
        ("max_unparsed = 101", "max_unparsed: Input should be less than or equal to 100, got 101"),
        ("a = " + "[" * 20_000, "cannot be read"),
        ("[tasks.vqav2]\nmin_sample = 1", "did you mean 'min_samples'"),
        ("[tasks.vqav2]\nerror = 0.1", "no setting in policy"),
        ("tolerance = -1", "tolerance: Input should be greater than or equal to 0, got -1"),
        ("tolerance = nan", "tolerance: "),
        ("error = 0.7", "error: Input should be less than 0.5"),
        ("error = 0", "error: "),
        ("inconclusive = 'maybe'", "inconclusive: Input should be"),
        ("metrics = []", "metrics: "),
        ("tasks = 3", "tasks: "),
        ("tasks = { vqav2 = 3 }", "tasks.vqav2: "),
        ("tolerance = ", "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(policy_file: Path, text: str, message: str) -> None:
    policy_file.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_policy(policy_file)
    assert message in str(refused.value)
    assert str(policy_file) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_file_and_one_that_is_no_text_are_said_so(policy_file: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(policy_file)
    policy_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(policy_file)


def test_a_name_that_fits_no_cell_is_an_error_with_the_nearest() -> None:
    policy = Policy(tasks={"vqav3": TaskRules()})
    with pytest.raises(UnknownNameError, match="did you mean 'vqav2'"):
        policy.check_names([cell("vqav2@mini", 4)])


def test_a_tolerance_of_no_metric_is_an_error_with_the_nearest() -> None:
    known = CellResult("vqav2@mini", 0, 1, "val", (metric("vqa_accuracy"),), {}, 0, 0, 0, {}, {})
    for policy in (
        Policy(tolerances={"vqa_accurracy": 1}),
        Policy(tasks={"vqav2": TaskRules(tolerances={"vqa_accurracy": 1})}),
    ):
        with pytest.raises(UnknownNameError, match="did you mean 'vqa_accuracy'"):
            policy.check_names([known, cell("raven@mini")])
