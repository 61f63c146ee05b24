"""What holds of every built-in task on its embedded data: it is proven, and its prompts are those on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.plugins import Plugins
from kosmos_eval.selection import splits_of, variants_of
from kosmos_eval.snapshots import compare, snapshot
from kosmos_eval.task import About
from kosmos_eval.validate import as_text, validate

PLUGINS = Plugins()
TASKS = PLUGINS.built_in("task")
PROMPTS = Path(__file__).parent / "prompts"


@pytest.mark.parametrize("name", TASKS)
def test_it_is_proven(name: str) -> None:
    [found] = validate(RunConfig(tasks=(name,), shots=(0, 2), limit=8))
    assert found.failed == (), as_text(found)


@pytest.mark.parametrize("name", [f"{name}:{part}" for name in TASKS for part in variants_of(PLUGINS.task(name))])
def test_so_are_its_variants(name: str) -> None:
    [found] = validate(RunConfig(tasks=(name,), shots=(0, 2), limit=3))
    assert found.failed == (), as_text(found)


@pytest.mark.parametrize("name", TASKS)
def test_its_prompts_are_those_on_record(name: str) -> None:
    path = PROMPTS / f"{name}.txt"
    recorded = path.read_text(encoding="utf-8") if path.exists() else None
    fault = compare(recorded, snapshot(name, PLUGINS), "python tests/tasks/prompts/make_prompts.py")
    assert not fault, fault


def test_every_snapshot_is_of_a_task() -> None:
    assert sorted(path.stem for path in PROMPTS.glob("*.txt")) == TASKS


@pytest.mark.parametrize("name", TASKS)
def test_it_says_where_its_files_go_and_what_it_may_be_used_for(name: str) -> None:
    task = PLUGINS.task(name)
    notes = getattr(task, "about", None)
    assert isinstance(notes, About)
    assert notes.paper
    assert notes.licence
    assert notes.files or "folder" not in task.sources
    assert not splits_of(task) or task().split in splits_of(task)
