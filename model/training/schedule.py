"""The learning rate of every step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step, counted from 0: warm-up, peak, cooldown."""
    settings, steps = config.optimiser, config.run.steps
    warm = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    cooldown = settings.cooldown if settings.cooldown is not None else steps - settings.warmup
    left = min(1.0, (steps - step) / cooldown) if cooldown > 0 else 1.0
    down = left if settings.decay == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
    return settings.rate * warm * down
