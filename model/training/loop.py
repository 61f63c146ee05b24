"""The training loop: Accelerate on any device, exact resuming, metrics as JSON lines.

    OUTPUT/
        state.pt         weights, optimiser and step, replaced in one move; what `--resume` starts from
        metrics.jsonl    a line every `log_every` steps, and one for each measurement
        model/           the finished model's folder

A stop at any moment loses the steps since the last state and nothing else: batches are a function of seed and step,
and so is dropout, so a resumed run ends with the same weights bit for bit as one that was never stopped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from kosmos_eval.errors import DataError, RunRefusedError

from ..checkpoint import save_kosmos
from ..config import KosmosConfig
from ..kosmos import Kosmos
from .config import config_from_tables
from .learner import Learner, Losses
from .measure import measure
from .packing import ImageMarks
from .schedule import learning_rate
from .stream import Batch, batches
from .vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .config import TrainingConfig

STATE = "state.pt"
METRICS = "metrics.jsonl"
MODEL = "model"

_PACE_ONLY = ("steps", "save_every", "measure_every", "measure_questions", "final_questions", "log_every", "workers")
"""Settings of `[run]` that a resumed run may change, for they leave the steps already done as they were."""


class Trainer:
    """A training run in a folder."""

    def __init__(self, config: TrainingConfig, output: Path) -> None:
        """Build the model and the optimiser; nothing is written yet.

        Args:
            config: of the run.
            output: its folder.

        Raises:
            DataError: `[model]` is malformed, or has another vocabulary than the tokenizer.
        """
        self.config = config
        self.output = output
        self.tokenizer = train_tokenizer()
        shape = KosmosConfig.from_json(json.dumps(config.model), "[model]")
        if shape.decoder.vocabulary != self.tokenizer.vocabulary_size:
            message = f"[model] decoder.vocabulary: expected {self.tokenizer.vocabulary_size}, the tokenizer's ids"
            raise DataError(message)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # without it, several processes on a CPU are several runs
            mixed_precision=config.run.precision,
            gradient_accumulation_steps=config.run.accumulation,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=config.dense.alone > 0)],
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)
            self.learner = Learner(Kosmos(shape), config.dense.weight)
        self._wrapped, self.optimizer = self.accelerator.prepare(self.learner, self._optimizer())
        self.marks = ImageMarks(self.tokenizer.image_begin, self.tokenizer.image_end, shape.connector.queries)
        self.step = 0

    def _optimizer(self) -> torch.optim.AdamW:
        settings = self.config.optimiser
        matrices = [each for each in self.learner.parameters() if each.ndim > 1]
        vectors = [each for each in self.learner.parameters() if each.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas)

    def train(self) -> Path:
        """Run the steps that are left, and return the folder of the finished model."""
        run = self.config.run
        self.output.mkdir(parents=True, exist_ok=True)
        began, first = time.monotonic(), self.step
        pictures = 0
        told: list[torch.Tensor] = []
        stream = self._stream()
        for step in range(first, run.steps):
            self.step = step
            for _ in range(run.accumulation):
                batch = next(stream)
                losses = self._pass(batch)
                pictures += len(batch.pixels) * self.accelerator.num_processes
                told.append(torch.stack([losses.language, losses.right, losses.cells]).detach().float().cpu())
            self.step = step + 1
            if self.step % run.log_every == 0 or self.step == run.steps:
                spent = time.monotonic() - began
                means = torch.stack(told).nanmean(0).tolist()
                self._log(dict(zip(("loss", "right", "cells"), means, strict=True)), pictures, spent)
                pictures, told, began = 0, [], time.monotonic()
            if self.step % run.save_every == 0 or self.step == run.steps:
                self.save()
            if run.measure_every and self.step % run.measure_every == 0 and self.step < run.steps:
                self._measure(run.measure_questions)
                began = time.monotonic()
        self._measure(run.final_questions)
        if self.accelerator.is_main_process:
            save_kosmos(self.learner.model, self.tokenizer, self.output / MODEL)
        return self.output / MODEL

    def _stream(self) -> Iterator[Batch]:
        run = self.config.run
        return batches(
            self.tokenizer,
            self.config.data,
            self.marks,
            seed=run.seed,
            steps=range(self.step, run.steps),
            accumulation=run.accumulation,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            workers=run.workers,
        )

    def _pass(self, batch: Batch) -> Losses:
        """Do one forward and backward pass, and the optimiser's step when it is due."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        with self.accelerator.accumulate(self._wrapped), torch.random.fork_rng():
            torch.manual_seed((self.config.run.seed << 32) + self.step)
            alone = self.step < self.config.dense.alone
            with self.accelerator.autocast():
                losses: Losses = self._wrapped(batch.to(self.accelerator.device), tower_alone=alone)
            self.accelerator.backward(losses.total)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.learner.parameters(), self.config.optimiser.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return losses

    def save(self) -> None:
        """Write the state so that a stop half-way leaves the one before."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": self.step,
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            "config": self.config.as_json(),
        }
        partial = self.output / f"{STATE}.partial"
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.output / STATE)

    def resume(self) -> None:
        """Go back to the saved state of the output folder; without one, begin at the first step.

        Raises:
            RunRefusedError: the state was made by another configuration.
            DataError: the state cannot be read.
        """
        path = self.output / STATE
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # unpickling a damaged file can raise anything
            message = f"{path}: expected a training state, got a file that cannot be read ({type(error).__name__})"
            raise DataError(message) from error
        self._refuse_other(state["config"], state["step"])
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
        self._forget_later_lines()

    def _refuse_other(self, before: dict[str, Any], done: int) -> None:
        """Raise when the state's steps are not those that this configuration would have done."""
        now = json.loads(json.dumps(self.config.as_json()))
        before = json.loads(json.dumps(before))
        for table, values in now.items():
            for name in sorted(values.keys() | before[table].keys()):
                old, new = before[table].get(name), values.get(name)
                pace = (table == "run" and name in _PACE_ONLY) or (
                    table == "optimiser" and name in {"cooldown", "decay"}
                )
                if old != new and not pace:
                    message = (
                        f"{self.output}: expected [{table}] {name} = {old!r}, as the saved state has it, got {new!r}"
                    )
                    raise RunRefusedError(message)
        rate = learning_rate(self.config, max(0, done - 1))
        saved = learning_rate(config_from_tables(before, STATE), max(0, done - 1))
        if rate != saved:
            message = (
                f"{self.output}: expected step {done} to have learning rate {saved:g}, as the saved state has it, got "
                f"{rate:g}; a changed cooldown must begin later"
            )
            raise RunRefusedError(message)

    def _forget_later_lines(self) -> None:
        """Drop metrics of steps that will be done again."""
        path = self.output / METRICS
        if path.is_file() and self.accelerator.is_main_process:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
            path.write_text("".join(kept), encoding="utf-8")

    def _measure(self, questions: int) -> None:
        if not self.accelerator.is_main_process:
            return
        ask = partial(measure, self.learner, self.tokenizer, questions=questions)
        results = {"0-shot": ask(), "4-shot": ask(shots=4), "no image": ask(with_image=False)}
        shares = {name: {kind: round(each.share, 4) for kind, each in kinds.items()} for name, kinds in results.items()}
        self._write({"step": self.step, "questions": questions, "exact_match": shares})
        said = ", ".join(f"{name} {kinds['all'].share:.1%}" for name, kinds in results.items())
        _say(f"step {self.step}: exact match over {questions} validation questions: {said}")

    def _log(self, means: Mapping[str, float], pictures: int, seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        steps = self.config.run.log_every
        left = (self.config.run.steps - self.step) * seconds / steps
        rounded = {name: round(value, 4) for name, value in means.items()}
        self._write({"step": self.step, **rounded, "pictures_per_second": round(pictures / seconds, 1)})
        _say(
            f"step {self.step}/{self.config.run.steps}: loss {means['loss']:.3f}, right {means['right']:.1%}, "
            f"cells {means['cells']:.1%}, {pictures / seconds:.0f} pictures/s, {left / 60:.0f} min left"
        )

    def _write(self, line: Mapping[str, Any]) -> None:
        with (self.output / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress is for the terminal
