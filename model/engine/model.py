"""The loaded model: a stream of requests in, their answers out.

Requests are taken in windows of bounded size. The requests of a window are one prefix tree for each kind of request,
and its images are encoded before it is read. All of this depends on the stream alone, so the same stream gives the
same batches, and with them the same bits. Only when memory runs out, passes become smaller, and stay so.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kosmos_eval.errors import UsageError
from kosmos_eval.language_model import Survey
from kosmos_eval.request import Failed, Generate

from ..arguments import AUTO, Placement, may_read_pickles
from ..checkpoint import load_kosmos, spread_kosmos
from .beam import beam_search
from .forward import Forward, Way
from .generate import generate
from .images import ImageStore
from .intake import Intake, Window
from .layout import ImageTable
from .memory import Memory, is_out_of_memory
from .score import Planted, score
from .slots import planted
from .tree import every_row, rows_shared

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from kosmos_eval.language_model import ModelOptions
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response

    from ..dispatch import Dispatched
    from ..kosmos import Kosmos
    from .layout import SegmentTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_MOST_NUMBERS = 1 << 27
"""Numbers in the embeddings of one window's prompts, 512 MB in float32."""

_EMBEDDED_AT_ONCE = 128

WAYS = {
    "one at a time": Way(share=False, rows=1),
    "batched": Way(share=False, pad=False),
    "padded": Way(share=False, sort=False),
    "packed": Way(),
}
"""The ways in which answers can be found; the first is the reference, the last what is used."""


class KosmosModel:
    """A Kosmos model that answers requests; satisfies `kosmos_eval.language_model.Model`."""

    def __init__(
        self,
        model: Kosmos,
        tokenizer: SegmentTokenizer,
        batch_size: int | None = None,
        dispatched: Dispatched | None = None,
    ) -> None:
        """Take a model as it stands.

        Args:
            model: on its device, in its type.
            tokenizer: of the model.
            batch_size: most sequences in one forward pass; `None` leaves it to what the memory holds.
            dispatched: how the model is spread over devices and disk; `None` if it is on one device.

        Raises:
            UsageError: the batch size is below 1.
        """
        if batch_size is not None and batch_size < 1:
            message = f"expected the batch size to be at least 1, got {batch_size}"
            raise UsageError(message)
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._way = replace(WAYS["packed"], rows=batch_size)
        self._intake = Intake(tokenizer, model.config)
        self._dispatched = dispatched
        # Other weights may be on another device, or on none between two calls; the last norm never moves.
        weight = model.decoder.norm.weight
        self._device, self._dtype = weight.device, weight.dtype
        self._images = ImageStore(model, self._device, self._dtype)
        self._memory = Memory(model, self._device)
        self._budget = self._memory.budget()

    @classmethod
    def load(cls, folder: Path, options: ModelOptions) -> KosmosModel:
        """Return the model of a folder, loaded as the options say.

        Raises:
            DataError: the folder's files are missing or malformed.
            UsageError: no such device or type, or an argument is malformed.
        """
        if options.dtype not in DTYPES:
            message = f"expected dtype to be one of {', '.join(DTYPES)}, got {options.dtype!r}"
            raise UsageError(message)
        placement = Placement.from_arguments(options.arguments)
        whole = placement is not None and placement.device_map != AUTO
        device = device_of(placement.device_map if placement is not None and whole else options.device)
        dtype, pickles = DTYPES[options.dtype], may_read_pickles(options.arguments)
        if placement is None:
            model, tokenizer = load_kosmos(folder, device, dtype, pickles=pickles)
            return cls(model, tokenizer, options.batch_size)
        dispatched, tokenizer = spread_kosmos(folder, placement, device, dtype, pickles=pickles)
        return cls(dispatched.model, tokenizer, options.batch_size, dispatched)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Parameters, device, type and batches; and for a model that is spread, where it is and what a probe found.

        `tokens_a_pass` is the most of one forward pass. `device` is where the computing is done, or for a model on
        several GPUs the one that begins and ends it.
        """
        spread = self._dispatched
        return {
            "parameters": spread.parameters if spread else sum(each.numel() for each in self._model.parameters()),
            "device": str(self._device),
            "dtype": str(self._dtype).removeprefix("torch."),
            "batch_size": self._batch_size,
            "tokens_a_pass": self._budget,
            "image_size": self._model.config.image_size,
            "device_map": spread and spread.modules,
            "probe": spread and spread.finding._asdict(),
        }

    def ways(self) -> Mapping[str, KosmosModel]:
        """Return this model behind each of the ways in which it can find answers; the first is the reference."""
        return {name: self._going(way) for name, way in WAYS.items()}

    def _going(self, way: Way) -> KosmosModel:
        """Return a model of the same weights and images that goes another way."""
        other = copy(self)
        other._way = way if way.rows else replace(way, rows=self._batch_size)  # noqa: SLF001  the same class
        return other

    def embed(self, images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
        """Yield the mean of each image's embeddings, `[D]`, of length one; some images are encoded at a time.

        Raises:
            DataError: an image cannot be read.
            UsageError: the model has no vision tower.
        """
        left = iter(images)
        while chunk := list(islice(left, _EMBEDDED_AT_ONCE)):
            for embeddings in self._images.features(chunk).float().cpu().numpy():
                mean = embeddings.mean(axis=0, dtype=np.float64)
                yield (mean / max(float(np.linalg.norm(mean)), np.finfo(np.float64).tiny)).astype(np.float32)

    def expect(self, images: Iterable[Image]) -> None:
        """Let pictures be decoded that are likely to be asked about after the requests that come now.

        A new guess takes the place of an earlier one. It may be wrong; answers do not depend on it.
        """
        self._images.guess(images)

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        """Answer every request; they are taken in windows of bounded size.

        Raises:
            DataError: an image cannot be read.
            UsageError: a request asks for what this model cannot do.
        """
        most = _MOST_NUMBERS // self._model.config.decoder.width
        taken: list[tuple[int, Request]] = []
        size = 0
        try:
            for number, request in requests:
                taken.append((number, request))
                self._images.expect(request.images)
                size += len(request.images) * self._model.config.image_tokens + _words(request)
                if size >= most:
                    yield from self._answer_window(taken)
                    self._images.forget(image for _, each in taken for image in each.images)
                    taken, size = [], 0
            yield from self._answer_window(taken)
        finally:
            self._images.forget(image for _, each in taken for image in each.images)

    def _answer_window(self, taken: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        """Answer requests together; when memory runs out, with smaller passes, and if need be one by one."""
        left = dict(taken)
        budget = self._budget
        while left:
            window = Window(ImageTable(self._images.digest))
            for number, request in list(left.items()):
                if (failed := self._intake.take(number, request, window)) is not None:
                    del left[number]
                    yield number, failed
            if (yield from self._attempt(window, left)):
                return
            self._relieve()
            if self._budget > window.longest:
                self._budget //= 2
                continue
            self._budget = budget  # it was one request, not their number, that was too big
            if len(left) == 1:
                yield next(iter(left)), self._too_big(window.longest)
                return
            for each in left.items():
                yield from self._answer_window([each])
            return

    def _attempt(
        self, window: Window, left: dict[int, Request]
    ) -> Generator[tuple[int, Response | Failed], None, bool]:
        """Answer what is in a window, take what is answered out of what is left, and return whether memory sufficed."""
        try:
            for number, response in self._answers(window):
                del left[number]
                yield number, response
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def _answers(self, window: Window) -> Iterator[tuple[int, Response]]:
        """Answer what is in a window; memory may run out."""
        forward = Forward(self._model, self._images.features(window.table.images), self._memory)
        if window.score:
            yield from score(forward, window.score, self._budget, self._way)
        for beams, jobs in sorted(window.generate.items()):
            answers_of = generate if beams == 1 else beam_search
            yield from answers_of(forward, jobs, self._tokenizer, self._budget, self._way)

    def _relieve(self) -> None:
        """Give back what a pass that ran out of memory has left behind."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _too_big(self, longest: int) -> Failed:
        needed = longest * self._memory.bytes_a_place
        return Failed(
            f"expected the request to fit into the memory of {self._device}, got one of {longest} tokens that take "
            f"about {max(1, needed >> 20)} MiB; ask for fewer shots, or on a larger machine"
        )

    def survey(self, requests: Iterable[Request]) -> Survey:
        """Count what answering the requests as one stream takes; those that cannot be answered count for nothing."""
        length = self._model.config.image_tokens
        window = Window(ImageTable(self._images.digest))
        for request in requests:
            self._intake.take(0, request, window)
        whole = sum(len(job.prompt) + len(branch.layout) - 1 for job in window.score for branch in job.branches) + sum(
            len(job.prompt) for job in window.generated
        )
        rows = list(every_row(Planted(window.score, length, self._budget).rows))
        for jobs in window.generate.values():
            rows += every_row(rows_shared(planted(jobs, length)[0], self._budget))
        at_once = min(self._budget, sum(row.reach for row in rows)) * self._memory.bytes_a_place
        numbers = len(window.table.images) * length * self._model.config.decoder.width
        return Survey(
            images=len(window.table.images),
            whole_tokens=whole,
            shared_tokens=sum(row.length for row in rows),
            new_tokens=sum(job.max_new_tokens for job in window.generated),
            memory=at_once + numbers * self._dtype.itemsize,
        )


def _words(request: Request) -> int:
    """Return the words of a request, which are about as many as its tokens, and the tokens that it may write."""
    parts = [part for part in request.prompt.parts if isinstance(part, str)]
    if isinstance(request, Generate):
        return sum(len(part.split()) for part in parts) + request.max_new_tokens
    parts += [part for each in request.continuations for part in (*each.lead.parts, each.text) if isinstance(part, str)]
    return sum(len(part.split()) for part in parts)


def device_of(name: str) -> str:
    """Return the device that a name stands for; `auto` is a GPU when there is one.

    Raises:
        UsageError: there is no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    there = {"cpu": not index, "mps": not index and torch.backends.mps.is_available(), "cuda": False}
    if kind == "cuda" and (index or "0").isdecimal():
        there["cuda"] = int(index or 0) < torch.cuda.device_count()
    if not there.get(kind, False):
        message = f"expected device to be auto, cpu, or a cuda, cuda:N or mps that is here, got {name!r}"
        raise UsageError(message)
    return name
