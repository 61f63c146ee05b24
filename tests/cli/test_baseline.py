"""`baseline` makes the file that a gate reads, of whole runs only, and shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_what_is_saved_is_shown_as_the_run_itself_is(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    assert kosmos_eval("baseline", "save", finished_run, "-o", tmp_path / "deep" / "base.json").code == 0
    shown = kosmos_eval("baseline", "show", tmp_path / "deep" / "base.json")
    assert (shown.code, shown.err) == (0, "")
    assert "letters@mini" in shown.out
    assert "model scripted, float32" in shown.out
    assert kosmos_eval("baseline", "show", finished_run).out == shown.out


def test_a_run_with_failed_samples_is_no_baseline(
    kosmos_eval: Command, tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_TOO_BIG", "Generate letter 4?")
    flags = ["--tasks", "letters", "--model", "scripted", "--include_path", plugins_folder, "--report", ""]
    assert kosmos_eval("run", *flags, "-o", tmp_path / "run", "-q").code == 75
    saved = kosmos_eval("baseline", "save", tmp_path / "run", "-o", tmp_path / "base.json")
    assert saved.code == 75
    assert "1 of 40 samples failed" in saved.message
    assert not (tmp_path / "base.json").exists()


def test_what_is_no_run_or_no_baseline_is_one_line(kosmos_eval: Command, tmp_path: Path) -> None:
    refused = kosmos_eval("baseline", "save", tmp_path, "-o", tmp_path / "base.json")
    assert (refused.code, "expected a run folder" in refused.message) == (65, True)
    (tmp_path / "other.json").write_text(json.dumps({"kind": "other"}))
    refused = kosmos_eval("baseline", "show", tmp_path / "other.json")
    assert (refused.code, "expected a baseline" in refused.message) == (65, True)
    assert kosmos_eval("baseline").code in {0, 64}
    assert kosmos_eval("baseline", "save", tmp_path).code == 64
