"""A run whose samples failed is written whole, says so by name and by exit code, and can be finished."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from kosmos_eval.errors import IncompleteRunError
from kosmos_eval.failures import require_complete
from kosmos_eval.journal import JournalReader
from kosmos_eval.record import CellResult, RunRecord, load
from kosmos_eval.run import evaluate, execute, prepare_resumed, rescore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIRST, SECOND = "Generate letter 4?", "Score letter 7?"


def run(folder: Path, plugins: Path, **changes: Any) -> RunRecord:  # noqa: ANN401  any field of a configuration
    settings = {"tasks": "letters", "model": "scripted", "shots": [0, 2], "include_path": [str(plugins)], "report": []}
    return evaluate(**{**settings, **changes}, output_path=folder)


def outputs(folder: Path) -> Mapping[str, bytes]:
    files = [folder / "results.json", *(folder / "samples").iterdir(), *(folder / "thumbnails").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def incomplete(tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    """Return a run of which samples 4 and 7 failed, the one at its first and the other at its second request."""
    with monkeypatch.context() as small:
        small.setenv("SCRIPTED_TOO_BIG", f"{FIRST},{SECOND}")
        with pytest.raises(IncompleteRunError) as raised:
            run(tmp_path / "run", plugins_folder)
    return raised.value.record


def test_the_error_names_samples_reason_and_cure_in_one_line(incomplete: RunRecord) -> None:
    with pytest.raises(IncompleteRunError) as raised:
        require_complete(incomplete)
    assert raised.value.exit_code == 75
    assert str(raised.value) == (
        "4 of 80 samples failed and are in no score: letters@mini|0 4, letters@mini|0 7, letters@mini|2 4, "
        "letters@mini|2 7 (expected a smaller one, got this; shrink it); to ask them again, on a machine with more "
        f"memory if that is what they lack: kosmos-eval run --resume {incomplete.folder}"
    )


def test_of_many_the_first_are_named_and_all_are_counted(tmp_path: Path) -> None:
    failures = {str(number): f"reason {number}" for number in range(20)}
    cell = CellResult("t", 0, 1, "val", (), {}, 2_000, 2_000, 0, {}, {}, failed=1_234, failures=failures)
    with pytest.raises(IncompleteRunError, match=r"^1,234 of 2,000 .*: t\|0 0, .* t\|0 4 and 1,229 more \(reason 0"):
        require_complete(RunRecord(tmp_path, {}, (cell,)))


def test_a_complete_run_is_let_through(finished_run: Path) -> None:
    require_complete(load(finished_run))


def test_the_record_is_whole_and_scores_are_over_the_others(
    incomplete: RunRecord, tmp_path: Path, plugins_folder: Path
) -> None:
    assert load(incomplete.folder) == incomplete
    whole = run(tmp_path / "whole", plugins_folder)
    for cell, other in zip(incomplete.cells, whole.cells, strict=True):
        assert (cell.failed, list(cell.failures), cell.samples) == (2, ["4", "7"], 40)
        assert cell.failures["4"] == "expected a smaller one, got this;\nshrink it"
        metric = cell.metrics[0]
        answered = [each for each in whole.samples(other) if each.key not in {"4", "7"}]
        assert (metric.count, metric.failed) == (38, 2)
        assert metric.value == pytest.approx(sum(each.values["accuracy"] for each in answered) / 38)
        assert metric.unparsed == sum(each.answer is None for each in answered)
        assert metric.truncated == sum(each.stop_reason == "length" for each in answered)
        assert cell.margins is not None
        assert cell.margins.count == 38
        assert [cell.groups["parity"][name].failed for name in ("even", "odd")] == [1, 1]
        answers = {each.key: each for each in incomplete.samples(cell)}
        assert [answers[each.key] for each in answered] == answered


def test_a_failed_sample_s_record_says_so(incomplete: RunRecord) -> None:
    samples = {each.key: each for each in incomplete.samples(incomplete.cells[0])}
    for key, exchanges in (("4", 1), ("7", 2)):
        sample = samples[key]
        assert sample.failed == "expected a smaller one, got this;\nshrink it"
        assert (sample.values, sample.answer, sample.raw, sample.margin, sample.near_tie) == ({}, None, "", None, None)
        assert len(sample.exchanges) == exchanges
        assert sample.exchanges[-1].response == {"kind": "Failed", "reason": sample.failed, "excess": None}
    assert sum(each.failed is not None for each in samples.values()) == 2
    assert {"4", "7"} <= set(incomplete.cells[0].shown)
    rows = pq.read_table(incomplete.folder / "samples" / "letters@mini_0shot.parquet").to_pylist()
    failed = {row["key"]: row for row in rows if row["failed"] is not None}
    assert set(failed) == {"4", "7"}
    assert all(row["metric.accuracy"] is None and row["unparsed"] is False for row in failed.values())
    assert failed["7"]["log_probabilities"] == []


def test_lm_eval_s_count_is_of_the_samples_in_the_score(incomplete: RunRecord) -> None:
    results = json.loads((incomplete.folder / "results.json").read_text(encoding="utf-8"))
    assert results["n-samples"]["letters@mini|0"] == {"original": 40, "effective": 38}


def test_where_every_sample_failed_there_is_no_number(
    tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_TOO_BIG", ",".join(f"Generate letter {number}?" for number in range(3)))
    with pytest.raises(IncompleteRunError) as raised:
        run(tmp_path / "run", plugins_folder, settings={"letters": {"size": 3}}, report=["html"])
    for cell in raised.value.record.cells:
        assert (cell.metrics[0].value, cell.metrics[0].count, cell.failed) == (None, 0, 3)


def test_scoring_again_gives_the_same_files_and_leaves_the_failures(incomplete: RunRecord) -> None:
    before = outputs(incomplete.folder)
    assert rescore(incomplete.folder) == incomplete
    assert outputs(incomplete.folder) == before


@pytest.fixture
def complete(tmp_path: Path, plugins_folder: Path) -> Mapping[str, bytes]:
    run(tmp_path / "complete", plugins_folder)
    return outputs(tmp_path / "complete")


def test_resuming_asks_the_units_of_failures_and_gives_what_a_run_without_them_gives(
    incomplete: RunRecord, complete: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_LOG", str(tmp_path / "asked"))
    require_complete(execute(prepare_resumed(incomplete.folder, {})))
    assert outputs(incomplete.folder) == complete
    asked = (tmp_path / "asked").read_text(encoding="utf-8").split()
    execute(prepare_resumed(incomplete.folder, {}))
    assert (tmp_path / "asked").read_text(encoding="utf-8").split() == asked


def test_resuming_on_a_machine_of_the_same_size_fails_the_same(
    incomplete: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outputs(incomplete.folder)
    monkeypatch.setenv("SCRIPTED_TOO_BIG", f"{FIRST},{SECOND}")
    assert execute(prepare_resumed(incomplete.folder, {})) == load(incomplete.folder)
    assert outputs(incomplete.folder) == before


def test_resuming_that_breaks_off_can_be_resumed(
    incomplete: RunRecord, complete: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("SCRIPTED_FAIL_AFTER", "5")
        with pytest.raises(Exception, match="the scripted model was told to fail"):
            execute(prepare_resumed(incomplete.folder, {}))
    assert JournalReader(incomplete.folder / "journal").timings() == {}
    require_complete(execute(prepare_resumed(incomplete.folder, {})))
    assert outputs(incomplete.folder) == complete


SEALED = """
    import dataclasses
    from scripted import Letters

    @dataclasses.dataclass(frozen=True)
    class Sealed(Letters):
        name = "sealed"

        def samples(self, split, source):
            for each in super().samples(split, source):
                yield dataclasses.replace(each, labelled=False)

        def score(self, sample, answer):
            return dataclasses.replace(super().score(sample, answer), values={})

        def submission(self, answers, folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "answers.txt").write_text(" ".join(sample.key for sample, _ in answers), encoding="utf-8")
            return folder / "answers.txt"

    TASKS = (Sealed,)
"""


def test_a_submission_is_written_only_when_every_sample_is_answered(
    tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(plugins_folder))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "sealed.py").write_text(dedent(SEALED), encoding="utf-8")
    include = [str(plugins_folder), str(tmp_path / "plugins")]
    submission = tmp_path / "run" / "submissions" / "sealed@mini_0shot" / "answers.txt"
    with monkeypatch.context() as small:
        small.setenv("SCRIPTED_TOO_BIG", FIRST)
        with pytest.raises(IncompleteRunError) as raised:
            run(tmp_path / "run", plugins_folder, tasks="sealed", include_path=include, shots=0)
    cell = raised.value.record.cells[0]
    assert (cell.unlabelled, cell.failed, cell.metrics[0].value) == (40, 1, None)
    assert not submission.exists()
    execute(prepare_resumed(tmp_path / "run", {}))
    assert len(submission.read_text(encoding="utf-8").split()) == 40
