"""The names of lm-eval's tasks, groups and tags, and the configurations that they stand for.

`--tasks lm_eval:NAME` takes a task, a group or a tag: first of the YAML files under `--include-path`, then of lm-eval's
own. lm-eval takes long to read its 14,000 files, so a name is looked for in their text.

A group's task that the group changes (`num_fewshot`, say) is called `GROUP::TASK`, as it is another one.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.lm_eval_tasks.shipped import ShippedFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX = "lm_eval:"
"""What the names of lm-eval's tasks begin with in `--tasks`."""

_INSIDE = "::"
_GLOB = frozenset("*?[")
_KIND = "task, group or tag of lm-eval"
_BRINGS = re.compile(rb"^(?:TASKS|MODELS|REPORTS)\s*[:=]", re.MULTILINE)
"""What a plugin file says (`kosmos_eval.plugins`)."""
_SPELT_OUT = frozenset({"dataset_path", "doc_to_text", "include", "output_type", "task"})
"""What an item of a group says beside its name when it is spelt out there, and no other file's."""
_WITHOUT_EFFECT = frozenset({"include", "tag", "task_alias", "task_list"})
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Recipe:
    """The configuration of a task.

    Attributes:
        name: as `--tasks` takes it, behind the prefix.
        file: the YAML file; `None` for a task that a group spells out.
        changes: what a group says otherwise.
    """

    name: str
    file: Path | None
    changes: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def config(self, *, functions: bool = True) -> dict[str, Any]:
        """Return the configuration.

        Args:
            functions: import what the file names as `!function`; else its place stands there.

        Raises:
            DataError: the file cannot be read, or a function cannot be imported.
        """
        return {**(_read(self.file, functions=functions) if self.file else {}), **self.changes}


def _read(file: Path, *, functions: bool) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  lm-eval takes seconds to import

    try:
        found: dict[str, Any] = load_yaml(file, resolve_func=functions)
    except Exception as error:  # of code beside the file, too
        said = " ".join(str(error).split())  # of a YAML file that is none, it has several lines
        message = f"{file}: lm-eval cannot read it ({type(error).__name__}: {said:.200})"
        raise DataError(message) from error
    return found


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a name stands for.

    Attributes:
        kind: `task`, `group` or `tag`.
        file: the YAML file, if there is one.
        config: of a group without a file.
        tagged: tasks of a tag.
    """

    kind: str
    file: Path | None
    config: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    tagged: frozenset[str] = frozenset()


def code_files(folder: Path) -> set[Path]:
    """Return the Python files that stand beside YAML files and bring no plugins: code of lm-eval's tasks."""
    if next(folder.glob("*.yaml"), None) is None:
        return set()
    return {file for file in folder.glob("*.py") if not _BRINGS.search(file.read_bytes())}


class LmEvalNames:
    """Finds what names stand for; nothing is read before a name is asked for."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Take the folders whose YAML files come before lm-eval's own."""
        self._folders = tuple(folders)
        self._shipped = ShippedFiles()
        self._sought: dict[str, _Entry | None] = {}

    def included(self) -> list[str]:
        """Return the tasks of the folders, sorted."""
        return sorted(name for name, entry in self._own.items() if entry.kind == "task")

    def expand(self, name: str) -> tuple[str, ...]:
        """Return the tasks that a name stands for: itself, the members of a group or tag, or what a glob matches.

        Raises:
            UnknownNameError: there is no such name.
            UsageError: a glob matches no task of the folders, or a group has no task.
        """
        if not _GLOB.isdisjoint(name):
            if matching := tuple(each for each in self.included() if fnmatchcase(each, name)):
                return matching
            cure = "globs stand for tasks of --include-path folders; name lm-eval's own tasks, groups or tags"
            message = f"{PREFIX}{name}: expected a task of an --include-path folder to match, got none; {cure}"
            raise UsageError(message)
        if _INSIDE in name:
            return (self.recipe(name).name,)
        members = tuple(dict.fromkeys(each.name for each in self._members(name, functions=False)))
        if not members:
            message = f"{PREFIX}{name}: expected a group of at least one task, got none"
            raise UsageError(message)
        return members

    def recipe(self, name: str) -> Recipe:
        """Return the configuration of a task.

        Raises:
            UnknownNameError: there is no such task.
            UsageError: the name is of a group or tag.
        """
        group, inside, _ = name.partition(_INSIDE)
        found = list(self._members(group, functions=True)) if inside else list(self._members(name, functions=False))
        if not inside and [each.name for each in found] != [name]:
            message = f"expected {PREFIX}{name} to be a task, got a group or tag of {len(found)}; name one of its tasks"
            raise UsageError(message)
        for each in found:
            if each.name == name:
                return each
        raise UnknownNameError(_KIND, name, [each.name for each in found])

    def _members(self, name: str, *, functions: bool) -> Iterator[Recipe]:
        """Yield the tasks that a name without globs stands for."""
        entry = self._find(name)
        if entry is None:
            raise self._unknown(name)
        yield from self._under(name, name, entry, {}, functions=functions)

    def _under(
        self, top: str, name: str, entry: _Entry, changes: Mapping[str, Any], *, functions: bool
    ) -> Iterator[Recipe]:
        kind = entry.kind
        if kind == "task":
            told = {key: value for key, value in changes.items() if key not in _WITHOUT_EFFECT}
            changed = {**told, "task": f"{top}{_INSIDE}{name}"} if told else _NOTHING
            yield Recipe(f"{top}{_INSIDE}{name}" if told else name, entry.file, changed)
        elif kind == "tag":
            for each in sorted(entry.tagged):
                if (member := self._find(each)) is not None:
                    yield from self._under(top, each, member, changes, functions=functions)
        else:
            config = _read(entry.file, functions=functions) if entry.file else dict(entry.config)
            yield from self._of_group(top, config, changes, functions=functions)

    def _of_group(
        self, top: str, config: Mapping[str, Any], changes: Mapping[str, Any], *, functions: bool
    ) -> Iterator[Recipe]:
        """Yield the tasks of a group, each with what the groups around it say otherwise."""
        from lm_eval.tasks._factory import GROUP_FIELD_NAMES  # noqa: PLC0415  as above

        shared = {**{key: value for key, value in config.items() if key not in GROUP_FIELD_NAMES}, **changes}
        members = config.get("task")
        for item in members if isinstance(members, list) else []:
            said: dict[str, Any] = {"task": item} if isinstance(item, str) else dict(item)
            key = "group" if "group" in said else "task"
            name = str(said.pop(key, ""))
            spelt_out = not _SPELT_OUT.isdisjoint(said)
            entry = self._find(name, besides=spelt_out)
            if entry is not None:
                yield from self._under(top, name, entry, {**shared, **said}, functions=functions)
            elif key == "group":
                yield from self._of_group(top, said, shared, functions=functions)
            elif not spelt_out:
                raise self._unknown(name)
            else:
                inside = f"{top}{_INSIDE}{name}"
                yield Recipe(inside, None, {**shared, **said, "task": inside})

    def _unknown(self, name: str) -> UnknownNameError:
        """Return the error of a name that there is not.

        Raises:
            DataError: a file of the folders that seems to say what it is cannot be read, and was passed over.
        """
        for file in (file for folder in self._folders for file in sorted(folder.rglob("*.yaml"))):
            if file.stem == name or name.encode() in file.read_bytes():
                _read(file, functions=False)
        near = difflib.get_close_matches(name, {*self._shipped.names, *self._own}, n=3, cutoff=0.5)
        return UnknownNameError(_KIND, name, near or self.included() or ["those that `lm-eval ls tasks` lists"])

    def _find(self, name: str, *, besides: bool = False) -> _Entry | None:
        """Return what a name stands for.

        Args:
            name: of a task, group or tag.
            besides: it may well be none, as a group can spell out a task; what lm-eval's files name is not read for it.
        """
        if name in self._own:
            return self._own[name]
        if name in self._shipped.tasks:
            return _Entry("task", self._shipped.tasks[name])
        if besides:
            return None
        if name not in self._sought:
            self._sought[name] = _entries(self._shipped.index(name)).get(name)
        return self._sought[name]

    @cached_property
    def _own(self) -> Mapping[str, _Entry]:
        """What the folders' files name."""
        if not any(next(folder.rglob("*.yaml"), None) for folder in self._folders):
            return {}
        from lm_eval.tasks import TaskManager  # noqa: PLC0415  as above

        return _entries(TaskManager(include_path=[*self._folders], include_defaults=False).task_index)


def _entries(index: Mapping[str, Any]) -> dict[str, _Entry]:
    kinds = {"TASK": "task", "PY_TASK": "task", "GROUP": "group", "TAG": "tag"}
    return {
        name: _Entry(kinds[each.kind.name], each.yaml_path, each.cfg or _NOTHING, frozenset(each.tags))
        for name, each in index.items()
        if each.kind.name in kinds
    }
