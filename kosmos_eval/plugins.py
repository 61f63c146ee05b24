"""Finds tasks, models and report writers.

Built-ins are plugins like any other: each is an entry point in `kosmos_eval.tasks`, `kosmos_eval.models` or
`kosmos_eval.reports`, and so is what another package adds. `--include-path DIR` adds the files of a folder: each
`*.py` there, unless its name begins with an underscore, says what it brings in `TASKS`, `MODELS` or `REPORTS`, a tuple.
Its YAML files are tasks of lm-eval (`lm_eval:NAME`); a Python file beside them that says nothing of it is their code.

Names are known without importing anything; a plugin is imported, and checked, when it is first asked for. A name
that two plugins claim is an error that names both.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, cast

from kosmos_eval.errors import KosmosEvalError, PluginError, UnknownNameError
from kosmos_eval.language_model import ModelSpec
from kosmos_eval.lm_eval_tasks.names import PREFIX, LmEvalNames, code_files
from kosmos_eval.task import Metric, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import ModuleType

    from kosmos_eval.record import ReportWriter

Kind = Literal["task", "model", "report"]

_GROUPS: dict[Kind, str] = {"task": "kosmos_eval.tasks", "model": "kosmos_eval.models", "report": "kosmos_eval.reports"}
_DECLARED: dict[str, Kind] = {"TASKS": "task", "MODELS": "model", "REPORTS": "report"}
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class _Plugin:
    """A name, where it comes from, and how to get what it stands for."""

    name: str
    origin: str
    load: Callable[[], object]


class Plugins:
    """Every task, model and report writer within reach."""

    def __init__(self, include_paths: Iterable[Path] = ()) -> None:
        """Collect the names of installed plugins and import the files of the given folders.

        Raises:
            PluginError: two plugins share a name, or a file of a folder cannot be imported or brings nothing.
        """
        self._found: dict[Kind, dict[str, _Plugin]] = {"task": {}, "model": {}, "report": {}}
        self._loaded: dict[tuple[Kind, str], object] = {}
        folders = tuple(include_paths)
        self.lm_eval = LmEvalNames(folders)
        for kind, group in _GROUPS.items():
            for entry in entry_points(group=group):
                origin = f"{entry.value} of package {entry.dist.name if entry.dist else '?'}"
                self._add(kind, _Plugin(entry.name, origin, entry.load))
        for folder in folders:
            self._include(folder)

    def _add(self, kind: Kind, plugin: _Plugin) -> None:
        known = self._found[kind].get(plugin.name)
        if known is not None and known.origin != plugin.origin:
            message = f"two {kind}s are named {plugin.name!r}: {known.origin} and {plugin.origin}; rename one"
            raise PluginError(message)
        self._found[kind][plugin.name] = plugin

    def _include(self, folder: Path) -> None:
        if not folder.is_dir():
            message = f"--include-path {folder}: expected an existing folder"
            raise PluginError(message)
        for file in sorted(set(folder.glob("[!_]*.py")) - code_files(folder)):
            brought = list(_brought(_import_file(file), file))
            if not brought:
                message = f"{file}: expected TASKS, MODELS or REPORTS to name what the file brings, found none of them"
                raise PluginError(message)
            for place, (kind, value) in enumerate(brought):
                name = getattr(value, "name", None)
                if not isinstance(name, str):
                    message = f"{file}: expected {value!r:.60} to have a name, as every {kind} plugin has"
                    raise PluginError(message)
                if any(kind == other and name == getattr(each, "name", None) for other, each in brought[:place]):
                    message = f"{file} brings two {kind}s that are named {name!r}; rename one"
                    raise PluginError(message)
                self._add(kind, _Plugin(name, str(file.resolve()), lambda value=value: value))  # type: ignore[misc]  # mypy cannot infer a lambda with a default

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all plugins of a kind, sorted, without importing them."""
        return sorted(self._found[kind])

    def built_in(self, kind: Kind) -> list[str]:
        """Return the names of the plugins of a kind that come with this package, sorted, without importing them."""
        own = " of package kosmos-eval"
        return sorted(name for name, plugin in self._found[kind].items() if plugin.origin.endswith(own))

    def task(self, name: str) -> type[Task[Any, Any]]:
        """Return the task class of that name; of a task of lm-eval's (`lm_eval:NAME`), its data read.

        Raises:
            UnknownNameError: there is no such task.
            PluginError: it is malformed.
            UsageError, DataError: a task of lm-eval's asks for what we do not do, or cannot be read.
        """
        if name.startswith(PREFIX):
            if ("task", name) not in self._loaded:
                from kosmos_eval.lm_eval_tasks.named import named_task  # noqa: PLC0415  brings lm-eval, when it is asked for

                self._loaded["task", name] = named_task(self.lm_eval.recipe(name.removeprefix(PREFIX)))
            return cast("type[Task[Any, Any]]", self._loaded["task", name])
        return cast("type[Task[Any, Any]]", self._get("task", name, _task_faults))

    def model(self, name: str) -> ModelSpec:
        """Return the model of that name.

        Raises:
            UnknownNameError: there is no such model.
            PluginError: it is malformed.
        """
        return cast("ModelSpec", self._get("model", name, _model_faults))

    def report(self, name: str) -> ReportWriter:
        """Return the report writer of that name.

        Raises:
            UnknownNameError: there is no such report writer.
            PluginError: it is malformed.
        """
        return cast("ReportWriter", self._get("report", name, _report_faults))

    def _get(self, kind: Kind, name: str, faults: Callable[[object], list[str]]) -> object:
        if (kind, name) not in self._loaded:
            if name not in self._found[kind]:
                raise UnknownNameError(kind, name, self._found[kind])
            plugin = self._found[kind][name]
            try:
                value = plugin.load()
            except KosmosEvalError:
                raise
            except Exception as error:
                message = f"{kind} {name!r} ({plugin.origin}) cannot be imported: {type(error).__name__}: {error}"
                raise PluginError(message) from error
            wrong = faults(value)
            if getattr(value, "name", name) != name:
                wrong.append(f"expected its name to be {name!r}, as its entry point says, got {value.name!r}")  # type: ignore[attr-defined]  # getattr above found it
            if wrong:
                message = f"{kind} {name!r} ({plugin.origin}) is malformed: {'; '.join(wrong)}"
                raise PluginError(message)
            self._loaded[kind, name] = value
        return self._loaded[kind, name]


def _brought(module: ModuleType, file: Path) -> Iterator[tuple[Kind, object]]:
    """Yield what a plugin file brings, in the order of the file."""
    for name, kind in _DECLARED.items():
        values = getattr(module, name, ())
        if not isinstance(values, tuple | list):
            message = f"{file}: expected {name} to be a tuple, such as ({kind},), got {values!r:.60}"
            raise PluginError(message)
        yield from ((kind, value) for value in values)


def _import_file(file: Path) -> ModuleType:
    # Files of one name in two folders must stay two modules: a task's code is found through its module.
    name = f"kosmos_eval_included_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:  # pragma: no cover  a .py file always has a loader
        message = f"{file}: not a Python file"
        raise PluginError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        message = f"{file}: cannot be imported: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    return module


def _task_faults(value: object) -> list[str]:
    """Return what keeps a value from being a task class, as `expected ..., got ...` clauses."""
    if not (isinstance(value, type) and is_dataclass(value)):
        return [f"expected a frozen dataclass, got {value!r:.60}"]
    parameters: Any = getattr(value, "__dataclass_params__", None)
    frozen = [] if parameters.frozen else ["expected a frozen dataclass, got one that is not frozen"]
    facts = [*_fact_faults(value), *_declared_faults(value)]
    return [*frozen, *facts, *_setting_faults(value), *_part_faults(value), *_method_faults(value)]


def _setting_faults(task: type) -> list[str]:
    settings = {each.name: each for each in fields(task)}
    wrong = [
        f"expected setting {name!r} to have a default"
        for name, each in settings.items()
        if each.init and each.default is MISSING and each.default_factory is MISSING
    ]
    for split in ("split", "exemplar_split"):
        default = settings[split].default if split in settings else getattr(task, split, None)
        if not isinstance(default, str | property):
            wrong.append(f"expected {split} to be a setting with a text as its default, got {default!r:.60}")
    return wrong


def _part_faults(task: type) -> list[str]:
    """Return what is wrong with the splits, variants and groups that a task names."""
    splits, variants, groups = (getattr(task, name, ()) for name in ("splits", "variants", "groups"))
    if not isinstance(splits, tuple):
        return [f"expected splits to be a tuple of texts, got {splits!r:.60}"]
    for name, value in (("variants", variants), ("groups", groups)):
        if value != () and not isinstance(value, Mapping):
            return [f"expected {name} to be a mapping, got {value!r:.60}"]
    parts, settings = (*splits, *variants), {each.name for each in fields(task) if each.init}
    folded = Counter(str(part).casefold() for part in parts)  # not every file system tells case apart in file names
    default = getattr(task, "split", None)
    wrong = [
        f"expected the name of a split or variant to be letters, digits, '_' and '-', got {part!r}"
        for part in parts
        if not (isinstance(part, str) and _PART.fullmatch(part))
    ]
    wrong += [
        f"expected names of splits and variants to differ, got {part!r} twice" for part in folded if folded[part] > 1
    ]
    if splits and isinstance(default, str) and default not in splits:
        wrong.append(f"expected the default split to be one of {', '.join(map(repr, splits))}, got {default!r}")
    for name in variants:
        unknown = [setting for setting in variants[name] if setting not in settings]
        wrong += [f"expected variant {name!r} to change settings of the task, got {setting!r}" for setting in unknown]
    for name in groups:
        unknown = [part for part in groups[name] if part and not set(part.split(":")) <= set(parts)]
        wrong += [f"expected group {name!r} to be of splits and variants of the task, got {part!r}" for part in unknown]
    return wrong


def _fact_faults(task: type) -> list[str]:
    wrong = []
    facts: dict[str, Any] = {name: getattr(task, name, None) for name in Task.__annotations__}
    if not (isinstance(facts["name"], str) and _NAME.fullmatch(facts["name"])):
        wrong.append(f"expected name to be a lower-case identifier, got {facts['name']!r}")
    if not (isinstance(facts["version"], int) and facts["version"] >= 1):
        wrong.append(f"expected version to be a whole number from 1, got {facts['version']!r}")
    if not (isinstance(facts["description"], str) and facts["description"]):
        wrong.append(f"expected a description of one line, got {facts['description']!r:.60}")
    metrics, kinds = facts["metrics"], facts["sources"]
    if not (isinstance(metrics, tuple) and metrics and all(isinstance(metric, Metric) for metric in metrics)):
        wrong.append(f"expected metrics to be a tuple of at least one Metric, got {metrics!r:.60}")
    elif len({metric.name for metric in metrics}) < len(metrics):
        wrong.append(f"expected metrics of different names, got {[metric.name for metric in metrics]}")
    if not (isinstance(kinds, tuple) and kinds and set(kinds) <= {"mini", "hub", "folder"}):
        wrong.append(f"expected sources to be some of 'mini', 'hub', 'folder', got {kinds!r}")
    return wrong


def _declared_faults(task: type) -> list[str]:
    """Return what is wrong with the fields of its samples that a task names, for input controls."""
    declared = {name: getattr(task, name, ()) for name in ("asked_in", "answered_in")}
    return [
        f"expected {name} to be a tuple of texts, names of fields of its samples, got {value!r:.60}"
        for name, value in declared.items()
        if not (isinstance(value, tuple) and all(isinstance(each, str) and each for each in value))
    ]


def _method_faults(task: type) -> list[str]:
    wrong = []
    for name, arguments in (("samples", 2), ("ask", 2), ("score", 2)):
        method = getattr(task, name, None)
        if not callable(method):
            wrong.append(f"expected a method {name}")
        elif len(inspect.signature(method).parameters) != arguments + 1:
            wrong.append(f"expected {name} to take {arguments} arguments besides self")
        elif name == "ask" and not inspect.isgeneratorfunction(method):
            wrong.append("expected ask to be a generator: it must yield requests")
    return [*wrong, *_corpus_faults(task)]


def _corpus_faults(task: type) -> list[str]:
    metrics: object = getattr(task, "metrics", None)
    declared = metrics if isinstance(metrics, tuple) else ()
    corpus = [each.name for each in declared if isinstance(each, Metric) and each.corpus]
    if not corpus:
        return []
    method = getattr(task, "score_corpus", None)
    if not callable(method):
        return [f"expected a method score_corpus, as {', '.join(corpus)} belong to all samples together"]
    if len(inspect.signature(method).parameters) != 2:  # noqa: PLR2004  self and the scored samples
        return ["expected score_corpus to take 1 argument besides self"]
    return []


def _model_faults(value: object) -> list[str]:
    if not isinstance(value, ModelSpec):
        return [f"expected a kosmos_eval.language_model.ModelSpec, got {value!r:.60}"]
    return [] if _NAME.fullmatch(value.name) else [f"expected name to be a lower-case identifier, got {value.name!r}"]


def _report_faults(value: object) -> list[str]:
    if isinstance(value, type):
        return [f"expected a report writer, got the class {value.__name__}: make one of it, {value.__name__}()"]
    if not callable(getattr(value, "write", None)):
        return [f"expected a method write(record, folder), got {value!r:.60}"]
    name = getattr(value, "name", None)
    return [] if isinstance(name, str) else [f"expected name to be a text, got {name!r:.60}"]
