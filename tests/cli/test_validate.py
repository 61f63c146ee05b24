"""`validate` prints a line a check, writes the same as JSON, and ends with 65 when something does not hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_a_built_in_passes(kosmos_eval: Command, tmp_path: Path) -> None:
    shown = kosmos_eval("validate", "vqav2", "-n", "3", "--json", tmp_path / "found.json")
    assert (shown.code, shown.err) == (0, "")
    first, *lines = shown.out.splitlines()
    assert first.startswith("vqav2@mini, version ")
    assert "  PASS  gold         3 samples: the best answers earn full marks" in lines
    assert all(line.startswith(("  PASS  ", "  N/A   ")) for line in lines)
    [found] = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["task"], found["failed"], len(found["checks"])) == ("vqav2@mini", 0, len(lines))


def test_what_does_not_hold_is_named_and_ends_with_65(kosmos_eval: Command, plugins_folder: Path) -> None:
    shown = kosmos_eval("validate", "letters", "-n", "3", "--shots", "0", "--include_path", plugins_folder)
    assert shown.code == 65
    assert "  FAIL  gold" in shown.out
    assert "checks do not hold: letters@mini images" in shown.message


def test_data_that_cannot_be_read_fails_by_name(kosmos_eval: Command, tmp_path: Path) -> None:
    shown = kosmos_eval("validate", "vqav2", "--data", tmp_path)
    assert (shown.code, "  FAIL  samples" in shown.out) == (65, True)
    assert kosmos_eval("validate", "vqa2").code == 64
    assert kosmos_eval("validate").code == 64
