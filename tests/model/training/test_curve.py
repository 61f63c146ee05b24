"""The picture of a run shows what its metrics say, and no trouble with it reaches the run."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.model.training import curve
from kosmos_eval.model.training.curve import METRICS, PICTURE, Curve, chart, draw_curve

if TYPE_CHECKING:
    from pathlib import Path

LINES: list[dict[str, Any]] = [
    {"step": step, "loss": 6 / step, "loss of text": 9 / step, "loss of captions": 3 / step, "rate": 1e-3, "right": 0.5}
    for step in range(1, 1001)
]
EXAM = {
    "step": 1000,
    "items": 60,
    "exam": [
        {"name": "questions", "value": 0.9, "blind": 0.3},
        {"name": "questions: color", "value": 0.8, "blind": 0.3},
        {"name": "perplexity of plain text", "value": 4.0, "blind": None},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / METRICS).write_text("".join(json.dumps(line) + "\n" for line in [*LINES, EXAM]) + '{"half a l')
    return tmp_path


def _values(part: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    data = part["data"]
    values: list[dict[str, Any]] = data["values"] if "values" in data else whole["datasets"][data["name"]]
    return values


def test_the_picture_is_drawn_with_a_line_for_each_stream(folder: Path) -> None:
    assert draw_curve(folder) == folder / PICTURE
    drawn = (folder / PICTURE).read_text(encoding="utf-8")
    for text in ("training loss", "text", "captions", "optimiser step", "learning rate", "questions"):
        assert f">{text}<" in drawn or text in drawn
    assert not list(folder.glob("*.draft"))


def test_each_line_shows_the_means_of_neighbours() -> None:
    whole = chart([*LINES, EXAM], "run")
    loss, exam, rate = whole["vconcat"]
    values = _values(loss, whole)
    text = [value for value in values if value["of"] == "text"]
    assert {value["of"] for value in values} == {"text", "captions"}
    assert len(text) <= 400
    assert text[0] == pytest.approx({"step": 2, "loss": (9 + 9 / 2 + 3) / 3, "of": "text"})
    assert len(_values(rate, whole)) == len(text)
    assert _values(exam, whole) == [{"step": 1000, "right": 90.0, "of": "questions"}]


def test_a_run_without_streams_shows_its_whole_loss() -> None:
    whole = chart([{"step": step, "total": 80.0 - step, "rate": 1e-3} for step in (10, 20)], "tower")
    loss, _ = whole["vconcat"]
    assert [value["loss"] for value in _values(loss, whole)] == [70.0, 60.0]
    assert loss["encoding"]["y"]["title"] == "summed loss"
    assert "legend" in loss["encoding"]["color"]


def test_a_run_that_has_told_nothing_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text("")
    assert draw_curve(tmp_path) is None
    with pytest.raises(DataError, match="name the folder of a training run"):
        draw_curve(tmp_path / "nowhere")


def test_trouble_is_told_once_and_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    picture = Curve(folder)
    picture.draw()
    picture.draw(last=True)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("loss.svg is not drawn: ")
    assert told[0].endswith("install what draws it with: pip install 'kosmos-eval[train]'")


def test_it_is_drawn_now_and_then_and_at_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, drawn = [0.0], []

    def draw(_: Path) -> None:
        drawn.append(clock[0])
        clock[0] += 2

    monkeypatch.setattr("kosmos_eval.model.training.curve.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(curve, "draw_curve", draw)
    picture = Curve(folder)
    for moment in (10, 20, 100, 213, 220):
        clock[0] = max(clock[0], moment)
        picture.draw()
    picture.draw(last=True)
    assert drawn == [10, 213, 220]
