from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kosmos_eval.ablation.result import Ablation, ArmOutcome, Row
from kosmos_eval.ablation.spec import parse_spec
from kosmos_eval.comparison import MetricComparison
from kosmos_eval.record import MetricResult
from kosmos_eval.reports.html import HTML, render_ablation
from kosmos_eval.reports.marks import difference_bar, difference_reach
from kosmos_eval.statistics.paired import Difference

HOSTILE = "<script>alert(1)</script>\"'{{ 7 * 7 }}</style> \u202e"
DIFFERENCE = Difference(-0.25, -0.375, -0.125, 0.0625, 0.004, 40, 40, 2, 12, 26, "tango-clustered", "mcnemar-exact")
COMPARED = MetricComparison("accuracy", 0.75, 0.5, DIFFERENCE, adjusted=0.012)
RESULT = MetricResult("accuracy", 0.75, 0.625, 0.875, 0.0625, 40, 40, 0, 0, chance=0.25)
VOID = {"meta", "input", "link", "br", "hr", "img"}


class Tags(HTMLParser):
    """Holds the page's tags, and fails on those that do not pair up."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def ablation() -> Ablation:
    outcomes = (
        ArmOutcome("tiny", RESULT),
        ArmOutcome(HOSTILE, replace(RESULT, value=0.5), COMPARED),
        ArmOutcome("text", None, applies=False, reason="text reads no pictures"),
    )
    arms = {"tiny": {"model": "a"}, HOSTILE: {"model": "b"}, "text": {"model": "c"}}
    spec = parse_spec({"tasks": ["letters"], "arms": arms, "title": HOSTILE, "limit": 40}, "here")
    row = Row("letters@mini", 4, 0, "accuracy", outcomes)
    parts = (replace(row, breakdown="kind", category=HOSTILE), replace(row, shots=0))
    runs = {"tiny": "runs/tiny", HOSTILE: "runs/b c"}
    return Ablation(Path("abl"), spec, runs, (row, *parts), "Over 2 tests.", 2, 3, {"tiny": "5e" * 32}, {"python": "3"})


def test_the_page_is_well_formed_and_runs_and_loads_nothing(ablation: Ablation) -> None:
    tags = Tags(render_ablation(ablation)).found
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "img"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}]
    policy = next(each["content"] or "" for tag, each in tags if tag == "meta" and "http-equiv" in each)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_arms_link_to_their_runs_own_reports(ablation: Ablation) -> None:
    links = [attributes["href"] for tag, attributes in Tags(render_ablation(ablation)).found if tag == "a"]
    assert links[:2] == ["runs/tiny/report.html", "runs/b%20c/report.html"]


def test_the_page_says_what_the_table_says(ablation: Ablation) -> None:
    page = render_ablation(ablation)
    for text in ("[-37.5, -12.5]", "0.012", "2 up, 12 down", "not applicable: text reads no pictures", "Over 2 tests."):
        assert text in page
    assert "3 samples failed" in page
    assert page.count("procedural stand-in data") == 1
    assert page.count('<tr class="first part">') == 2  # all samples, and the category


def test_the_page_is_written_whole_beside_the_record(ablation: Ablation, tmp_path: Path) -> None:
    path = HTML.write_ablation(ablation, tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").endswith("</html>\n")


def test_an_ablation_without_results_is_a_page_too(ablation: Ablation) -> None:
    assert "The ablation has no results." in render_ablation(replace(ablation, rows=()))


def test_bars_of_a_unit_share_a_scale_with_no_difference_in_its_middle() -> None:
    small = replace(COMPARED, difference=replace(DIFFERENCE, value=0.05, low=0.0, high=0.1))
    own = replace(COMPARED, name="rank", percent=False, difference=replace(DIFFERENCE, value=8.0, low=4.0, high=12.0))
    reach = difference_reach([COMPARED, small, own])
    assert reach[""] >= 0.375
    assert reach["rank"] >= 12
    bars = [difference_bar(each, reach, "words") for each in (COMPARED, small, own)]
    assert {bar.zero for bar in bars if bar} == {60.0}
    first, second = bars[0], bars[1]
    assert first is not None
    assert second is not None
    assert first.left <= first.low < first.value < first.high < first.zero == second.low < second.value < second.high
    step = (first.zero - first.value) / 0.25
    assert second.value - second.zero == pytest.approx(step * 0.05, abs=0.02)


def test_a_difference_that_there_is_none_of_is_not_drawn() -> None:
    nothing = replace(COMPARED, difference=replace(DIFFERENCE, value=None, low=None, high=None))
    assert difference_bar(nothing, difference_reach([nothing]), "") is None


def test_text_of_others_stays_text(ablation: Ablation) -> None:
    page = render_ablation(ablation)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert "\u202e" not in page
