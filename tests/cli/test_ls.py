"""`ls` lists tasks, models and runs, the broken ones too."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_tasks_are_listed_with_their_sources(kosmos_eval: Command, plugins_folder: Path) -> None:
    listed = kosmos_eval("ls", "--include_path", plugins_folder)
    assert listed.code == 0
    rows = {line.split()[0]: line for line in listed.out.splitlines()}
    assert {"letters", "vqav2", "raven"} <= rows.keys()
    assert rows["letters"].endswith("Two-stage questions with scripted answers.  [mini]")
    assert kosmos_eval("ls", "tasks", "--include-path", plugins_folder).out == listed.out


def test_models_are_listed_with_their_facts(kosmos_eval: Command, plugins_folder: Path) -> None:
    listed = kosmos_eval("ls", "models", "--include_path", plugins_folder)
    rows = {line.split()[0]: line for line in listed.out.splitlines()}
    assert {"kosmos", "kosmos-tiny", "scripted"} <= rows.keys()
    assert rows["scripted"].endswith("answers by rule")
    assert "(parameters " in rows["kosmos-tiny"]


def test_runs_are_listed_with_their_scores_or_what_is_wrong(kosmos_eval: Command, finished_run: Path) -> None:
    folder = finished_run.parent
    for name in ("failed", "halfway", "odd"):
        shutil.copytree(finished_run, folder / name)
    results = json.loads((folder / "failed" / "results.json").read_text(encoding="utf-8"))
    results["cells"][0]["failed"] = 3
    (folder / "failed" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (folder / "halfway" / "results.json").unlink()
    (folder / "odd" / "run.json").write_text("[]", encoding="utf-8")
    (folder / "no-run").mkdir()
    failed, finished, halfway, odd = kosmos_eval("ls", "runs", "--runs_dir", folder).out.splitlines()
    assert "letters@mini|0 22.5  letters@mini|2 37.5" in finished
    assert "letters@mini|0 22.5 (3 failed)  letters@mini|2 37.5" in failed
    assert halfway.endswith(f"unfinished: letters; kosmos-eval run --resume {folder / 'halfway'}")
    assert "unreadable: " in odd


def test_a_folder_without_runs_is_said_to_have_none(kosmos_eval: Command, tmp_path: Path) -> None:
    listed = kosmos_eval("ls", "runs", "--runs_dir", tmp_path / "none")
    assert (listed.code, listed.out) == (0, f"no runs in {tmp_path / 'none'}/\n")


PARTED = '''
from scripted import Letters as _Letters


class Parted(_Letters):
    """Letters in parts.

    Attributes:
        size: how many letters.
    """

    name = "parted"
    splits = ("val", "train")
    variants = {"small": {"size": 8}}
    groups = {"papers": ("", "train:small")}


TASKS = (Parted,)
'''


def test_groups_are_listed_with_their_parts_and_tasks_with_their_groups(
    kosmos_eval: Command, plugins_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(plugins_folder))
    (tmp_path / "parted.py").write_text(PARTED, encoding="utf-8")
    groups = {
        line.split()[0]: line for line in kosmos_eval("ls", "groups", "--include_path", tmp_path).out.splitlines()
    }
    assert groups["papers"].split() == ["papers", "parted,", "parted:train:small"]
    listed = kosmos_eval("ls", "--include_path", tmp_path).out
    assert "[mini]  splits: val, train; variants: small; groups: papers\n" in listed
    shown = kosmos_eval("describe", "parted:small", "--include_path", tmp_path).out
    assert shown.startswith("parted:small, version 1\n")
    for line in (
        "splits (parted:SPLIT): val, train",
        "  small: size = 8",
        "group papers: parted, parted:train:small",
        "  parted.size = 8\n      how many letters.",
        "a prompt of parted:small@mini, 1-shot:",
    ):
        assert line in shown
