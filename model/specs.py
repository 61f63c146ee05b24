"""The built-in models, as the `kosmos_eval.models` entry points name them; light to import."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.language_model import ModelOptions, ModelSpec
from kosmos_eval.model_names import HUB_ID

from .arguments import DEVICE_MAP, MAX_MEMORY, OFFLOAD_FOLDER, PICKLE, Placement, may_read_pickles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .engine import KosmosModel

_PLACING = (DEVICE_MAP, MAX_MEMORY, OFFLOAD_FOLDER)


def embedded_folder(name: str) -> Path:
    """Return the folder of a model that ships with the package."""
    return Path(__file__).parent / "checkpoints" / name


def _embedded(name: str, description: str) -> ModelSpec:
    """Return the spec of a model that ships with the package; its facts are on its card."""
    folder = embedded_folder(name)

    def checked(options: ModelOptions) -> Path:
        _check_arguments(name, options.arguments, _PLACING)
        return folder

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    facts = {
        "parameters": f"{card['parameters']:,}",
        "size": f"{card['megabytes']} MB",
        "image_size": card["image_size"],
        "training data": card["training_data"],
        "seed": card["seed"],
        "fingerprint": card["fingerprint"][:12],
    }
    return ModelSpec(
        name=name,
        description=description,
        load=lambda options: _load(checked(options), options),
        fingerprint=lambda options: _fingerprint(checked(options), options),
        embedded=True,
        facts=MappingProxyType({key: value for key, value in facts.items() if value is not None}),
        reads_pictures=lambda options: _reads_pictures(checked(options), options),
    )


def _load_given(options: ModelOptions) -> KosmosModel:
    return _load(_given_folder(options), options)


def _fingerprint_given(options: ModelOptions) -> str:
    return _fingerprint(_given_folder(options), options)


def _reads_pictures_given(options: ModelOptions) -> bool:
    return _reads_pictures(_given_folder(options), options)


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


def _reads_pictures(folder: Path, options: ModelOptions) -> bool:
    from .checkpoint import check_folder  # noqa: PLC0415  as above

    return check_folder(folder, pickles=may_read_pickles(options.arguments)).vision is not None


KOSMOS_TINY = _embedded(
    "kosmos-tiny", "A small Kosmos that reads microworld pictures, instruction-tuned on text; a test of the harness."
)

KOSMOS_TINY_BASE = _embedded("kosmos-tiny-base", "kosmos-tiny before its instruction tuning.")

KOSMOS_TINY_LM = _embedded(
    "kosmos-tiny-lm", "A language model of kosmos-tiny-base's decoder and plain text, which reads no pictures."
)

EMBEDDED = (KOSMOS_TINY, KOSMOS_TINY_BASE, KOSMOS_TINY_LM)

KOSMOS = ModelSpec(
    name="kosmos",
    description=(
        "A Kosmos or KOSMOS-2 checkpoint: --model_args pretrained=FOLDER, or the Hub's OWNER/NAME; also revision, "
        "device_map, max_memory, offload_folder, pickle."
    ),
    load=_load_given,
    fingerprint=_fingerprint_given,
    reads_pictures=_reads_pictures_given,
)
