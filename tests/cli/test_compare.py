"""`compare` says what changed between two runs, and refuses unlike ones with code 3 and bad input in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval

PARQUET = "samples/letters@mini_0shot.parquet"


def change_results(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    change(results["cells"][0])
    path.write_text(json.dumps(results), encoding="utf-8")


def change_column(folder: Path, name: str, change: Callable[[list[Any]], list[Any]]) -> list[Any]:
    table = pq.read_table(folder / PARQUET)
    place = table.schema.get_field_index(name)
    values = change(table.column(name).to_pylist())
    column = pa.array(values, table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), folder / PARQUET)
    return values


@pytest.fixture
def better(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run whose zero-shot answers are all right."""
    folder = Path(shutil.copytree(finished_run, tmp_path / "better"))
    values = change_column(folder, "metric.accuracy", lambda values: [1.0] * len(values))
    change_results(folder, lambda cell: cell["metrics"][0].update(value=sum(values) / len(values)))
    return folder


def test_what_changed_stands_in_a_table_with_the_flips(kosmos_eval: Command, finished_run: Path, better: Path) -> None:
    ended = kosmos_eval("compare", finished_run, better, "--flips", 2)
    assert ended.code == 0
    (row,) = [line for line in ended.out.splitlines() if line.startswith("letters@mini|0 ")]
    assert row.split()[:3] == ["letters@mini|0", "accuracy", "40"]
    assert "100.0" in row
    (same,) = [line for line in ended.out.splitlines() if line.startswith("letters@mini|2 ")]
    assert same.split()[-2:] == ["0", "0"]
    assert sum(line.startswith("  + ") for line in ended.out.splitlines()) == 2
    assert f"base: {finished_run} (scripted" in ended.out


def test_json_holds_the_same(kosmos_eval: Command, finished_run: Path, better: Path) -> None:
    found = json.loads(kosmos_eval("compare", finished_run, better, "--format", "json", "--flips", 1).out)
    first, second = found["cells"]
    assert (found["schema"], first["base"], first["common"]) == (1, "letters@mini|0", 40)
    assert first["n_gained"] > len(first["gained"]) == 1
    assert first["metrics"][0]["other"] == 1.0
    assert second["metrics"][0]["difference"]["value"] == 0.0


def test_a_file_is_written_in_the_format_that_its_name_says(
    kosmos_eval: Command, finished_run: Path, better: Path, tmp_path: Path
) -> None:
    for name, beginning in (("a.md", "# Comparison"), ("a.html", "<!DOCTYPE html>"), ("a.json", "{"), ("a.x", "base:")):
        path = tmp_path / "out" / name
        ended = kosmos_eval("compare", finished_run, better, "-o", path)
        assert (ended.code, ended.out) == (0, f"{path}\n")
        assert path.read_text(encoding="utf-8").lstrip().startswith(beginning)
    assert len([*(tmp_path / "out").iterdir()]) == 4


def test_unlike_runs_end_with_3_and_the_reason(kosmos_eval: Command, finished_run: Path, better: Path) -> None:
    change_results(better, lambda cell: cell["settings"].update(size=41))
    ended = kosmos_eval("compare", finished_run, better, "--tasks", "letters")
    assert ended.code == 0  # at two shots they are alike
    shutil.rmtree(better / "samples")
    shutil.copytree(finished_run / "samples", better / "samples")
    results = json.loads((finished_run / "results.json").read_text(encoding="utf-8"))
    for cell in results["cells"]:
        cell["settings"]["size"] = 41
    (better / "results.json").write_text(json.dumps(results), encoding="utf-8")
    ended = kosmos_eval("compare", finished_run, better)
    assert ended.code == 3
    assert (
        "not comparable: the settings: size 40 and 41 (kosmos-eval compare --point settings compares them all the same)"
        in ended.out
    )
    assert kosmos_eval("compare", finished_run, better, "--point", "settings").code == 0


def spoil(name: str, values: Callable[[list[Any]], list[Any]]) -> Callable[[Path], object]:
    return lambda folder: change_column(folder, name, values)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shutil.rmtree, "expected a run folder, found no run.json in it"),
        (lambda folder: (folder / "results.json").unlink(), "the run is not finished"),
        (lambda folder: (folder / PARQUET).write_bytes(b"PAR1"), "expected a whole Parquet file"),
        (lambda folder: (folder / "results.json").write_text("{", encoding="utf-8"), "cannot be read"),
        (
            lambda folder: (folder / "run.json").write_text('{"schema": 9}', encoding="utf-8"),
            "expected schema 1, got 9",
        ),
        (spoil("metric.accuracy", lambda values: [float("nan"), *values[1:]]), "found nan"),
        (spoil("key", lambda keys: [*keys[1:], keys[1]]), "expected each sample once"),
    ],
)
def test_bad_input_ends_with_65_in_one_line(
    kosmos_eval: Command, finished_run: Path, better: Path, harm: Callable[[Path], object], message: str
) -> None:
    harm(better)
    ended = kosmos_eval("compare", finished_run, better)
    assert (ended.code, ended.out) == (65, "")
    assert message in ended.message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--point", "prompt"), "no point of a comparison named 'prompt'; did you mean 'prompts'?"),
        (("--tasks", "leters"), "no task of the two runs named 'leters'; did you mean 'letters@mini'?"),
        (("--format", "html"), "expected -o FILE with --format html, got none"),
        (("--flips", "-1"), "Invalid value for '--flips'"),
    ],
)
def test_what_was_typed_wrong_ends_with_64(
    kosmos_eval: Command, finished_run: Path, better: Path, flags: tuple[str, ...], message: str
) -> None:
    ended = kosmos_eval("compare", finished_run, better, *flags)
    assert ended.code == 64
    assert message in ended.message


def test_a_run_is_not_compared_with_itself(kosmos_eval: Command, finished_run: Path) -> None:
    ended = kosmos_eval("compare", finished_run, finished_run / "samples" / "..")
    assert (ended.code, ended.message) == (64, f"kosmos-eval: expected two runs, got {finished_run} twice")
