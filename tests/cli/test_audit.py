"""`audit` compares a model's ways, and fails where they disagree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


@pytest.fixture
def work(plugins_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the flags of a small audit, and stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    flags = ["--include-path", str(plugins_folder), "--tasks", "letters", "--model", "several"]
    return ["audit", *flags, "--set", "letters.size=9"]


def test_ways_that_agree_pass_and_nothing_is_written(kosmos_eval: Command, work: list[str], tmp_path: Path) -> None:
    done = kosmos_eval(*work, "--n", "6", "--shots", "0,1")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()[2:6]]
    assert [row[:4] for row in rows] == [
        [way, "letters@mini", shots, "6"] for way in ("alone", "batched") for shots in "01"
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_samples_are_those_that_a_limit_draws(
    kosmos_eval: Command, work: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVERAL_FAILS", "letter")  # so that the audit names every sample
    run = ["run", *work[1:], "--set", "letters.size=40", "--limit", "4", "-q", "--report", "", "-o", "out"]
    kosmos_eval(*run)
    kosmos_eval(*work, "--set", "letters.size=40", "--n", "4", "--json", "found.json")
    lines = (tmp_path / "out" / "samples" / "letters@mini_0shot.jsonl").read_text(encoding="utf-8").splitlines()
    failed = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rows"][1]["failed"]
    assert failed.keys() == {json.loads(line)["key"] for line in lines}
    assert len(failed) == 4


def test_a_flip_that_is_no_near_tie_ends_with_one_line_and_code_70(
    kosmos_eval: Command, work: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVERAL_SHIFT", "-5")
    failed = kosmos_eval(*work, "--json", "found.json")
    assert failed.code == 70
    assert failed.message.startswith("kosmos-eval: the ways of several disagree: ")
    assert "answers flipped that are no near ties (first: letters@mini|0, sample " in failed.message
    assert "flipped: batched, letters@mini|0, sample " in failed.out
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["model"]["name"], found["reference"], len(found["defects"])) == ("several", "alone", 2)


def test_a_tolerance_is_taken_for_the_type_s(
    kosmos_eval: Command, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVERAL_SHIFT", "0.005")
    assert "differ by up to 0.005 nats (batched, letters@mini|0), more than 0.001" in kosmos_eval(*work).message
    assert kosmos_eval(*work, "--tolerance", "0.006").code == 0
    assert kosmos_eval(*work, "--dtype", "bfloat16").code == 0


def test_what_one_way_cannot_take_is_named(
    kosmos_eval: Command, work: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEVERAL_FAILS", "letter 4?")
    done = kosmos_eval(*work)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "failed: batched, letters@mini|0, sample 4: too long"


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--model", "scripted"), 64, "expected a model that computes in several ways (Auditable.ways), got scripted"),
        (("--tasks", "leters"), 64, "no task named 'leters'; did you mean 'letters'?"),
        (("--n", "0"), 64, "--n"),
        (("--tolerance", "-1"), 64, "--tolerance"),
    ],
)
def test_a_mistake_ends_with_its_code_and_one_line(
    kosmos_eval: Command, work: list[str], flags: tuple[str, str], code: int, message: str
) -> None:
    refused = kosmos_eval(*work, *flags)
    assert (refused.code, message in refused.message) == (code, True), refused.message


def test_without_tasks_one_is_told_how_to_name_them(kosmos_eval: Command) -> None:
    assert "expected --tasks, such as --tasks vqav2,raven" in kosmos_eval("audit").message
