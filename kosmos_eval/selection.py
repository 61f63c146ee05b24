"""From the names that `--tasks` takes to the tasks themselves.

    vqav2                  a task with its defaults
    refcoco:testA          one of its splits
    websrc:image-only      one of its variants
    websrc:dev:image-only  both
    lm_eval:gsm8k          a text task of lm-eval; of a group or tag of lm-eval's, every task
    kosmos1                a group: the parts that its tasks name for it
    refcoco*, refcoco:*    a glob over the tasks, or over a task's splits (over its variants where no split matches)

A task's name wins over a group's. Each cell is run once: two names of the same task with the same settings are one,
and the first name stays. Settings are given to a task, `refcoco.max_new_tokens=9`, and so to all its parts, or to
one part, `refcoco:testA.max_new_tokens=9`, which wins. What a part fixes itself, its split say, stays as the part says.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.errors import PluginError, UnknownNameError, UsageError
from kosmos_eval.lm_eval_tasks.names import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kosmos_eval.config import RunConfig
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.task import Task

_GLOB = frozenset("*?[")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A task, or a split or variant of it.

    Attributes:
        task: its bare name.
        split: that is evaluated; empty where the name says none.
        variant: named settings; likewise.
        fixed: the settings that split and variant stand for.
    """

    task: str
    split: str
    variant: str
    fixed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The part as `--tasks` takes it, split before variant: `refcoco:testA`."""
        return ":".join(each for each in (self.task, self.split, self.variant) if each)

    def covers(self, other: Part) -> bool:
        """Return whether what is set for this part is set for the other: `refcoco` covers `refcoco:testA`."""
        return self.task == other.task and self.split in {"", other.split} and self.variant in {"", other.variant}


class Selection(NamedTuple):
    """What a run's names stand for: the parts and, for each, its task with its settings."""

    parts: tuple[Part, ...]
    tasks: tuple[Task[Any, Any], ...]


class Groups(NamedTuple):
    """Group to the names of its parts, sorted by task; and task to why it could not be asked for its groups."""

    members: Mapping[str, tuple[str, ...]]
    broken: Mapping[str, str]


def select(config: RunConfig, plugins: Plugins) -> Selection:
    """Return the tasks of a run, each once, in the order in which they are named.

    Raises:
        UnknownNameError: there is no such task, group, part or setting.
        UsageError: a setting's value is of another type than its default, or no part of the run takes the setting.
    """
    parts = expand(config.tasks, plugins)
    settings = [(_setting_part(name, parts, plugins), dict(values)) for name, values in config.settings.items()]
    settings.sort(key=lambda each: bool(each[0].split) + bool(each[0].variant))  # the nearest part has the last word
    for part, values in settings:
        _refuse_idle(part, values, parts)
    chosen: list[Part] = []
    tasks: list[Task[Any, Any]] = []
    for part in parts:
        given = {key: value for of, values in settings if of.covers(part) for key, value in values.items()}
        task = _made(part, given, plugins)
        if task not in tasks:
            chosen.append(part)
            tasks.append(task)
    return Selection(tuple(chosen), tuple(tasks))


def make_task(name: str, settings: Mapping[str, Any], plugins: Plugins) -> Task[Any, Any]:
    """Return the task, or the part of one, of that name with its settings.

    Raises:
        UnknownNameError: there is no such task, part or setting.
        UsageError: a setting's value is of another type than its default.
    """
    return _made(parse_part(name, plugins), settings, plugins)


def parse_part(name: str, plugins: Plugins) -> Part:
    """Return the part that a name without globs stands for.

    Raises:
        UnknownNameError: there is no such task or part.
        UsageError: the name has two splits or two variants, or a split and a variant that fixes another.
    """
    if name.startswith(PREFIX):
        return Part(name, "", "", {})
    task, *pieces = name.split(":")
    kind = plugins.task(task)
    splits, variants = splits_of(kind), variants_of(kind)
    split = variant = ""
    for piece in pieces:
        if piece not in splits and piece not in variants:
            sort = f"split or variant of {task}"
            raise UnknownNameError(sort, piece, (*splits, *variants))
        if (split if piece in splits else variant) not in {"", piece}:
            message = f"{name}: expected at most one split and one variant of {task}, got {' and '.join(pieces)}"
            raise UsageError(message)
        split, variant = (piece, variant) if piece in splits else (split, piece)
    fixed = dict(variants.get(variant, {}))
    if split and fixed.get("split", split) != split:
        message = f"{name}: expected one split, and the variant {variant} is of split {fixed['split']}"
        raise UsageError(message)
    return Part(task, split, variant, {**fixed, "split": split} if split else fixed)


def expand(names: Iterable[str], plugins: Plugins) -> tuple[Part, ...]:
    """Return the parts that names, groups and globs stand for, each once, in their order.

    Raises:
        UnknownNameError: a name stands for nothing.
        UsageError: a name is of two splits or two variants.
    """
    found = {part.name: part for name in names for part in _expand(name, plugins)}
    return tuple(found.values())


def _expand(name: str, plugins: Plugins) -> Iterator[Part]:
    if name.startswith(PREFIX):
        members = plugins.lm_eval.expand(name.removeprefix(PREFIX))
        yield from (parse_part(f"{PREFIX}{each}", plugins) for each in members)
        return
    task, *pieces = name.split(":")
    known = plugins.names("task")
    if task in known and _GLOB.isdisjoint(name):
        yield parse_part(name, plugins)
        return
    matching = [each for each in known if fnmatchcase(each, task)]
    if matching and not pieces:
        yield from (parse_part(each, plugins) for each in matching)
        return
    if matching or pieces:
        yield from _matching_parts(name, matching, pieces, plugins)
        return
    groups = find_groups(plugins)
    fitting = dict.fromkeys(each for group, of in groups.members.items() if fnmatchcase(group, name) for each in of)
    if not fitting:
        kind = "task"
        raise UnknownNameError(kind, name, (*known, *groups.members))
    for broken, why in groups.broken.items():
        _LOG.warning("kosmos-eval: %s is left out of %s, whose tasks may be others: %s", broken, name, why)
    yield from (parse_part(each, plugins) for each in fitting)


def _matching_parts(name: str, tasks: Iterable[str], pieces: Iterable[str], plugins: Plugins) -> Iterator[Part]:
    """Yield the parts that a name with globs stands for, task by task; a task that lacks a piece has none."""
    known: list[str] = []
    found = False
    for task in tasks:
        kind = plugins.task(task)
        splits, variants = splits_of(kind), tuple(variants_of(kind))
        known += [f"{task}:{each}" for each in (*splits, *variants)]
        ways = []
        for piece in pieces:
            of_splits = [each for each in splits if fnmatchcase(each, piece)]
            ways.append(of_splits or [each for each in variants if fnmatchcase(each, piece)])
        for way in product(*ways):
            found = True
            yield parse_part(":".join((task, *way)), plugins)
    if not found:
        sort = "task, split or variant"
        raise UnknownNameError(sort, name, known or plugins.names("task"))


def find_groups(plugins: Plugins) -> Groups:
    """Return every group that a task mentions, each with its parts; imports every task."""
    members: dict[str, list[str]] = {}
    broken: dict[str, str] = {}
    for name in plugins.names("task"):
        try:
            groups = groups_of(plugins.task(name))
        except PluginError as error:  # which must not hide the others
            broken[name] = str(error)
            continue
        for group, parts in groups.items():
            members.setdefault(group, []).extend(f"{name}:{part}" if part else name for part in parts)
    return Groups({group: tuple(members[group]) for group in sorted(members)}, broken)


def splits_of(task: type[Task[Any, Any]] | Task[Any, Any]) -> tuple[str, ...]:
    """Return the splits that a task says can be evaluated."""
    return tuple(getattr(task, "splits", ()))


def variants_of(task: type[Task[Any, Any]] | Task[Any, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return a task's named settings."""
    return dict(getattr(task, "variants", {}))


def parts_of(task: type[Task[Any, Any]] | Task[Any, Any]) -> tuple[str, ...]:
    """Return what may follow a task's name after a colon: its splits, then its variants."""
    return (*splits_of(task), *variants_of(task))


def groups_of(task: type[Task[Any, Any]] | Task[Any, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the groups that a task belongs to, each with the parts that it brings."""
    return dict(getattr(task, "groups", {}))


def _setting_part(name: str, parts: Iterable[Part], plugins: Plugins) -> Part:
    """Return the part that a setting is given to, which must be of the run."""
    tasks = {part.task for part in parts}
    known = name in tasks or name.partition(":")[0] in tasks
    part = parse_part(name, plugins) if known else None
    if part is None or not any(part.covers(each) for each in parts):
        kind = "task of this run"
        raise UnknownNameError(kind, name, tasks | {each.name for each in parts})
    return part


def _refuse_idle(part: Part, values: Iterable[str], parts: Iterable[Part]) -> None:
    """Raise `UsageError` for a setting that would change nothing, as every part of the run fixes it."""
    covered = [each for each in parts if part.covers(each)]
    for key in values:
        if all(key in each.fixed for each in covered):
            said = ", ".join(f"{each.name} ({key} = {each.fixed[key]!r})" for each in covered)
            message = f"setting {part.name}.{key}: expected a part of this run that leaves it open, got {said}"
            raise UsageError(message)


def _made(part: Part, settings: Mapping[str, Any], plugins: Plugins) -> Task[Any, Any]:
    task: Any = plugins.task(part.task)()
    known = {each.name: each for each in fields(task) if each.init}
    given: dict[str, object] = {}
    for key, value in {**settings, **part.fixed}.items():
        if key not in known:
            kind = f"setting of {part.task}"
            raise UnknownNameError(kind, key, known)
        default = getattr(task, key)
        optional = default is None or "None" in str(known[key].type)
        given[key] = _like(default, value, f"{part.task}.{key}", optional=optional)
    changed: Task[Any, Any] = replace(task, **given)
    return changed


def _like(default: object, value: object, place: str, *, optional: bool) -> object:
    """Return a setting's value in the type of its default, or `None` where the setting may be that."""
    if optional and (default is None or value is None):
        return tuple(value) if isinstance(value, list) else value
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, tuple) and isinstance(value, str):
        return (value,)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        message = f"setting {place}: expected {type(default).__name__} such as {default!r}, got {value!r}"
        raise UsageError(message)
    return value
