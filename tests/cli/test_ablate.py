from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.ablation.presets import preset_names
from kosmos_eval.cli import _exit_code

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
tasks = ["letters"]
limit = 6
report = []
include_path = ["{plugins}"]

[arms.whole]
model = "scripted"

[arms.blind]
model = "scripted"
control = "image=none"
"""


def test_the_help_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(["ablate", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())  # the help is broken into lines after hyphens, too
    assert [name for name in preset_names() if name not in shown] == []


@pytest.fixture
def spec(tmp_path: Path, plugins_folder: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(plugins=plugins_folder), encoding="utf-8")
    return path


def test_a_spec_is_carried_out_shown_and_resumed(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "abl"
    assert _exit_code(["ablate", str(spec), "-q", "-o", str(folder), "--groups", "parity", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"] == "whole"
    assert [row["category"] for row in found["results"]] == ["", "even", "odd"]
    assert _exit_code(["ablate", "--resume", str(folder), "-q", "--format", "markdown"]) == 0
    assert "| letters@mini | 0 | all | whole | accuracy |" in capsys.readouterr().out
    assert _exit_code(["ablate", str(spec), "-q", "--resume", str(folder), "--limit", "7"]) == 64
    assert "cannot resume with limit = 7" in capsys.readouterr().err
    assert _exit_code(["ablate", str(spec), "-q", "-o", str(folder)]) == 64
    assert "holds an ablation already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected a spec file, --preset NAME, or --arms"),
        (["--arms", "a,b"], "expected --tasks"),
        (["--preset", "image-encode"], "did you mean 'image-encoder'"),
        (["--preset", "mllm-vs-llm", "--model", "a"], "expected 2 models in place of kosmos-tiny, kosmos-tiny-lm"),
        (["--tasks", "vqav2", "--arms", "kosmos-tiny"], "expected at least two arms"),
        (["--tasks", "vqav2", "--arms", "kosmos-tiny,kosmos-tiny"], "each arm once, got kosmos-tiny twice"),
        (["--tasks", "vqav2", "--arms", "kosmos-tiny,kosmos-tin"], "did you mean 'kosmos-tiny"),
        (["--tasks", "vqav2", "--arms", "kosmos-tiny,kosmos-tiny:image=nothing"], "did you mean 'image=none'"),
        (["--tasks", "vqav2", "--arms", "a,b", "--reference", "c"], "no arm (for the reference, in the ablation)"),
        (["none.toml"], "none.toml: expected the spec of an ablation"),
        (["--resume", "none"], "none: expected an ablation's folder"),
        (["--resume", "none", "-o", "other"], "leave out --output_path"),
    ],
)
def test_what_cannot_be_carried_out_is_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _exit_code(["ablate", *arguments]) in {64, 65}
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("limits = 3", "spec.toml named 'limits'; did you mean 'limit'"),
        ("processes = 0", "processes: expected a whole number from 1"),
        ("output_path = 3", "output_path: expected a folder"),
        ("shots = [-1]", "spec.toml: shots.0"),
        ("settings = 3", "spec.toml: settings"),
    ],
)
def test_a_spec_is_read_strictly(spec: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    spec.write_text(line + "\n" + spec.read_text(encoding="utf-8"), encoding="utf-8")
    assert _exit_code(["ablate", str(spec)]) == 64
    assert words in capsys.readouterr().err
