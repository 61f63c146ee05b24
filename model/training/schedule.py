"""The learning rate of every step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the rate of a step, counted from 0: warm-up, peak, cooldown.

    The warm-up comes twice when the tower trains alone first: the rest of the model begins later.
    """
    settings, alone, steps = config.optimiser, config.dense.alone, config.run.steps
    since = step if step < alone else step - alone
    warm = min(1.0, (since + 1) / settings.warmup) if settings.warmup else 1.0
    cooldown = settings.cooldown if settings.cooldown is not None else steps - alone - settings.warmup
    left = min(1.0, (steps - step) / cooldown) if cooldown > 0 else 1.0
    down = left if settings.decay == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
    return settings.rate * warm * down
