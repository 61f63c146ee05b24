from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from kosmos_eval import doctor
from kosmos_eval.doctor import Finding, examine
from kosmos_eval.metrics.captions.java import Machine
from kosmos_eval.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ANSWERS = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"lines": ["99.1" if json.loads(line)["do"] == "java" else " ".join(["1.0"] * 23)]}), flush=True)
"""


def by_name(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.mark.usefixtures("no_java")
def test_without_java_everything_required_is_there_and_what_is_lost_is_said(plugins_folder: Path) -> None:
    findings = examine(Plugins([plugins_folder]))
    assert not [finding for finding in findings if finding.state == "missing"]
    found = by_name(findings)
    for name in ("Java", "METEOR", "SPICE"):
        assert found[name].state == "optional"
        assert "java" in found[name].cure
    assert "same tokens" in found["Java"].found
    assert found["torch"].state == found["Python"].state == found["device"].state == "ok"
    assert {"tasks", "models", "reports", "disk here"} <= found.keys()


def test_java_that_answers_is_there_and_jars_that_lack_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KOSMOS_EVAL_CORENLP", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: "/opt/java")
    found = by_name(doctor._caption_programs(Machine(20, [sys.executable, "-c", ANSWERS])))
    assert found["Java"] == Finding("Java", "ok", "99.1 at /opt/java")
    assert found["METEOR"].state == "ok"
    assert found["SPICE"].state == "optional"
    assert "stanford-corenlp-3.6.0-models.jar" in found["SPICE"].cure
    assert "KOSMOS_EVAL_CORENLP" in found["SPICE"].cure


def test_java_that_fails_is_a_warning_with_its_last_words() -> None:
    found = by_name(doctor._caption_programs(Machine(20, [sys.executable, "-c", "raise SystemExit('no heap')"])))
    assert found["Java"].state == "optional"
    assert "no heap" in found["Java"].cure


def test_a_package_that_is_not_installed_is_missing_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _name: ["nosuchpackage>=2; python_version > '3'", "x; extra == 'y'"])
    assert list(doctor._packages()) == [
        Finding("nosuchpackage", "missing", "not installed", "pip install 'nosuchpackage>=2'")
    ]


def test_an_extra_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    found = by_name(doctor._extras())
    assert found["altair"].state == "optional"
    assert "kosmos-eval[train]" in found["altair"].cure


def test_little_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=10**6))
    assert [finding.state for finding in doctor._disk()] == ["optional", "optional"]


def test_a_built_in_that_cannot_be_imported_is_missing_and_another_s_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("class T:\n    name = 'others'\nTASKS = (T,)\n")
    plugins = Plugins([tmp_path])
    monkeypatch.setattr(Plugins, "names", lambda _self, kind: ["others", "vqav2"] if kind == "task" else [])
    assert by_name(doctor._plugins(plugins))["task others"].state == "optional"
    monkeypatch.setattr(Plugins, "built_in", lambda _self, _kind: ["others"])
    assert by_name(doctor._plugins(plugins))["task others"].state == "missing"


def test_a_program_that_a_task_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = Plugins()
    monkeypatch.setattr(plugins.task("vqav2"), "requires", ("nosuchprogram",), raising=False)
    found = by_name(doctor._plugins(plugins))
    assert found["task vqav2"] == Finding("task vqav2", "optional", "needs nosuchprogram", "put nosuchprogram on PATH")
