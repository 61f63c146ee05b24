"""What is drawn has the truth that its interval is held against, and the table has a line for each shape."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are part of the source tree")


@pytest.fixture
def intervals(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("intervals")


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize(("groups", "size"), [(60, 1), (30, 5)])
def test_most_intervals_cover_the_truth_that_is_drawn(
    intervals: ModuleType, groups: int, size: int, *, graded: bool
) -> None:
    for covered in (intervals.mean_covers, intervals.difference_covers):
        rng = np.random.default_rng(1)
        assert sum(covered(rng, groups, size, graded=graded) for _ in range(60)) >= 51


def test_the_table_has_a_line_for_each_shape(
    intervals: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["intervals.py", "--trials", "2"])
    monkeypatch.setattr(intervals, "SHAPES", ((20, 1), (10, 5)))
    assert intervals.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["20 independent", "10 clusters of 5"]
