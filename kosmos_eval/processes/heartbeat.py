"""Signs of life: what every process of a launch says of itself, again and again, in a small file of the run's folder.

It is all that the processes know of each other while they work, so it holds between machines that share nothing but
that folder. A file is written in place and flushed, and read by opening it anew: no network file system promises
more. Two things tell that a process is gone. On the reader's own machine it is the kernel's lock on the file, which
goes with its process, at once. From anywhere it is a file that stays as it is for `patience()` seconds: as many as the
reader itself was awake, by its own clock, so neither clocks that differ nor a machine that slept can mislead it.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import signal
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from kosmos_eval.errors import KosmosEvalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

BEAT_SECONDS = 2.0
ARRIVAL_SECONDS = 300.0
"""How long a process may take from the news of a launch to its first sign: it imports torch and reads the plan."""
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_BLOCK_BYTES = 4096  # a page, so that a reader hardly ever sees half a sign
_LONGEST_MESSAGE = 1_500

State = Literal["absent", "working", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process last said of itself.

    Attributes:
        rank: its number in the launch.
        host, pid: where to find it.
        beat: counts its signs.
        state: `absent` before the first sign, then `working`; at its end `done`, or `failed` with an error of its own,
            or `stopped` by a signal.
        unit: that it works on.
        units, samples: that it has committed in this launch.
        message, exit_code: of its failure.
    """

    rank: int
    host: str = ""
    pid: int = 0
    beat: int = 0
    state: State = "absent"
    unit: str = ""
    units: int = 0
    samples: int = 0
    message: str = ""
    exit_code: int = 0

    def __str__(self) -> str:
        return f"rank {self.rank} ({self.host}, process {self.pid})" if self.pid else f"rank {self.rank}"

    @property
    def over(self) -> bool:
        """Whether it will do no more."""
        return self.state not in {"absent", "working"}


def patience() -> float:
    """Return for how many seconds a process may give no sign of life: `KOSMOS_EVAL_PATIENCE`, or 60.

    Raises:
        UsageError: the variable holds no number above two beats.
    """
    text = os.environ.get("KOSMOS_EVAL_PATIENCE", str(_PATIENCE_SECONDS))
    with suppress(ValueError):
        if (seconds := float(text)) > 2 * BEAT_SECONDS:
            return seconds
    message = f"KOSMOS_EVAL_PATIENCE: expected seconds above {2 * BEAT_SECONDS:g}, got {text!r}"
    raise UsageError(message)


def call_roll(folder: Path, size: int) -> None:
    """Make the files of a launch's processes, so that none is looked for in vain and then remembered as missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for rank in range(size):
        _path(folder, rank).touch()


def read_sign(folder: Path, rank: int) -> Sign | None:
    """Return a process's last sign; `None` if it is being written right now, or the folder cannot be reached."""
    try:
        text = _path(folder, rank).read_text(encoding="utf-8").strip()
        return Sign(**json.loads(text)) if text else Sign(rank)
    except FileNotFoundError:
        return Sign(rank)
    except (ValueError, TypeError, OSError):
        return None


class Heart:
    """Gives this process's signs of life for as long as the `with` block lasts, and says at its end how it ended."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Give the first sign.

        Args:
            folder: of the launch's claims, with the files that `call_roll` made.
            rank: of this process.

        Raises:
            FileNotFoundError: the launch is over, and its files are gone.
        """
        self._file = os.open(_path(folder, rank), os.O_RDWR)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # whoever looks whether this process lives holds it for a moment only
        self._saying = threading.RLock()
        self._over = threading.Event()
        self._sign = Sign(rank, platform.node(), os.getpid(), state="working")
        self.say()
        threading.Thread(target=self._beat, name="heart", daemon=True).start()

    @property
    def rank(self) -> int:
        """Number of the process."""
        return self._sign.rank

    def say(
        self, *, unit: str | None = None, done: int | None = None, state: State | None = None, fault: object = None
    ) -> None:
        """Give a sign now.

        Args:
            unit: that is begun.
            done: samples of a unit that is committed.
            state: that this process is in from now on.
            fault: the error that ended it.
        """
        with self._saying:
            sign = replace(self._sign, beat=self._sign.beat + 1)
            if unit is not None:
                sign = replace(sign, unit=unit)
            if done is not None:
                sign = replace(sign, units=sign.units + 1, samples=sign.samples + done)
            if fault is not None:
                code = fault.exit_code if isinstance(fault, KosmosEvalError) else KosmosEvalError.exit_code
                text = str(fault) if isinstance(fault, KosmosEvalError) else f"{type(fault).__name__}: {fault}"
                sign = replace(sign, message=text[:_LONGEST_MESSAGE], exit_code=code)
            self._sign = replace(sign, state=state or sign.state)
            if not self._over.is_set():
                os.pwrite(self._file, json.dumps(asdict(self._sign)).encode().ljust(_BLOCK_BYTES), 0)
                os.fsync(self._file)  # to the server, where the folder lies on one

    def end(self, state: State, fault: object = None) -> None:
        """Give the last sign, and let go."""
        with self._saying:
            if not self._over.is_set():
                with suppress(OSError):  # not to hide what ended the process
                    self.say(state=state, fault=fault)
                self._over.set()
                os.close(self._file)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(OSError):  # a full disk or a slow server: the next beat may get through
                self.say()

    def __enter__(self) -> Heart:  # noqa: PYI034  typing.Self would say the same of a final class
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end("done")
        elif isinstance(error, Exception):
            self.end("failed", error)
        else:
            self.end("stopped")


class Watch:
    """Looks at the signs of several processes from `begin` to `end`, in a thread of its own."""

    def __init__(self, folder: Path, ranks: Sequence[int], here: Sequence[int]) -> None:
        """Know whom to look at.

        Args:
            folder: of the launch's claims.
            ranks: to look at.
            here: those of them that run under this machine's kernel.

        Raises:
            UsageError: `KOSMOS_EVAL_PATIENCE` is no time.
        """
        self._folder, self._here, self._patience = folder, frozenset(here), patience()
        self._signs = {rank: Sign(rank) for rank in ranks}
        self._silence = dict.fromkeys(ranks, 0.0)
        self._dead: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def begin(self) -> None:
        """Begin to look."""
        self._thread.start()

    @property
    def signs(self) -> list[Sign]:
        """The last sign of every process."""
        return list(self._signs.values())

    def silent(self, seconds: float) -> list[tuple[Sign, float]]:
        """Return the working processes that have given no sign for longer than that, with how long it has been."""
        return [
            (sign, self._silence[sign.rank])
            for sign in self.signs
            if sign.state == "working" and self._silence[sign.rank] > seconds
        ]

    def fault(self, *, stopped: bool = True) -> KosmosEvalError | None:
        """Return why the launch cannot go on, if it cannot: a process that failed, died, fell silent or never came.

        Args:
            stopped: whether a process that a signal stopped is such a reason; not when all were stopped together.
        """
        for sign in self.signs:
            if sign.state == "failed":
                failure = KosmosEvalError(sign.message)
                failure.exit_code = sign.exit_code  # type: ignore[misc]  # the process's own, on this one error
                return failure
        return next((_loss(text, self._folder) for text in self._losses(stopped=stopped)), None)

    def look(self) -> None:
        """Look now, so that what has just happened is known."""
        for rank, before in self._signs.items():
            if not before.over:
                self._look(rank, before, 0.0)

    def end_silent(self) -> None:
        """Kill those of this machine that have fallen silent: they can neither work nor be asked to leave."""
        for sign, _ in self.silent(self._patience):
            if sign.rank in self._here and not _unlocked(self._folder, sign.rank):
                with suppress(ProcessLookupError):
                    os.kill(sign.pid, signal.SIGKILL)

    def end(self) -> None:
        """Look a last time, and no more."""
        self._over.set()
        self._thread.join()
        self.look()

    def _losses(self, *, stopped: bool) -> list[str]:
        signs = self.signs
        dead = [f"{sign} died" for sign in signs if sign.rank in self._dead]
        silent = [f"{sign} has given no sign of life for {gone:.0f} s" for sign, gone in self.silent(self._patience)]
        ended = [f"{sign} was stopped by a signal" for sign in signs if sign.state == "stopped" and stopped]
        late = [
            f"{sign} has not begun within {ARRIVAL_SECONDS:.0f} s; see what its launcher says"
            for sign in signs
            if sign.state == "absent" and self._silence[sign.rank] > ARRIVAL_SECONDS
        ]
        return dead + silent + ended + late

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            now = time.monotonic()
            passed, last = min(now - last, 2 * _LOOK_SECONDS), now  # a reader that slept has seen nothing meanwhile
            for rank, before in list(self._signs.items()):
                if not before.over:
                    self._look(rank, before, passed)

    def _look(self, rank: int, before: Sign, passed: float) -> None:
        sign = read_sign(self._folder, rank)
        self._silence[rank] = self._silence[rank] + passed if sign in {before, None} else 0.0
        if sign is not None:
            self._signs[rank] = sign
        if rank in self._here and sign is not None and sign.state == "working" and died(self._folder, rank):
            self._dead.add(rank)


def died(folder: Path, rank: int) -> KosmosEvalError | None:
    """Return that a process of this machine is dead, as an error that names it; `None` if it works or ended well."""
    if not _unlocked(folder, rank):
        return None
    sign = read_sign(folder, rank)  # now that it is gone, this is its last
    return _loss(f"{sign} died", folder) if sign is not None and sign.state == "working" else None


def at_work_elsewhere(run: Path) -> Sign | None:
    """Return a process of another machine that is working on a run, if one is; takes a few seconds if one may be.

    Args:
        run: its folder.
    """
    suspects: dict[tuple[Path, int], Sign] = {}
    for path in run.glob("claims/*/rank-*"):
        sign = read_sign(path.parent, int(path.name.removeprefix("rank-")))
        if sign is not None and sign.state == "working" and sign.host != platform.node():
            suspects[path.parent, sign.rank] = sign
    deadline = time.monotonic() + (3 * BEAT_SECONDS if suspects else 0.0)
    while time.monotonic() < deadline:
        for (folder, rank), before in suspects.items():
            if read_sign(folder, rank) != before:
                return before
        time.sleep(_LOOK_SECONDS)
    return None


def _loss(text: str, folder: Path) -> KosmosEvalError:
    return KosmosEvalError(f"{text}; finish the run with: kosmos-eval run --resume {folder.parent.parent}")


def _path(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank:04d}"


def _unlocked(folder: Path, rank: int) -> bool:
    """Return whether nobody holds a process's file, which is to say that the process is gone."""
    try:
        file = os.open(_path(folder, rank), os.O_RDONLY)
    except OSError:  # no file yet, or a server that does not answer
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held, which is the rule
        return False
    finally:
        os.close(file)
    return True
