"""Runs that were never run: their folders hold what a run with such scores would have left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from kosmos_eval.papers.matching import Parts
from kosmos_eval.papers.published import load_paper
from kosmos_eval.plugins import Plugins
from kosmos_eval.record import SCHEMA_VERSION, CellResult, MetricResult, RunRecord, load
from kosmos_eval.scoring import plain
from kosmos_eval.statistics.intervals import mean_interval
from kosmos_eval.writing import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.papers.published import Paper


def scored(name: str, value: float, count: int) -> MetricResult:
    """Return a metric over so many samples that are right or wrong, about as many of them right as is asked."""
    right = round(value * count)
    found = mean_interval([1.0] * right + [0.0] * (count - right), [f"{place}" for place in range(count)])
    return MetricResult(name, found.value, found.low, found.high, found.stderr, count, count, 0, 0)


class Plant(Protocol):
    """Writes a run's folder and returns its record."""

    def __call__(self, *cells: CellResult, config: dict[str, Any] | None = None, began: float = 1.0) -> RunRecord: ...


@dataclass
class Planter:
    """Writes runs into a folder, numbered."""

    folder: Path
    runs: list[Path] = field(default_factory=list)

    def __call__(self, *cells: CellResult, config: dict[str, Any] | None = None, began: float = 1.0) -> RunRecord:
        path = self.folder / f"run{len(self.runs) + 1}"
        self.runs.append(path)
        told = {"tasks": ["x"], "exemplars": "per-sample", "sample_order": "random", "model_args": {}, **(config or {})}
        run = {"schema": SCHEMA_VERSION, "config": told, "model": {"name": "planted"}, "launches": [{"started": began}]}
        write_json(path / "run.json", run)
        write_json(path / "results.json", {"cells": [plain(cell) for cell in cells]})
        return load(path)


class MakeCell(Protocol):
    """Returns a cell with one metric."""

    def __call__(
        self,
        part: str,
        metric: str,
        value: float,
        count: int,
        total: int | None = None,
        **changes: Any,  # noqa: ANN401  any field
    ) -> CellResult: ...


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Planter(tmp_path)


@pytest.fixture(scope="session")
def parts_of() -> dict[str, Parts]:
    plugins = Plugins()
    return {name: Parts(load_paper(name), plugins) for name in ("kosmos-1", "kosmos-2")}


@pytest.fixture(scope="session")
def kosmos_1() -> Paper:
    return load_paper("kosmos-1")


@pytest.fixture(scope="session")
def kosmos_2() -> Paper:
    return load_paper("kosmos-2")


@pytest.fixture
def make_cell(parts_of: dict[str, Parts]) -> MakeCell:
    def make(
        part: str,
        metric: str,
        value: float,
        count: int,
        total: int | None = None,
        **changes: Any,  # noqa: ANN401  any field
    ) -> CellResult:
        settings = {**parts_of["kosmos-1"].settings(part), **changes.pop("settings", {})}
        values: dict[str, Any] = {
            "task": part,
            "shots": 0,
            "version": 1,
            "split": settings["split"],
            "metrics": (scored(metric, value, count),),
            "groups": {},
            "samples": count,
            "total": count if total is None else total,
            "unlabelled": 0,
            "settings": settings,
            "fingerprints": {},
        }
        return CellResult(**{**values, **changes})

    return make
