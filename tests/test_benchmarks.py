"""The benchmarks run, at their smallest sizes, and the page shows what they write. No clock is read."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "performance.md"

pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are part of the source tree")


def run(script: str, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, str(BENCHMARKS / script), *flags]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def topic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A topic's script as a module, on one thread."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield importlib.import_module(request.param)
    torch.set_num_threads(before)


@pytest.mark.parametrize("topic", ["captions", "language", "questions", "raven"], indirect=True)
def test_the_ways_of_a_topic_give_the_same_answers(topic: ModuleType) -> None:
    rows = topic.rows(SimpleNamespace(quick=True, repeats=1, only=""))
    assert rows
    assert all(row.ours > 0 and row.theirs > 0 for row in rows)


@pytest.mark.parametrize("topic", ["pipeline"], indirect=True)
def test_a_run_writes_the_answers_of_the_bare_loop(topic: ModuleType) -> None:
    found = topic.rows(SimpleNamespace(quick=True, repeats=1, only="wall time"))
    assert len(found) == 2
    assert all(row.ours > 0 and row.theirs > 0 for row in found)


def test_a_script_writes_its_rows_and_the_page_shows_them(tmp_path: Path) -> None:
    done = run("candidates.py", "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "candidates.json").read_text(encoding="utf-8"))
    assert found["quick"]
    assert found["environment"]["torch"]
    assert len(found["rows"]) > 10
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    assert run("page.py", "--results", str(tmp_path), "--page", str(page)).returncode == 0
    shown = page.read_text(encoding="utf-8").splitlines()
    assert [row["what"] for row in found["rows"]] == [line.split(" | ")[0][2:] for line in shown if _is_row(line)]


def _is_row(line: str) -> bool:
    return line.startswith("|") and (" met |" in line or "**missed**" in line or "x | - |" in line)


def test_the_committed_page_has_the_form_that_the_script_gives_it() -> None:
    done = run("page.py", "--check")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        (lambda text: text.replace("<!-- end of what is made -->", ""), "markers"),
        (lambda text: text.replace("\n### ", "\n### Another "), "no script has this heading"),
        (lambda text: text.replace("`benchmarks/raven.py`", "| one | two |"), "columns"),
    ],
)
def test_a_page_that_was_spoiled_by_hand_is_found_out(
    spoiled: Callable[[str], str], fault: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(spoiled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    done = run("page.py", "--check", "--page", str(page))
    assert done.returncode == 1
    assert fault in done.stdout


def test_the_names_form_the_tree_that_the_page_tells_of() -> None:
    lines = (BENCHMARKS / "bench" / "imagenet_names.tsv").read_text(encoding="utf-8").splitlines()
    names = [tuple(line.split("\t")[1].split()) for line in lines if not line.startswith("#")]
    nodes = {ids[:end] for ids in names for end in range(1, len(ids) + 1)}
    inner = {ids[:end] for ids in names for end in range(1, len(ids))}
    assert (len(names), len({*names}), sum(map(len, names)), len(nodes), len(inner)) == (1000, 998, 2211, 2041, 1064)
