from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kosmos_eval.record import MarginSummary
from kosmos_eval.reports.page import CATEGORY_LIMIT, build_page

if TYPE_CHECKING:
    from tests.reports.conftest import Make


def test_shot_counts_of_a_task_stand_together_in_rising_order(make: Make) -> None:
    page = build_page(make.record(make.cell("a", 4), make.cell("b"), make.cell("a", 0)))
    assert [(task.task, [cell.shots for cell in task.cells]) for task in page.tasks] == [("a", [0, 4]), ("b", [0])]
    assert page.tasks[0].curve is not None
    assert page.tasks[1].curve is None


def test_a_missing_value_is_a_dash_with_its_reason(make: Make) -> None:
    empty = replace(make.metric, value=None, low=None, high=None, stderr=None, count=0)
    row = build_page(make.record(make.cell(metrics=(empty,), unlabelled=100))).tasks[0].cells[0].rows[0]
    assert (row.value, row.interval, row.stderr, row.bar) == ("—", "—", "—", None)
    assert row.reason == "no labelled samples"


def test_why_a_metric_is_not_available_is_told_in_full_and_in_brief(make: Make) -> None:
    spice = replace(make.metric, value=None, low=None, high=None, stderr=None, count=0, unavailable="needs Java")
    cell = make.cell(metrics=(spice,), groups={"kind": {"cat": spice}})
    view = build_page(make.record(cell)).tasks[0].cells[0]
    assert (view.rows[0].reason, view.rows[0].brief) == ("not available: needs Java", "not available")
    assert view.breakdowns[0].rows[0].reason == "not available"


def test_trials_of_a_shot_count_are_told_apart_and_summed_up(make: Make) -> None:
    cells = [
        make.cell(shots=shots, trial=trial, exemplar_seed=trial, metrics=(replace(make.metric, value=value),))
        for shots, trial, value in ((0, 0, 0.2), (2, 0, 0.5), (2, 1, 0.7))
    ]
    task = build_page(make.record(*cells)).tasks[0]
    assert [view.run for view in task.cells] == ["0", "2", "2#2"]
    assert [view.trial for view in task.cells][::2] == ["", "trial 2 of 2, exemplars drawn with seed 1"]
    assert [(row.shots, row.mean, row.deviation, row.count) for row in task.spreads] == [("2", "60.0", "14.14", "2")]
    assert task.curve is not None
    assert task.curve.label == "0 shots: 20.0 %; 2 shots: 60.0 %"


def test_numbers_are_written_once_and_for_all(make: Make) -> None:
    metric = replace(make.metric, value=0.9997, count=214_354, chance=None)
    row = build_page(make.record(make.cell(metrics=(metric,)))).tasks[0].cells[0].rows[0]
    assert (row.value, row.count, row.chance, row.stderr) == ("> 99.9", "214,354", "—", "5.00")


def test_breakdowns_keep_the_largest_categories_in_the_records_order(make: Make) -> None:
    categories = {f"c{index}": replace(make.metric, count=index) for index in range(CATEGORY_LIMIT + 20)}
    breakdown = build_page(make.record(make.cell(groups={"kind": categories}))).tasks[0].cells[0].breakdowns[0]
    assert [row.name for row in breakdown.rows] == [f"c{index}" for index in range(20, CATEGORY_LIMIT + 20)]
    assert breakdown.left_out == 20


def test_warnings_name_the_tasks_of_a_subset_once(make: Make) -> None:
    cells = [make.cell("a", shots, samples=10) for shots in (0, 4)] + [make.cell("b@mini", samples=10), make.cell("c")]
    warnings = [(badge.kind, badge.text) for badge in build_page(make.record(*cells)).warnings]
    assert [kind for kind, _ in warnings] == ["stand-in", "subset"]
    assert warnings[1][1] == "a, b@mini: subset: 10 of 100 samples"
    assert build_page(make.record(make.cell())).warnings == ()


def test_failed_samples_are_said_beside_every_score_they_are_not_in(make: Make) -> None:
    failed = make.cell("a", 4, failed=3, failures={"1": "too big"}, metrics=(replace(make.metric, failed=3),))
    page = build_page(make.record(failed, make.cell("b")))
    assert [(badge.kind, badge.text) for badge in page.warnings] == [
        ("failed", "a, 4-shot: 3 of 100 samples failed and are in no score")
    ]
    first, second = (task.cells[0] for task in page.tasks)
    assert [badge.text for badge in first.badges] == ["3 of 100 samples failed and are in no score"]
    assert (first.failed, first.rows[0].failed) == (True, "3")
    assert (second.failed, second.badges) == (False, ())


def test_near_ties_stand_with_the_results(make: Make) -> None:
    margins = MarginSummary(80, 8, 0.1, 0, 0.5, 1e-3)
    page = build_page(make.record(make.cell("a", margins=margins), make.cell("b")))
    assert [task.cells[0].near_ties for task in page.tasks] == ["8 (10.0 %)", "—"]


def test_what_a_run_does_not_say_is_not_made_up(make: Make) -> None:
    page = build_page(make.record(make.cell(), run={}))
    assert {fact.text for fact in page.head} == {"not recorded"}
    assert page.command == ""
    assert page.title == "unnamed model: puzzle"


def test_a_title_names_a_few_tasks_and_counts_many(make: Make) -> None:
    assert build_page(make.record(*map(make.cell, "abcd"))).title == "kosmos-tiny: a, b, c, d"
    assert build_page(make.record(*map(make.cell, "abcde"))).title == "kosmos-tiny: 5 tasks"


def test_all_else_that_the_run_recorded_is_listed(make: Make) -> None:
    run = {"config": {"tasks": ["a", "b"], "limit": None, "settings": {"a": {"split": "val"}}}, "launches": [{"n": 1}]}
    chapters = dict(build_page(make.record(run=run)).details)
    facts = {fact.name: fact.text for fact in chapters["config"]}
    assert facts == {"tasks": "a, b", "limit": "not set", "settings.a.split": "val"}
    assert "launches" in chapters


def test_a_run_without_results_is_a_page(make: Make) -> None:
    assert build_page(make.record()).tasks == ()
    assert build_page(make.record(make.cell(metrics=()))).tasks[0].cells[0].headline == ""
