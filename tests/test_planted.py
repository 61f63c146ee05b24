"""The runs of known truth are as they say, and what is asked of them comes out as it should, in few trials."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are part of the source tree")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("planted")


@pytest.mark.parametrize(
    "world",
    [
        {"clusters": 40_000, "right": 0.8, "discordant": 0.2, "drop": 0.05},
        {"clusters": 20_000, "size": 3, "spread": 0.4, "shared": 0.7, "discordant": 0.2, "drop": -0.02},
        {"clusters": 100, "right": 1.0, "discordant": 0.1, "drop": 0.1},
        {"clusters": 100, "right": 0.0, "discordant": 0.0},
    ],
)
def test_what_is_planted_is_there(planted: ModuleType, world: dict[str, Any]) -> None:
    drawn = planted.World(**world)
    base, other, clusters = drawn.draw(np.random.default_rng(1))
    few = 0.01 if drawn.count > 1000 else 0.15
    assert base.mean() == pytest.approx(drawn.right, abs=few)
    assert (other - base).mean() == pytest.approx(-drawn.drop, abs=few)
    assert np.abs(other - base).mean() == pytest.approx(drawn.discordant, abs=few)
    assert len(clusters) == drawn.count
    assert len(set(clusters)) == drawn.clusters


def test_clusters_scatter_more_than_single_samples(planted: ModuleType) -> None:
    alone = planted.World(50, discordant=0.2)
    grouped = planted.World(10, 5, discordant=0.2, shared=0.9, spread=0.5)
    assert planted.deviation(alone) == pytest.approx((0.2 / 50) ** 0.5, rel=0.05)
    assert planted.deviation(grouped) > 1.3 * planted.deviation(alone)


def test_a_detectable_drop_is_found_with_about_the_stated_power_and_none_where_there_is_none(
    planted: ModuleType,
) -> None:
    world = planted.World(400, discordant=0.2)
    rng = np.random.default_rng(2)
    dropped = planted.with_detectable_drop(world)
    assert sum(planted.finds(dropped.draw(rng)) for _ in range(150)) / 150 == pytest.approx(0.8, abs=0.08)
    assert sum(planted.finds(world.draw(rng)) for _ in range(150)) / 150 <= 0.08


def test_the_gate_is_told_the_truth(planted: ModuleType) -> None:
    rng = np.random.default_rng(3)
    policy = planted.Policy(tolerance=2)
    assert planted.verdict([planted.World(800, discordant=0.02)] * 2, rng, policy) == "pass"
    worse = [planted.World(800, discordant=0.02), planted.World(800, discordant=0.2, drop=0.15)]
    assert planted.verdict(worse, rng, policy) == "regression"
    assert planted.verdict([planted.World(20, discordant=0.5)], rng, policy) == "inconclusive"


def test_the_table_and_the_file_hold_the_same_rows(
    planted: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (planted.Row("found", 0.95, 0.01, 100, at_least=0.94), planted.Row("saved", 2.0, 0.1, 100, 3.0, unit="x"))
    monkeypatch.setattr(planted, "TOPICS", {"power": lambda _: iter(rows)})
    monkeypatch.setattr("sys.argv", ["planted.py", "--trials", "100", "--out", str(tmp_path)])
    assert planted.main() == 1
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| found | 95.0% ± 1.0% | at least 94% | met | 100 |",
        "| saved | 2.0x ± 0.1 | at least 3x | **missed** | 100 |",
    ]
    found = json.loads((tmp_path / "planted.json").read_text(encoding="utf-8"))
    assert [(row["what"], row["met"]) for row in found["rows"]] == [("found", True), ("saved", False)]
