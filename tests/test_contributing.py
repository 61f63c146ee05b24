"""The benchmark that CONTRIBUTING shows is a whole one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.run import evaluate
from kosmos_eval.validate import as_text, validate

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Return a folder with the page's benchmark."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "squares.py").write_text(code[1], encoding="utf-8")
    return folder


@pytest.mark.skipif(not PAGE.exists(), reason="the page is part of the source tree")
def test_the_benchmark_in_contributing_runs_as_it_stands(squares: Path, tmp_path: Path) -> None:
    scripted = Path(__file__).parent / "plugins"
    record = evaluate(
        tasks="squares",
        model="scripted",
        shots=[0, 2],
        include_path=[str(squares), str(scripted)],
        output_path=tmp_path / "run",
        report=[],
    )
    counts = {cell.name: cell.metrics[0].count for cell in record.cells}
    assert counts == {"squares@mini|0": 60, "squares@mini|2": 60}


@pytest.mark.skipif(not PAGE.exists(), reason="the page is part of the source tree")
def test_the_benchmark_in_contributing_is_proven(squares: Path) -> None:
    [found] = validate(RunConfig(tasks=("squares",), shots=(0, 2), include_path=(str(squares),)))
    assert found.failed == (), as_text(found)
