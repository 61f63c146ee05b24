"""Which arms share a run, which tasks a model can do, and whether anything is left to compare."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.ablation.presets import read_preset
from kosmos_eval.config import RunConfig, parse_config
from kosmos_eval.controls import obstacle, parse_control
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.plan import make_plan, resolve_model
from kosmos_eval.processes.worker import model_options
from kosmos_eval.request import Score
from kosmos_eval.selection import parse_part
from kosmos_eval.trials import cell_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kosmos_eval.ablation.spec import Arm, Spec
    from kosmos_eval.plan import Cell
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.record import CellResult

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class ModelRun:
    """A model and what it is asked, under all of its controls.

    Attributes:
        name: of its folder.
        arms: names of those that it serves.
        config: of the run; `None` where the model can do none of the tasks.
        left_out: name of each cell that it cannot be asked (`kosmos_eval.trials.cell_name`), to the reason.
    """

    name: str
    arms: tuple[str, ...]
    config: RunConfig | None
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain values, which `from_json` reads back."""
        config = None if self.config is None else self.config.model_dump(mode="json")
        return {"name": self.name, "arms": list(self.arms), "config": config, "left_out": dict(self.left_out)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], origin: str) -> ModelRun:
        """Return the run that plain values spell.

        Raises:
            UsageError: its configuration is of another version of this package.
        """
        config = None if values["config"] is None else parse_config(values["config"], origin)
        return cls(values["name"], tuple(values["arms"]), config, values["left_out"])


class Resolved(NamedTuple):
    """A spec whose data source is settled, and its runs."""

    spec: Spec
    runs: tuple[ModelRun, ...]


def resolve_runs(spec: Spec, plugins: Plugins) -> Resolved:
    """Return the runs of an ablation: one a model, with the tasks that the model can do.

    Raises:
        UsageError: there is no such model or task, or the arms would not be asked the same.
        DataError: data or a checkpoint cannot be read.
    """
    by_model: dict[object, list[Arm]] = {}
    for arm in spec.arms:
        by_model.setdefault(arm.loaded, []).append(arm)
    if len(by_model) > 1 and spec.run.exemplars == "rices" and any(spec.run.shots):
        message = "expected exemplars per-sample or fixed, as rices chooses others for each model, got rices"
        raise UsageError(message)
    configs = [resolve_model(_config(spec, arms), plugins)[1] for arms in by_model.values()]
    sources = dict.fromkeys(str(config.data) for config in configs)
    if len(sources) > 1:
        message = f"expected --data, as the models' own choices differ ({' and '.join(sources)}) and every arm is to "
        message += "be asked the same samples"
        raise UsageError(message)
    settled = {"data": configs[0].data, "include_path": configs[0].include_path}
    spec = replace(spec, run=spec.run.model_copy(update=settled))
    names = _folder_names([arms[0].model for arms in by_model.values()])
    served = zip(names, configs, by_model.values(), strict=True)
    return Resolved(spec, tuple(_run(name, config, arms, plugins) for name, config, arms in served))


def _config(spec: Spec, arms: Sequence[Arm]) -> RunConfig:
    controls = tuple(arm.control for arm in arms if arm.control)
    first = arms[0]
    return spec.run.model_copy(
        update={"model": first.model, "model_args": dict(first.model_args), "controls": controls}
    )


def _folder_names(models: Sequence[str]) -> list[str]:
    """Return a folder's name for each model, all different whatever a file system makes of letters' case."""
    names: list[str] = []
    for model in models:
        name = plain = _UNSAFE.sub("_", PurePath(model).name).strip("._") or "model"
        number = 1
        while name.lower() in {each.lower() for each in names}:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def _run(name: str, config: RunConfig, arms: Sequence[Arm], plugins: Plugins) -> ModelRun:
    """Return a model's run: the tasks that it can do, under the controls that apply to one of them."""
    spec, config = resolve_model(config, plugins)
    served = tuple(arm.name for arm in arms)
    sees = spec.reads_pictures(model_options(config))
    if sees and not config.controls:
        return ModelRun(name, served, config, {})
    plan = make_plan(config.model_copy(update={"controls": ()}), plugins)
    unseen = set() if sees else {cell.part for cell in plan.cells if _shows_pictures(cell)}
    left_out = {cell.name: f"{arms[0].model} reads no pictures" for cell in plan.cells if cell.part in unseen}
    seen = [cell for cell in plan.cells if cell.part not in unseen]
    obstacles = {
        cell_name(cell.label, cell.shots, cell.trial, control): why
        for control in config.controls
        for cell in seen
        if (why := obstacle(parse_control(control), cell.task, cell.samples.values(), cell.shots))
    }
    left_out |= {cell: f"{cell.rpartition('~')[2]} does not apply: {why}" for cell, why in obstacles.items()}
    tasks = tuple(task for task in plan.config.tasks if task not in unseen)
    if not tasks:
        return ModelRun(name, served, None, left_out)
    parts = [parse_part(task, plugins) for task in tasks]
    kept = {
        "tasks": tasks,
        "settings": {
            of: values
            for of, values in config.settings.items()
            if any(parse_part(of, plugins).covers(part) for part in parts)
        },
        "controls": tuple(
            control
            for control in config.controls
            if any(cell_name(cell.label, cell.shots, cell.trial, control) not in obstacles for cell in seen)
        ),
    }
    return ModelRun(name, served, config.model_copy(update=kept), left_out)


def _shows_pictures(cell: Cell) -> bool:
    """Return whether any sample's first request has images."""
    for sample in cell.samples.values():
        request = next(cell.ask(sample, cell.exemplars(sample)), None)
        if request is None:
            continue  # which the run's own checks name
        leads = request.continuations if isinstance(request, Score) else ()
        if request.prompt.images or any(each.lead.images for each in leads):
            return True
    return False


class Place(NamedTuple):
    """Which cells stand beside each other: a task's label, shot count and trial."""

    task: str
    shots: int
    trial: int


class Held(NamedTuple):
    """What is known of a cell before it has been asked."""

    place: Place
    control: str
    breakdowns: frozenset[str]


def planned(cell: Cell) -> Held:
    """Return what is known of a cell of a plan."""
    breakdowns = frozenset(name for sample in cell.samples.values() for name in sample.groups)
    return Held(Place(cell.label, cell.shots, cell.trial), cell.control, breakdowns)


def finished(cell: CellResult) -> Held:
    """Return the same of a cell of a finished run."""
    return Held(Place(cell.task, cell.shots, cell.trial), cell.control, frozenset(cell.groups))


def check_groups(spec: Spec, cells: Iterable[Held]) -> Spec:
    """Return the spec with the breakdowns that its tasks have.

    Raises:
        UnknownNameError: no task has a breakdown that is asked for; one that a preset brings is left out.
    """
    known = sorted({name for cell in cells for name in cell.breakdowns})
    from_preset = read_preset(spec.preset).get("groups", ()) if spec.preset else ()
    for name in spec.groups:
        if name not in known and name not in from_preset:
            kind = "breakdown of these tasks"
            raise UnknownNameError(kind, name, known)
    return replace(spec, groups=tuple(name for name in spec.groups if name in known))


def require_comparison(spec: Spec, runs: Sequence[ModelRun], cells: Mapping[str, Sequence[Held]]) -> None:
    """Raise unless the reference and another arm have a cell at the same task and shot count.

    Args:
        spec: of the ablation.
        runs: one a model.
        cells: run's name to its cells.

    Raises:
        UsageError: they have none; the message says why.
    """
    serving = {arm: run.name for run in runs for arm in run.arms}
    places = {
        arm.name: {cell.place for cell in cells.get(serving[arm.name], ()) if cell.control == arm.control}
        for arm in spec.arms
    }
    if any(held & places[spec.reference] for name, held in places.items() if name != spec.reference):
        return
    message = f"expected {spec.reference} and another arm to be asked the same task, got none that both can be: "
    message += "; ".join(f"{cell}: {reason}" for run in runs for cell, reason in run.left_out.items())
    raise UsageError(message)
