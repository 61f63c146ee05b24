from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kosmos_eval.ablation.result import Ablation, ArmOutcome, Row
from kosmos_eval.ablation.spec import parse_spec
from kosmos_eval.ablation.writing import as_markdown, as_text
from kosmos_eval.comparison import MetricComparison
from kosmos_eval.record import MetricResult
from kosmos_eval.statistics.paired import Difference

DIFFERENCE = Difference(-0.25, -0.375, -0.125, 0.0625, 0.004, 40, 40, 2, 12, 26, "tango-clustered", "mcnemar-exact")
COMPARED = MetricComparison("accuracy", 0.75, 0.5, DIFFERENCE, adjusted=0.012)
RESULT = MetricResult("accuracy", 0.75, 0.625, 0.875, 0.0625, 40, 40, 0, 0, chance=0.25)


def ablation(*outcomes: ArmOutcome) -> Ablation:
    names = [each.arm for each in outcomes]
    arms = {name: {"model": f"model {name}"} for name in names}
    spec = parse_spec({"tasks": ["letters"], "arms": arms}, "here")
    rows = (Row("letters@mini", 4, 0, "accuracy", outcomes, note="subset: 40 of 400 samples"),)
    return Ablation(Path("abl"), spec, {name: f"runs/{name}" for name in names}, rows, "All of 1 test.", 1, 0, {}, {})


WHOLE = ablation(
    ArmOutcome("tiny", RESULT),
    ArmOutcome("blind", replace(RESULT, value=0.5, low=0.375, high=0.625), COMPARED),
    ArmOutcome("text", None, applies=False, reason="text reads no pictures"),
)


def test_a_line_an_arm_with_its_value_and_its_difference() -> None:
    lines = as_text(WHOLE).splitlines()
    assert " ".join(lines[2].split()) == "letters@mini 4 all tiny accuracy 75.0 [62.5, 87.5] 25.0 40 reference"
    difference = "-25.0 [-37.5, -12.5] 0.004 0.012"
    assert " ".join(lines[3].split()) == f"blind accuracy 50.0 [37.5, 62.5] 25.0 40 {difference}"
    assert " ".join(lines[4].split()) == "text not applicable: text reads no pictures"


def test_what_holds_for_all_numbers_is_said_below() -> None:
    text = as_text(WHOLE)
    assert "All of 1 test." in text
    assert "arm minus tiny" in text
    assert "letters@mini: subset: 40 of 400 samples" in text
    assert "@mini: procedural stand-in data" in text


def test_a_metric_that_is_no_share_is_shown_as_it_is() -> None:
    outcome = ArmOutcome("blind", replace(RESULT, percent=False, value=3.5), replace(COMPARED, percent=False))
    text = as_text(ablation(ArmOutcome("tiny", replace(RESULT, percent=False)), outcome))
    assert "-0.25" in text
    assert "accuracy: shown as it is, not in %." in text


def test_names_cannot_turn_into_marks() -> None:
    hostile = "a|b `c` <img>\n# d"
    page = as_markdown(ablation(ArmOutcome("tiny", RESULT), ArmOutcome(hostile, RESULT, COMPARED)))
    line = next(each for each in page.splitlines() if "-25.0" in each)
    assert "a&#124;b &#96;c&#96; &#60;img&#62; &#35; d" in line
    rows = [each for each in page.splitlines() if each.startswith("|")]
    assert len({each.count("|") for each in rows}) == 1
