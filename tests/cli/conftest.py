"""The command line, called in this process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from kosmos_eval.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line that the command complains with."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Command(Protocol):
    def __call__(self, *arguments: str | Path) -> Outcome: ...


@pytest.fixture
def kosmos_eval(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Return the command line as a function, that runs in this process."""
    handler = signal.getsignal(signal.SIGTERM)

    def command(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Outcome(int(ended.value.code or 0), *capsys.readouterr())

    yield command
    signal.signal(signal.SIGTERM, handler)
