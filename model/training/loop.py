"""The training loop: Accelerate on any device, exact resuming, metrics as JSON lines and a picture of the loss.

    OUTPUT/
        state.pt         weights, optimiser and step, replaced in one move; what `--resume` starts from
        metrics.jsonl    a line every `log_every` steps, and one for each examination
        loss.svg         the loss of each stream over the steps, drawn anew with states; see `curve.py`
        model/           the finished model's folder, with its card

A stop at any moment loses the steps since the last state and nothing else: batches are a function of seed and step,
and so is dropout, so a resumed run ends with the same weights bit for bit as one that was never stopped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from kosmos_eval.errors import RunRefusedError
from kosmos_eval.microworld.draws import Draws

from ..checkpoint import save_kosmos
from .batches import Batch, batches
from .config import config_from_tables
from .curve import METRICS, Curve
from .documents import Mixture
from .exam import examine, said
from .packing import ImageMarks
from .schedule import learning_rate
from .start import MODEL, STATE, form_of, make_learner, read_state
from .streams import make_streams
from .streams.own import Own

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .config import TrainingConfig
    from .learner import Losses

_PACE_ONLY = ("steps", "save_every", "measure_every", "measure_items", "final_items", "log_every", "workers")
"""Settings of `[run]` that a resumed run may change, for they leave the steps already done as they were."""


_ALWAYS_PICTURES = {"captions", "grounded"}
"""Streams all of whose documents have pictures; without them, some forward passes may not need the vision tower."""


class Trainer:
    """A training run in a folder."""

    def __init__(self, config: TrainingConfig, output: Path) -> None:
        """Build the model and the optimiser; nothing is written yet.

        Args:
            config: of the run.
            output: its folder.

        Raises:
            UsageError: what `[start]` or `[own]` names is not there.
            DataError: `[model]` is malformed, or has another vocabulary than the tokenizer; or data cannot be read.
        """
        self.config = config
        self.output = output
        shape, self.tokenizer = form_of(config)
        self.streams = tuple(config.streams.shares)
        self.mixture = Mixture(make_streams(self.tokenizer, config), config.streams, config.run.seed, shape.image_size)
        self.marks = ImageMarks(self.tokenizer.image_begin, self.tokenizer.image_end, shape.image_tokens)
        always = config.streams.labelled or not _ALWAYS_PICTURES.isdisjoint(self.streams)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # without it, several processes on a CPU are several runs
            mixed_precision=config.run.precision,
            gradient_accumulation_steps=config.run.accumulation,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=not always)],
        )
        self.learner = make_learner(config, shape, self.tokenizer)
        self._wrapped, self.optimizer = self.accelerator.prepare(self.learner, self._optimizer())
        self.step = 0
        self._curve = Curve(output)

    def _optimizer(self) -> torch.optim.AdamW:
        settings = self.config.optimiser
        trained = [each for each in self.learner.parameters() if each.requires_grad]
        matrices = [each for each in trained if each.ndim > 1]
        vectors = [each for each in trained if each.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas)

    def train(self) -> Path:
        """Run the steps that are left, and return the folder of the finished model."""
        run = self.config.run
        self.output.mkdir(parents=True, exist_ok=True)
        own = self._own
        if own is not None and self.accelerator.is_main_process:
            _say(own.summary)
        batches_ahead = self._batches()
        pace = _Pace(self.streams)
        for step in range(self.step, run.steps):
            self.step = step
            for turn in range(run.accumulation):
                batch = next(batches_ahead)
                pace.add(batch, self._pass(batch, turn))
            self.step = step + 1
            last = self.step == run.steps
            if self.step % run.log_every == 0 or last:
                self._log(pace)
                pace = _Pace(self.streams)
            if self.step % run.save_every == 0 or last:
                self.save()
                if self.accelerator.is_main_process:
                    self._curve.draw(last=last)
            if run.measure_every and self.step % run.measure_every == 0 and not last:
                self._examine(run.measure_items)
                pace = _Pace(self.streams)
        if self.accelerator.is_main_process:
            save_kosmos(self.learner.model, self.tokenizer, self.output / MODEL)
        return self.output / MODEL

    @property
    def _own(self) -> Own | None:
        stream = self.mixture.streams.get("own")
        return stream if isinstance(stream, Own) else None

    def _batches(self) -> Iterator[Batch]:
        run = self.config.run
        return batches(
            self.mixture,
            self.marks,
            steps=range(self.step, run.steps),
            accumulation=run.accumulation,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            workers=run.workers,
        )

    def _pass(self, batch: Batch, turn: int = 0) -> Losses:
        """Do one forward and backward pass, the step's pass number `turn`, and the optimiser's step when it is due."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        with self.accelerator.accumulate(self._wrapped), torch.random.fork_rng():
            part = turn * self.accelerator.num_processes + self.accelerator.process_index
            torch.manual_seed(Draws(f"dropout|{self.config.run.seed}|{self.step}|{part}").below(1 << 32))
            with self.accelerator.autocast():
                losses: Losses = self._wrapped(batch.to(self.accelerator.device))
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
            "own": None if self._own is None else self._own.fingerprint,
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
            RunRefusedError: the state was made by another configuration, or with other data of a user's own.
            DataError: the state cannot be read.
        """
        path = self.output / STATE
        if not path.is_file():
            return
        state = read_state(path)
        self._refuse_other(state["config"], state["step"])
        if self._own is not None and self._own.fingerprint != state["own"]:
            message = f"{self.output}: expected [own] to have the records of the saved state, got others"
            raise RunRefusedError(message)
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]
        self._forget_later_lines()

    def _refuse_other(self, before: dict[str, Any], done: int) -> None:
        """Raise when the state's steps are not those that this configuration would have done."""
        now = json.loads(json.dumps(self.config.as_json()))
        earlier = config_from_tables(before, STATE)  # with the defaults of settings that are newer than the state
        before = json.loads(json.dumps(earlier.as_json()))
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
        saved = learning_rate(earlier, max(0, done - 1))
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

    def _examine(self, items: int) -> None:
        """Ask the model about the microworld and write what came of it; the other processes go on and wait."""
        if not self.accelerator.is_main_process:
            return
        self.learner.eval()
        marks = examine(self.learner.model, self.tokenizer, items)
        self.learner.train()
        self._write({"step": self.step, "items": items, "exam": [mark.as_json() for mark in marks]})
        _say(f"step {self.step}: {said(marks)}")

    def _log(self, pace: _Pace) -> None:
        if not self.accelerator.is_main_process:
            return
        means, seconds = pace.means(), pace.seconds
        left = (self.config.run.steps - self.step) * seconds / pace.steps / self.config.run.accumulation
        speed = {
            name: round(count * self.accelerator.num_processes / seconds, 1)
            for name, count in (("pictures_per_second", pace.pictures), ("tokens_per_second", pace.tokens))
        }
        rounded = {name: round(value, 4) for name, value in means.items()}
        rate = learning_rate(self.config, self.step - 1)
        self._write({"step": self.step, **rounded, "rate": rate, **speed})
        told = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        _say(
            f"step {self.step}/{self.config.run.steps}: {told}, {speed['pictures_per_second']:.0f} pictures/s, "
            f"{left / 60:.0f} min left"
        )

    def _write(self, line: Mapping[str, Any]) -> None:
        with (self.output / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class _Pace:
    """What was told between two lines of the log."""

    def __init__(self, streams: tuple[str, ...]) -> None:
        self._names = ("total", "loss", "right", "cells", "letters", *(f"loss of {name}" for name in streams))
        self._told: list[torch.Tensor] = []
        self._began = time.monotonic()
        self.pictures = self.tokens = self.steps = 0

    def add(self, batch: Batch, losses: Losses) -> None:
        """Take what one forward pass told."""
        self.steps += 1
        self.pictures += len(batch.pixels)
        self.tokens += len(batch.targets)
        scalars = torch.stack([losses.total, losses.language, losses.right, losses.cells, losses.letters])
        self._told.append(torch.cat([scalars, losses.streams]).detach().float().cpu())

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return time.monotonic() - self._began

    def means(self) -> dict[str, float]:
        """Return the mean of each value over the passes that had it, and no value that none had."""
        values = torch.stack(self._told).nanmean(0).tolist()
        return {name: value for name, value in zip(self._names, values, strict=True) if value == value}  # noqa: PLR0124  not NaN


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress is for the terminal
