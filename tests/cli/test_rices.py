"""`--exemplars rices` with the embedded model, through every command that asks behind exemplars."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kosmos_eval.language_model import ModelOptions
from kosmos_eval.model.specs import KOSMOS_TINY
from kosmos_eval.run_folder import reopen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.task import Sample

    Command = Callable[..., Any]  # conftest.py's kosmos_eval

WORK = ("--exemplars", "rices", "--tasks", "vqav2")


@pytest.fixture(autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    monkeypatch.setenv("KOSMOS_EVAL_CACHE", str(tmp_path_factory.getbasetemp() / "vectors"))


def test_a_run_shows_what_the_model_finds_most_alike(kosmos_eval: Command, tmp_path: Path) -> None:
    done = kosmos_eval("run", "-q", *WORK, "--shots", "0,4", "--limit", "20", "--report", "", "-o", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    assert kosmos_eval("rescore", tmp_path / "run").code == 0
    model: Any = KOSMOS_TINY.load(ModelOptions("cpu"))
    _, cell = reopen(tmp_path / "run").cells
    pool = {each.key: each for each in cell.pool.samples}
    pictures = {each.images[0].digest: each.images[0] for each in pool.values()}
    vectors = dict(zip(pictures, model.embed(pictures.values()), strict=True))

    def similarity(one: np.ndarray[Any, Any], other: Sample) -> float:
        return round(float(one.astype(np.float64) @ vectors[other.images[0].digest].astype(np.float64)), 5)

    lines = (tmp_path / "run" / "samples" / "vqav2@mini_4shot.jsonl").read_text(encoding="utf-8").splitlines()
    for record in map(json.loads, lines):
        [own] = model.embed(cell.samples[record["key"]].images)
        nearest = sorted((similarity(own, each) for each in pool.values()), reverse=True)[:4]
        assert [similarity(own, pool[key]) for key in record["exemplars"]] == nearest[::-1]


def test_the_other_commands_choose_alike(kosmos_eval: Command) -> None:
    planned = kosmos_eval("plan", *WORK, "--shots", "2", "--limit", "4", "--report", "")
    assert (planned.code, planned.err) == (0, "")
    audited = kosmos_eval("audit", *WORK, "--shots", "2", "--n", "2")
    assert (audited.code, audited.err) == (0, "")
    proven = kosmos_eval("validate", "vqav2", "--exemplars", "rices", "--shots", "0,2", "--n", "3")
    assert (proven.code, proven.err) == (0, "")
    assert "  PASS  exemplars    6 exemplars drawn: none is the query" in proven.out


def test_a_model_that_reads_no_pictures_is_refused(kosmos_eval: Command) -> None:
    refused = kosmos_eval("run", "-q", *WORK, "--shots", "1", "--limit", "1", "--model", "kosmos-tiny-lm")
    assert refused.code == 64
    assert "this model has no vision tower" in refused.message


def test_several_trials_are_refused(kosmos_eval: Command) -> None:
    refused = kosmos_eval("run", *WORK, "--shots", "1", "--trials", "3")
    assert refused.code == 64
    assert refused.message.endswith("which chooses the same ones in each, got 3")
