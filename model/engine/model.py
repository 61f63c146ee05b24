"""The loaded model: a stream of requests in, their answers out.

Requests are taken in windows of bounded size. The requests of a window are one prefix tree for each kind of request,
and its images are encoded before it is read. All of this depends on the stream alone, so the same stream gives the
same batches, and with them the same bits. Only when memory runs out, passes become smaller, and stay so.
"""

from __future__ import annotations

import gc
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.language_model import Survey
from kosmos_eval.request import Failed, Generate

from ..arguments import AUTO, Placement, may_read_pickles
from ..checkpoint import load_kosmos, spread_kosmos
from .beam import beam_search
from .constraint import TrieMaker
from .forward import Forward, Way
from .generate import GenerateJob, generate
from .images import ImageStore
from .layout import ImageTable, LayoutMaker
from .memory import Memory, is_out_of_memory
from .score import Branch, Planted, ScoreJob, score
from .slots import planted
from .tree import every_row, rows_shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.language_model import ModelOptions
    from kosmos_eval.request import Continuation, Request, Response

    from ..dispatch import Dispatched
    from ..kosmos import Kosmos
    from .layout import SegmentTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_MOST_NUMBERS = 1 << 27
"""Numbers in the embeddings of one window's prompts, 512 MB in float32."""

WAYS = {
    "one at a time": Way(share=False, rows=1),
    "batched": Way(share=False, pad=False),
    "padded": Way(share=False, sort=False),
    "packed": Way(),
}
"""The ways in which answers can be found; the first is the reference, the last what is used."""


@dataclass(slots=True)
class _Window:
    """Requests that are answered together, as they are to be answered.

    Attributes:
        table: their images.
        score: the ones to be scored.
        generate: the others, by their number of beams.
    """

    table: ImageTable
    score: list[ScoreJob] = field(default_factory=list)
    generate: dict[int, list[GenerateJob]] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """Embeddings of the longest sequence."""
        return max(job.longest for jobs in (self.score, *self.generate.values()) for job in jobs)


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
        self._maker = LayoutMaker(tokenizer, model.config.image_tokens)
        self._tries = TrieMaker(self._maker, tokenizer.eos)
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

        `tokens_a_pass` is the most of one forward pass. `device` is where the computing is done, or for a model on several GPUs the one that begins and ends it.
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

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        """Answer every request; they are taken in windows of bounded size.

        Raises:
            DataError: an image cannot be read.
            UsageError: a request asks for what this model cannot do.
        """
        most = _MOST_NUMBERS // self._model.config.decoder.width
        taken: list[tuple[int, Request]] = []
        size = 0
        for number, request in requests:
            taken.append((number, request))
            self._images.expect(request.images)
            size += len(request.images) * self._model.config.image_tokens + _words(request)
            if size >= most:
                yield from self._answer_window(taken)
                taken, size = [], 0
        yield from self._answer_window(taken)

    def _answer_window(self, taken: Sequence[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        """Answer requests together; when memory runs out, with smaller passes, and if need be one by one."""
        left = dict(taken)
        budget = self._budget
        while left:
            window = _Window(ImageTable(self._images.digest))
            for number, request in list(left.items()):
                if (failed := self._lay_out(number, request, window)) is not None:
                    del left[number]
                    yield number, failed
            try:
                for number, response in self._answers(window):
                    del left[number]
                    yield number, response
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            if not left:
                return
            self._relieve()
            if self._budget > window.longest:
                self._budget //= 2
                continue
            self._budget = budget
            if len(left) == 1:
                yield next(iter(left)), self._too_big(window.longest)
                return
            for each in list(left.items()):
                yield from self._answer_window([each])
            return

    def _lay_out(self, number: int, request: Request, window: _Window) -> Failed | None:
        """Put a request into the window, or say why it cannot be answered."""
        prompt = self._maker.sequence(request.prompt, window.table)
        if isinstance(request, Generate):
            excess = self._excess(len(prompt))
            if excess:
                return _too_long(len(prompt), excess)
            room = self._reach - len(prompt) + 1 if self._reach else request.max_new_tokens
            most = min(request.max_new_tokens, room)
            trie = self._tries.trie(request, most)
            job = GenerateJob(
                number,
                prompt,
                trie.longest if trie else most,
                request.stop,
                request.no_repeat_ngram,
                beams=request.num_beams,
                length_penalty=request.length_penalty,
                constraint=trie.root if trie else None,
            )
            window.generate.setdefault(request.num_beams, []).append(job)
            return None
        branches = tuple(self._branch(each, window.table) for each in request.continuations)
        score_job = ScoreJob(number, prompt, branches)
        excess = self._excess(score_job.longest)
        if excess:
            return _too_long(score_job.longest, excess)
        window.score.append(score_job)
        return None

    def _branch(self, continuation: Continuation, table: ImageTable) -> Branch:
        text = self._maker.text(continuation.text)
        if not len(text):
            message = (
                f"expected continuation {continuation.text!r} to have tokens, got none; the tokenizer drops it all"
            )
            raise DataError(message)
        return Branch(self._maker.piece(continuation.lead, table) + text, len(text), len(continuation.text))

    @property
    def _reach(self) -> int | None:
        """The longest sequence that positions allow, `None` if they go on."""
        config = self._model.config.decoder
        return config.max_positions if config.positions == "sinusoidal" else None

    def _excess(self, length: int) -> int:
        return max(0, length - self._reach) if self._reach is not None else 0

    def _answers(self, window: _Window) -> Iterator[tuple[int, Response]]:
        """Answer what is in a window; memory may run out."""
        forward = Forward(self._model, self._images.features(window.table.images), self._memory)
        if window.score:
            yield from score(forward, window.score, self._budget, self._way)
        for beams, jobs in sorted(window.generate.items()):
            answers_of = generate if beams == 1 else beam_search
            yield from answers_of(forward, jobs, self._tokenizer, self._budget, self._way)

    def _relieve(self) -> None:
        """Give back what a pass that ran out of memory has left behind."""
        gc.collect()
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
        window = _Window(ImageTable(self._images.digest))
        for request in requests:
            self._lay_out(0, request, window)
        whole = sum(
            len(job.prompt) * len(job.branches) + sum(len(branch.layout) - 1 for branch in job.branches)
            for job in window.score
        )
        whole += sum(len(job.prompt) for jobs in window.generate.values() for job in jobs)
        shared = Planted(window.score, self._model.config.image_tokens, share=True).rows
        for jobs in window.generate.values():
            shared += rows_shared(planted(jobs, self._model.config.image_tokens)[0])
        read = sum(row.length for row in every_row(shared))
        places = min(self._budget, sum(row.reach for row in every_row(shared)))
        numbers = len(window.table.images) * self._model.config.image_tokens * self._model.config.decoder.width
        return Survey(
            images=len(window.table.images),
            whole_tokens=whole,
            shared_tokens=read,
            new_tokens=sum(job.max_new_tokens for jobs in window.generate.values() for job in jobs),
            memory=places * self._memory.bytes_a_place + numbers * self._dtype.itemsize,
        )


def _words(request: Request) -> int:
    """Return the words of a request, which are about as many as its tokens, and the tokens that it may write."""
    parts = [part for part in request.prompt.parts if isinstance(part, str)]
    if isinstance(request, Generate):
        return sum(len(part.split()) for part in parts) + request.max_new_tokens
    parts += [part for each in request.continuations for part in (*each.lead.parts, each.text) if isinstance(part, str)]
    return sum(len(part.split()) for part in parts)


def _too_long(length: int, excess: int) -> Failed:
    reason = (
        f"expected a prompt of at most {length - excess} tokens, the model's positions, got {length}; "
        f"ask for fewer shots or shorter texts"
    )
    return Failed(reason, excess)


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
