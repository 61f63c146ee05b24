"""A run's folder is read back as it was written, or says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.errors import DataError
from kosmos_eval.plan import Unit
from kosmos_eval.record import CellResult, Exchange, MetricResult, RunRecord, SampleRecord, load, read_run
from kosmos_eval.run import evaluate
from kosmos_eval.run_folder import default_folder, read_units, reopen
from kosmos_eval.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_loading_gives_what_running_gave(tmp_path: Path, plugins_folder: Path) -> None:
    arguments: dict[str, Any] = {"model": "scripted", "include_path": [str(plugins_folder)], "report": []}
    record = evaluate(tasks="letters", shots=[0, 2], limit=9, output_path=tmp_path / "run", **arguments)
    assert load(tmp_path / "run") == record
    assert load(str(tmp_path / "run")) == record
    assert [cell.name for cell in record.cells] == ["letters@mini|0", "letters@mini|2"]


def test_records_are_of_the_types_they_say(finished_run: Path) -> None:
    record = load(finished_run)
    cell = record.cells[1]
    assert isinstance(cell, CellResult)
    assert isinstance(cell.metrics[0], MetricResult)
    assert isinstance(cell.groups["parity"]["odd"], MetricResult)
    assert (cell.file_stem, cell.subset) == ("letters@mini_2shot", False)
    samples = list(record.samples(cell))
    assert len(samples) == cell.samples == 40
    for sample in samples:
        assert isinstance(sample, SampleRecord)
        assert isinstance(sample.exchanges[0], Exchange)
        assert isinstance(sample.exchanges[1].options, tuple)
        assert isinstance(sample.exchanges[1].option_images[0], tuple)
        assert len(sample.exemplars) == 2
    assert hash(samples[0].exchanges[1].options)


def test_a_sample_s_numbers_make_up_the_cell_s(finished_run: Path) -> None:
    record = load(finished_run)
    for cell in record.cells:
        samples = list(record.samples(cell))
        assert cell.metrics[0].value == pytest.approx(sum(each.values["accuracy"] for each in samples) / len(samples))
        assert cell.metrics[0].unparsed == sum(each.answer is None for each in samples) > 0
        assert cell.metrics[0].truncated == sum(each.stop_reason == "length" for each in samples) > 0
        odd = [each.values["accuracy"] for each in samples if each.groups["parity"] == "odd"]
        assert cell.groups["parity"]["odd"].value == pytest.approx(sum(odd) / len(odd))


def test_shown_samples_have_thumbnails(finished_run: Path) -> None:
    record = load(finished_run)
    for cell in record.cells:
        assert cell.shown
        shown = [each for each in record.samples(cell) if each.key in cell.shown]
        digests = {digest for each in shown for exchange in each.exchanges for digest in exchange.images}
        assert all(record.thumbnail(digest) for digest in digests)
    assert record.thumbnail("0" * 64) is None


def damage(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove("run.json"), "expected a run folder, found no run.json in it"),
        (remove("results.json"), "the run is not finished; finish it with: kosmos-eval run --resume"),
        (damage("run.json", "{"), r"run\.json: cannot be read"),
        (damage("run.json", "[]"), r"run\.json: expected a JSON object, got \[\]"),
        (damage("run.json", '{"schema": 99}'), "expected schema 1, got 99; another version wrote this run"),
        (damage("run.json", "{}"), "expected schema 1, got None"),
        (damage("results.json", "no"), r"results\.json: cannot be read"),
        (damage("results.json", "{}"), r"results\.json: expected what this version writes, got something else"),
        (damage("results.json", '{"cells": [{"task": "x"}]}'), r"results\.json: expected what this version writes"),
        (damage("results.json", '{"cells": [3]}'), r"results\.json: expected what this version writes"),
    ],
)
def test_a_damaged_run_says_what_is_wrong(finished_run: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(finished_run)
    with pytest.raises(DataError, match=message):
        load(finished_run)


@pytest.mark.parametrize("text", ["{", '{"key": "a"}', "[]", '{"exchanges": [{"kind": "Generate"}]}'])
def test_damaged_samples_say_how_to_make_them_again(finished_run: Path, text: str) -> None:
    record = load(finished_run)
    damage("samples/letters@mini_0shot.jsonl", f"{text}\n")(finished_run)
    cure = r"letters@mini_0shot\.jsonl: cannot be read .*; make it again with: kosmos-eval rescore"
    with pytest.raises(DataError, match=cure):
        list(record.samples(record.cells[0]))
    remove("samples/letters@mini_2shot.jsonl")(finished_run)
    with pytest.raises(DataError, match="cannot be read"):
        list(record.samples(record.cells[1]))


def test_a_folder_that_is_not_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a run folder"):
        read_run(tmp_path / "none")


def test_an_empty_record_has_no_cells(tmp_path: Path) -> None:
    assert RunRecord(tmp_path, {}).cells == ()


# --- run_folder.py: the folder by name, and its plan


def test_the_plan_of_a_run_is_read_back_from_its_folder(finished_run: Path) -> None:
    plan = reopen(finished_run)
    assert read_units(finished_run) == plan.units
    assert plan.fingerprints == read_run(finished_run)["fingerprints"]


def test_keys_may_hold_any_character(tmp_path: Path) -> None:
    unit = Unit("u", "t|0", ("line\u2028end", "next\x85line", 'quote"\\', "tab\t", "café"))
    (tmp_path / "plan.jsonl").write_text(
        json.dumps({"id": unit.id, "cell": unit.cell, "keys": unit.keys}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    assert read_units(tmp_path) == (unit,)


def test_a_run_can_be_read_again_from_another_folder(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reopen(finished_run).units == read_units(finished_run)


def test_default_folders_are_named_after_model_and_tasks_and_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: RunConfig
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260102-030405")
    first = default_folder(config)
    assert str(first) == "runs/20260102-030405-model-a-b"
    first.mkdir(parents=True)
    assert str(default_folder(config)) == "runs/20260102-030405-model-a-b-2"
    long = config.model_copy(update={"tasks": ("x" * 300,)})
    assert len(default_folder(long).name) <= 100


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(tasks=("a", "b"), model="some/where/model")


def test_a_cell_of_results_is_a_value() -> None:
    metric = MetricResult("m", None, None, None, None, 0, 0, 0, 0)
    cell = CellResult("t", 0, 1, "val", (metric,), {}, 0, 0, 0, {}, {})
    assert replace(cell, shots=4).name == "t|4"
    assert not cell.subset


def test_json_that_is_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "run.json", {"schema": 1, "name": "café"})
    assert read_run(tmp_path / "deep") == {"schema": 1, "name": "café"}
