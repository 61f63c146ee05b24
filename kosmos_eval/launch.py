"""Starts the processes that ask: this one, several of its own, or those that a launcher has started already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.journal import JournalReader
from kosmos_eval.worker import prepare_process, run_rank

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.lock import RunLock
    from kosmos_eval.plan import Plan

_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.2
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Launch:
    """One go at what is left of a run.

    Attributes:
        folder: of the run.
        id: known to this launch's workers alone.
        processes: how many ask at once.
        lock: by which this process owns the run.
    """

    folder: Path
    id: str
    processes: int
    lock: RunLock

    def run(self, plan: Plan) -> None:
        """Ask what is left, and return when nothing more will come.

        Raises:
            KosmosEvalError: a worker failed; its message and exit code are this one's.
        """
        if joined_size() > 1:
            self._join(plan)
        elif self.processes > 1:
            self._start()
        else:
            prepare_process(1)
            run_rank(self.folder, self.id, 0, plan, plan.units)
        self._raise_failure()

    def _start(self) -> None:
        """Start the workers through torch's launcher and wait for them."""
        claims = self.folder / "claims" / self.id
        claims.mkdir(parents=True, exist_ok=True)
        threads = max(1, len(os.sched_getaffinity(0)) // self.processes)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.processes}"]
        command += ["-m", "kosmos_eval.worker", str(self.folder), self.id]
        with (claims / "launcher.log").open("w", encoding="utf-8") as log:
            launcher = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)  # noqa: S603  our own interpreter and module
            try:
                code = launcher.wait()
            except BaseException:
                _stop(launcher)
                self.lock.wait_for_workers(_GRACE_SECONDS)
                raise
        self.lock.wait_for_workers(_GRACE_SECONDS)
        self._raise_failure()
        if code != 0:
            cure = f"see {claims / 'launcher.log'}, then: kosmos-eval run --resume {self.folder}"
            message = f"a worker died (exit code {code}); {cure}"
            raise KosmosEvalError(message)

    def _join(self, plan: Plan) -> None:
        """Be the first of the processes that a launcher started, and wait for the others."""
        prepare_process(joined_size())
        tell_others({"folder": str(self.folder.resolve()), "launch": self.id})
        run_rank(self.folder, self.id, 0, plan, plan.units)
        journal = JournalReader(self.folder / "journal")
        left = {unit.id for unit in plan.units}
        while left - journal.timings().keys() and not self.lock.wait_for_workers(_POLL_SECONDS):
            time.sleep(_POLL_SECONDS)

    def _raise_failure(self) -> None:
        for notice in sorted((self.folder / "claims" / self.id).glob("failure-*.json")):
            failure = json.loads(notice.read_text(encoding="utf-8"))
            error = KosmosEvalError(failure["message"])
            error.exit_code = failure["exit_code"]  # type: ignore[misc]  # the worker's own code, on this one error
            raise error


def _stop(launcher: subprocess.Popen[bytes]) -> None:
    """End torch's launcher and, through it, its workers."""
    launcher.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(_GRACE_SECONDS)
        return
    os.killpg(launcher.pid, signal.SIGKILL)


def joined_size() -> int:
    """Return how many processes a launcher such as torchrun started, this one included; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joined_rank() -> int:
    """Return this process's number among them."""
    return int(os.environ.get("RANK", "0"))


def tell_others(news: dict[str, object]) -> None:
    """Send the first process's news to the others that the launcher started."""
    _broadcast([news])


def hear_first() -> dict[str, object]:
    """Return the first process's news; waits for them."""
    heard: list[dict[str, object]] = [{}]
    _broadcast(heard)
    return heard[0]


def _broadcast(values: list[dict[str, object]]) -> None:
    """Send the first process's value to all; the group lives for this alone, so that nothing later can hang in it."""
    from datetime import timedelta  # noqa: PLC0415  with torch, below

    from torch import distributed  # noqa: PLC0415  only joined processes need it

    distributed.init_process_group("gloo", timeout=timedelta(seconds=_DAY_SECONDS))
    distributed.broadcast_object_list(values, src=0)
    distributed.destroy_process_group()
