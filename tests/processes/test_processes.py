"""The number of processes and machines changes nothing but the time a run takes, and the loss of one is told."""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from kosmos_eval.journal import JournalReader
from kosmos_eval.run_folder import read_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLUGINS = Path(__file__).parents[1] / "plugins"
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


def free_port() -> int:
    """Return a port below those that the kernel gives to whoever asks for any, so that none takes it meanwhile."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no port is free")


def torchrun_machines() -> list[list[str]]:
    where = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    start = [sys.executable, "-m", "torch.distributed.run", *where]
    return [[*start, f"--node-rank={machine}", "-m", "kosmos_eval.cli"] for machine in range(2)]


def accelerate_machines() -> list[list[str]]:
    where = ["--multi_gpu", "--num_machines=2", "--num_processes=2", "--mixed_precision=no", "--dynamo_backend=no"]
    start = [sys.executable, "-m", "accelerate.commands.launch", *where, "--main_process_ip=127.0.0.1"]
    start += [f"--main_process_port={free_port()}"]
    return [[*start, f"--machine_rank={machine}", "--module", "kosmos_eval.cli"] for machine in range(2)]


class Machines:
    """Launchers that run side by side, each as a machine of its own would run it."""

    def __init__(self, commands: list[list[str]], folder: Path, *arguments: str, **changes: str) -> None:
        self.folder = folder
        self._launchers = [
            subprocess.Popen(
                [*command, *WORK, "-o", str(folder), *arguments],
                env={**os.environ, **changes},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]

    def at_work(self, rank: int) -> int:
        """Return the process of a rank once it has committed a unit."""
        wait_until(lambda: self._sign(rank).get("units", 0) > 0)
        return int(self._sign(rank)["pid"])

    def stop(self) -> None:
        """End what a failed test has left running."""
        for launcher in self._launchers:
            if launcher.poll() is None:
                launcher.terminate()  # torch's launcher then ends its processes
                launcher.communicate(timeout=60)

    def wait(self) -> tuple[list[int], str]:
        """Return how the launchers ended, and all that they said."""
        said = "".join(launcher.communicate(timeout=90)[1] for launcher in self._launchers)
        return [launcher.returncode for launcher in self._launchers], said

    def _sign(self, rank: int) -> dict[str, int]:
        for path in self.folder.glob(f"claims/*/rank-{rank:04d}"):
            if (text := path.read_text(encoding="utf-8").strip()).endswith("}"):
                return dict(json.loads(text))
        return {}


class Start(Protocol):
    def __call__(self, commands: list[list[str]], folder: Path, *arguments: str, **changes: str) -> Machines: ...


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(commands: list[list[str]], folder: Path, *arguments: str, **changes: str) -> Machines:
            machines = Machines(commands, folder, *arguments, **changes)
            stack.callback(machines.stop)
            return machines

        yield begin


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


def test_a_launcher_s_processes_share_the_work(alone: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run(TORCHRUN, *WORK, "-o", str(folder), SCRIPTED_DELAY="0.002")
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


def finish(folder: Path) -> dict[str, bytes]:
    done = run(KOSMOS_EVAL, "run", "-q", "--resume", str(folder))
    assert done.returncode == 0, done.stderr
    return outputs(folder)


def test_two_machines_that_share_a_folder_share_the_work(alone: dict[str, bytes], tmp_path: Path, start: Start) -> None:
    machines = start(accelerate_machines(), tmp_path / "run", SCRIPTED_DELAY="0.004")
    codes, said = machines.wait()
    assert codes == [0, 0], said
    assert outputs(tmp_path / "run") == alone
    assert len(list((tmp_path / "run" / "journal").glob("*.sqlite"))) == 2


def test_a_failure_on_another_machine_is_the_run_s_own(tmp_path: Path, start: Start) -> None:
    first, second = torchrun_machines()
    fail = ["env", "SCRIPTED_FAIL_AFTER=1"]
    machines = start([first, [*fail, *second]], tmp_path / "run", SCRIPTED_DELAY="0.01")
    codes, said = machines.wait()
    assert codes == [1, 1]
    assert said.count("kosmos-eval: the scripted model was told to fail") == 2  # there and where the owner is
    assert "exitcode  : 65" in said


@pytest.mark.parametrize(
    ("launchers", "arguments", "how"),
    [
        (lambda: [[*KOSMOS_EVAL]], ("--processes", "2"), "died"),
        (lambda: [[*TORCHRUN]], (), "died"),
        (torchrun_machines, (), "has given no sign of life for"),
    ],
    ids=["processes", "torchrun", "two machines"],
)
def test_a_killed_process_ends_the_run_by_name_and_it_can_be_finished(
    alone: dict[str, bytes],
    tmp_path: Path,
    start: Start,
    *,
    launchers: Callable[[], list[list[str]]],
    arguments: tuple[str, ...],
    how: str,
) -> None:
    folder = tmp_path / "run"
    machines = start(launchers(), folder, *arguments, SCRIPTED_DELAY="0.02", KOSMOS_EVAL_PATIENCE="6")
    process = machines.at_work(1)
    os.kill(process, signal.SIGKILL)
    codes, said = machines.wait()
    assert all(code > 0 for code in codes)
    (line,) = {line for line in said.splitlines() if line.startswith("kosmos-eval: ")}
    assert line.startswith(f"kosmos-eval: rank 1 ({platform.node()}, process {process}) {how}")
    assert line.endswith(f"; finish the run with: kosmos-eval run --resume {folder}")
    assert finish(folder) == alone


def test_a_process_that_hangs_ends_the_run_by_name_and_leaves_nothing_behind(
    alone: dict[str, bytes], tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / "run"
    machines = start([[*KOSMOS_EVAL]], folder, "--processes", "2", SCRIPTED_DELAY="0.05", KOSMOS_EVAL_PATIENCE="6")
    process = machines.at_work(1)
    os.kill(process, signal.SIGSTOP)
    codes, said = machines.wait()
    assert codes == [70]
    assert f"rank 1 ({platform.node()}, process {process}) has given no sign of life for" in said
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert finish(folder) == alone


def test_when_the_owner_is_killed_the_other_machine_stops_by_itself(
    alone: dict[str, bytes], tmp_path: Path, start: Start
) -> None:
    folder = tmp_path / "run"
    machines = start(torchrun_machines(), folder, SCRIPTED_DELAY="0.05", KOSMOS_EVAL_PATIENCE="6")
    process = machines.at_work(0)
    os.kill(process, signal.SIGKILL)
    codes, said = machines.wait()
    assert codes == [1, 1]
    assert f"kosmos-eval: rank 0 ({platform.node()}, process {process}) has given no sign of life for" in said
    assert finish(folder) == alone


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
    assert finish(folder) == alone
