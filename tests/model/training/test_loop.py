"""Training learns, is measured, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.errors import DataError, RunRefusedError
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.training.config import TrainingConfig, read_config
from kosmos_eval.model.training.loop import METRICS, STATE, Trainer
from kosmos_eval.model.training.schedule import learning_rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
[run]
seed = 5
steps = {steps}
save_every = 2
measure_every = 0
final_questions = 10
log_every = 1

[data]
pictures = {pictures}
questions = 2
imageless = 0.2
captions = 0.2
few_shot = 0.3
raven = 0.0
most_shots = 1

[optimiser]
rate = 3e-3
warmup = 2
cooldown = 3

[dense]
alone = 1

[model.vision]
image_size = 96
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
vocabulary = 1024
width = 16
layers = 1
heads = 2
hidden = 16
positions = "xpos"
dropout = 0.1
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compare bit for bit: sums over one thread come out alike in every process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _config(folder: Path, steps: int, pictures: int = 3) -> Path:
    path = folder / "run.toml"
    path.write_text(CONFIG.format(steps=steps, pictures=pictures))
    return path


def _trainer(folder: Path, steps: int, pictures: int = 3) -> Trainer:
    return Trainer(read_config(_config(folder, steps, pictures)), folder / "run")


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.learner.state_dict()


def _bit_equal(one: Trainer, other: Trainer) -> bool:
    return all(torch.equal(value, _weights(other)[name]) for name, value in _weights(one).items())


def _settings(folder: Path, steps: int) -> TrainingConfig:
    return read_config(_config(folder, steps))


def test_the_loss_goes_down_on_one_batch(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=1000)
    batch = next(trainer._stream())
    losses = []
    for trainer.step in range(1, 41):
        losses.append(trainer._pass(batch).language.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    state = tmp_path / "run" / STATE
    command = [sys.executable, "-m", "kosmos_eval.model.training", str(_config(tmp_path, steps=100_000))]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "run")], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        deadline = time.monotonic() + 120
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
    (tmp_path / "whole").mkdir()
    whole = _trainer(tmp_path / "whole", steps=done + 3)
    whole.train()
    assert _bit_equal(resumed, whole)
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, done + 4))


def test_a_finished_model_is_loaded_as_any_other(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=2)
    folder = trainer.train()
    loaded = load_kosmos(folder)
    for name, value in trainer.learner.model.state_dict().items():
        assert torch.allclose(loaded.model.state_dict()[name], value, atol=2e-3), name
    assert loaded.tokenizer.encode("red") == trainer.tokenizer.encode("red")
    measured = json.loads((tmp_path / "run" / METRICS).read_text().splitlines()[-1])
    assert set(measured["exact_match"]) == {"0-shot", "4-shot", "no image"}


def test_another_configuration_does_not_go_on_from_a_state(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=8)
    trainer.output.mkdir()
    trainer.step = 4
    trainer.save()
    with pytest.raises(RunRefusedError, match=r"expected \[data\] pictures = 3, as the saved state has it, got 4"):
        _trainer(tmp_path, steps=8, pictures=4).resume()
    with pytest.raises(RunRefusedError, match="a changed cooldown must begin later"):
        _trainer(tmp_path, steps=4).resume()


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, steps=8)
    trainer.output.mkdir()
    (trainer.output / STATE).write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"state\.pt: expected a training state"):
        trainer.resume()


def test_the_rate_warms_up_twice_holds_and_comes_down(tmp_path: Path) -> None:
    config = _settings(tmp_path, steps=8)
    rates = [learning_rate(config, step) for step in range(8)]
    assert rates == pytest.approx([1.5e-3, 1.5e-3, 3e-3, 3e-3, 3e-3, 3e-3, 2e-3, 1e-3])
    assert learning_rate(config, 8) == 0.0
