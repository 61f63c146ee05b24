from __future__ import annotations

import math
from dataclasses import replace

import pytest

from kosmos_eval.comparison import MetricComparison
from kosmos_eval.record import CellResult, MarginSummary, MetricResult
from kosmos_eval.statistics.paired import Difference
from kosmos_eval.table import (
    NO_NUMBER,
    STAND_IN_NOTE,
    aligned,
    interval,
    missing_reason,
    p_text,
    percent,
    points,
    results_table,
    shown,
    shown_interval,
    spread_texts,
    subset_note,
)
from kosmos_eval.trials import Spread

METRIC = MetricResult("accuracy", 0.625, 0.581, 0.667, 0.022, 200, 180, 3, 4, chance=1 / 6)
CELL = CellResult("raven", 0, 1, "test", (METRIC,), {}, 200, 200, 0, {}, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.625, "62.5"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "100.0"),
        (0.9997, "> 99.9"),
        (0.0002, "< 0.1"),
        (-0.0002, "> -0.1"),
        (1.0002, "> 100.0"),
        (1.034, "103.4"),
        (0.999, "99.9"),
        (0.001, "0.1"),
        (None, NO_NUMBER),
    ],
)
def test_percent_shows_the_ends_of_the_scale_only_when_they_are_exact(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_percent_has_as_many_decimals_as_are_asked_for() -> None:
    shares = (0.5232, 0.00004, -0.00004, 0.99996, 1.00004, 1.0, 0.0)
    assert [percent(share, 2) for share in shares] == [
        "52.32",
        "< 0.01",
        "> -0.01",
        "> 99.99",
        "> 100.00",
        "100.00",
        "0.00",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_percent_refuses_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="expected a share to be finite"):
        percent(value)


def test_interval_is_written_in_percent_or_not_at_all() -> None:
    assert interval(0.581, 0.6674) == "[58.1, 66.7]"
    assert interval(0.5, 1.0) == "[50.0, 100.0]"
    assert interval(None, 0.5) == interval(None, None) == NO_NUMBER


def test_a_subset_says_how_many_of_how_many() -> None:
    assert subset_note(replace(CELL, samples=100, total=214_354)) == "subset: 100 of 214,354 samples"
    assert subset_note(CELL) == ""


def test_a_missing_value_or_interval_has_its_reason() -> None:
    empty = replace(METRIC, value=None, low=None, high=None, stderr=None, count=0)
    assert missing_reason(CELL, METRIC) == ""
    assert missing_reason(replace(CELL, samples=0), empty) == "no samples"
    assert missing_reason(replace(CELL, unlabelled=200), empty) == "no labelled samples"
    assert missing_reason(CELL, empty) == "nothing was scored"
    assert missing_reason(replace(CELL, failed=200), empty) == "every sample failed"
    assert missing_reason(replace(CELL, failed=199), empty) == "nothing was scored"
    assert missing_reason(CELL, replace(METRIC, low=None, clusters=1)) == "no interval from a single cluster"
    assert missing_reason(CELL, replace(METRIC, low=None, stderr=None)) == "no interval"
    assert missing_reason(CELL, replace(METRIC, low=None, stderr=0.0)) == "no interval: all resamples are alike"
    assert missing_reason(CELL, replace(empty, count=200)) == "undefined for these samples"
    assert missing_reason(CELL, replace(empty, unavailable="install it")) == "not available: install it"


def test_a_metric_that_is_no_share_is_shown_as_it_is() -> None:
    rank = replace(METRIC, name="rank", value=1_016.214, low=15.0, high=None, chance=50.5, percent=False)
    assert shown(rank.value, rank) == "1,016.21"
    assert shown(None, rank) == "—"
    assert shown_interval(rank) == "—"
    assert shown_interval(replace(rank, high=17.25)) == "[15.00, 17.25]"
    assert (shown(0.5, METRIC), shown_interval(METRIC)) == ("50.0", "[58.1, 66.7]")
    line, *_, footnote = results_table([replace(CELL, metrics=(rank,))]).splitlines()[2:]
    assert "1,016.21" in line
    assert "50.50" in line
    assert footnote == "rank: shown as it is, not in %"


def test_what_holds_for_several_metrics_is_said_once_below_the_table() -> None:
    metrics = [replace(METRIC, name=name, made_with="a tokenizer") for name in ("cider", "bleu_4")]
    spice = replace(METRIC, name="spice", value=None, low=None, high=None, count=0, unavailable="needs Java")
    table = results_table([replace(CELL, metrics=(*metrics, spice), shots=shots) for shots in (0, 2)])
    assert table.splitlines()[-2:] == ["cider, bleu_4: made with a tokenizer", "spice: not available: needs Java"]
    assert [line.endswith("not available") for line in table.splitlines()[2:8]] == [False, False, True] * 2


def test_a_spread_over_trials_is_written_in_the_metric_s_own_unit() -> None:
    assert spread_texts(Spread("accuracy", (0.5, 1.0, None), 0.75, 0.3536, 2)) == (
        "accuracy",
        "75.0",
        "35.36",
        "2",
        "50.0, 100.0, —",
    )
    rank = Spread("rank", (3.0,), 3.0, None, 1, percent=False)
    assert spread_texts(rank) == ("rank", "3.00", "—", "1", "3.00")


def test_table_aligns_a_line_for_each_metric() -> None:
    second = replace(METRIC, name="f1", value=1.0, low=0.99, high=1.0, chance=None)
    lines = results_table([replace(CELL, metrics=(METRIC, second))]).splitlines()
    assert lines[0].split("  ")[0] == "task"
    assert set(lines[1]) == {"-"}
    counts = ["200", "180", "3", "4", NO_NUMBER]
    assert lines[2].split() == ["raven", "0", "accuracy", "62.5", "[58.1,", "66.7]", "16.7", *counts]
    assert lines[3].split() == ["raven", "0", "f1", "100.0", "[99.0,", "100.0]", NO_NUMBER, *counts]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 4


def test_table_marks_subsets_and_stand_ins() -> None:
    table = results_table([replace(CELL, task="raven@mini", samples=100, total=214_354), CELL])
    assert table.splitlines()[2].endswith("subset: 100 of 214,354 samples")
    assert table.splitlines()[-1] == STAND_IN_NOTE
    assert STAND_IN_NOTE not in results_table([CELL])


def column(heading: str, cells: list[CellResult]) -> list[str]:
    """Return what stands below a heading, in a table whose columns are all aligned to the right there."""
    first, _, *lines = results_table(cells).splitlines()
    end = first.index(heading) + len(heading)
    return [line[:end].split("  ")[-1].strip() for line in lines if line.startswith("raven")]


def test_table_shows_how_many_are_near_ties_and_their_share_of_those_that_have_a_margin() -> None:
    margins = [MarginSummary(160, 8, 0.05, 1, 0.3, 1e-3), MarginSummary(0, 0, None, 0, None, 1e-3), None]
    cells = [replace(CELL, shots=shots, margins=each) for shots, each in enumerate(margins)]
    assert column("near ties", cells) == ["8 (5.0 %)", NO_NUMBER, NO_NUMBER]


def test_table_has_a_column_for_failures_only_when_there_are_any() -> None:
    failed = replace(CELL, metrics=(replace(METRIC, failed=1_234),), failed=1_234)
    assert "failed" not in results_table([CELL])
    assert column("failed", [CELL, failed]) == ["0", "1,234"]
    assert column("near ties", [CELL, failed]) == [NO_NUMBER, NO_NUMBER]


def test_table_of_nothing_says_so() -> None:
    assert results_table([]) == "no results"


def test_any_rows_are_aligned_and_a_note_that_nobody_has_is_left_out() -> None:
    rows = [("name", "count", "note"), ("a", "1,000", ""), ("longer", "7", "")]
    assert aligned(rows, {"count"}) == "name    count\n-------------\na       1,000\nlonger      7"
    noted = aligned([*rows[:2], ("b", "7", "late")], {"count"}).splitlines()
    assert noted[0].split() == ["name", "count", "note"]
    assert noted[3].endswith("7  late")


@pytest.mark.parametrize(
    ("value", "text", "as_it_is"),
    [
        (0.031, "+3.1", "+0.03"),
        (-0.25, "-25.0", "-0.25"),
        (0.0, "0.0", "0.00"),
        (0.0002, "< +0.1", "< +0.01"),
        (-0.0002, "> -0.1", "> -0.01"),
        (None, NO_NUMBER, NO_NUMBER),
    ],
)
def test_a_change_has_a_sign_and_is_nought_only_when_it_is(value: float | None, text: str, as_it_is: str) -> None:
    compared = MetricComparison("accuracy", 0.5, 0.5, Difference(value, None, None, None, None, 1, 1, 0, 0, 1))
    assert points(value, compared) == text
    assert points(value, replace(compared, percent=False)) == as_it_is


def test_a_p_value_is_never_written_as_nought() -> None:
    assert [p_text(each) for each in (0.0, 0.0004, 0.0123, 1.0, None)] == ["< 0.001", "< 0.001", "0.012", "1.000", "—"]
