"""What a training run is told: a TOML file of five tables, each key checked.

[run]       seed, steps, how often to save and to measure
[data]      pictures a step, shares of the kinds of documents
[optimiser] AdamW and its schedule
[dense]     the auxiliary loss on the cells of the picture
[model]     the model's own configuration, as `config.json` has it
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_type_hints

from kosmos_eval.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Precision = Literal["no", "bf16", "fp16"]
Decay = Literal["linear", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How long, and what is left on the way.

    Attributes:
        seed: of the weights and of the stream of documents.
        steps: optimiser steps in all.
        save_every: steps between states that `--resume` can start from.
        measure_every: steps between measurements on the mini validation questions; 0 measures at the end only.
        measure_questions: how many of these questions, from the first.
        final_questions: likewise for the measurement at the end.
        log_every: steps between progress lines.
        precision: `no` is float32.
        accumulation: forward passes whose gradients make one step.
        workers: processes that draw pictures ahead; 0 draws between the steps.
    """

    seed: int
    steps: int
    save_every: int = 500
    measure_every: int = 1000
    measure_questions: int = 200
    final_questions: int = 1000
    log_every: int = 50
    precision: Precision = "no"
    accumulation: int = 1
    workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """What the documents are.

    Attributes:
        pictures: pictures in one forward pass.
        questions: questions packed behind one picture.
        imageless: share of question-answering documents with their picture left out.
        captions: share of forward passes made of captions.
        few_shot: share of forward passes made of interleaved few-shot documents.
        raven: share of forward passes made of Raven matrices.
        most_shots: exemplars in the longest few-shot document.
    """

    pictures: int = 48
    questions: int = 4
    imageless: float = 0.06
    captions: float = 0.08
    few_shot: float = 0.2
    raven: float = 0.0
    most_shots: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101): a linear warm-up, the peak, and a decay to nothing.

    Attributes:
        rate: peak learning rate.
        warmup: steps to the peak, from the first and again from the first that trains the whole model.
        decay: the shape of the way down.
        cooldown: steps of the way down, the last ones; `None` is all that the warm-up leaves.
        betas: of the running means.
        weight_decay: on matrices; vectors have none.
        clip: largest gradient norm.
    """

    rate: float = 1e-3
    warmup: int = 100
    decay: Decay = "linear"
    cooldown: int | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseSettings:
    """The auxiliary loss: what stands in each cell of the scene, read from the vision tower's maps.

    Attributes:
        weight: of this loss beside the language loss.
        alone: first steps that train the tower and the connector on it and nothing else.
    """

    weight: float = 1.0
    alone: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A training run."""

    run: RunSettings
    data: DataSettings = field(default_factory=DataSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    dense: DenseSettings = field(default_factory=DenseSettings)
    model: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as plain JSON values."""
        return asdict(self)


_TABLES: dict[str, type] = {
    "run": RunSettings,
    "data": DataSettings,
    "optimiser": OptimiserSettings,
    "dense": DenseSettings,
}
_NEEDED = {"run": ("seed", "steps")}

T = TypeVar("T")


def read_config(path: Path) -> TrainingConfig:
    """Return the training run that a TOML file describes.

    Raises:
        UsageError: the file is missing, or a key is unknown, missing or of the wrong kind.
        DataError: the file is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror or error}); name a training configuration in TOML"
        raise UsageError(message) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: expected TOML ({error})"
        raise DataError(message) from None
    return config_from_tables(tables, path.name)


def config_from_tables(tables: Mapping[str, Any], name: str) -> TrainingConfig:
    """Return the training run that tables describe.

    Args:
        tables: as TOML or JSON has them.
        name: how messages call them.

    Raises:
        UsageError: a key is unknown, missing or of the wrong kind.
    """
    for table in tables:
        if table not in (*_TABLES, "model"):
            kind = f"table of {name}"
            raise UnknownNameError(kind, table, (*_TABLES, "model"))
    parts: dict[str, Any] = {
        table: _settings(cls, tables.get(table, {}), f"{name} [{table}]") for table, cls in _TABLES.items()
    }
    return TrainingConfig(**parts, model=tables.get("model", {}))


def _settings(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(cls)
    names = list(hints)
    for name in values:
        if name not in names:
            kind = f"setting of {where}"
            raise UnknownNameError(kind, name, names)
    for name in _NEEDED.get(where.rsplit("[", 1)[1].rstrip("]"), ()):
        if name not in values:
            message = f"{where}: expected a value for {name!r}, got none"
            raise UsageError(message)
    return cls(**{name: _value(hints[name], value, f"{where} {name}") for name, value in values.items()})


def _value(kind: Any, value: object, where: str) -> object:  # noqa: ANN401  a type hint, which has no type of its own
    choices = get_args(kind)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind in {int, int | None} and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == int | None and value is None:
        return value
    if kind in {Precision, Decay} and value in choices:
        return value
    if kind == tuple[float, float] and isinstance(value, (list, tuple)) and len(value) == len(choices):
        return tuple(float(each) for each in value)
    expected = " or ".join(map(repr, choices)) if kind in {Precision, Decay} else getattr(kind, "__name__", str(kind))
    message = f"{where}: expected {expected}, got {value!r}"
    raise UsageError(message)
