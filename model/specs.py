"""The built-in models, as the `kosmos_eval.models` entry points name them; light to import."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.language_model import ModelOptions, ModelSpec
from kosmos_eval.plan import HUB_ID

from .arguments import DEVICE_MAP, MAX_MEMORY, OFFLOAD_FOLDER, PICKLE, Placement, may_read_pickles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .engine import KosmosModel

_PLACING = (DEVICE_MAP, MAX_MEMORY, OFFLOAD_FOLDER)

TINY_FOLDER = Path(__file__).parent / "checkpoints" / "kosmos-tiny"


def _load_tiny(options: ModelOptions) -> KosmosModel:
    return _load(_tiny_folder(options), options)


def _fingerprint_tiny(options: ModelOptions) -> str:
    return _fingerprint(_tiny_folder(options), options)


def _tiny_folder(options: ModelOptions) -> Path:
    _check_arguments("kosmos-tiny", options.arguments, _PLACING)
    return TINY_FOLDER


def _load_given(options: ModelOptions) -> KosmosModel:
    return _load(_given_folder(options), options)


def _fingerprint_given(options: ModelOptions) -> str:
    return _fingerprint(_given_folder(options), options)


def _given_folder(options: ModelOptions) -> Path:
    """Return the folder of the checkpoint that `--model_args pretrained=FOLDER` or `=OWNER/NAME` names."""
    _check_arguments("kosmos", options.arguments, ("pretrained", "revision", PICKLE, *_PLACING))
    given, revision = options.arguments.get("pretrained"), options.arguments.get("revision")
    if not given:
        message = "model kosmos: expected --model_args pretrained=FOLDER to say which checkpoint to load, got none"
        raise UsageError(message)
    folder = Path(given).expanduser()
    if folder.is_dir():
        if revision:
            message = f"model kosmos: expected revision={revision} to go with a checkpoint of the Hub, got a folder"
            raise UsageError(message)
        return folder
    if not HUB_ID.fullmatch(given):
        message = f"model kosmos: expected pretrained={folder} to be a model folder, and there is no such folder"
        raise UsageError(message)
    from .hub_checkpoint import hub_folder  # noqa: PLC0415  only the Hub's checkpoints need its client

    return hub_folder(given, revision, pickles=may_read_pickles(options.arguments))


def _check_arguments(model: str, arguments: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise if an argument is unknown or malformed, before anything is looked for or loaded."""
    for name in arguments:
        if name not in known:
            kind = f"argument of model {model}"
            raise UnknownNameError(kind, name, known)
    Placement.from_arguments(arguments)
    may_read_pickles(arguments)


def _load(folder: Path, options: ModelOptions) -> KosmosModel:
    from .engine import KosmosModel  # noqa: PLC0415  torch takes seconds to import, and listing models needs none

    return KosmosModel.load(folder, options)


def _fingerprint(folder: Path, options: ModelOptions) -> str:
    from .checkpoint import check_folder, fingerprint  # noqa: PLC0415  as above

    check_folder(folder, pickles=may_read_pickles(options.arguments))
    return fingerprint(folder)


KOSMOS_TINY = ModelSpec(
    name="kosmos-tiny",
    description="The embedded model: a small Kosmos trained on microworld pictures; a test of the harness.",
    load=_load_tiny,
    fingerprint=_fingerprint_tiny,
    embedded=True,
    facts=MappingProxyType({"parameters": 3_918_936, "image_size": 96, "training_data": "microworld"}),
)

KOSMOS = ModelSpec(
    name="kosmos",
    description=(
        "A Kosmos or KOSMOS-2 checkpoint: --model_args pretrained=FOLDER, or the Hub's OWNER/NAME; also revision, "
        "device_map, max_memory, offload_folder, pickle."
    ),
    load=_load_given,
    fingerprint=_fingerprint_given,
)
