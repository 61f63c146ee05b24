"""Starts the processes that ask: this one, several of its own, or those that a launcher has started already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from kosmos_eval.errors import KosmosEvalError, RunInterruptedError, UsageError
from kosmos_eval.journal import JournalReader
from kosmos_eval.processes.heartbeat import Heart, Watch, call_roll
from kosmos_eval.processes.joined import joined_rank, joined_size, neighbours, tell_others
from kosmos_eval.processes.worker import prepare_process, run_rank, set_out
from kosmos_eval.watched import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.plan import Plan
    from kosmos_eval.processes.lock import RunLock

_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.2


class Launch:
    """One go at what is left of a run.

    Attributes:
        watch: over the processes that ask; it knows how far they are.
    """

    def __init__(self, folder: Path, launch: str, processes: int, lock: RunLock) -> None:
        """Know what to start.

        Args:
            folder: of the run.
            launch: its id, known to this launch's workers alone.
            processes: how many ask at once.
            lock: by which this process owns the run.
        """
        self._folder, self._id, self._lock = folder, launch, lock
        self._claims = folder / "claims" / launch
        self._joined = joined_size() > 1
        self._size = joined_size() if self._joined else processes
        self._left = 0
        self.watch = Watch(self._claims, range(self._size), neighbours() if self._joined else range(self._size))

    def run(self, plan: Plan) -> None:
        """Ask what is left, and return when nothing more will come.

        Raises:
            KosmosEvalError: a process failed, and its message and exit code are this one's; or one was lost.
        """
        if self._joined and joined_rank() > 0:
            message = "evaluate() starts its own processes; under torchrun or accelerate launch, use `kosmos-eval run`"
            raise UsageError(message)
        journal = JournalReader(self._folder / "journal")
        done = journal.timings()
        left = [unit.id for unit in plan.units if unit.id not in done]
        self._left = len(left)
        call_roll(self._claims, self._size)
        set_out(self._claims, left)
        Ledger(self._claims, plan, plan.units).note_done(journal, done)
        self.watch.begin()
        try:
            self._ask(plan)
        except KeyboardInterrupt:
            self._explain()
            raise
        finally:
            self.watch.end()

    def _ask(self, plan: Plan) -> None:
        if self._joined:
            prepare_process(len(neighbours()))
            with Heart(self._claims, 0) as heart:
                tell_others({"folder": str(self._folder.resolve()), "launch": self._id})
                run_rank(self._folder, self._id, heart, plan, self._check)
                self._wait_for_others()
        elif self._size > 1:
            self._start()
        else:
            prepare_process(1)
            with Heart(self._claims, 0) as heart:
                run_rank(self._folder, self._id, heart, plan)

    def _start(self) -> None:
        """Start the workers through torch's launcher and wait for them."""
        threads = max(1, len(os.sched_getaffinity(0)) // self._size)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self._size}"]
        command += ["-m", "kosmos_eval.processes.worker", str(self._folder), self._id]
        with (self._claims / "launcher.log").open("w", encoding="utf-8") as log:
            launcher = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)  # noqa: S603  our own interpreter and module
            try:
                while launcher.poll() is None:
                    self._check()
                    time.sleep(_POLL_SECONDS)
            except BaseException:
                self.watch.end_silent()
                _stop(launcher)
                self._lock.wait_for_workers(_GRACE_SECONDS)
                raise
        self._lock.wait_for_workers(_GRACE_SECONDS)
        self.watch.look()
        if launcher.returncode != 0:
            self._check()
            late = ", ".join(str(sign) for sign in self.watch.signs if sign.state == "absent") or "a worker"
            cure = f"see {self._claims / 'launcher.log'}, then: kosmos-eval run --resume {self._folder}"
            message = f"{late} died before it began (exit code {launcher.returncode}); {cure}"
            raise KosmosEvalError(message)

    def _wait_for_others(self) -> None:
        """Wait until every other process has said its last; one that was lost matters if it leaves work behind."""
        while waiting := [sign for sign in self.watch.signs if sign.rank != 0 and not sign.over]:
            late = all(sign.state == "absent" for sign in waiting)
            if self.watch.fault() is not None or (late and self._all_done()):
                break
            time.sleep(_POLL_SECONDS)
        if not self._all_done():
            self._check()

    def _all_done(self) -> bool:
        return sum(sign.units for sign in self.watch.signs) >= self._left

    def _check(self) -> None:
        if (fault := self.watch.fault()) is not None:
            raise fault

    def _explain(self) -> None:
        """Say what lies behind a signal that a launcher sent because another of its processes had ended."""
        self.watch.look()
        if (fault := self.watch.fault(stopped=False)) is not None:
            raise fault from None
        if self._joined and (late := [str(sign) for sign in self.watch.signs if sign.state == "absent"]):
            cure = f"see what the launcher says, and finish the run with: kosmos-eval run --resume {self._folder}"
            message = f"interrupted before {', '.join(late)} had begun; {cure}"
            raise RunInterruptedError(message) from None


def _stop(launcher: subprocess.Popen[bytes]) -> None:
    """End torch's launcher and, through it, its workers."""
    launcher.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        launcher.wait(_GRACE_SECONDS)
        return
    os.killpg(launcher.pid, signal.SIGKILL)
