"""Weights brought to their places: into an empty model, onto one device or over several, or to disk.

The model is made empty and filled one weight at a time, so it never needs its size twice. Where Accelerate's hooks
move weights about, they do so around each module's own call; the engine calls modules and never reads the weights of
one from outside, and nothing but weights needs moving, since positions are computed and there are no buffers.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate import dispatch_model, init_empty_weights
from accelerate.utils import offload_weight, save_offload_index, set_module_tensor_to_device
from torch.overrides import TorchFunctionMode

from kosmos_eval.errors import DataError

from .device_map import DISK, DeviceMap, device_map, loose_weights
from .kosmos import Kosmos
from .layouts import HEAD
from .probe import Finding, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .arguments import Placement
    from .config import KosmosConfig
    from .weights import Checkpoint, ModelWeights

EMBEDDING = "decoder.embedding.weight"


class Dispatched(NamedTuple):
    """A model whose modules are where a device map says.

    Attributes:
        model: in evaluation mode.
        parameters: of the model, a tied head counted once.
        modules: device, or `disk`, to the number of modules kept there.
        finding: of the probe.
        offloaded: the folder with the weights that are on disk, removed with the model; `None` if none are.
    """

    model: Kosmos
    parameters: int
    modules: dict[str, int]
    finding: Finding
    offloaded: tempfile.TemporaryDirectory[str] | None


def empty_model(config: KosmosConfig, dtype: torch.dtype = torch.float32, *, tied: bool = True) -> Kosmos:
    """Return a model on the meta device, in evaluation mode."""
    with init_empty_weights(), _NoDraws():
        model = Kosmos(config)
    model.to(dtype)
    if tied:
        model.decoder.tie()
    else:
        model.decoder.head.weight = torch.nn.Parameter(torch.empty_like(model.decoder.embedding.weight))
    return model.eval()


class _NoDraws(TorchFunctionMode):
    """Leaves out normal draws: on the meta device they give nothing, and bring torch's compiler in, which takes 2 s."""

    def __torch_function__(
        self,
        function: Callable[..., object],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        given = kwargs or {}
        return given["tensor"] if function is torch.nn.init.normal_ else function(*args, **given)


def materialise(config: KosmosConfig, weights: ModelWeights, device: str, dtype: torch.dtype) -> Kosmos:
    """Return a model with its weights on one device, in evaluation mode.

    Raises:
        DataError: a weight cannot be read.
    """
    model = empty_model(config, dtype, tied=weights.tied)
    _fill(model, weights, DeviceMap(device, {}), dtype)
    return model


def dispatch(where: Path, checkpoint: Checkpoint, placement: Placement, device: str, dtype: torch.dtype) -> Dispatched:
    """Return a model with its modules where the placement has them, after a probe has found that it computes right.

    Args:
        where: the folder that messages name.
        checkpoint: of the model.
        placement: what is asked for.
        device: the one that the run asks for.
        dtype: of the weights.

    Raises:
        UsageError: the placement cannot be had here.
        DataError: a weight cannot be read, there is no room on disk, or the probe found a difference.
    """
    config, weights = checkpoint
    model = empty_model(config, dtype, tied=weights.tied)
    count = sum(weight.numel() for weight in model.parameters())
    places = device_map(model, placement, device, dtype, tied=weights.tied)
    offloaded = _offload_folder(model, placement, places, dtype)
    try:
        _fill(model, weights, places, dtype, offloaded)
        whole = dict.fromkeys(loose_weights(model), places.main) | dict(places.places)
        with _quiet_accelerate():
            dispatch_model(model, whole, places.main, offload_dir=offloaded.name if offloaded else None)
        finding = probe(where, model.requires_grad_(requires_grad=False), empty_model(config, dtype), weights, places)
    except BaseException:
        if offloaded:
            offloaded.cleanup()
        raise
    return Dispatched(model, count, places.modules, finding, offloaded)


def _fill(
    model: Kosmos,
    weights: ModelWeights,
    places: DeviceMap,
    dtype: torch.dtype,
    offloaded: tempfile.TemporaryDirectory[str] | None = None,
) -> None:
    """Set every weight of a model, each where it belongs; those that go to disk stay on the meta device."""
    index: dict[str, Any] = {}
    for name in [name for name in weights.names if name != HEAD or not weights.tied]:
        place = places.of(name)
        if place == DISK and offloaded is not None:
            index = offload_weight(weights.tensor(name).to(dtype), name, offloaded.name, index)
        else:
            set_module_tensor_to_device(model, name, place, value=weights.tensor(name), dtype=dtype)
    if weights.tied:
        model.decoder.tie()
        if offloaded is not None and EMBEDDING in index:
            # Two names of one file: each of the two modules brings in what it needs for its own call.
            index[HEAD] = index[EMBEDDING]
            (Path(offloaded.name) / f"{HEAD}.dat").symlink_to(f"{EMBEDDING}.dat")
    if offloaded is not None:
        save_offload_index(index, offloaded.name)


def _offload_folder(
    model: Kosmos, placement: Placement, places: DeviceMap, dtype: torch.dtype
) -> tempfile.TemporaryDirectory[str] | None:
    """Return a new folder for weights that go to disk, `None` if none do.

    Every process has its own, so that none reads what another is writing.
    """
    if placement.offload_folder is None or DISK not in places.places.values():
        return None
    needed = dtype.itemsize * sum(
        weight.numel() for name, weight in model.named_parameters() if places.of(name) == DISK
    )
    try:
        placement.offload_folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(placement.offload_folder).free
        if free > needed:
            return tempfile.TemporaryDirectory(
                prefix="kosmos-", dir=placement.offload_folder, ignore_cleanup_errors=True
            )
        message = (
            f"offload_folder {placement.offload_folder}: expected {needed / 1e9:.2f} GB free for the weights that go "
            f"there, got {free / 1e9:.2f}"
        )
    except OSError as error:
        message = f"offload_folder {placement.offload_folder}: expected a folder to write to ({error.strerror})"
        raise DataError(message) from error
    raise DataError(message)


@contextmanager
def _quiet_accelerate() -> Iterator[None]:
    """Keep Accelerate's warnings back: that weights are offloaded, and that the map names weights beside modules."""
    logger = logging.getLogger("accelerate.big_modeling")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The following device_map keys do not match", UserWarning)
            yield
    finally:
        logger.setLevel(before)
