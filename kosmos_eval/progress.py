"""Shows how far a run has come, by what its processes say of themselves: the same for one and for many."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.journal import JournalReader
    from kosmos_eval.plan import Unit
    from kosmos_eval.processes.heartbeat import Watch

_TERMINAL_SECONDS = 0.5
_LOG_SECONDS = 10.0
_BAR_WIDTH = 24
_SILENT_SECONDS = 10.0


class Progress:
    """A line that is drawn again and again on a terminal, and plain lines now and then in a log."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        """Write to a stream."""
        self._stream = stream
        self._terminal = stream.isatty()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, units: Sequence[Unit], journal: JournalReader, watch: Watch) -> None:
        """Show, until `end`, how far the work has come.

        Args:
            units: of the whole run.
            journal: what was done before.
            watch: over the processes that do the rest.
        """
        before = journal.timings().keys()
        self._total = sum(len(unit.keys) for unit in units)
        self._before = sum(len(unit.keys) for unit in units if unit.id in before)
        self._started = time.monotonic()
        if self._before:
            self._stream.write(f"resuming: {self._before} of {self._total} samples are done\n")
        self._thread = threading.Thread(target=self._run, args=(watch,), name="progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop watching, and show where things stand."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, watch: Watch) -> None:
        period = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS
        while not self._over.wait(period):
            self._show(watch)
        self._show(watch)
        if self._terminal:
            self._stream.write("\n")

    def _show(self, watch: Watch) -> None:
        signs = watch.signs
        now = sum(sign.samples for sign in signs)
        begun = (sign.unit.rpartition("/")[0] for sign in signs if sign.state == "working" and sign.unit)
        current = "scoring" if self._before + now == self._total else next(begun, "loading")
        silent = [f"; no sign of {sign} for {seconds:.0f} s" for sign, seconds in watch.silent(_SILENT_SECONDS)]
        line = describe(self._before + now, self._total, now, time.monotonic() - self._started, current)
        self._line(line + "".join(silent))

    def _line(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()


def describe(done: int, total: int, now: int, seconds: float, current: str) -> str:
    """Return a line of progress.

    Args:
        done: samples that are answered.
        total: all samples.
        now: samples answered since this launch began.
        seconds: since this launch began.
        current: what is being worked on.
    """
    filled = _BAR_WIDTH * done // max(total, 1)
    bar = "#" * filled + "." * (_BAR_WIDTH - filled)
    rate = now / seconds if seconds > 0 else 0.0
    left = f"{_clock((total - done) / rate)} left" if rate > 0 else "time left unknown"
    return f"[{bar}] {done}/{total} samples, {rate:.1f}/s, {left if done < total else 'done'}, {current}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
