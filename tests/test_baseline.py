"""A baseline file holds what a gate needs of a run, in few bytes, the same each time."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kosmos_eval.baseline import MeasuredCell, MeasuredRun, alike, read_measured, save_baseline
from kosmos_eval.errors import DataError
from kosmos_eval.measurements import Measurements, Origin
from kosmos_eval.metrics.forms import Kept, weighed_of
from kosmos_eval.record import CellResult, MetricResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.corpus import Weighed


def planted(count: int, corpus: Mapping[str, Weighed] | None = None) -> MeasuredRun:
    keys = tuple(f"{262_144_000 + 7 * number}" for number in range(count))
    worth = np.random.default_rng(0).choice([0.0, 0.3, 0.6, 1.0], count).tolist()
    metric = MetricResult("vqa_accuracy", float(np.mean(worth)), None, None, None, count, count, 0, 0)
    cell = CellResult("planted@mini", 4, 1, "val", (metric,), {}, count, count, 0, {"stop": ["\n"]}, {"data": "d"})
    digests = [np.random.default_rng(number).bytes(32).hex() for number in range(count)]
    measurements = Measurements(
        cell=cell,
        keys=keys,
        contents=tuple(digests),
        clusters=tuple(f"{262_144 + number // 5}" for number in range(count)),
        answers=tuple(f"secret answer {number}" for number in range(count)),
        values={"vqa_accuracy": tuple(worth)},
        corpus=corpus or {},
        measured=tuple(range(count)),
        asked=tuple(reversed(digests)),
        targets=tuple(f"secret truth {number}" for number in range(count)),
    )
    return MeasuredRun(
        Path("run"), Origin("run", "planted", "w" * 64, "float32"), (MeasuredCell(measurements, "a" * 64),)
    )


def test_what_is_read_is_what_was_saved_but_for_answers_and_the_ends_of_digests(tmp_path: Path) -> None:
    run = planted(100)
    save_baseline(run, tmp_path / "base.json")
    back = read_measured(tmp_path / "base.json")
    (saved,), (read,) = run.cells, back.cells
    before, after = saved.measurements, read.measurements
    for name in ("cell", "keys", "clusters", "values", "measured", "failed", "unkept"):
        assert getattr(after, name) == getattr(before, name), name
    assert (after.answers, after.targets) == ((None,) * 100, ())
    assert [each[:4] for each in before.contents] == list(after.contents)
    assert [each[:2] for each in before.asked] == list(after.asked)
    assert (read.answers, read.speed, back.memory) == (saved.answers, None, None)
    assert back.origin == replace(run.origin, run=str(tmp_path / "base.json"))
    cut, same = alike(after, before)
    assert (cut.contents, cut.asked) == (same.contents, same.asked)


def test_nothing_of_the_data_or_the_answers_is_in_the_file(tmp_path: Path) -> None:
    save_baseline(planted(100), tmp_path / "base.json")
    assert "secret" not in json.dumps(json.loads((tmp_path / "base.json").read_text()))
    read = read_measured(tmp_path / "base.json").cells[0].measurements
    assert "secret" not in repr(read)


def test_a_sample_takes_few_bytes(tmp_path: Path) -> None:
    sizes = []
    for count in (1000, 3000):
        save_baseline(planted(count), tmp_path / "base.json")
        sizes.append((tmp_path / "base.json").stat().st_size)
    assert (sizes[1] - sizes[0]) / 2000 < 12


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(finished_run: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(finished_run, tmp_path / "elsewhere"))
    for number, folder in enumerate((finished_run, finished_run, elsewhere)):
        save_baseline(read_measured(folder), tmp_path / f"{number}.json")
    first, again, moved = ((tmp_path / f"{number}.json").read_bytes() for number in range(3))
    assert first == again == moved


def test_corpus_metrics_keep_what_they_are_made_of_once(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(1, 9, (50, 11)).astype(float)
    scores = np.stack([np.random.default_rng(1).normal(size=50), np.arange(50) % 2], axis=1)
    corpus = {"bleu1": Kept("bleu-1", counts), "bleu4": Kept("bleu-4", counts), "roc_auc": Kept("roc-auc", scores)}
    run = planted(50, {name: weighed_of(kept) for name, kept in corpus.items()})
    save_baseline(run, tmp_path / "base.json")
    assert len(json.loads((tmp_path / "base.json").read_text())["cells"][0]["statistics"]) == 2
    read = read_measured(tmp_path / "base.json").cells[0].measurements.corpus
    weights = np.random.default_rng(2).integers(0, 3, (4, 50)).astype(float)
    for name, whole in run.cells[0].measurements.corpus.items():
        assert read[name].values(weights).tolist() == whole.values(weights).tolist()


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    run = planted(10)
    cell = run.cells[0].measurements.cell
    metric = replace(cell.metrics[0], value=float("inf"))
    wrong = replace(run.cells[0].measurements, cell=replace(cell, metrics=(metric,)))
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_baseline(replace(run, cells=(MeasuredCell(wrong, ""),)), tmp_path / "base.json")
    assert list(tmp_path.iterdir()) == []
    save_baseline(run, tmp_path / "base.json")
    values = json.loads((tmp_path / "base.json").read_text())
    values["cells"][0]["cell"]["metrics"][0]["value"] = float("nan")
    (tmp_path / "base.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="vqa_accuracy: value: expected a finite number or nothing, got nan"):
        read_measured(tmp_path / "base.json")


def test_speed_and_memory_are_those_that_the_run_recorded(finished_run: Path) -> None:
    run = read_measured(finished_run)
    assert run.memory is not None
    assert run.memory > 1 << 20
    timings = json.loads((finished_run / "run.json").read_text())["timings"]["letters@mini|0"]
    assert run.cells[0].speed == timings["samples"] / timings["seconds"]
