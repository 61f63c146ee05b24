"""What the core's tests share: the scripted plugins, a finished run of them, and the command line called in-process."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest
from hypothesis import settings

from kosmos_eval.cli import main
from kosmos_eval.run import evaluate

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGINS = Path(__file__).parent / "plugins"

# The same examples each time and no clock: a test fails for what the code does and not for a busy machine.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def plugins_folder() -> Path:
    return PLUGINS


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    evaluate(
        tasks="letters", model="scripted", shots=[0, 2], include_path=[str(PLUGINS)], report=[], output_path=folder
    )
    return folder


@pytest.fixture
def finished_run(_finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run of `letters`, at 0 and 2 shots."""
    return Path(shutil.copytree(_finished, tmp_path / "finished"))


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
