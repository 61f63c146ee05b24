"""The page of a comparison says what the comparison says, whatever letters are in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.comparison import CellComparison, Comparison, Flip, MetricComparison
from kosmos_eval.comparison_report import ComparisonWriter, as_json, as_markdown, as_text
from kosmos_eval.measurements import Origin
from kosmos_eval.plugins import Plugins
from kosmos_eval.reports.html import render_comparison
from kosmos_eval.statistics.paired import Difference
from kosmos_eval.trials import spread_of

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</td><script>alert(1)</script>|{{ 7 * 7 }}`<img src=x onerror=alert(1)>\u202e\n# x"
DIFFERENCE = Difference(0.1, 0.02, 0.18, 0.04, 0.012, 1000, 900, 150, 50, 800, "t-clustered", "sign-flip")
METRIC = MetricComparison("accuracy", 0.5, 0.6, DIFFERENCE, adjusted=0.024, detectable=0.112)
RANK = MetricComparison(
    "mean_rank",
    16.0,
    17.0,
    Difference(1.0, -0.5, 2.5, 0.75, 0.2, 1000, 900, 90, 60, 850),
    higher_is_better=False,
    percent=False,
)
FLIPS = tuple(Flip(f"key{number}", "red", None, "blue", 0.0, 1.0) for number in range(4))
CELL = CellComparison(
    "toy@mini|0",
    "toy@mini|0",
    metrics=(METRIC, RANK),
    headline="accuracy",
    flipped="accuracy",
    gained=FLIPS,
    lost=FLIPS[:1],
)
REFUSED = CellComparison("x|0", "x|0", refused=("the prompts",), reasons=("the prompts: 3 of 4",), headline="f1")
COMPARISON = Comparison(
    (CELL, REFUSED),
    ("y|0",),
    trials={"toy@mini|0": spread_of("accuracy", [0.1, 0.3], percent=True)},
    base=Origin("runs/a", "m", "w" * 64),
    other=Origin("runs/b", "n", "v" * 64),
)


def test_text_has_a_line_for_each_metric_and_says_what_was_refused() -> None:
    lines = as_text(COMPARISON, 1).splitlines()
    assert lines[:2] == [f"base: runs/a (m, weights {'w' * 12})", f"other: runs/b (n, weights {'v' * 12})"]
    (row,) = [line for line in lines if " accuracy " in line and "1,000" in line]
    assert row.split()[2:] == ["1,000", "50.0", "60.0", "+10.0", "[+2.0,", "+18.0]", "0.024", "11.2", "4", "1"]
    (rank,) = [line for line in lines if " mean_rank " in line]
    assert rank.split()[3:8] == ["16.00", "17.00", "+1.00", "[-0.50,", "+2.50]"]
    assert rank.endswith("60     90  lower is better")
    assert "x|0: not comparable: the prompts: 3 of 4" in lines
    assert "only in the base run: y|0" in lines
    assert "  + key0: red → (unparsed); truth: blue; 0 → 1" in lines
    assert not any("key1" in line for line in lines)
    assert any("change of accuracy over 2 trials: mean 20.0, std. dev. 14.14" in line for line in lines)


def test_json_lists_as_many_flips_as_asked_for_and_counts_all() -> None:
    found = as_json(COMPARISON, 2)
    assert [each["key"] for each in found["cells"][0]["gained"]] == ["key0", "key1"]
    assert (found["cells"][0]["n_gained"], found["cells"][0]["n_lost"]) == (4, 1)
    assert found["cells"][1]["refused"] == ["the prompts"]
    assert found["base"]["model"] == "m"


def test_the_page_has_the_numbers_of_the_table() -> None:
    page = render_comparison(COMPARISON, 1)
    for text in ("50.0", "+10.0", "[+2.0, +18.0]", "0.024", "11.2", "not comparable: the prompts", "key0", "y|0"):
        assert text in page
    assert "key1" not in page
    assert page.count("<svg") == 2


def test_the_page_is_well_formed_loads_nothing_and_forbids_scripts() -> None:
    page = render_comparison(COMPARISON, 9)
    body = page[page.index("<body>") : page.index("</html>")]
    ET.fromstring(body)
    assert "default-src 'none'" in page
    assert "src=" not in page
    assert "href=" not in page
    head, *rows = body[: body.index("</table>")].split("<tr>")[1:]
    assert {len(re.findall(r"<t[hd][ >]", row)) for row in rows} == {len(re.findall(r"<t[hd][ >]", head))} == {13}


def test_hostile_text_stays_text_everywhere() -> None:
    flip = Flip(HOSTILE, HOSTILE, HOSTILE * 99, HOSTILE, 0.0, 1.0)
    metric = MetricComparison(HOSTILE, 0.5, 0.6, DIFFERENCE, adjusted=0.02)
    cell = CellComparison(
        HOSTILE, HOSTILE, metrics=(metric,), headline=HOSTILE, flipped=HOSTILE, gained=(flip,), notes=(HOSTILE,)
    )
    refused = CellComparison("x", HOSTILE, refused=(HOSTILE,), reasons=(HOSTILE,), missing={HOSTILE: HOSTILE})
    origin = Origin(HOSTILE, HOSTILE, HOSTILE)
    comparison = Comparison((cell, refused), (HOSTILE,), base=origin, other=origin)
    page = render_comparison(comparison, 5)
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7 * 7 }}" in page
    assert "\u202e" not in page
    ET.fromstring(page[page.index("<body>") : page.index("</html>")])
    markdown = as_markdown(comparison, 5)
    assert "<script" not in markdown
    assert "\u202e" not in markdown
    assert not any(line.startswith("# x") for line in markdown.splitlines())
    text = as_text(comparison, 5)
    assert "\u202e" not in text
    assert not any(line.startswith("# x") for line in text.splitlines())


@pytest.mark.parametrize("comparison", [Comparison(()), Comparison((CellComparison("a", "b"),))])
def test_a_comparison_of_nothing_is_written_too(comparison: Comparison) -> None:
    assert "kosmos-eval comparison" in render_comparison(comparison, 5)
    as_text(comparison, 5)
    as_markdown(comparison, 5)
    as_json(comparison, 5)


def test_the_html_report_writes_comparisons_whole(tmp_path: Path) -> None:
    writer = Plugins().report("html")
    assert isinstance(writer, ComparisonWriter)
    writer.write_comparison(COMPARISON, tmp_path / "a.html", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render_comparison(COMPARISON, 5)
