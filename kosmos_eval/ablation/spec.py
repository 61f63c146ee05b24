"""What an ablation is asked to do, as one value: its arms, which of them is the reference, and what all of them share.

As TOML:

    tasks = ["vqav2"]
    shots = [0, 4]
    arms = ["kosmos-tiny", "kosmos-tiny:image=none", "kosmos-tiny-lm"]
    reference = "kosmos-tiny"
    groups = ["answer_type"]
    limit = 200

Every field of a run (`kosmos_eval.config.RunConfig`) may stand there, but for `model` and `controls`, which the arms
say. An arm is `MODEL` or `MODEL:CONTROL`, or a table of its own, which can name it and give its model arguments:

    [arms.blind]
    model = "checkpoints/tuned"
    model_args = {device_map = "auto"}
    control = "image=none"

`preset = "image-encoder"` begins with what a preset says, and `models` exchanges its models for others.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from kosmos_eval.ablation.presets import read_preset, with_models
from kosmos_eval.config import RunConfig, parse_config
from kosmos_eval.controls import parse_control
from kosmos_eval.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_OF_ARMS = ("model", "controls")
_OWN = ("preset", "models", "arms", "reference", "groups", "title")
_ARM_KEYS = ("model", "model_args", "control")
_ARM = re.compile(r"(?P<model>.+?)(?::(?P<control>[a-z_]+=.*))?", re.DOTALL)

KEYS = (*_OWN, *(name for name in RunConfig.model_fields if name not in _OF_ARMS))
"""What a spec may say."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A model, with or without a control of its input.

    Attributes:
        name: as results show it.
        model: name of a model, or a folder with one.
        model_args: the model's own arguments.
        control: as `kosmos_eval.controls` spells it, `image=none`; empty for the model as it is.
    """

    name: str
    model: str
    model_args: Mapping[str, str] = field(default_factory=dict)
    control: str = ""

    @property
    def loaded(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What tells one model from another: arms that are equal in it share a run."""
        return self.model, tuple(sorted(self.model_args.items()))


@dataclass(frozen=True, slots=True)
class Spec:
    """An ablation, checked as far as can be without looking for its tasks and models.

    Attributes:
        arms: in the order in which results show them; at least two.
        reference: name of the arm that the others are compared with.
        run: what the runs of all arms share; its `model`, `model_args` and `controls` say nothing.
        groups: breakdowns (`stated`, `answer_type`) of which each category is compared too, where a task has them.
        title: of the report; empty for one that names the tasks.
        preset: that it began with; empty without. Of a preset's groups, those that no task has are left out.
    """

    arms: tuple[Arm, ...]
    reference: str
    run: RunConfig
    groups: tuple[str, ...] = ()
    title: str = ""
    preset: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain values, which `parse_spec` reads back."""
        run = self.run.model_dump(mode="json", exclude={*_OF_ARMS, "model_args"})
        arms = {
            arm.name: {"model": arm.model, "model_args": dict(arm.model_args), "control": arm.control}
            for arm in self.arms
        }
        own = {"preset": self.preset, "title": self.title, "arms": arms, "reference": self.reference}
        return {**own, "groups": list(self.groups), **run}


def read_spec_file(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises:
        UsageError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"{path}: expected the spec of an ablation as TOML, which cannot be read ({error})"
        raise UsageError(message) from error


def parse_spec(values: Mapping[str, Any], origin: str) -> Spec:
    """Return the ablation that plain values spell.

    Args:
        values: key to value, as in the module's example.
        origin: where they come from, for messages.

    Raises:
        UnknownNameError: there is no such key, reference or kind of control; the nearest is named.
        UsageError: a value is of the wrong type or out of range, two arms are the same, or there are fewer than two.
    """
    check_keys(values, origin)
    values = _with_preset(values, origin)
    run = parse_config({key: value for key, value in values.items() if key not in _OWN}, origin)
    arms = _arms(values.get("arms", ()), run.model_args, origin)
    return Spec(
        arms=arms,
        reference=_reference(values.get("reference"), arms, origin),
        run=run.model_copy(update={"model_args": {}}),
        groups=_texts("groups", values.get("groups", ()), origin),
        title=_text("title", values.get("title", ""), origin),
        preset=values.get("preset", ""),
    )


def check_keys(values: Iterable[str], origin: str, besides: Iterable[str] = ()) -> None:
    """Raise unless every key is one of a spec.

    Args:
        values: the keys.
        origin: where they come from, for messages.
        besides: further keys that may stand there.

    Raises:
        UnknownNameError: there is no such key; the nearest is named.
        UsageError: the arms say it, and not the spec.
    """
    known = (*KEYS, *besides)
    for key in values:
        if key in _OF_ARMS:
            message = f"{origin}: expected the arms to say their {key}, as in arms = ['kosmos-tiny:image=none'], "
            message += f"got {key} for all of them"
            raise UsageError(message)
        if key not in known:
            kind = f"setting in {origin}"
            raise UnknownNameError(kind, str(key), known)


def _with_preset(values: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """Return the values over those of their preset, if they name one."""
    preset, models = _text("preset", values.get("preset", ""), origin), values.get("models", ())
    if not preset:
        if models:
            message = f"{origin}: expected models to go with a preset, whose models they replace; name them as arms"
            raise UsageError(message)
        return values
    below = {key: value for key, value in read_preset(preset).items() if key != "about"}
    if models:
        below = with_models(preset, below, _texts("models", models, origin))
    if values.get("arms"):
        del below["reference"]
    return {**below, **values}


def _arms(given: object, shared: Mapping[str, str], origin: str) -> tuple[Arm, ...]:
    """Return the arms that a list of texts, or a table of tables, spells."""
    if isinstance(given, dict):
        arms = [_arm_of_table(str(name), table, shared, origin) for name, table in given.items()]
    else:
        split = [_split(text) for text in _texts("arms", given, origin)]
        names = _short_names([model for model, _ in split])
        arms = [
            Arm(f"{names[model]}:{control}" if control else names[model], model, dict(shared), control)
            for model, control in split
        ]
    if len(arms) < 2:  # noqa: PLR2004  there is nothing to compare one with
        message = f"{origin}: expected at least two arms, such as kosmos-tiny,kosmos-tiny:image=none, got {len(arms)}"
        raise UsageError(message)
    same: dict[object, str] = {}
    for arm in arms:
        if (before := same.setdefault((arm.loaded, arm.control), arm.name)) != arm.name:
            message = f"{origin}: expected arms that differ, got {before} and {arm.name}, which are the same"
            raise UsageError(message)
    if len(same) < len(arms):
        twice = next(arm.name for place, arm in enumerate(arms) if arm.name in {each.name for each in arms[:place]})
        message = f"{origin}: expected each arm once, got {twice} twice"
        raise UsageError(message)
    return tuple(arms)


def _arm_of_table(name: str, table: object, shared: Mapping[str, str], origin: str) -> Arm:
    place = f"{origin}: arms.{name}"
    if not name.strip():
        message = f"{origin}: expected an arm to have a name, got [arms.{name!r}]"
        raise UsageError(message)
    if not isinstance(table, dict):
        message = f"{place}: expected a table with a model, got {table!r:.60}"
        raise UsageError(message)
    for key in table:
        if key not in _ARM_KEYS:
            kind = f"setting in {place}"
            raise UnknownNameError(kind, str(key), _ARM_KEYS)
    model, control, arguments = table.get("model"), table.get("control", ""), table.get("model_args", {})
    if not (isinstance(model, str) and model):
        message = f"{place}: expected model to name a model or a folder with one, got {model!r:.60}"
        raise UsageError(message)
    if not (isinstance(control, str) and isinstance(arguments, dict)):
        message = f"{place}: expected control to be a text and model_args a table, got {control!r:.60} and "
        message += f"{arguments!r:.60}"
        raise UsageError(message)
    return Arm(name, model, {**shared, **{str(key): str(value) for key, value in arguments.items()}}, _control(control))


def _split(text: str) -> tuple[str, str]:
    """Return an arm's model and control."""
    match = _ARM.fullmatch(text)
    model, control = (text, "") if match is None else (match["model"], match["control"] or "")
    return model, _control(control)


def _control(text: str) -> str:
    """Return a control as results name it; nothing for none."""
    return parse_control(text).name if text else ""


def _short_names(models: Iterable[str]) -> dict[str, str]:
    """Return model to its shortest name that no other one has: `tuned` of `runs/tuned`, or `a/last` beside `b/last`."""
    places = {model: PurePath(model).parts or (model,) for model in models}
    names = {}
    for model, parts in places.items():
        others = [each for other, each in places.items() if other != model]
        lengths = range(1, len(parts))
        names[model] = next(
            ("/".join(parts[-some:]) for some in lengths if all(each[-some:] != parts[-some:] for each in others)),
            model,
        )
    return names


def _reference(given: object, arms: Sequence[Arm], origin: str) -> str:
    """Return the name of the arm that the others are compared with: the first, unless another is named."""
    if given is None or given == "":
        return arms[0].name
    for arm in arms:
        if given in (arm.name, f"{arm.model}:{arm.control}" if arm.control else arm.model):
            return arm.name
    kind = f"arm (for the reference, in {origin})"
    raise UnknownNameError(kind, str(given), [arm.name for arm in arms])


def _text(key: str, given: object, origin: str) -> str:
    if not isinstance(given, str):
        message = f"{origin}: {key}: expected a text, got {given!r:.80}"
        raise UsageError(message)
    return given


def _texts(key: str, given: object, origin: str) -> tuple[str, ...]:
    if not (isinstance(given, list | tuple) and all(isinstance(each, str) and each for each in given)):
        message = f"{origin}: {key}: expected a list of texts, got {given!r:.80}"
        raise UsageError(message)
    return tuple(given)
