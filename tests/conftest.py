"""What the core's tests share: where the scripted plugins are, and a finished run of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from kosmos_eval.run import evaluate

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
