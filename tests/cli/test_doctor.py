"""`doctor` says what is missing, and ends with an error only where it is required."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval

PYTHON = Finding("Python", "ok", "3.11.7")
SPICE = Finding("SPICE", "optional", "not available", "put the jars there")
TORCH = Finding("torch", "missing", "not installed", "pip install torch")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    findings = [PYTHON, SPICE]
    monkeypatch.setattr("kosmos_eval.doctor.examine", lambda _plugins: findings)
    return findings


@pytest.mark.usefixtures("found")
def test_warnings_end_with_nought_and_each_thing_has_a_line(kosmos_eval: Command) -> None:
    shown = kosmos_eval("doctor")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "ok       Python  3.11.7",
        "warning  SPICE   not available; put the jars there",
    ]


def test_what_is_required_and_missing_is_an_error_that_names_it(kosmos_eval: Command, found: list[Finding]) -> None:
    found.append(TORCH)
    shown = kosmos_eval("doctor")
    assert shown.code == 64
    assert shown.message == "kosmos-eval: required and not there: torch"
    assert "MISSING  torch   not installed; pip install torch" in shown.out


def test_json_has_every_finding_and_the_same_exit_code(kosmos_eval: Command, found: list[Finding]) -> None:
    shown = kosmos_eval("doctor", "--json")
    assert shown.code == 0
    assert json.loads(shown.out)[1] == {
        "name": "SPICE",
        "state": "optional",
        "found": "not available",
        "cure": "put the jars there",
    }
    found.append(TORCH)
    assert kosmos_eval("doctor", "--json").code == 64
