"""The Java machine of a run: one, in a process of its own, started when it is first needed.

It serves the tokenizer and METEOR for all tasks and shot counts. It lives in a process of its own (`java_worker.py`, by
JPype), so that whatever happens to it cannot harm the run: an answer that does not come in time ends it, and its error
is one line. After a failure it is not started again; who asks then gets the same line.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 300.0
"""Seconds that one request may take; the first includes the start of Java, and METEOR's reading of its tables."""

_AT_A_TIME = 500  # images, far below what takes that long
_HEAP = "-Xmx2G"  # as pycocoevalcap gives METEOR
_WORKER = Path(__file__).with_name("java_worker.py")
_JVM = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll", "jre/lib/amd64/server/libjvm.so")


class JavaError(Exception):
    """Java is missing, or failed; one line with the cure."""


def java_command() -> str | None:
    """Return the path of `java`: the one on PATH, else that of JAVA_HOME; `None` when there is none."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java") or (shutil.which("java", path=str(Path(home, "bin"))) if home else None)


def jars() -> Path:
    """Return the folder of pycocoevalcap, which brings the official programs.

    Raises:
        JavaError: it is not installed.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    for folder in (spec and spec.submodule_search_locations) or ():
        if Path(folder, "meteor", "meteor-1.5.jar").is_file():
            return Path(folder)
    message = "the official programs are not installed; pip install pycocoevalcap"
    raise JavaError(message)


def missing() -> str:
    """Return what of Java's is missing, with the cure; empty when all is there. Starts nothing."""
    if java_command() is None:
        return "no `java` on PATH; install a Java runtime, 8 or later (Debian: apt install default-jre-headless)"
    if importlib.util.find_spec("jpype") is None:
        return "JPype is not installed; pip install jpype1"
    try:
        jars()
    except JavaError as error:
        return str(error)
    return ""


class Machine:
    """A Java machine that answers over pipes."""

    def __init__(self, patience: float = PATIENCE, command: Sequence[str] | None = None) -> None:
        """Prepare; the process starts with the first request.

        Args:
            patience: seconds that one request may take.
            command: what is started; `None` is the worker with the official programs.
        """
        self._patience = patience
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[bytes] | None = None
        self._failure = ""
        self._lock = threading.Lock()

    def version(self) -> str:
        """Return Java's version.

        Raises:
            JavaError: see `tokenise`.
        """
        return self._ask({"do": "java"})[0]

    def tokenise(self, captions: Sequence[str]) -> list[str]:
        """Return the tokens of each caption, joined by spaces, punctuation included, as lines of one file.

        Args:
            captions: without a line break.

        Raises:
            JavaError: Java is missing, ended, did not answer in time, or lost a line.
        """
        return self._checked({"do": "tokens", "captions": list(captions)}, len(captions))

    def align(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
        """Return METEOR's statistics of each tokenised candidate with its references, as its command writes them.

        Raises:
            JavaError: see `tokenise`.
        """
        lines = []
        for start in range(0, len(candidates), _AT_A_TIME):
            given = [each.strip() for each in candidates[start : start + _AT_A_TIME]]
            known = [[each.strip() for each in some] for some in references[start : start + _AT_A_TIME]]
            lines += self._checked({"do": "meteor", "captions": given, "references": known}, len(given))
        return lines

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _checked(self, request: dict[str, Any], count: int) -> list[str]:
        lines = self._ask(request)
        if len(lines) != count:
            self._fail(f"it answered {len(lines)} lines for {count} captions")
        return lines

    def _ask(self, request: dict[str, Any]) -> list[str]:
        with self._lock:
            if self._failure:
                raise JavaError(self._failure)
            answer: list[str] = []
            process = self._started()

            def exchange() -> None:
                assert process.stdin is not None
                assert process.stdout is not None
                try:
                    process.stdin.write(json.dumps(request) + "\n")
                    process.stdin.flush()
                    answer.append(process.stdout.readline())
                except (OSError, ValueError):  # it has ended, as the lack of an answer says below
                    return

            asking = threading.Thread(target=exchange, daemon=True)
            asking.start()
            asking.join(self._patience)
            if asking.is_alive():
                self._fail(f"it did not answer within {self._patience:g} seconds and was stopped")
            if not answer or not answer[0].endswith("\n"):
                self._fail(f"it ended with code {process.wait()}{self._last_words()}")
            try:
                said: dict[str, Any] = json.loads(answer[0])
            except ValueError:
                self._fail(f"it answered what cannot be read: {answer[0].strip():.80}")
            if "error" in said:
                self._fail(str(said["error"]))
            return list(said["lines"])

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            lacking = missing() if self._command is None else ""
            if lacking:
                raise JavaError(lacking)  # nothing failed: what is missing may be there when it is asked for again
            self._said = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
            try:
                self._process = subprocess.Popen(  # noqa: S603  this interpreter and our own file
                    self._command or _command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    encoding="utf-8",
                    start_new_session=True,  # so that Ctrl-C is the run's alone
                )
            except OSError as error:
                self._fail(str(error))
            atexit.register(self.close)
        return self._process

    def _fail(self, reason: str) -> NoReturn:
        self._failure = f"Java failed: {reason}"
        self.close()
        raise JavaError(self._failure)

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {lines[-1]:.200}" if lines else ""


def _command() -> list[str]:
    java, folder = java_command(), jars()
    assert java is not None
    home = Path(java).resolve().parent.parent
    settings = {
        "jvm": next((str(home / each) for each in _JVM if (home / each).is_file()), ""),
        "classpath": [
            str(folder / "tokenizer" / "stanford-corenlp-3.4.1.jar"),
            str(folder / "meteor" / "meteor-1.5.jar"),
        ],
        "options": [_HEAP, "-Dfile.encoding=UTF-8", "-Djava.awt.headless=true", "-XX:+UseSerialGC"],
    }
    return [sys.executable, "-P", str(_WORKER), json.dumps(settings)]


@cache
def machine() -> Machine:
    """Return the Java machine of this process."""
    return Machine()
