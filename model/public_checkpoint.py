"""KOSMOS-2 checkpoints in their public layouts, loaded into the one model that `Kosmos` is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_module_tensor_to_device

from kosmos_eval.errors import DataError

from .fairseq_file import FairseqFile
from .kosmos import Kosmos
from .layouts import HEAD, TRANSFORMERS, UNILM, PublicLayout, transformers_config, unilm_config
from .weights import CONFIG, SafetensorFiles, check_weights

if TYPE_CHECKING:
    from pathlib import Path

    from .config import KosmosConfig


class _Weights(Protocol):
    @property
    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    def tensor(self, name: str) -> torch.Tensor: ...


def public_layout(folder: Path) -> PublicLayout | None:
    """Return the public layout that a folder has, `None` if it is a model folder of this project's own.

    Raises:
        DataError: there are several fairseq checkpoints to choose from.
    """
    try:
        values = json.loads((folder / CONFIG).read_bytes())
    except FileNotFoundError:
        return UNILM if fairseq_file(folder) else None
    except (OSError, ValueError):
        return None
    return TRANSFORMERS if isinstance(values, dict) and "model_type" in values else None


def fairseq_file(folder: Path) -> Path | None:
    """Return the fairseq checkpoint of a folder.

    Raises:
        DataError: there are several to choose from.
    """
    files = sorted(folder.glob("*.pt"))
    if len(files) > 1:
        message = f"{folder}: expected one fairseq checkpoint, got {', '.join(file.name for file in files)}"
        raise DataError(message)
    return files[0] if files else None


class PublicCheckpoint(NamedTuple):
    """A checkpoint whose weights have not been read yet.

    Attributes:
        layout: how it calls its weights.
        config: the shape that it says.
        weights: its weights.
        shaped_by: how messages call what says the shape.
    """

    layout: PublicLayout
    config: KosmosConfig
    weights: _Weights
    shaped_by: str


def open_public(folder: Path, layout: PublicLayout) -> PublicCheckpoint:
    """Return the checkpoint of a folder in a public layout.

    Args:
        folder: with `config.json` and safetensors, or with one `.pt`.
        layout: of the folder.

    Raises:
        DataError: a file is missing or malformed.
    """
    if layout is TRANSFORMERS:
        values = json.loads((folder / CONFIG).read_bytes())
        config = transformers_config(values, str(folder / CONFIG))
        return PublicCheckpoint(layout, config, SafetensorFiles(folder), CONFIG)
    path = fairseq_file(folder)
    if path is None:
        message = f"{folder}: expected a fairseq checkpoint, a file such as kosmos-2.pt, got none"
        raise DataError(message)
    weights = FairseqFile(path)
    return PublicCheckpoint(layout, unilm_config(weights.shapes, str(path)), weights, "the rest of the file")


def load_public(folder: Path, checkpoint: PublicCheckpoint, device: str, dtype: torch.dtype) -> Kosmos:
    """Return the model of a public checkpoint, in evaluation mode.

    Every weight of the model is set from one in the file, and every one in the file is used, except those that the
    layout names as deciding nothing. A head that is not the embedding is kept as a weight of its own.

    Args:
        folder: named in messages.
        checkpoint: of the folder.
        device: where the weights go.
        dtype: what they become.

    Raises:
        DataError: weights and configuration do not belong together.
    """
    layout, config, weights, shaped_by = checkpoint
    with init_empty_weights():
        model = Kosmos(config)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items() if name != HEAD}
    wanted = layout.wanted(shapes, config.vision.patch_size)
    held = {key: weights.shapes[key] for key in layout.deciding(weights.shapes)}
    embedding, head = layout.name_of("decoder.embedding.weight"), layout.name_of(HEAD)
    asked = dict(wanted.values())
    if head in held:
        asked[head] = asked[embedding]
    check_weights(folder, asked, held, shaped_by)
    for ours, (theirs, _) in wanted.items():
        value = weights.tensor(theirs).reshape(shapes[ours])
        set_module_tensor_to_device(model, ours, device, value=value, dtype=dtype)
    model.decoder.tie()
    if head in held and not torch.equal(weights.tensor(head), weights.tensor(embedding)):
        model.decoder.head.weight = torch.nn.Parameter(weights.tensor(head).to(device, dtype))
    return model.eval()
