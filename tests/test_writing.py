"""Results are written whole, hold no time and no path, and other programs read them."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Any

import pyarrow.parquet as pq
import pytest

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.run import evaluate, rescore
from kosmos_eval.writing import ParquetRows, whole_file, write_json


def files(folder: Path) -> dict[str, bytes]:
    """Return what must be the same for the same work: results, samples, thumbnails."""
    held = [folder / "results.json", *(folder / "samples").iterdir(), *(folder / "thumbnails").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in held}


def run(folder: Path, plugins: Path, **settings: Any) -> None:  # noqa: ANN401  as evaluate() has it
    arguments: dict[str, Any] = {"tasks": "letters", "model": "scripted", "include_path": [str(plugins)], "report": []}
    evaluate(**{**arguments, "output_path": folder, **settings})


def test_the_same_work_gives_the_same_bytes_in_any_folder_at_any_time(
    finished_run: Path, tmp_path: Path, plugins_folder: Path
) -> None:
    run(tmp_path / "elsewhere" / "again", plugins_folder, shots=[0, 2])
    assert files(tmp_path / "elsewhere" / "again") == files(finished_run)


def test_results_and_samples_hold_no_path_and_no_time(finished_run: Path, plugins_folder: Path) -> None:
    for name, held in files(finished_run).items():
        assert str(finished_run).encode() not in held, name
        assert str(plugins_folder).encode() not in held, name
        assert not re.search(rb"20\d\d-\d\d-\d\d", held), name


def test_a_limit_takes_a_part_of_the_same_samples(finished_run: Path, tmp_path: Path, plugins_folder: Path) -> None:
    run(tmp_path / "part", plugins_folder, shots=[2], limit=9)
    name = "samples/letters@mini_2shot.jsonl"
    part, whole = ((folder / name).read_text(encoding="utf-8") for folder in (tmp_path / "part", finished_run))
    assert len(part.splitlines()) == 9
    assert set(part.splitlines()) < set(whole.splitlines())


def test_scoring_again_gives_the_same_files(finished_run: Path) -> None:
    before = files(finished_run)
    for path in (finished_run / "samples").iterdir():
        path.unlink()
    (finished_run / "results.json").unlink()
    rescore(finished_run)
    assert files(finished_run) == before


def test_parquet_and_jsonl_hold_the_same(finished_run: Path) -> None:
    stem = finished_run / "samples" / "letters@mini_2shot"
    lines = [json.loads(line) for line in stem.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    rows = pq.read_table(stem.with_suffix(".parquet")).to_pylist()
    assert len(rows) == len(lines) == 40
    for row, line in zip(rows, lines, strict=True):
        for name in (
            "key",
            "content",
            "cluster",
            "exemplars",
            "raw",
            "answer",
            "target",
            "stop_reason",
            "margin",
            "near_tie",
            "failed",
        ):
            assert row[name] == line[name]
        assert row["unparsed"] == (line["answer"] is None)
        assert row["metric.accuracy"] == line["values"]["accuracy"]
        assert json.loads(row["groups"]) == line["groups"]
        assert row["prompt"] == "\n".join(each["prompt"] for each in line["exchanges"])
        assert row["options"] == line["exchanges"][-1]["options"]
        scores = [each["logprobs"] for each in line["exchanges"][-1]["response"]["continuations"]]
        assert row["log_probabilities"] == scores
        assert set(row["images"]) == {digest for each in line["exchanges"] for digest in each["images"]}


def test_margins_stand_beside_the_results(finished_run: Path) -> None:
    results = json.loads((finished_run / "results.json").read_text(encoding="utf-8"))
    for cell in results["cells"]:
        path = finished_run / "samples" / f"{cell['task']}_{cell['shots']}shot.parquet"
        rows = pq.read_table(path).to_pylist()
        margins = cell["margins"]
        assert results["margins"][f"{cell['task']}|{cell['shots']}"] == margins
        near = [row["margin"] < margins["threshold"] for row in rows]
        assert [row["near_tie"] for row in rows] == near
        assert (margins["count"], margins["near_ties"], margins["near_tie_share"]) == (40, sum(near), sum(near) / 40)
        assert 0 < margins["near_ties"] < 40
        assert margins["median"] == median(row["margin"] for row in rows)


def test_lm_eval_s_own_table_reads_the_results(finished_run: Path) -> None:
    from lm_eval.utils import make_table  # noqa: PLC0415  a second to import, and only here

    results = json.loads((finished_run / "results.json").read_text(encoding="utf-8"))
    table = make_table(results)
    values = [results["results"][f"letters@mini|{shots}"]["accuracy,none"] for shots in (0, 2)]
    for shots, value in zip((0, 2), values, strict=True):
        (row,) = [line for line in table.splitlines() if rf"letters@mini\|{shots}" in line]
        cells = [cell.strip() for cell in row.replace(r"\|", "/").strip("|").split("|")]
        assert cells[:5] == [f"letters@mini/{shots}", "1", "none", str(shots), "accuracy"]
        assert float(cells[6]) == pytest.approx(value, abs=1e-4)


def test_the_results_say_how_they_were_made(finished_run: Path) -> None:
    results = json.loads((finished_run / "results.json").read_text(encoding="utf-8"))
    name = "letters@mini|2"
    assert results["n-shot"][name] == 2
    assert results["n-samples"][name] == {"original": 40, "effective": 40}
    assert results["versions"][name] == 1
    assert results["higher_is_better"][name] == {"accuracy": True}
    assert results["configs"][name]["size"] == 40
    assert results["config"]["model"] == "scripted"
    assert len(results["config"]["model_fingerprint"]) == 64
    (cell,) = [cell for cell in results["cells"] if cell["shots"] == 2]
    assert results["results"][name]["accuracy,none"] == cell["metrics"][0]["value"]
    assert results["results"][name]["accuracy_stderr,none"] == cell["metrics"][0]["stderr"]


UNLABELLED = """
    from dataclasses import dataclass
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Generate
    from kosmos_eval.task import Metric, Sample, Score

    @dataclass(frozen=True)
    class Sealed:
        name = "sealed"
        version = 1
        description = "A test split without answers."
        sources = ("mini",)
        metrics = (Metric("accuracy", "share of right answers"),)
        split: str = "test"
        exemplar_split: str = "train"

        def samples(self, split, source):
            return [Sample(key=str(number), labelled=False) for number in range(5)]

        def ask(self, sample, exemplars):
            response = yield Generate(Prompt.of(sample.key), max_new_tokens=4)
            return response.text

        def score(self, sample, answer):
            return Score({}, answer)

        def submission(self, answers, folder):
            folder.mkdir(parents=True, exist_ok=True)
            rows = [f"{sample.key} {score.answer}" for sample, score in answers]
            (folder / "answers.txt").write_text("\\n".join(rows), encoding="utf-8")
            return folder / "answers.txt"

    TASKS = (Sealed,)
"""


def test_an_unlabelled_split_gives_a_submission_and_no_number(tmp_path: Path, plugins_folder: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "sealed.py").write_text(dedent(UNLABELLED), encoding="utf-8")
    include = [str(plugins_folder), str(tmp_path / "plugins")]
    run(tmp_path / "run", plugins_folder, tasks="sealed", include_path=include)
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["results"]["sealed@mini|0"]["accuracy,none"] is None
    assert results["results"]["sealed@mini|0"]["accuracy_stderr,none"] == "N/A"
    (cell,) = results["cells"]
    assert (cell["unlabelled"], cell["metrics"][0]["count"]) == (5, 0)
    rows = pq.read_table(tmp_path / "run" / "samples" / "sealed@mini_0shot.parquet").to_pylist()
    assert {row["metric.accuracy"] for row in rows} == {None}
    submitted = (tmp_path / "run" / "submissions" / "sealed@mini_0shot" / "answers.txt").read_text(encoding="utf-8")
    assert [line.split()[0] for line in submitted.splitlines()] == ["0", "1", "2", "3", "4"]


class CutOffError(Exception):
    pass


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    write_json(path, {"a": 1})

    def fail() -> None:
        with whole_file(path) as draft:
            draft.write_text("half", encoding="utf-8")
            raise CutOffError

    with pytest.raises(CutOffError):
        fail()
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["results.json"]


def test_a_failure_leaves_no_file_where_none_was(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "results.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file/within", "folder", "x" * 300])
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_json(tmp_path / name, {})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DataError, match=r"a\.json: cannot be written \(No space left"), whole_file(tmp_path / "a.json"):
        raise full


def test_what_cannot_be_read_meanwhile_is_not_blamed_on_the_file_that_is_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), whole_file(tmp_path / "a.json"):
        (tmp_path / "other").read_text(encoding="utf-8")


def test_a_file_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError, match="expected the name of a file"):
        write_json(Path(), {})


def test_a_table_that_breaks_off_writes_no_more_rows(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "rows.parquet") as draft, ParquetRows(draft, ["accuracy"]):
            raise CutOffError

    with pytest.raises(CutOffError):
        fail()
    assert list(tmp_path.iterdir()) == []
