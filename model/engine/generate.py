"""Greedy generation: prompts are read as a batch, then every row writes a token a step until it has ended.

Rows that have ended leave the batch. A row ends with `</s>` or `<image>` (the model has no pictures to show), with a
stop text, or with its last allowed token. A constrained row ends with `</s>` alone, behind one of its texts.

Axes: R rows, S cached tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from kosmos_eval.request import Generated, StopReason

from .constraint import restrict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .constraint import Node
    from .forward import Forward, Prefix
    from .layout import Layout, SegmentTokenizer

_FIRST_ROOM = 32
"""Tokens that the cache has room for at first, besides the prompt."""


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """A prompt to continue.

    Attributes:
        prompt: what is read first.
        max_new_tokens: how many tokens may be written; the position table's end is already taken into account.
        stop: texts that end the answer.
        no_repeat_ngram: no n-gram of this many tokens is written twice; 0 is off.
        beams: of a beam search; 1 is greedy.
        length_penalty: of a beam search.
        constraint: root of the trie that the answer keeps to; `None` is free.
    """

    prompt: Layout
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    no_repeat_ngram: int = 0
    beams: int = 1
    length_penalty: float = 1.0
    constraint: Node | None = None

    @property
    def longest(self) -> int:
        """Tokens of the prompt and the longest answer."""
        return len(self.prompt) + self.max_new_tokens


@dataclass(slots=True)
class Answer:
    """A row's answer as it grows; `node` is its place in the trie of its constraint."""

    job: GenerateJob
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    reason: StopReason | None = None
    node: Node | None = None

    def __post_init__(self) -> None:
        if not self.tokens:
            self.node = self.job.constraint

    def write(self, token: int, logprob: float, tokenizer: SegmentTokenizer) -> None:
        """Add a token, and see whether the answer has ended."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.node is not None:
            self.node = self.node.child(token)
            if self.node.text is not None:
                self.text, self.reason = self.node.text, "eos"
            return
        if token in (tokenizer.eos, tokenizer.image_begin):
            self.reason = "eos"
        elif self.job.stop and (cut := _first_stop(tokenizer.decode(self.tokens), self.job.stop)) is not None:
            self.text, self.reason = cut, "stop"
            return
        elif len(self.tokens) == self.job.max_new_tokens:
            self.reason = "length"
        if self.reason is not None:
            self.text = tokenizer.decode(self.tokens)

    def result(self) -> Generated:
        """Return the answer, which has ended."""
        return Generated(self.text, tuple(self.tokens), tuple(self.logprobs), self.reason or "length")


@torch.inference_mode()
def generate(forward: Forward, jobs: Sequence[GenerateJob], tokenizer: SegmentTokenizer) -> list[Generated]:
    """Return the greedy answers to the jobs, whose prompts are read as one batch."""
    answers = [Answer(job) for job in jobs]
    prefix = forward.read([job.prompt for job in jobs], min(_FIRST_ROOM, max(job.max_new_tokens for job in jobs)))
    rows = list(range(len(jobs)))
    hidden, visible = prefix.last, prefix.visible(forward.tensor(rows))
    batch = Batch(forward, prefix, visible)
    while True:
        for row, token, logprob in zip(rows, *_choose(forward, hidden, [answers[row] for row in rows]), strict=True):
            if answers[row].reason is None:
                answers[row].write(token, logprob, tokenizer)
        live = [at for at, row in enumerate(rows) if answers[row].reason is None]
        if not live:
            return [answer.result() for answer in answers]
        if 4 * len(live) <= 3 * len(rows):
            rows = [rows[at] for at in live]
            batch.keep(live)
        hidden = batch.step([answers[row].tokens[-1] for row in rows])


class Batch:
    """The rows that are being continued."""

    def __init__(self, forward: Forward, prefix: Prefix, visible: Tensor) -> None:
        self._forward = forward
        self._cache = prefix.cache
        self._positions = prefix.lengths[:, None]
        self._visible = visible

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with the given rows, repeated as they come, and leave all others out."""
        chosen = self._forward.tensor(rows)
        self._cache = self._cache.select(chosen, _FIRST_ROOM)
        self._positions = self._positions[chosen]
        self._visible = self._visible[chosen]

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one more token a row and return the hidden states, [R, D]."""
        self._visible = torch.cat([self._visible, self._visible.new_ones(len(tokens), 1)], 1)
        embeddings = self._forward.model.embed(self._forward.tensor(tokens)[:, None])
        hidden: Tensor = self._forward.model.decoder(embeddings, self._positions, self._visible[:, None], self._cache)
        self._positions = self._positions + 1
        return hidden[:, 0]


def _choose(forward: Forward, hidden: Tensor, answers: Sequence[Answer]) -> tuple[list[int], list[float]]:
    """Return each row's most likely token that it may write, and the token's log-probability."""
    tokens: list[int] = []
    logprobs: list[float] = []
    for logits in forward.logits(hidden):
        part = answers[len(tokens) : len(tokens) + len(logits)]
        allowed = restrict(logits, [answer.node for answer in part])
        if any(answer.job.no_repeat_ngram for answer in part):
            allowed = allowed.clone()
            for row, answer in enumerate(part):
                allowed[row, repeating(answer.tokens, answer.job.no_repeat_ngram)] = -torch.inf
        chosen = allowed.argmax(-1)
        logprobs += logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        tokens += chosen.tolist()
    return tokens, logprobs


def repeating(tokens: Sequence[int], n: int) -> list[int]:
    """Return the tokens that would complete an n-gram which the tokens already hold; none for n = 0."""
    if n == 0 or len(tokens) < n:
        return []
    tail = tuple(tokens[len(tokens) - n + 1 :])
    return [tokens[at + n - 1] for at in range(len(tokens) - n + 1) if tuple(tokens[at : at + n - 1]) == tail]


def _first_stop(text: str, stops: Sequence[str]) -> str | None:
    """Return the text before the first of the stop texts, `None` if there is none."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(found)] if found else None
