"""lm-eval's own task object of a configuration: what is refused before it is made, and where its data lie."""

from __future__ import annotations

import glob
import hashlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.hub import first_line
from kosmos_eval.errors import DataError, KosmosEvalError, UsageError
from kosmos_eval.lm_eval_tasks.names import PREFIX
from kosmos_eval.lm_eval_tasks.requests import generate_request
from kosmos_eval.lm_eval_tasks.task import keep_templates, quiet
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import WholeText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.lm_eval_tasks.names import Recipe

_RELIED_ON = (
    "apply_filters",
    "build_all_requests",
    "construct_requests",
    "doc_iterator",
    "eval_docs",
    "fewshot_context",
)
"""Methods of lm-eval's task that we do the work of, or rely on; a class with others would be asked wrongly."""

_PICTURES = "run it from Python with KosmosLM, which takes pictures (docs/lm-eval.md)"
_LOCAL = (
    "where the hub is out of reach, name a folder (--include-path DIR) with a copy of its YAML file whose dataset_path "
    "(json, csv, parquet) and data_files lie on this machine"
)
_LOCAL_KINDS = frozenset({"arrow", "csv", "json", "parquet", "text", "xml"})
"""What `dataset_path` says of data in files."""
_DATA = ("dataset_path", "dataset_name", "dataset_kwargs")


def make_task(recipe: Recipe) -> Any:  # noqa: ANN401  lm-eval ships no types
    """Return lm-eval's task, its data read.

    Raises:
        UsageError: it asks for what we do not do: running a model's code, sampling, repeats, pictures.
        DataError: its data or its file cannot be read.
    """
    config = recipe.config(functions=False)
    refuse(recipe.name, config)
    config = recipe.config()
    _refuse_class(recipe.name, config.get("class"))
    _place_data(config, recipe.file)
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    from lm_eval.tasks import TaskManager  # noqa: PLC0415  lm-eval takes seconds to import

    keep_templates()
    try:
        with quiet():
            (task,) = TaskManager(include_defaults=False).load([config])["tasks"].values()
    except KosmosEvalError:
        raise
    except Exception as error:
        data = config.get("dataset_path") or "its own code"
        said = "there is no row" if isinstance(error, StopIteration) else first_line(error)
        cure = _LOCAL
        if data in _LOCAL_KINDS:
            place = f"{recipe.file or 'its group'}"
            cure = f"mend {place} or its data_files, named by a path from the current folder or from that file's"
        message = f"{PREFIX}{recipe.name}: lm-eval cannot make it of its data ({data}): {said}; {cure}"
        raise DataError(message) from error
    if task.config.output_type == "generate_until":
        _refuse_sampling(recipe.name, task.config.generation_kwargs or {})
    return task


def refuse(name: str, config: Mapping[str, Any]) -> None:
    """Raise `UsageError` if a configuration asks for what cannot be done here, before any code of the task runs."""
    reason = ""
    if config.get("unsafe_code"):
        reason = "its scoring runs code that the model writes, which is done nowhere here; run it with lm-eval itself"
    elif config.get("repeats", 1) != 1:
        reason = f"repeats is {config['repeats']}, and answers are not drawn; take a copy of the task with repeats: 1"
    elif config.get("doc_to_image") is not None:
        reason = f"it shows pictures; {_PICTURES}"
    elif config.get("doc_to_audio") is not None:
        reason = "it plays sounds, which Kosmos models do not hear"
    elif config.get("use_prompt") is not None:
        reason = "its prompts are promptsource's; take a copy of the task with a doc_to_text of its own"
    elif isinstance(kwargs := config.get("generation_kwargs"), dict):
        _refuse_sampling(name, kwargs)
    if reason:
        message = f"{PREFIX}{name}: cannot be run: {reason}"
        raise UsageError(message)


def _refuse_sampling(name: str, settings: Mapping[str, object]) -> None:
    try:
        generate_request(Prompt.of("?"), settings, WholeText())
    except UsageError as error:
        message = f"{PREFIX}{name}: cannot be run: {error}; take a copy of the task with other generation_kwargs"
        raise UsageError(message) from error


def _refuse_class(name: str, kind: Any) -> None:  # noqa: ANN401  as above
    if kind is None:
        return
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415  as above

    wrong = [] if isinstance(kind, type) and issubclass(kind, ConfigurableTask) else ["is no ConfigurableTask"]
    wrong = wrong or [
        f"has its own {method}"
        for method in _RELIED_ON
        if getattr(kind, method) is not getattr(ConfigurableTask, method)
    ]
    if wrong:
        said = getattr(kind, "__name__", repr(kind))
        message = f"{PREFIX}{name}: cannot be run: its class {said} {' and '.join(wrong)}; run it with lm-eval itself"
        raise UsageError(message)


def _place_data(config: dict[str, Any], file: Path | None) -> None:
    """Make the paths of data files whole: from the current folder, as lm-eval takes them, or beside the YAML file."""
    folders = [Path.cwd(), *([file.absolute().parent] if file else [])]
    if isinstance(path := config.get("dataset_path"), str):
        config["dataset_path"] = _whole(path, folders, only_folders=True)
    kwargs = config.get("dataset_kwargs")
    if not isinstance(kwargs, dict):
        return
    kwargs = {**kwargs}
    for key in ("data_files", "data_dir"):
        if key in kwargs:
            kwargs[key] = _each_whole(kwargs[key], folders)
    config["dataset_kwargs"] = kwargs


def _each_whole(value: object, folders: list[Path]) -> object:
    match value:
        case str():
            return _whole(value, folders)
        case list():
            return [_each_whole(each, folders) for each in value]
        case dict():
            return {key: _each_whole(each, folders) for key, each in value.items()}
        case _:
            return value


def _whole(path: str, folders: list[Path], *, only_folders: bool = False) -> str:
    if "://" in path:
        return path
    for folder in folders:
        place = folder / Path(path).expanduser()
        if place.is_dir() or (not only_folders and (place.exists() or glob.glob(str(place), recursive=True))):  # noqa: PTH207  the pattern may be a whole path
            return str(place)
    return path


def scoring_digest(recipe: Recipe) -> str:
    """Return the SHA-256 of what a task's numbers follow from besides its data: lm-eval's version, its configuration.

    A function counts with the whole file that it is in.
    """
    from importlib.metadata import version  # noqa: PLC0415  of use here alone

    config = {key: value for key, value in recipe.config().items() if key not in _DATA}
    said = json.dumps(_said(config), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"lm-eval {version('lm-eval')}\n{said}".encode()).hexdigest()


def _said(value: object) -> object:
    match value:
        case str() | int() | float() | None:
            return value
        case dict():
            return {str(key): _said(each) for key, each in value.items()}
        case list() | tuple():
            return [_said(each) for each in value]
        case _ if callable(value):
            name = getattr(value, "__qualname__", type(value).__qualname__)
            return {"code": name, "file": _code_digest(value)}
        case _:
            return repr(value)


def _code_digest(value: Any) -> str:  # noqa: ANN401  as above
    try:
        return hashlib.sha256(Path(inspect.getfile(inspect.unwrap(value))).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return "built in"


def data_provenance(task: Any) -> dict[str, str | None]:  # noqa: ANN401  as above
    """Return the data that lm-eval read to their version: the hub's commit, or a file's SHA-256, if that is known."""
    found: dict[str, str | None] = {}
    dataset = str(task.config.dataset_path or "")
    files = (task.config.dataset_kwargs or {}).get("data_files")
    for path in _flat(files):
        place = Path(path)
        found[path] = f"sha256 {hashlib.sha256(place.read_bytes()).hexdigest()}" if place.is_file() else None
    if not found and dataset:
        name = f"{dataset} {task.config.dataset_name}" if task.config.dataset_name else dataset
        found[name] = _commit(task.dataset)
    return found


def _flat(files: object) -> list[str]:
    match files:
        case str():
            return [files]
        case list():
            return [path for each in files for path in _flat(each)]
        case dict():
            return [path for each in files.values() for path in _flat(each)]
        case _:
            return []


def _commit(dataset: Any) -> str | None:  # noqa: ANN401  as above
    """Return the hub's commit, under which `datasets` keeps what it made of a dataset."""
    splits = dataset.values() if isinstance(dataset, dict) else []
    for split in splits:
        for each in getattr(split, "cache_files", None) or ():
            name = Path(each["filename"]).parent.name
            if len(name) == 40 and all(letter in "0123456789abcdef" for letter in name):  # noqa: PLR2004  a commit's digits
                return name
    return None
