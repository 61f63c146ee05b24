"""Whatever ends a run, it can be finished, and the results are those of a run that nothing ended."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.cutting import UNIT_SAMPLES
from kosmos_eval.journal import JournalReader
from kosmos_eval.run_folder import read_units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLUGINS = Path(__file__).parent / "plugins"
SAMPLES = 300
REQUESTS = 2 * 2 * SAMPLES  # two shot counts, two stages
WORK = (
    "--tasks",
    "letters",
    "--model",
    "scripted",
    "--shots",
    "0,2",
    "--set",
    f"letters.size={SAMPLES}",
    "--report",
    "",
)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kosmos_eval.cli", "run", "--include_path", str(PLUGINS), *arguments]


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **changes}


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("-q", *arguments), env=environment(changes), capture_output=True, text=True, timeout=120, check=False
    )


def start(*arguments: str, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("-q", *arguments), env=environment(changes), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def outputs(folder: Path) -> dict[str, bytes]:
    """Return every file that must not depend on how a run went."""
    files = [
        folder / "results.json",
        *sorted((folder / "samples").iterdir()),
        *sorted((folder / "thumbnails").iterdir()),
    ]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def wait_for_units(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(JournalReader(folder / "journal").timings()) < count:
        assert time.monotonic() < deadline, "the run did not get on"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run(*WORK, "-o", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_ten_random_kills_lose_nothing_but_the_unit_in_flight(uninterrupted: Path, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "asked"
    slow = {"SCRIPTED_DELAY": "0.004", "SCRIPTED_LOG": str(log)}
    draw = random.Random(20)
    arguments: Sequence[str] = (*WORK, "-o", str(folder))
    for _ in range(10):
        process = start(*arguments, **slow)
        if folder.exists() and (folder / "run.json").exists():
            arguments = ("--resume", str(folder))
        time.sleep(draw.uniform(0.3, 1.6))
        process.kill()
        process.communicate()
        if (folder / "run.json").exists():
            arguments = ("--resume", str(folder))
    done = run(*arguments, **(slow | {"SCRIPTED_DELAY": "0"}))
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == outputs(uninterrupted)
    asked = Counter(log.read_text(encoding="utf-8").split())
    assert len(asked) == REQUESTS
    assert sum(asked.values()) - REQUESTS <= 10 * 2 * UNIT_SAMPLES


def test_the_journal_holds_whole_units_only_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(*WORK, "-o", str(folder), SCRIPTED_DELAY="0.003")
    wait_for_units(folder, 2)
    process.kill()
    process.communicate()
    journal = JournalReader(folder / "journal")
    done = journal.timings()
    sizes = {unit.id: len(unit.keys) for unit in read_units(folder)}
    assert 2 <= len(done) < len(sizes)
    assert all(len(journal.unit(unit)) == sizes[unit] for unit in done)


def test_ctrl_c_ends_with_130_and_the_command_that_finishes_the_run(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(*WORK, "-o", str(folder), SCRIPTED_DELAY="0.003")
    wait_for_units(folder, 1)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"kosmos-eval run --resume {folder}" in complaint
    done = run("--resume", str(folder))
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == outputs(uninterrupted)


def test_a_failing_model_ends_with_its_code_and_leaves_a_resumable_run(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    failed = run(*WORK, "-o", str(folder), SCRIPTED_FAIL_AFTER="300")
    assert failed.returncode == 65
    assert failed.stderr.strip().endswith("the scripted model was told to fail")
    done = run("--resume", str(folder))
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == outputs(uninterrupted)


@pytest.fixture(scope="module")
def failed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failed") / "run"
    assert run(*WORK, "-o", str(folder), SCRIPTED_FAIL_AFTER="300").returncode == 65
    return folder


@pytest.fixture
def unfinished(failed_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(failed_once, tmp_path / "unfinished"))


def test_resuming_refuses_other_weights_by_name(unfinished: Path) -> None:
    refused = run("--resume", str(unfinished), SCRIPTED_WEIGHTS="others")
    assert refused.returncode == 64
    assert "the model's weights (scripted)" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"abc"[number % 3]', '"bca"[number % 3]', "the data of letters@mini|0"),
        ("{each.question} {each.answer}", "{each.question} = {each.answer}", "the prompts of letters@mini|2"),
        ("version: ClassVar[int] = 1", "version: ClassVar[int] = 2", "the scorer of letters@mini|0"),
        ("float(answer == sample.answer)", "float(answer != sample.answer)", "the scorer of letters@mini|0"),
        ('split: str = "val"', 'split: str = "train"', "the data of letters@mini|0"),
    ],
)
def test_resuming_refuses_what_changed_in_a_task_by_name(
    unfinished: Path, tmp_path: Path, old: str, new: str, named: str
) -> None:
    code = (PLUGINS / "scripted.py").read_text(encoding="utf-8")
    assert old in code
    edited = tmp_path / "plugins"
    edited.mkdir()
    (edited / "scripted.py").write_text(code.replace(old, new), encoding="utf-8")
    config = json.loads((unfinished / "run.json").read_text(encoding="utf-8"))
    config["config"]["include_path"] = [str(edited)]
    (unfinished / "run.json").write_text(json.dumps(config), encoding="utf-8")
    refused = subprocess.run(
        [sys.executable, "-m", "kosmos_eval.cli", "run", "--resume", str(unfinished)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 64
    assert named in refused.stderr


@pytest.mark.parametrize(
    ("flags", "named"), [(("--seed", "1"), "seed"), (("--shots", "0,1"), "shots"), (("--limit", "9"), "limit")]
)
def test_resuming_refuses_another_configuration_by_name(unfinished: Path, flags: tuple[str, str], named: str) -> None:
    refused = run("--resume", str(unfinished), *flags)
    assert refused.returncode == 64
    assert f"cannot resume with {named} =" in refused.stderr


def test_a_finished_run_is_not_asked_again(uninterrupted: Path, tmp_path: Path) -> None:
    log = tmp_path / "asked"
    before = outputs(uninterrupted)
    done = run("--resume", str(uninterrupted), SCRIPTED_LOG=str(log))
    assert done.returncode == 0, done.stderr
    assert not log.exists()
    assert outputs(uninterrupted) == before


def test_a_second_process_on_a_run_is_refused_and_harms_nothing(uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = start(*WORK, "-o", str(folder), SCRIPTED_DELAY="0.004")
    wait_for_units(folder, 1)
    second = run("--resume", str(folder))
    assert second.returncode == 64
    assert "another process is working on this run" in second.stderr
    _, complaint = first.communicate(timeout=60)
    assert first.returncode == 0, complaint
    assert outputs(folder) == outputs(uninterrupted)


def test_scoring_again_refuses_other_data_and_takes_another_scorer(uninterrupted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(uninterrupted, tmp_path / "run"))
    edited = tmp_path / "plugins"
    edited.mkdir()
    config = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    config["config"]["include_path"] = [str(edited)]
    (folder / "run.json").write_text(json.dumps(config), encoding="utf-8")
    code = (PLUGINS / "scripted.py").read_text(encoding="utf-8")
    rescore = [sys.executable, "-m", "kosmos_eval.cli", "rescore", str(folder)]

    (edited / "scripted.py").write_text(code.replace('"abc"[number % 3]', '"bca"[number % 3]'), encoding="utf-8")
    refused = subprocess.run(rescore, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 64
    assert "cannot score again, changed since the run: the data of letters@mini|0" in refused.stderr

    (edited / "scripted.py").write_text(code.replace("float(answer ==", "float(answer !="), encoding="utf-8")
    assert subprocess.run(rescore, capture_output=True, timeout=60, check=False).returncode == 0
    values = [
        json.loads((each / "results.json").read_text())["cells"][0]["metrics"][0]["value"]
        for each in (folder, uninterrupted)
    ]
    assert values[0] == pytest.approx(1 - values[1])
