"""The weights that a run begins with: drawn by its seed, or taken from an earlier run or a model folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kosmos_eval.errors import DataError, UsageError

from ..checkpoint import load_kosmos
from ..kosmos import Kosmos
from ..locations import GRID
from ..vision import freeze_but_last_layer
from .learner import Learner

if TYPE_CHECKING:
    from torch import Tensor

    from ..config import KosmosConfig
    from ..tokenizer import Tokenizer
    from .config import StartSettings, TrainingConfig

STATE = "state.pt"

_SHORTEST_WAVE = 4.0  # cells of the location grid
_LONGEST_WAVE = 4.0 * GRID


def make_learner(config: TrainingConfig, shape: KosmosConfig, tokenizer: Tokenizer) -> Learner:
    """Return what is trained, with the weights that it begins with, and frozen where the settings say so.

    Raises:
        UsageError: the earlier run is not there, or has no such part, or the auxiliary loss has nothing to read.
        DataError: the earlier run's files cannot be read, or its parts have other shapes.
    """
    dense, tower = config.dense.weight, config.optimiser.tower
    if dense and (shape.vision is None or shape.connector is None or not shape.connector.anchored):
        message = "[dense] weight: expected 0 for a model without anchored embeddings of pictures, got more"
        raise UsageError(message)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        learner = Learner(Kosmos(shape), dense, tuple(config.streams.shares.values()), tower=tower == "whole")
    if tokenizer.locations:
        place_locations(learner.model.decoder.embedding.weight.data, tokenizer)
    if config.start.run:
        _take_over(learner, config.start)
    if learner.model.vision is not None and tower != "whole":
        freeze_but_last_layer(learner.model.vision)
        if tower == "nothing":
            learner.model.vision.requires_grad_(requires_grad=False)
    if not config.streams.tokens:
        learner.model.decoder.requires_grad_(requires_grad=False)
    return learner


def place_locations(embedding: Tensor, tokenizer: Tokenizer) -> None:
    """Give location tokens embeddings that are alike where the places are near.

    Half of the width is for the column and half for the row, in sines and cosines of several wave lengths; KOSMOS-2
    learns that order from its data.

    Args:
        embedding: [V, D], changed in place.
        tokenizer: with locations.
    """
    width = embedding.shape[1]
    waves = torch.logspace(math.log10(_SHORTEST_WAVE), math.log10(_LONGEST_WAVE), width // 4)
    angles = 2 * math.pi * torch.arange(GRID)[:, None] / waves
    line = torch.cat([angles.sin(), angles.cos()], 1) * (2 / width) ** 0.5  # [GRID, D / 2]
    rows, columns = line.repeat_interleave(GRID, 0), line.repeat(GRID, 1)
    first = tokenizer.location(0)
    embedding[first : first + GRID**2] = torch.cat([columns, rows], 1)


def _take_over(learner: Learner, start: StartSettings) -> None:
    """Copy the parts of an earlier run."""
    weights = _weights(Path(start.run))
    own = learner.state_dict()
    taken = {name: value for name, value in weights.items() if _part(name) in start.parts and name in own}
    found = {_part(name) for name in taken}
    for part in start.parts:
        if part != "heads" and part not in found and any(_part(name) == part for name in own):
            message = f"[start] parts: expected {start.run} to have weights of {part}, got none"
            raise UsageError(message)
    for name, value in taken.items():
        if own[name].shape != value.shape:
            message = (
                f"[start] run: expected {name} of {start.run} to have shape {tuple(own[name].shape)}, as [model] says, "
                f"got {tuple(value.shape)}"
            )
            raise DataError(message)
    learner.load_state_dict({**own, **taken})


def _weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a run's state, or of a model folder under the names that a state has."""
    state = folder / STATE
    if state.is_file():
        learner: dict[str, Tensor] = read_state(state)["learner"]
        return learner
    if not folder.is_dir():
        message = f"[start] run: expected {folder} to be the folder of a run or of a model, and there is none"
        raise UsageError(message)
    return {f"model.{name}": value for name, value in load_kosmos(folder).model.state_dict().items()}


def read_state(path: Path) -> dict[str, Any]:
    """Return a training state.

    Raises:
        DataError: it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a damaged file can raise anything
        message = f"{path}: expected a training state, got a file that cannot be read ({type(error).__name__})"
        raise DataError(message) from error
    return state


def _part(name: str) -> str:
    """Return the part of a learner that a weight belongs to: `model.vision.stem...` is of `vision`."""
    first, second, *_ = name.split(".")
    return second if first == "model" else first
