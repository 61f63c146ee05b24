"""One run folder, one run: locks that the kernel drops when their process dies, however it dies.

The process that owns a run holds `lock` and writes its launch's id into it. Its workers each hold a share of
`workers.lock` and stop when `lock` is no longer held by their launch, so a killed owner leaves no worker behind, and a
new owner waits for the last of them before it starts.

The locks are advisory `flock` locks. Whether one holds between machines depends on the file system, so nothing here
asks that of it: a worker on another machine, and an owner that finds the signs of one, go by those (`heartbeat.py`).
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from kosmos_eval.errors import RunRefusedError, UsageError
from kosmos_eval.processes.heartbeat import at_work_elsewhere

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from kosmos_eval.processes.heartbeat import Watch

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0
_ORPHANED = 70


class RunLock:
    """Ownership of a run folder, for as long as the `with` block lasts."""

    def __init__(self, folder: Path, launch: str) -> None:
        """Take the lock.

        Args:
            folder: of the run; must exist.
            launch: id that this launch's workers know it by.

        Raises:
            RunRefusedError: another process has the run, or its workers are still at it.
        """
        self._owner = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        self._workers = os.open(folder / "workers.lock", os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock_within(self._owner, _POLL_SECONDS):  # a worker that looks whether its owner lives holds it briefly
            self._drop()
            message = f"{folder}: another process is working on this run; wait for it, or stop it, then try again"
            raise RunRefusedError(message)
        os.ftruncate(self._owner, 0)
        os.pwrite(self._owner, launch.encode(), 0)
        if not self.wait_for_workers(_PATIENCE_SECONDS):
            self._drop()
            message = f"{folder}: workers of an earlier launch are still running; stop them, then try again"
            raise RunRefusedError(message)
        if (other := at_work_elsewhere(folder)) is not None:
            self._drop()
            message = f"{folder}: {other} is working on this run; wait for it, or stop it, then try again"
            raise RunRefusedError(message)

    def wait_for_workers(self, seconds: float) -> bool:
        """Return whether every worker has let go within so many seconds."""
        if free := _lock_within(self._workers, seconds):
            fcntl.flock(self._workers, fcntl.LOCK_UN)
        return free

    def _drop(self) -> None:
        os.close(self._owner)
        os.close(self._workers)

    def __enter__(self) -> RunLock:  # noqa: PYI034  typing.Self would say the same of a final class
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()


def attend(folder: Path, launch: str, *, here: bool = True, owner: Watch | None = None) -> bool:
    """Make this process a worker of a launch: known to be alive, and gone soon after its owner is.

    Args:
        folder: of the run.
        launch: id of the launch.
        here: whether the owner is a process of this machine, whose lock tells that it lives.
        owner: watches it, if it gives signs of life.

    Returns:
        Whether there is work left: the others may have done it all.

    Raises:
        RunRefusedError: the launch is already over.
    """
    presence = os.open(folder / "workers.lock", os.O_RDWR | os.O_CREAT, 0o644)  # held until the process ends
    fcntl.flock(presence, fcntl.LOCK_SH)
    if owner is not None:
        owner.look()
        if _finished(owner):
            return False
        owner.begin()
    if here and not _owned_by(folder, launch):
        message = f"{folder}: the launch {launch} that started this worker is over"
        raise RunRefusedError(message)

    def watch() -> None:
        while (reason := _ended(folder, launch, here=here, owner=owner)) is None:
            time.sleep(_POLL_SECONDS)
        if owner is not None and _finished(owner):
            os._exit(0)
        sys.stderr.write(f"kosmos-eval: {reason}\n")
        sys.stderr.flush()
        os._exit(_ORPHANED)  # nothing to save: what is not committed will be asked again

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()
    return True


def _finished(owner: Watch) -> bool:
    return any(sign.state == "done" for sign in owner.signs)


def _ended(folder: Path, launch: str, *, here: bool, owner: Watch | None) -> str | None:
    """Return why a launch is over for its workers; `None` while its owner lives."""
    if owner is not None:
        if (fault := owner.fault()) is not None:
            return str(fault)
        if any(sign.over for sign in owner.signs):
            return f"the launch that owned the run in {folder} is over"
    if here and not _owned_by(folder, launch):
        return f"the process that owned the run is gone; finish the run with: kosmos-eval run --resume {folder}"
    return None


def _owned_by(folder: Path, launch: str) -> bool:
    owner = os.open(folder / "lock", os.O_RDONLY)
    try:
        if _try_lock(owner, fcntl.LOCK_SH):
            return False
        return os.pread(owner, 4096, 0) == launch.encode()
    finally:
        os.close(owner)


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS / 10)
    return True


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        message = (
            f"cannot lock a file in the run's folder ({error.strerror}); choose an --output_path on a file system "
        )
        message += "that knows flock"
        raise UsageError(message) from error
    return True
