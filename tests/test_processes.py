"""Process count changes nothing but the time a run takes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.journal import JournalReader
from kosmos_eval.run_folder import read_units

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGINS = Path(__file__).parent / "plugins"
WORK = (
    *("run", "-q", "--include_path", str(PLUGINS), "--tasks", "letters", "--model", "scripted", "--shots", "0,2"),
    *("--set", "letters.size=300", "--report", ""),
)
KOSMOS_EVAL = (sys.executable, "-m", "kosmos_eval.cli")
TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    "-m",
    "kosmos_eval.cli",
)
ACCELERATE = (
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"),
    *("--mixed_precision=no", "--dynamo_backend=no", "--module", "kosmos_eval.cli"),
)


def run(launcher: tuple[str, ...], *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **changes}
    command = [*launcher, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / "results.json", *sorted((folder / "samples").iterdir())]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("alone") / "run"
    done = run(KOSMOS_EVAL, *WORK, "-o", str(folder))
    assert done.returncode == 0, done.stderr
    return outputs(folder)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_two_processes_share_the_work_and_give_the_same_bytes(alone: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run(KOSMOS_EVAL, *WORK, "-o", str(folder), "--processes", "2", SCRIPTED_DELAY="0.001")
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == alone
    journals = sorted((folder / "journal").glob("*.sqlite"))
    assert len(journals) == 2
    units = [unit.id for unit in read_units(folder)]
    assert sorted(JournalReader(folder / "journal").timings()) == sorted(units)


@pytest.mark.parametrize("launcher", [TORCHRUN, ACCELERATE], ids=["torchrun", "accelerate"])
def test_a_launcher_s_processes_share_the_work(
    alone: dict[str, bytes], tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    done = run(launcher, *WORK, "-o", str(folder), SCRIPTED_DELAY="0.002")
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == alone
    assert len(list((folder / "journal").glob("*.sqlite"))) == 2


def test_a_mistake_under_a_launcher_ends_every_process(tmp_path: Path) -> None:
    done = run(TORCHRUN, *WORK, "-o", str(tmp_path / "run"), "--set", "letters.siz=3")
    assert done.returncode != 0
    assert "did you mean 'size'?" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_worker_s_failure_is_the_run_s_own(alone: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    failed = run(KOSMOS_EVAL, *WORK, "-o", str(folder), "--processes", "2", SCRIPTED_FAIL_AFTER="150")
    assert failed.returncode == 65
    assert "the scripted model was told to fail" in failed.stderr
    done = run(KOSMOS_EVAL, "run", "-q", "--resume", str(folder), "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == alone


def test_failed_samples_are_asked_again_by_whichever_process_is_free(alone: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    too_big = ",".join(f"Generate letter {number}?" for number in range(0, 300, 50))
    slow = {"SCRIPTED_DELAY": "0.001"}
    failed = run(KOSMOS_EVAL, *WORK, "-o", str(folder), "--processes", "2", SCRIPTED_TOO_BIG=too_big, **slow)
    assert failed.returncode == 75, failed.stderr
    assert "12 of 600 samples failed and are in no score: letters@mini|0 0, " in failed.stderr
    done = run(KOSMOS_EVAL, "run", "-q", "--resume", str(folder), "--processes", "2", **slow)
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == alone
    held = []
    for path in (folder / "journal").glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as journal:
            held += [unit for (unit,) in journal.execute("SELECT unit FROM units")]
    assert sorted(held) == sorted(unit.id for unit in read_units(folder))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_ending_the_owner_ends_its_workers_and_one_process_can_finish(
    alone: dict[str, bytes], tmp_path: Path, end: signal.Signals
) -> None:
    folder = tmp_path / "run"
    command = [*KOSMOS_EVAL, *WORK, "-o", str(folder), "--processes", "2"]
    owner = subprocess.Popen(command, env={**os.environ, "SCRIPTED_DELAY": "0.02"}, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(JournalReader(folder / "journal").timings()) >= 2)
    owner.send_signal(end)
    owner.communicate(timeout=60)
    assert owner.returncode == (130 if end is signal.SIGINT else -signal.SIGKILL)
    done = run(KOSMOS_EVAL, "run", "-q", "--resume", str(folder))
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == alone
