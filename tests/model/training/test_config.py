"""Training configurations are read strictly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.model import training
from kosmos_eval.model.config import KOSMOS_TINY, KosmosConfig
from kosmos_eval.model.training.config import read_config

CONFIGS = Path(training.__file__).parent / "configs"
RUN = "[run]\nseed = 1\nsteps = 10\n"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_read(path: Path) -> None:
    assert read_config(path).run.steps > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RUN + "[data]\npicture = 4\n", "no setting of run.toml [data] named 'picture'; did you mean 'pictures'?"),
        (RUN + "[optimizer]\n", "no table of run.toml named 'optimizer'; did you mean 'optimiser'?"),
    ],
)
def test_an_unknown_key_names_the_nearest(written: Path, text: str, message: str) -> None:
    written.write_text(text)
    with pytest.raises(UnknownNameError) as caught:
        read_config(written)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nseed = 1\n", "run.toml [run]: expected a value for 'steps', got none"),
        (RUN + 'log_every = "often"\n', "run.toml [run] log_every: expected int, got 'often'"),
        (RUN + "workers = true\n", "run.toml [run] workers: expected int, got True"),
        (RUN + 'precision = "fp8"\n', "run.toml [run] precision: expected 'no' or 'bf16' or 'fp16', got 'fp8'"),
    ],
)
def test_a_wrong_value_is_named(written: Path, text: str, message: str) -> None:
    written.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_config(written)
    assert str(caught.value) == message


def test_what_is_no_toml_is_a_data_error(written: Path) -> None:
    written.write_text("[run\n")
    with pytest.raises(DataError, match="expected TOML"):
        read_config(written)


def test_the_command_fails_with_one_line_and_code_64(written: Path) -> None:
    written.write_text(RUN + "[data]\npicture = 4\n")
    command = [sys.executable, "-m", "kosmos_eval.model.training", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr.splitlines() == [
        "error: no setting of run.toml [data] named 'picture'; did you mean 'pictures'?"
    ]


def test_the_embedded_model_has_the_shape_that_its_configuration_trains() -> None:
    values = read_config(CONFIGS / "kosmos-tiny.toml").model
    assert KosmosConfig.from_json(json.dumps(values)) == KOSMOS_TINY
