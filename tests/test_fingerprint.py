"""Fingerprints change with what they cover: the task's own code and version, and the core's metrics."""

from __future__ import annotations

import hashlib
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from kosmos_eval import fingerprint
from kosmos_eval.fingerprint import digest_lines, environment, scorer_fingerprint
from kosmos_eval.plugins import _import_file

if TYPE_CHECKING:
    from pathlib import Path


def code(name: str, version: int = 1) -> str:
    return dedent(f"""
        class Task:
            name = {name!r}
            version = {version}
    """)


def fingerprint_of(file: Path) -> str:
    return scorer_fingerprint(_import_file(file).Task)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    (tmp_path / "birds.py").write_text(code("birds"), encoding="utf-8")
    (tmp_path / "neighbour.py").write_text("", encoding="utf-8")
    return tmp_path / "birds.py"


@pytest.fixture(params=["birds", "hateful-birds"])
def in_a_folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name: str = request.param
    folder = tmp_path / name.replace("-", "_")
    folder.mkdir()
    (folder / "benchmark.py").write_text(code(name), encoding="utf-8")
    (folder / "scoring.py").write_text("", encoding="utf-8")
    return folder / "benchmark.py"


def test_a_task_in_one_file_is_that_file(alone: Path) -> None:
    before = fingerprint_of(alone)
    (alone.parent / "neighbour.py").write_text("x = 1", encoding="utf-8")
    assert fingerprint_of(alone) == before
    alone.write_text(f"{code('birds')}# changed", encoding="utf-8")
    assert fingerprint_of(alone) != before


def test_a_task_in_a_folder_is_all_its_files(in_a_folder: Path) -> None:
    before = fingerprint_of(in_a_folder)
    (in_a_folder.parent / "scoring.py").write_text("x = 1", encoding="utf-8")
    assert fingerprint_of(in_a_folder) != before


def test_the_version_is_shown_and_covered(alone: Path) -> None:
    assert fingerprint_of(alone).startswith("1:")
    alone.write_text(code("birds", version=2), encoding="utf-8")
    assert fingerprint_of(alone).startswith("2:")


def test_the_core_s_metrics_are_covered(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = tmp_path / "core" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / "vqa.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "core" / "fingerprint.py"))
    before = fingerprint_of(alone)
    (metrics / "vqa.py").write_text("x = 1", encoding="utf-8")
    changed = fingerprint_of(alone)
    assert changed != before
    (metrics / "captions").mkdir()
    (metrics / "captions" / "words.py").write_text("", encoding="utf-8")
    assert fingerprint_of(alone) != changed


def test_lines_are_told_apart() -> None:
    assert digest_lines(["ab", "c"]) != digest_lines(["a", "bc"])
    assert digest_lines(["a", "b"]) != digest_lines(["b", "a"])
    assert digest_lines(iter(["é"])) == hashlib.sha256("é\n".encode()).hexdigest()


def test_the_environment_names_what_can_move_a_number() -> None:
    assert {"python", "platform", "machine", "kosmos-eval", "torch", "pillow"} <= environment().keys()


def test_what_a_task_inherits_counts_as_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    base, task = tmp_path / "flying_base.py", tmp_path / "flying_birds.py"
    inherited = "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Flying:\n    split: str = 'test'\n"
    base.write_text(inherited, encoding="utf-8")
    task.write_text(
        f"from flying_base import Flying\n{code('birds').replace('Task:', 'Task(Flying):')}", encoding="utf-8"
    )
    before = fingerprint_of(task)
    base.write_text(f"{inherited}# changed", encoding="utf-8")
    assert fingerprint_of(task) != before
