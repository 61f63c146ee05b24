"""`table` sets a paper's tables beside runs, or says in one line why it cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_without_a_run_the_papers_and_their_tables_are_listed(kosmos_eval: Command) -> None:
    listed = kosmos_eval("table")
    assert listed.code == 0
    assert "kosmos-1: Language Is Not All You Need" in listed.out
    assert "  3               Image captioning, few-shot: 6 numbers" in listed.out
    assert "kosmos-2" in listed.out
    assert "kosmos-2" not in kosmos_eval("table", "kosmos-1").out


def test_a_run_stands_beside_the_paper(kosmos_eval: Command, finished_run: Path) -> None:
    shown = kosmos_eval("table", "kosmos-1", finished_run, "--table", "6")
    assert shown.code == 0
    assert "Table 6: Raven's Progressive Matrices, zero-shot (arXiv 2302.14045)" in shown.out
    assert "2 numbers: 2 not run" in shown.out
    assert "Table 7" not in shown.out


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("t.md", "# Language"), ("t.tex", "% arXiv"), ("t.html", "<!DOCTYPE"), ("t.csv", "paper,table"), ("t", "Table 6")],
)
def test_the_end_of_the_file_says_the_format(
    kosmos_eval: Command, finished_run: Path, tmp_path: Path, name: str, beginning: str
) -> None:
    written = kosmos_eval("table", "kosmos-1", finished_run, "--table", "6", "-o", tmp_path / "out" / name)
    assert (written.code, written.out) == (0, f"{tmp_path / 'out' / name}\n")
    text = (tmp_path / "out" / name).read_text(encoding="utf-8")
    assert text.startswith(beginning)
    assert text.endswith("\n")


def test_a_format_can_be_asked_for(kosmos_eval: Command, finished_run: Path) -> None:
    shown = kosmos_eval("table", "kosmos-2", finished_run, "--table", "readme", "--format", "csv", "--margin", "3")
    assert ",80.5," in shown.out
    assert ",3.0," in shown.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("kosmos1", "{run}"), 64, "no paper named 'kosmos1'; did you mean 'kosmos-1'?"),
        (("kosmos1",), 64, "no paper named 'kosmos1'; did you mean 'kosmos-1'?"),
        (("kosmos-1", "{run}", "--table", "15"), 64, "no table of kosmos-1 named '15'; did you mean '5'?"),
        (("kosmos-1", "--table", "3"), 64, "expected a run's folder, as kosmos-eval table kosmos-1 RUN, got none"),
        (("kosmos-1", "{run}", "--margin", "-1"), 64, "Invalid value for '--margin': -1.0 is not in the range x>=0."),
        (("kosmos-1", "{run}/none"), 65, "{run}/none: expected a run folder, found no run.json in it"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(
    kosmos_eval: Command, finished_run: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    refused = kosmos_eval("table", *(each.format(run=finished_run) for each in arguments))
    assert (refused.code, refused.message) == (code, f"kosmos-eval: {message.format(run=finished_run)}")


def test_an_unfinished_run_has_no_table(kosmos_eval: Command, finished_run: Path) -> None:
    (finished_run / "results.json").unlink()
    refused = kosmos_eval("table", "kosmos-1", finished_run)
    assert refused.code == 65
    assert f"finish it with: kosmos-eval run --resume {finished_run}" in refused.message


def test_the_tuning_of_a_model_can_be_said(kosmos_eval: Command, finished_run: Path) -> None:
    results = finished_run / "results.json"
    values = json.loads(results.read_text(encoding="utf-8"))
    for cell in values["cells"]:
        cell |= {"task": "raven:test", "split": "test", "samples": 50, "total": 50, "settings": {}}
    results.write_text(json.dumps(values), encoding="utf-8")
    flags = ("--table", "6")
    assert "a model that is tuned on instructions" not in kosmos_eval("table", "kosmos-1", finished_run, *flags).out
    said = kosmos_eval("table", "kosmos-1", finished_run, *flags, "--tuning", "tuned").out
    assert "not comparable  a model that is tuned on instructions" in said
