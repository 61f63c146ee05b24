"""From requests to jobs: prompts and continuations laid out under the model's tokenizer, or why that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError
from kosmos_eval.request import Failed, Generate

from .constraint import TrieMaker
from .generate import GenerateJob
from .layout import ImageTable, LayoutMaker
from .score import Branch, ScoreJob
from .whole_text import WholeTexts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.request import Continuation, Request, Score

    from ..config import KosmosConfig
    from .layout import SegmentTokenizer


@dataclass(slots=True)
class Window:
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
    def generated(self) -> Iterator[GenerateJob]:
        """The ones that are not scored."""
        return (job for jobs in self.generate.values() for job in jobs)

    @property
    def longest(self) -> int:
        """Embeddings of the longest sequence."""
        return max(job.longest for jobs in (self.score, self.generated) for job in jobs)


class Intake:
    """Lays requests out."""

    def __init__(self, tokenizer: SegmentTokenizer, config: KosmosConfig) -> None:
        """Keep what layouts depend on."""
        self._maker = LayoutMaker(tokenizer, config.image_tokens)
        self._whole = WholeTexts(self._maker, tokenizer.bos, config.decoder)
        self._tries = TrieMaker(self._maker, tokenizer.eos)
        self._reach = config.decoder.max_positions if config.decoder.positions == "sinusoidal" else None
        """The longest sequence that positions allow, `None` if they go on."""

    def take(self, number: int, request: Request, window: Window) -> Failed | None:
        """Put a request into the window; if it is too long to be answered, say so instead.

        Raises:
            DataError: an image cannot be read, or a continuation has no tokens.
            UsageError: its constraint cannot be kept to.
        """
        if isinstance(request, Generate):
            return self._take_generate(number, request, window)
        job = self._score_job(number, request, window.table)
        if isinstance(job, Failed):
            return job
        if self._excess(job.longest):
            return self._too_long(job.longest)
        window.score.append(job)
        return None

    def _take_generate(self, number: int, request: Generate, window: Window) -> Failed | None:
        if request.whole is None:
            prompt = self._maker.sequence(request.prompt, window.table)
        elif isinstance(cut := self._whole.prompt(request, request.whole, window.table), Failed):
            return cut
        else:
            prompt = cut
        if self._excess(len(prompt)):
            return self._too_long(len(prompt))
        room = self._reach - len(prompt) + 1 if self._reach is not None else request.max_new_tokens
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

    def _score_job(self, number: int, request: Score, table: ImageTable) -> ScoreJob | Failed:
        if request.whole is not None:
            return self._whole.score_job(number, request, request.whole, table)
        prompt = self._maker.sequence(request.prompt, table)
        return ScoreJob(number, prompt, tuple(self._branch(each, table) for each in request.continuations))

    def _branch(self, continuation: Continuation, table: ImageTable) -> Branch:
        text = self._maker.text(continuation.text)
        if not len(text):
            message = (
                f"expected continuation {continuation.text!r} to have tokens, got none; the tokenizer drops it all"
            )
            raise DataError(message)
        return Branch(self._maker.piece(continuation.lead, table) + text, len(text), len(continuation.text))

    def _excess(self, length: int) -> int:
        return max(0, length - self._reach) if self._reach is not None else 0

    def _too_long(self, length: int) -> Failed:
        reason = (
            f"expected a prompt of at most {self._reach} tokens, the model's positions, got {length}; "
            f"ask for fewer shots or shorter texts"
        )
        return Failed(reason, self._excess(length))
