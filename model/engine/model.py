"""The loaded model: a stream of requests in, their answers out, in batches.

Requests are taken in windows of bounded size. Within a window, distinct images are encoded once, requests of a kind
are sorted by length, ties by arrival, and batches are cut in that order. All of this depends on the stream alone, so
the same stream gives the same batches, and with them the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from kosmos_eval.errors import DataError, PromptTooLongError, UsageError
from kosmos_eval.request import Generate

from ..arguments import AUTO, Placement, may_read_pickles
from ..checkpoint import load_kosmos, spread_kosmos
from ..preprocess import pixels_of
from .beam import beam_search
from .constraint import TrieMaker
from .forward import Forward
from .generate import GenerateJob, generate
from .layout import ImageTable, LayoutMaker
from .score import Branch, ScoreJob, score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from kosmos_eval.language_model import ModelOptions
    from kosmos_eval.request import Continuation, Request, Response

    from ..dispatch import Dispatched
    from ..kosmos import Kosmos
    from .layout import SegmentTokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_BUDGET = {"cpu": 1 << 13, "cuda": 1 << 16}
"""Padded tokens of one forward pass when the batch size is left to the model."""

_MOST_ROWS = 256
_IMAGES_AT_ONCE = 32
_WINDOW_NUMBERS = 1 << 27
"""Numbers in the embeddings of one window's prompts, 512 MB in float32."""

Job = TypeVar("Job", GenerateJob, ScoreJob)


@dataclass(slots=True)
class _Window:
    """Requests that are answered together.

    Attributes:
        generate: jobs by the caller's numbers, in order of arrival, apart for each number of beams.
        score: jobs by the caller's numbers, in order of arrival.
        table: their images.
        tokens: of all their prompts and branches.
    """

    generate: dict[int, list[tuple[int, GenerateJob]]] = field(default_factory=dict)
    score: list[tuple[int, ScoreJob]] = field(default_factory=list)
    table: ImageTable = field(default_factory=ImageTable)
    tokens: int = 0


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
            batch_size: sequences in one forward pass; `None` cuts batches by a budget of tokens.
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
        self._maker = LayoutMaker(tokenizer, model.config.image_tokens)
        self._tries = TrieMaker(self._maker, tokenizer.eos)
        self._dispatched = dispatched
        # Other weights may be on another device, or on none between two calls; the last norm never moves.
        weight = model.decoder.norm.weight
        self._device, self._dtype = weight.device, weight.dtype
        self._budget = _BUDGET.get(self._device.type, _BUDGET["cpu"])

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
        """Parameters, device, type and batch size; and for a model that is spread, where it is and what a probe found.

        `device` is where the computing is done, or for a model on several GPUs the one that begins and ends it.
        """
        spread = self._dispatched
        return {
            "parameters": spread.parameters if spread else sum(each.numel() for each in self._model.parameters()),
            "device": str(self._device),
            "dtype": str(self._dtype).removeprefix("torch."),
            "batch_size": self._batch_size,
            "image_size": self._model.config.image_size,
            "device_map": spread and spread.modules,
            "probe": spread and spread.finding._asdict(),
        }

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        """Answer every request; a window's answers come batch by batch.

        Raises:
            DataError: an image cannot be read.
            PromptTooLongError: a prompt is longer than the model's positions reach.
            UsageError: a request asks for what this model cannot do.
        """
        window = _Window()
        known: dict[str, Tensor] = {}
        most = _WINDOW_NUMBERS // self._model.config.decoder.width
        for number, request in requests:
            self._take(number, request, window)
            if window.tokens >= most:
                known = self._encode(window.table, known)
                yield from self._answer_window(window, known)
                window = _Window()
        known = self._encode(window.table, known)
        yield from self._answer_window(window, known)

    def _take(self, number: int, request: Request, window: _Window) -> None:
        """Lay a request out and put it into the window."""
        prompt = self._maker.sequence(request.prompt, window.table)
        self._check_length(len(prompt))
        if isinstance(request, Generate):
            room = self._reach - len(prompt) + 1 if self._reach else request.max_new_tokens
            most, beams = min(request.max_new_tokens, room), request.num_beams
            trie = self._tries.trie(request, most)
            job = GenerateJob(
                prompt,
                trie.longest if trie else most,
                request.stop,
                request.no_repeat_ngram,
                beams=beams,
                length_penalty=request.length_penalty,
                constraint=trie.root if trie else None,
            )
            window.generate.setdefault(beams, []).append((number, job))
            window.tokens += job.longest
        else:
            branches = tuple(self._branch(each, window.table) for each in request.continuations)
            score_job = ScoreJob(prompt, branches)
            self._check_length(score_job.longest - 1)
            window.score.append((number, score_job))
            window.tokens += len(prompt) + sum(len(branch.layout) for branch in branches)

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

    def _check_length(self, length: int) -> None:
        if self._reach is not None and length > self._reach:
            raise PromptTooLongError(length, self._reach)

    def _encode(self, table: ImageTable, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the embeddings of a window's images by digest, [L, D] each, those of the last window reused."""
        new = [image for image in table.images if image.digest not in known]
        found = {image.digest: known[image.digest] for image in table.images if image.digest in known}
        size = self._model.eyes()[0].config.image_size if new else 0
        step = min(self._batch_size or _IMAGES_AT_ONCE, _IMAGES_AT_ONCE)
        for start in range(0, len(new), step):
            part = new[start : start + step]
            pixels = torch.stack([pixels_of(image.load(), size) for image in part])
            with torch.inference_mode():
                embeddings = self._model.image_embeddings(pixels.to(self._device, self._dtype)).to(self._device)
            found |= {image.digest: rows for image, rows in zip(part, embeddings, strict=True)}
        return found

    def _answer_window(self, window: _Window, known: Mapping[str, Tensor]) -> Iterator[tuple[int, Response]]:
        config = self._model.config
        with torch.inference_mode():
            images = [known[image.digest] for image in window.table.images]
            nothing = torch.empty(0, config.image_tokens, config.decoder.width, device=self._device)
            forward = Forward(self._model, self._tokenizer.pad, torch.stack(images) if images else nothing)
        for score_batch in self._batches(window.score):
            numbers, score_jobs = zip(*score_batch, strict=True)
            yield from zip(numbers, score(forward, score_jobs, self._budget), strict=True)
        for beams, jobs in sorted(window.generate.items()):
            answers_of = generate if beams == 1 else beam_search
            for generate_batch in self._batches(jobs, beams):
                numbers, generate_jobs = zip(*generate_batch, strict=True)
                yield from zip(numbers, answers_of(forward, generate_jobs, self._tokenizer), strict=True)

    def _batches(self, jobs: Sequence[tuple[int, Job]], beams: int = 1) -> Iterator[Sequence[tuple[int, Job]]]:
        """Cut jobs into batches of like length, the longest first, so that memory runs out at once or not at all.

        Each beam is a sequence of the batch; a job's beams stay together, even where they are more than the batch size.
        """
        ordered = sorted(jobs, key=lambda each: (-len(each[1].prompt), -each[1].longest))
        start = 0
        while start < len(ordered):
            rows = self._batch_size or min(_MOST_ROWS, self._budget // ordered[start][1].longest)
            stop = start + max(1, rows // beams)
            yield ordered[start:stop]
            start = stop


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
