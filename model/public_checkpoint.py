"""KOSMOS-2 checkpoints in their public layouts: their shape, and their weights under the names that `Kosmos` has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import torch

from kosmos_eval.errors import DataError

from .dispatch import empty_model
from .fairseq_file import FairseqFile
from .layouts import HEAD, TRANSFORMERS, UNILM, PublicLayout, has_own_head, transformers_config, unilm_config
from .pickled_files import expect_permission, open_weights
from .weights import CONFIG, ModelWeights, StoredWeights, check_weights

if TYPE_CHECKING:
    from pathlib import Path

    from .config import KosmosConfig


def weight_shapes(config: KosmosConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a model's weights, the head's among them."""
    return {name: tuple(weight.shape) for name, weight in empty_model(config).state_dict().items()}


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


class PublicFiles(NamedTuple):
    """A checkpoint in a public layout, whose weights have not been held against its shape yet.

    Attributes:
        layout: how the files call the weights.
        config: the shape of the model.
        stored: what the files hold.
        shaped_by: how messages call what says the shape.
        own_head: whether there must be a head beside the embedding.
    """

    layout: PublicLayout
    config: KosmosConfig
    stored: StoredWeights
    shaped_by: str
    own_head: bool = False


def open_public(folder: Path, layout: PublicLayout, *, pickles: bool) -> PublicFiles:
    """Return the checkpoint of a folder in a public layout.

    Args:
        folder: with `config.json` and safetensors, or with one `.pt`.
        layout: of the folder.
        pickles: whether pickled files may be read.

    Raises:
        DataError: a file is missing or malformed, or is a pickle that may not be read.
    """
    if layout is TRANSFORMERS:
        values = json.loads((folder / CONFIG).read_bytes())
        config = transformers_config(values, str(folder / CONFIG))
        return PublicFiles(layout, config, open_weights(folder, pickles=pickles), CONFIG, has_own_head(values))
    path = fairseq_file(folder)
    if path is None:
        message = f"{folder}: expected a fairseq checkpoint, a file such as kosmos-2.pt, got none"
        raise DataError(message)
    expect_permission(path, pickles=pickles)
    file = FairseqFile(path)
    return PublicFiles(layout, unilm_config(file.shapes, str(path), file.options), file, "the rest of the file")


def public_weights(folder: Path, files: PublicFiles) -> ModelWeights:
    """Return the weights of a public checkpoint under the model's names.

    Every weight of the model has one in the file, and every one in the file is used, except those that the layout
    names as deciding nothing. A head that is not the embedding is kept as a weight of its own.

    Args:
        folder: named in messages.
        files: of the folder.

    Raises:
        DataError: weights and configuration do not belong together.
    """
    layout, config, stored, shaped_by, own_head = files
    shapes = weight_shapes(config)
    patch_size = 0 if config.vision is None else config.vision.patch_size
    wanted = layout.wanted({name: shape for name, shape in shapes.items() if name != HEAD}, patch_size)
    held = {key: stored.shapes[key] for key in layout.deciding(stored.shapes)}
    embedding, head = layout.name_of("decoder.embedding.weight"), layout.name_of(HEAD)
    asked = dict(wanted.values())
    if own_head or head in held:
        asked[head] = asked[embedding]
    check_weights(folder, asked, held, shaped_by)
    tied = head not in held or torch.equal(stored.tensor(head), stored.tensor(embedding))
    names = {ours: theirs for ours, (theirs, _) in wanted.items()} | {HEAD: embedding if tied else head}
    return ModelWeights(stored, names, shapes, tied)
