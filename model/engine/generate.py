"""Greedy generation: prompts are read as a prefix tree, then every answer grows by a token a step until it has ended.

An answer ends with `</s>` or `<image>` (the model has no pictures to show), with a stop text, or with its last allowed
token. A constrained answer ends with `</s>` alone, behind one of its texts.

Axes: P answers, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from kosmos_eval.request import Generated, StopReason

from .constraint import restrict
from .forward import normalisers
from .slots import continued

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float
    from torch import Tensor

    from .constraint import Node
    from .forward import Forward, Way
    from .layout import Layout, SegmentTokenizer


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """A prompt to continue.

    Attributes:
        number: the caller's own.
        prompt: what is read first.
        max_new_tokens: how many tokens may be written; the position table's end is already taken into account.
        stop: texts that end the answer.
        no_repeat_ngram: no n-gram of this many tokens is written twice; 0 is off.
        beams: of a beam search; 1 is greedy.
        length_penalty: of a beam search.
        constraint: root of the trie that the answer keeps to; `None` is free.
    """

    number: int
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
    """An answer as it grows; `node` is its place in the trie of its constraint."""

    job: GenerateJob
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    text: str = ""
    reason: StopReason | None = None
    node: Node | None = None

    def __post_init__(self) -> None:
        if not self.tokens:
            self.node = self.job.constraint

    @property
    def next_tokens(self) -> Sequence[int]:
        """The last token, which is to be read next; none when the answer has ended."""
        return self.tokens[-1:] if self.reason is None else ()

    @property
    def parents(self) -> Sequence[int]:
        """The one beam there is."""
        return (0,)

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
        margins = tuple(self.margins)
        return Generated(self.text, tuple(self.tokens), tuple(self.logprobs), self.reason or "length", margins)


@torch.inference_mode()
def generate(
    forward: Forward, jobs: Sequence[GenerateJob], tokenizer: SegmentTokenizer, budget: int, way: Way
) -> Iterator[tuple[int, Generated]]:
    """Yield the number of each job with its greedy answer, as they are found.

    Args:
        forward: the model.
        jobs: that are answered together.
        tokenizer: of the model.
        budget: most places of one forward pass.
        way: how prompts are read and batched.
    """

    def advance(hidden: Float[Tensor, "P 1 D"], live: Sequence[Answer]) -> None:
        going = [row for row, answer in enumerate(live) if answer.reason is None]
        answers = [live[row] for row in going]
        for answer, choice in zip(answers, _choose(forward, hidden[forward.tensor(going), 0], answers), strict=True):
            answer.margins.append(choice.margin)
            answer.write(choice.token, choice.logprob, tokenizer)

    for answer in continued(forward, [(job, Answer(job)) for job in jobs], advance, budget, way):
        yield answer.job.number, answer.result()


class _Choice(NamedTuple):
    """A row's most likely token that it may write, its log-probability, and by how much it leads the next one."""

    token: int
    logprob: float
    margin: float


def _choose(forward: Forward, hidden: Float[Tensor, "P D"], answers: Sequence[Answer]) -> Iterator[_Choice]:
    start = 0
    for logits in forward.logits(hidden):
        part = answers[start : start + len(logits)]
        start += len(logits)
        allowed = restrict(logits, [answer.node for answer in part])
        if any(answer.job.no_repeat_ngram for answer in part):
            allowed = allowed.clone()
            for row, answer in enumerate(part):
                allowed[row, repeating(answer.tokens, answer.job.no_repeat_ngram)] = -torch.inf
        best, tokens = allowed.max(-1, keepdim=True)
        highest = best if allowed is logits else logits.amax(-1, keepdim=True)
        values = logits.gather(1, tokens)
        second = allowed.scatter_(1, tokens, -torch.inf).amax(-1, keepdim=True)
        logits.scatter_(1, tokens, values)
        logprobs = values[:, 0] - normalisers(logits, highest[:, 0])
        margins = (best - second)[:, 0]
        yield from map(_Choice, tokens[:, 0].tolist(), logprobs.tolist(), margins.tolist())


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
