"""`rescore` scores recorded answers again, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / "results.json", *(folder / "samples").iterdir(), *(folder / "thumbnails").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_scorer_gives_the_same_files_without_loading_the_model(
    kosmos_eval: Command, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_FAIL_AFTER", "0")
    before = outputs(finished_run)
    done = kosmos_eval("rescore", finished_run)
    assert (done.code, done.err) == (0, "")
    assert "letters@mini" in done.out
    assert outputs(finished_run) == before


@pytest.mark.parametrize(("missing", "message"), [("run.json", "found no run.json"), ("journal", "in a journal")])
def test_what_cannot_be_scored_is_a_data_error(
    kosmos_eval: Command, finished_run: Path, missing: str, message: str
) -> None:
    (finished_run / missing).rename(finished_run / "elsewhere")
    refused = kosmos_eval("rescore", finished_run)
    assert refused.code == 65
    assert message in refused.message


def test_a_damaged_journal_is_a_data_error_with_a_cure(kosmos_eval: Command, finished_run: Path) -> None:
    for path in (finished_run / "journal").iterdir():
        path.write_bytes(b"not a journal")
    refused = kosmos_eval("rescore", finished_run)
    assert refused.code == 65
    assert "is damaged" in refused.message
