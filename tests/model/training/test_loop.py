"""Training learns, shares its work between processes, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate.state import AcceleratorState

from kosmos_eval.errors import DataError, RunRefusedError
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.training.config import read_config
from kosmos_eval.model.training.curve import METRICS, Curve
from kosmos_eval.model.training.loop import Trainer
from kosmos_eval.model.training.schedule import learning_rate
from kosmos_eval.model.training.start import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[run]
seed = 5
steps = {steps}
save_every = 2
measure_every = 0
final_items = 0
log_every = 1
accumulation = {accumulation}

[streams]
tokens = {tokens}
text = 0.2
captions = 0.3
interleaved = 0.4
instructions = 0.1
few_shot = 0.0
pages = 0.0
raven = 0.0
passage = 20

[optimiser]
rate = 3e-3
warmup = 2
cooldown = 3

[dense]
weight = 0.1

[model.vision]
image_size = 48
patch_size = 16
width = 16
layers = 1
heads = 2
hidden = 16
stem = "conv"
stem_widths = [4, 8, 8, 16]
stem_depths = [1, 1, 1, 1]

[model.connector]
kind = "resampler"
queries = 4
heads = 2
layers = 1
width = 16
hidden = 16
anchored = true

[model.decoder]
vocabulary = 2048
width = 16
layers = 1
heads = 2
hidden = 16
positions = "xpos"
dropout = {dropout}
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the seconds that drawing takes."""
    monkeypatch.setattr(Curve, "draw", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compare bit for bit: sums over one thread come out alike in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _config(folder: Path, steps: int, *, tokens: int = 120, accumulation: int = 2, dropout: float = 0.1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.toml"
    path.write_text(CONFIG.format(steps=steps, tokens=tokens, accumulation=accumulation, dropout=dropout))
    return path


def _trainer(folder: Path, steps: int, *, tokens: int = 120, accumulation: int = 2, dropout: float = 0.1) -> Trainer:
    path = _config(folder, steps, tokens=tokens, accumulation=accumulation, dropout=dropout)
    return Trainer(read_config(path), folder / "run")


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.learner.state_dict()


def test_the_loss_goes_down_on_one_batch(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=1000, accumulation=1, dropout=0.0)
    batch = next(trainer._batches())
    losses = []
    for trainer.step in range(1, 41):
        losses.append(trainer._pass(batch).language.item())
    assert losses[-1] < 0.6 * losses[0]


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    state = tmp_path / "run" / STATE
    command = [sys.executable, "-m", "kosmos_eval.model.training", str(_config(tmp_path, steps=100_000))]
    process = subprocess.Popen([*command, "--output", str(tmp_path / "run")], env=ENVIRONMENT)
    try:
        deadline = time.monotonic() + 300
        while not state.is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = torch.load(state, weights_only=True)["step"]
    resumed = _trainer(tmp_path, steps=done + 3)
    resumed.resume()
    assert resumed.step == done
    resumed.train()
    whole = _trainer(tmp_path / "whole", steps=done + 3)
    whole.train()
    assert all(torch.equal(value, _weights(whole)[name]) for name, value in _weights(resumed).items())
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, done + 4))


def test_two_processes_do_what_one_does_with_accumulation(tmp_path: Path) -> None:
    path = _config(tmp_path / "pair", steps=2, accumulation=1)
    command = [
        sys.executable,
        "-m",
        "kosmos_eval.model.training",
        str(path),
        "--output",
        str(tmp_path / "pair" / "run"),
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**ENVIRONMENT, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(command, env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    pair = torch.load(tmp_path / "pair" / "run" / STATE, weights_only=True)["learner"]
    alone = _trainer(tmp_path / "alone", steps=2, accumulation=2)
    alone.train()
    for name, value in _weights(alone).items():
        assert torch.allclose(value, pair[name], atol=1e-5), name


@pytest.fixture
def _anew() -> Iterator[None]:
    """Let Accelerate take another precision, which it otherwise settles once a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_anew")
def test_mixed_precision_keeps_weights_in_float32(tmp_path: Path) -> None:
    path = _config(tmp_path, steps=1000, tokens=60, accumulation=1, dropout=0.0)
    path.write_text(path.read_text().replace("[run]\n", '[run]\nprecision = "bf16"\n'))
    trainer = Trainer(read_config(path), tmp_path / "run")
    batch = next(trainer._batches())
    losses = [trainer._pass(batch).language.item() for trainer.step in range(1, 13)]
    assert losses[-1] < losses[0]
    assert {value.dtype for value in _weights(trainer).values()} == {torch.float32}


def test_a_finished_model_is_loaded_as_any_other(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=1)
    loaded = load_kosmos(trainer.train())
    for name, value in trainer.learner.model.state_dict().items():
        assert torch.allclose(loaded.model.state_dict()[name], value, atol=2e-3), name
    assert loaded.tokenizer.encode("red") == trainer.tokenizer.encode("red")
    told = json.loads((tmp_path / "run" / METRICS).read_text().splitlines()[-1])
    streams = {f"loss of {name}" for name in ("text", "captions", "interleaved", "instructions")}
    assert {"step", "total", "loss", "right", "rate", "pictures_per_second", "tokens_per_second"} | streams <= set(told)


def test_another_configuration_does_not_go_on_from_a_state(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=8)
    trainer.output.mkdir()
    trainer.step = 4
    trainer.save()
    with pytest.raises(RunRefusedError, match=r"expected \[streams\] tokens = 120, as the saved state has it, got 90"):
        _trainer(tmp_path, steps=8, tokens=90).resume()
    with pytest.raises(RunRefusedError, match=r"expected \[run\] accumulation = 2, as the saved state has it, got 1"):
        _trainer(tmp_path, steps=8, accumulation=1).resume()
    with pytest.raises(RunRefusedError, match="a changed cooldown must begin later"):
        _trainer(tmp_path, steps=4).resume()
    longer = _trainer(tmp_path, steps=9)
    longer.resume()
    assert longer.step == 4


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=8)
    trainer.output.mkdir()
    (trainer.output / STATE).write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"state\.pt: expected a training state"):
        trainer.resume()


def test_the_rate_warms_up_holds_and_comes_down(tmp_path: Path) -> None:
    config = read_config(_config(tmp_path, steps=8))
    rates = [learning_rate(config, step) for step in range(8)]
    assert rates == pytest.approx([1.5e-3, 3e-3, 3e-3, 3e-3, 3e-3, 3e-3, 2e-3, 1e-3])
    assert learning_rate(config, 8) == 0.0
