"""What a run is asked to do, as one value: from the command line, from a file, and back out of `run.json`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from kosmos_eval.controls import parse_control
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPolicy  # noqa: TC001  pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SampleOrder = Literal["random", "first"]


class RunConfig(BaseModel):
    """A run's configuration; every field is a flag of `kosmos-eval run`.

    Attributes:
        tasks: names of tasks, of their parts, of groups, or globs: see `kosmos_eval.selection`.
        shots: numbers of exemplars; every task is run at each.
        model: name of a model, or a folder with one.
        model_args: the model's own arguments.
        data: `mini`, `hub` or a folder; `None` takes `mini` for embedded models and `hub` for others.
        limit: at most this many samples of each task, or this share of them when below 1.
        sample_order: which samples `limit` keeps: a seeded random subset, or the first.
        exemplars: drawn for each query, or once for the run, or the most similar ones (`rices`).
        seed: of every random choice.
        trials: how often a few-shot task is asked, each time with other exemplars.
        trial_seeds: of the trials' exemplars, one a trial; `None` takes `seed`, `seed + 1`, ...
        controls: names of input controls (`kosmos_eval.controls`); each asks every task that it applies to once more.
        gate: policy of the gate that follows the run and stops a task when its verdict is certain; with `baseline`.
        baseline: run folder or baseline file that the gate holds the run against.
        settings: name of a task, or of a part of it, to settings.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: of the weights and activations.
        batch_size: sequences in one forward pass; `None` lets the model choose.
        include_path: folders of plugin files.
        report: names of the reports to write.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    tasks: tuple[str, ...] = Field(min_length=1)
    shots: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    model: str = "kosmos-tiny"
    model_args: dict[str, str] = Field(default_factory=dict)
    data: str | None = None
    limit: float | None = Field(default=None, gt=0)
    sample_order: SampleOrder = "random"
    exemplars: ExemplarPolicy = "per-sample"
    seed: int = 0
    trials: int = Field(default=1, ge=1)
    trial_seeds: tuple[int, ...] | None = None
    controls: tuple[str, ...] = ()
    gate: str | None = None
    baseline: str | None = None
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: Annotated[int, Field(ge=1)] | None = None
    include_path: tuple[str, ...] = ()
    report: tuple[str, ...] = ("html",)

    @property
    def exemplar_seeds(self) -> tuple[int, ...]:
        """The seeds of the trials' exemplars; the first is `seed`, unless seeds were given."""
        return self.trial_seeds or tuple(range(self.seed, self.seed + self.trials))

    @model_validator(mode="before")
    @classmethod
    def _a_trial_for_each_seed(cls, values: dict[str, Any]) -> dict[str, Any]:
        seeds = values.get("trial_seeds")
        return {"trials": len(seeds), **values} if isinstance(seeds, list | tuple) and seeds else values

    @field_validator("trials", mode="after")
    @classmethod
    def _trials_that_differ(cls, trials: int, known: ValidationInfo) -> int:
        if trials > 1 and known.data.get("exemplars") == "rices":
            message = "expected one trial with exemplars rices, which chooses the same ones in each"
            raise ValueError(message)
        return trials

    @field_validator("trial_seeds", mode="after")
    @classmethod
    def _a_seed_for_each_trial(cls, seeds: tuple[int, ...] | None, known: ValidationInfo) -> tuple[int, ...] | None:
        if seeds is not None and len(set(seeds)) < len(seeds):
            message = "expected seeds that differ"
            raise ValueError(message)
        if seeds is not None and len(seeds) != known.data.get("trials", len(seeds)):
            message = f"expected a seed for each of {known.data['trials']} trials"
            raise ValueError(message)
        return seeds

    @field_validator("controls", mode="after")
    @classmethod
    def _known_controls(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_control(each).name for each in controls)

    @field_validator("gate", "baseline", mode="after")
    @classmethod
    def _from_any_folder(cls, path: str | None) -> str | None:
        return None if path is None else os.path.abspath(path)  # noqa: PTH100  Path.resolve would follow links

    @field_validator("baseline", mode="after")
    @classmethod
    def _a_gate_with_its_baseline(cls, baseline: str | None, known: ValidationInfo) -> str | None:
        if (baseline is None) != (known.data.get("gate") is None):
            message = "expected a gate's policy and a baseline together (--gate FILE --baseline BASE)"
            raise ValueError(message)
        if baseline is not None and known.data.get("controls"):
            message = "expected no input controls in a run that a gate follows; ask them in a run of their own"
            raise ValueError(message)
        return baseline

    @field_validator("tasks", "shots", "controls", mode="after")
    @classmethod
    def _once_each(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(values))

    @field_validator("limit", mode="after")
    @classmethod
    def _whole_or_share(cls, limit: float | None) -> float | None:
        if limit is not None and limit > 1 and not limit.is_integer():
            message = "expected a whole number of samples or a share below 1"
            raise ValueError(message)
        return limit


IDENTITY = (
    "tasks",
    "shots",
    "limit",
    "sample_order",
    "exemplars",
    "seed",
    "trials",
    "trial_seeds",
    "controls",
    "gate",
    "baseline",
    "settings",
    "dtype",
)
"""Fields that decide what is measured. Others (device, batch size, where files lie) may change on resuming: what they
could change is held by the fingerprints of weights, data and prompts."""


def parse_config(values: Mapping[str, Any], origin: str) -> RunConfig:
    """Return the configuration that plain values spell.

    Args:
        values: field name to value.
        origin: where they come from, for messages.

    Raises:
        UnknownNameError: a key is no field; the nearest is named.
        UsageError: a value is of the wrong type or out of range.
    """
    for key in values:
        if key not in RunConfig.model_fields:
            kind = f"setting in {origin}"
            raise UnknownNameError(kind, str(key), RunConfig.model_fields)
    try:
        return RunConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{origin}: {place}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r:.80}"
        raise UsageError(message) from error


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the values of a YAML or JSON configuration file, lists for comma-separated texts.

    Raises:
        UsageError: the file is missing, is not YAML, or holds no mapping.
    """
    import yaml  # noqa: PLC0415  only runs with --config need it

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"--config {path}: cannot be read ({str(error).splitlines()[0]})"
        raise UsageError(message) from error
    if not isinstance(values, dict):
        message = f"--config {path}: expected a mapping such as 'tasks: [vqav2]', got {values!r:.60}"
        raise UsageError(message)
    return {str(key).replace("-", "_"): value for key, value in values.items()}
