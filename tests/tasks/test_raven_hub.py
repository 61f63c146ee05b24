"""Matrices from a dataset on the hub: lists of pictures, in a local copy written here."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError
from kosmos_eval.tasks.raven import Raven, RavenSample

if TYPE_CHECKING:
    from pathlib import Path

HUB = Source("hub")


def picture(shade: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def matrix(number: int, panels: int, target: object) -> dict[str, Any]:
    return {
        "id": number,
        "context": [picture(10 * number + place) for place in range(panels)],
        "candidates": [picture(100 + place) for place in range(6)],
        "target": target,
    }


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder: Path, rows: list[dict[str, Any]]) -> Raven:
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "test-00000-of-00001.parquet")
    return Raven(split="test", exemplar_split="test", hub_id=str(folder))


def read(task: Raven) -> list[RavenSample]:
    return list(task.samples("test", HUB))


def test_matrices_of_three_four_and_eight_panels_are_read_with_six_candidates(tmp_path: Path) -> None:
    task = write(tmp_path / "iq", [matrix(1, 3, 0), matrix(2, 4, 5), matrix(3, 8, None)])
    samples = read(task)
    assert [sample.key for sample in samples] == ["1", "2", "3"]
    assert [sample.groups["panels"] for sample in samples] == ["3", "4", "8"]
    assert [sample.target for sample in samples] == [0, 5, None]
    assert [sample.labelled for sample in samples] == [True, True, False]
    assert {len(sample.candidates) for sample in samples} == {6}
    assert samples[0].chance == 1 / 6
    assert samples[1].context[3].load().getpixel((0, 0)) == (23, 0, 0)
    assert next(task.ask(samples[0], ())).prompt.text().startswith("Here are three images:<image><image><image>")


def test_the_right_candidate_may_be_a_letter_or_counted_from_one(tmp_path: Path) -> None:
    letters = write(tmp_path / "letters", [matrix(1, 3, "A"), matrix(2, 3, "(f)")])
    assert [sample.target for sample in read(letters)] == [0, 5]
    write(tmp_path / "numbers", [matrix(1, 3, 1), matrix(2, 3, 6)])
    numbers = Raven(split="test", hub_id=str(tmp_path / "numbers"), hub_first_candidate=1)
    assert [sample.target for sample in read(numbers)] == [0, 5]


@pytest.mark.parametrize("target", [6, -1, "G", "none"])
def test_a_target_that_is_no_candidate_is_an_error_that_names_the_setting(tmp_path: Path, target: object) -> None:
    task = write(tmp_path / "iq", [matrix(1, 3, target)])
    with pytest.raises(DataError, match=r"row 0: expected the right one of 6 .* see raven\.hub_first_candidate"):
        read(task)


def test_columns_go_by_the_names_that_settings_give_and_missing_ones_are_an_error_with_those_found(
    tmp_path: Path,
) -> None:
    row = matrix(1, 3, 2)
    renamed = {"number": row["id"], "images": row["context"], "options": row["candidates"], "answer": row["target"]}
    write(tmp_path / "iq", [renamed])
    task = Raven(
        split="test",
        hub_id=str(tmp_path / "iq"),
        hub_id_column="number",
        hub_context_column="images",
        hub_candidates_column="options",
        hub_target_column="answer",
    )
    assert [sample.target for sample in read(task)] == [2]
    with pytest.raises(DataError, match=r"expected columns id, target, .* got only number, images, options, answer"):
        read(Raven(split="test", hub_id=str(tmp_path / "iq")))


def test_a_single_picture_where_a_list_is_expected_is_an_error(tmp_path: Path) -> None:
    task = write(tmp_path / "iq", [{**matrix(1, 3, 0), "context": picture(0)}])
    with pytest.raises(DataError, match=r"row 0: expected lists of pictures in context and candidates"):
        read(task)


def test_a_row_without_an_id_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'row 1: expected "id" to be a whole number, got null'):
        read(write(tmp_path / "iq", [matrix(1, 3, 0), matrix(2, 3, 1) | {"id": None}]))


def test_an_id_that_comes_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: expected each id once, got 7 again"):
        read(write(tmp_path / "iq", [matrix(7, 3, 0), matrix(7, 3, 1)]))


def test_provenance_names_the_dataset(tmp_path: Path) -> None:
    task = write(tmp_path / "iq", [matrix(1, 3, 0)])
    assert task.provenance(HUB) == {str(tmp_path / "iq"): None}
