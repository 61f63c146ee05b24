"""Ablations that come with the package: questions of the papers, each as a spec whose models can be exchanged."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = "presets"
_SUFFIX = ".toml"


def preset_names() -> list[str]:
    """Return the names of all presets, sorted."""
    folder = files("kosmos_eval.ablation").joinpath(_FOLDER)
    return sorted(each.name.removesuffix(_SUFFIX) for each in folder.iterdir() if each.name.endswith(_SUFFIX))


def read_preset(name: str) -> dict[str, Any]:
    """Return a preset's spec as plain values, and `about`, the question that it asks.

    Raises:
        UnknownNameError: there is no such preset; the nearest is named.
    """
    known = preset_names()
    if name not in known:
        kind = "preset"
        raise UnknownNameError(kind, name, known)
    return tomllib.loads(files("kosmos_eval.ablation").joinpath(_FOLDER, name + _SUFFIX).read_text(encoding="utf-8"))


def with_models(preset: str, values: dict[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """Return a preset's values with its models, in the order of its arms, exchanged for others.

    Raises:
        UsageError: they are not as many.
    """
    arms: list[str] = values["arms"]
    own = list(dict.fromkeys(arm.partition(":")[0] for arm in arms))
    if len(models) != len(own):
        message = f"preset {preset}: expected {len(own)} models in place of {', '.join(own)}, got {len(models)}"
        raise UsageError(message)
    new = dict(zip(own, models, strict=True))

    def exchanged(arm: str) -> str:
        model, colon, control = arm.partition(":")
        return f"{new[model]}{colon}{control}"

    return {**values, "arms": [exchanged(arm) for arm in arms], "reference": exchanged(values["reference"])}
