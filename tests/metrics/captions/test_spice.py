"""SPICE, with a stand-in for Java: the program itself needs jars that are not distributed with it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kosmos_eval.metrics.captions.spice import CORENLP, FOLDER_VARIABLE, missing, spice

if TYPE_CHECKING:
    from pathlib import Path

# What SPICE 1.0 writes: a list with the image's id and, for each category, precision, recall and F.
ANSWERS = """
import json, pathlib, sys
arguments = sys.argv[1:]
asked = json.loads(pathlib.Path(arguments[3]).read_text())
pathlib.Path(sys.argv[0]).with_name("called.json").write_text(json.dumps({
    "arguments": arguments, "asked": asked, "lib": sorted(path.name for path in pathlib.Path("lib").iterdir()),
}))
said = [
    {"image_id": each["image_id"], "scores": {"All": {"pr": 1.0, "f": each["image_id"] / 4}, "Size": {"f": None}}}
    for each in reversed(asked)
]
pathlib.Path(arguments[arguments.index("-out") + 1]).write_text(json.dumps(said))
"""


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corenlp"
    folder.mkdir()
    for name in CORENLP:
        (folder / name).write_bytes(b"")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


def java_is(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program named java on PATH, and nothing else."""
    place = folder / "bin"
    place.mkdir()
    program = place / "java"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(place))
    return place


@pytest.mark.usefixtures("jars")
def test_f_scores_are_read_by_image_and_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = java_is(ANSWERS, tmp_path, monkeypatch)
    found = spice(["a dog", "", "a cat"], [["the dog"], ["a cow", "cows"], ["cats"]])
    assert found.own is not None
    assert found.own.tolist() == [0.0, 0.25, 0.5]
    assert found.weighed is not None
    assert found.weighed.values(np.ones((1, 3)))[0] == pytest.approx(0.25)
    called = json.loads((place / "called.json").read_text())
    assert called["asked"][1] == {"image_id": 1, "test": "", "refs": ["a cow", "cows"]}
    assert called["arguments"][:3] == ["-jar", "-Xmx8G", "spice-1.0.jar"]
    assert called["arguments"][-2:] == ["-subset", "-silent"]
    assert {*CORENLP, "SceneGraphParser-1.0.jar", "fst-2.47.jar"} <= set(called["lib"])


@pytest.mark.usefixtures("jars")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('Error: Could not parse')", "SPICE ended with code 1: Error: Could not parse"),
        ("", "output cannot be read: FileNotFoundError"),
        (ANSWERS.replace("reversed(asked)", "asked[1:]"), "output cannot be read: KeyError"),
        (ANSWERS.replace('"f": each["image_id"] / 4', '"f": float("nan")'), "gave no F-score"),
        ("import time; time.sleep(60)", "did not end within 1 seconds and was stopped"),
    ],
)
def test_a_failure_is_no_score_and_one_line(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_is(code, tmp_path, monkeypatch)
    found = spice(["a dog", "b"], [["the dog"], ["b"]], patience=1 if "sleep" in code else 20)
    assert found.weighed is None
    assert found.own is None
    assert said in found.unavailable
    assert "\n" not in found.unavailable


def test_without_the_jars_it_says_which_and_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_is("", tmp_path, monkeypatch)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / CORENLP[0]).write_bytes(b"")
    assert CORENLP[1] in missing()
    assert CORENLP[0] not in missing()
    assert FOLDER_VARIABLE in missing()
    assert spice(["a"], [["a"]]).unavailable.startswith("SPICE needs")


def test_with_all_there_nothing_is_missing(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_is("", tmp_path, monkeypatch)
    assert jars.is_dir()
    assert missing() == ""
