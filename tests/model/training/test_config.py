"""Training configurations are read strictly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.microworld.commonsense import kinds
from kosmos_eval.model import training
from kosmos_eval.model.training.config import config_from_tables, read_config

CONFIGS = Path(training.__file__).parent / "configs"
RUN = "[run]\nseed = 1\nsteps = 10\n"
TEXT = "[streams]\ntokens = 10\ntext = 1.0\n"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_read(path: Path) -> None:
    config = read_config(path)
    assert config.run.steps > 0
    assert config_from_tables(config.as_json(), "again") == config


@pytest.mark.parametrize("name", ["kosmos-tiny-kinds", "kosmos-tiny-lm-kinds"])
def test_the_names_of_kinds_are_pieces_of_the_embedded_models(name: str) -> None:
    assert read_config(CONFIGS / f"{name}.toml").start.words == tuple(kind.name for kind in kinds())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RUN + "[streams]\npicture = 4\n", "no setting of run.toml [streams] named 'picture'"),
        (RUN + "[optimizer]\n", "no table of run.toml named 'optimizer'; did you mean 'optimiser'?"),
    ],
)
def test_an_unknown_key_is_named(written: Path, text: str, message: str) -> None:
    written.write_text(text)
    with pytest.raises(UnknownNameError) as caught:
        read_config(written)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT + "[run]\nseed = 1\n", "run.toml [run]: expected a value for 'steps', got none"),
        (RUN + 'log_every = "often"\n' + TEXT, "run.toml [run] log_every: expected int, got 'often'"),
        (RUN + "workers = true\n" + TEXT, "run.toml [run] workers: expected int, got True"),
        (RUN + 'precision = "fp8"\n' + TEXT, "run.toml [run] precision: expected 'no' or 'bf16' or 'fp16', got 'fp8'"),
        (
            RUN + TEXT + '[start]\nrun = "r"\nparts = ["tower"]\n',
            "run.toml [start] parts: expected a list of vision, connector, decoder, heads, got ['tower']",
        ),
        (
            RUN + TEXT + '[start]\nrun = "r"\nwords = ["bezob", 2]\n',
            "run.toml [start] words: expected a list of texts, got ['bezob', 2]",
        ),
        (
            RUN + TEXT + '[optimiser]\ntower = "first layer"\n',
            "run.toml [optimiser] tower: expected 'whole' or 'last layer' or 'nothing', got 'first layer'",
        ),
        (RUN, "[streams]: expected tokens or labelled pictures in a forward pass, got none of either"),
        (
            RUN + "[streams]\ntokens = 10\ntext = 0.5\n",
            (
                "[streams]: expected the shares of text, captions, grounded, interleaved, instructions, own to sum "
                "to 1, got 0.5"
            ),
        ),
        (
            RUN + "[streams]\ntokens = 10\nown = 1.0\n",
            "[own]: expected shards or dataset, and a share `own` of [streams] with it, got none",
        ),
        (
            RUN + TEXT + '[own]\nshards = "a.tar"\n',
            "[own]: expected shards or dataset, and a share `own` of [streams] with it, got data without a share",
        ),
        (
            RUN + TEXT + '[own]\nshards = "a.tar"\ndataset = "a"\n',
            "[own]: expected shards or dataset, got both; put one of them into another format",
        ),
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
    written.write_text(RUN + "[optimizer]\n")
    command = [sys.executable, "-m", "kosmos_eval.model.training", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr.splitlines() == ["error: no table of run.toml named 'optimizer'; did you mean 'optimiser'?"]
