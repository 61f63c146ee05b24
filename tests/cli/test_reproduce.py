"""`reproduce` runs what a paper's tables need and writes the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


@pytest.fixture
def flags(plugins_folder: Path, tmp_path: Path) -> tuple[str, ...]:
    model = ("--model", "scripted", "--include_path", str(plugins_folder), "--data", "mini", "--limit", "2")
    return (*model, "--tables", "6", "-o", str(tmp_path / "out"))


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    kosmos_eval: Command, flags: tuple[str, ...], tmp_path: Path
) -> None:
    shown = kosmos_eval("reproduce", "kosmos-1", *flags, "--dry-run")
    assert shown.code == 0
    assert "1 runs: 0 finished, 1 to do with 2 samples and 2 requests, 0 that lack something" in shown.out
    assert not (tmp_path / "out").exists()


def test_tables_are_written_in_every_format_and_the_same_command_goes_on(
    kosmos_eval: Command, flags: tuple[str, ...], tmp_path: Path
) -> None:
    done = kosmos_eval("reproduce", "kosmos-1", *flags)
    assert done.code == 0, done.err
    assert "not comparable  mini: stand-in data" in done.out
    assert "1 of 1: raven.test" in done.err
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"raven.test", "tables.txt", "tables.md", "tables.tex", "tables.html", "tables.csv"}
    assert (tmp_path / "out" / "raven.test" / "report.html").exists()
    again = kosmos_eval("reproduce", "kosmos-1", *flags, "--quiet")
    assert (again.code, again.err, again.out) == (0, "", done.out)


def test_where_nothing_can_be_run_the_first_reason_is_given(
    kosmos_eval: Command, flags: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    refused = kosmos_eval("reproduce", "kosmos-1", *flags, "--data", tmp_path / "data", "--quiet")
    assert refused.code == 65
    assert refused.message.startswith("kosmos-eval: nothing that the tables of kosmos-1 need can be run here: ")


def test_failed_samples_end_with_the_code_that_says_so(
    kosmos_eval: Command, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_TOO_BIG", "Score  The following image is:")
    done = kosmos_eval("reproduce", "kosmos-1", *flags)
    assert done.code == 75
    assert "samples failed and are in no score; the same command asks them again" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kosmos-3",), "no paper named 'kosmos-3'"),
        (("kosmos-1", "--tables", "1"), "no table of kosmos-1 named '1'"),
        (("kosmos-1", "--model", "none"), "no model named 'none'"),
    ],
)
def test_what_is_not_there_is_a_usage_error(kosmos_eval: Command, arguments: tuple[str, ...], message: str) -> None:
    refused = kosmos_eval("reproduce", *arguments, "--dry-run")
    assert refused.code == 64
    assert message in refused.message
