"""The weights that a run begins with: drawn by its seed, or taken from an earlier run or a model folder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.locations import GRID

from ..checkpoint import load_kosmos
from ..config import KosmosConfig
from ..kosmos import Kosmos
from ..layouts import HEAD
from ..public_checkpoint import open_public, public_layout
from ..specs import EMBEDDED, embedded_folder
from ..tokenizer import Tokenizer, tokenizer_file
from ..vision import freeze_but_last_layer
from ..weights import CONFIG
from .learner import Learner
from .vocabulary import train_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from .config import StartSettings, TrainingConfig

STATE = "state.pt"
MODEL = "model"


_OF_WORDS = {"model.decoder.embedding.weight", "model.decoder.head.weight"}
"""Weights with a row an id."""

_SHORTEST_WAVE = 4.0  # cells of the location grid
_LONGEST_WAVE = 4.0 * GRID


class Form(NamedTuple):
    """What a run's model is, but for its weights."""

    shape: KosmosConfig
    tokenizer: Tokenizer


def form_of(config: TrainingConfig) -> Form:
    """Return the shape that `[model]` says, or else that of `[start] run`, and the tokenizer.

    Where the decoder is taken from an earlier model, its tokenizer is taken with it; else it is newly trained. Either
    gains the words of `[start] words`, and a shape that is taken from the earlier run as many ids.

    Raises:
        UsageError: neither says a shape, the earlier run has no finished model to take it from, or a word is not new.
        DataError: it is malformed, or has another vocabulary than the tokenizer.
    """
    earlier = _model_folder(config.start.run) if config.start.run else None
    if config.model:
        shape = KosmosConfig.from_json(json.dumps(config.model), "[model]")
    elif earlier is None:
        got = f"{config.start.run} without a finished model" if config.start.run else "none of either"
        message = f"[model]: expected the shape of a model, or a model folder in [start] run to take it from, got {got}"
        raise UsageError(message)
    elif (layout := public_layout(earlier)) is None:
        shape = KosmosConfig.from_file(earlier / CONFIG)
    else:
        shape = open_public(earlier, layout, pickles=False).config
    taken = earlier is not None and "decoder" in config.start.parts
    words = config.start.words
    tokenizer = (Tokenizer.load(earlier) if taken and earlier is not None else train_tokenizer()).with_words(words)
    if not config.model:
        shape = replace(shape, decoder=replace(shape.decoder, vocabulary=shape.decoder.vocabulary + len(words)))
    if shape.decoder.vocabulary != tokenizer.vocabulary_size:
        message = (
            f"[model] decoder.vocabulary: expected {tokenizer.vocabulary_size}, the tokenizer's ids, got "
            f"{shape.decoder.vocabulary}"
        )
        raise DataError(message)
    return Form(shape, tokenizer)


def _start_folder(run: str) -> Path:
    """Return the folder of an earlier run or of a model; `kosmos-tiny` and its like are the embedded ones."""
    folder = Path(run).expanduser()
    embedded = run in {spec.name for spec in EMBEDDED}
    return embedded_folder(run) if embedded and not folder.is_dir() else folder


def _model_folder(run: str) -> Path | None:
    """Return the folder of a model that an earlier run has finished, or is; `None` without one."""
    folder = _start_folder(run)
    return next((each for each in (folder / MODEL, folder) if tokenizer_file(each).is_file()), None)


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
        _take_over(learner, config.start, tokenizer)
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


def _take_over(learner: Learner, start: StartSettings, tokenizer: Tokenizer) -> None:
    """Copy the parts of an earlier run; of words that it had not, the embeddings stay as they were drawn."""
    weights = _weights(_start_folder(start.run))
    own = learner.state_dict()
    end = tokenizer.first_tag
    for name in _OF_WORDS & weights.keys():
        old, drawn, first = weights[name], own[name], end - len(start.words)
        if start.words and old.shape[1:] == drawn.shape[1:]:
            weights[name] = torch.cat([old[:first], drawn[first:end], old[first:]])
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
    model = load_kosmos(folder).model
    if model.decoder.head.weight is not model.decoder.embedding.weight:
        message = f"[start] run: expected the head of {folder} to be its embedding, got one of its own ({HEAD})"
        raise DataError(message)
    return {f"model.{name}": value for name, value in model.state_dict().items()}


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
