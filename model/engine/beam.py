"""Beam search: each prompt is read once, and its beams go on behind it, side by side.

What a step does, for a prompt with B beams:

1. Every live beam may go on with every token that its constraint, if any, allows. A candidate's sum is its beam's sum
   plus the token's log-probability. The 3 B best candidates are looked at, ties by beam, then by token id.
2. A candidate has ended as a greedy answer does: with `</s>` or `<image>`, with a stop text, or with the last allowed
   token; a constrained one with `</s>` alone. Ended ones among the B best are kept, those further down are dropped; at
   most B are kept in all, the best by sum / length ** length_penalty. Length counts the tokens written, an end
   token included and the prompt left out.
3. The B best candidates that have not ended are the next live beams.
4. The search is over when no beam is live, or when B ended ones are kept and the best live beam, its sum divided by
   its present length ** length_penalty, is not better than the worst of them.

The best that was kept is the answer. With one beam this is greedy generation, whatever the length penalty.

These are the semantics of transformers 5.23 (`GenerationMixin._beam_search`) with two end tokens and
`early_stopping=False`, whose rule 4 is a heuristic: under a positive length penalty, a beam that would have overtaken
later is given up. It differs from transformers in this:

- `no_repeat_ngram` looks at the written tokens alone, as in greedy generation; transformers counts the prompt as well.
- Where there are fewer than B candidates to go on with, there are fewer beams. transformers fills up with beams whose
  sum is -1e9 or, where n-grams are forbidden, minus infinity.
- Sums are kept in float64, and ties are decided by rule 1; transformers keeps float32 and leaves ties open.

Axes: P prompts, B beams, R rows (live beams of all prompts, those of a prompt side by side), D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from kosmos_eval.errors import DataError

from .constraint import restrict
from .generate import Answer, repeating
from .slots import continued

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float
    from torch import Tensor

    from kosmos_eval.request import Generated

    from .forward import Forward, Way
    from .generate import GenerateJob
    from .layout import SegmentTokenizer

_CANDIDATES_A_BEAM = 3
"""One, and one for each of the two end tokens: so B candidates are left when all beams end with both of them."""


class _Choice(NamedTuple):
    """A token that a beam may go on with."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True)
class _Beam:
    """A beam.

    Attributes:
        answer: what it has written.
        total: sum of the log-probabilities.
        parent: place, among the live beams of its prompt one step earlier, of the beam that it continues.
    """

    answer: Answer
    total: float = 0.0
    parent: int = 0

    @property
    def score(self) -> float:
        """The sum divided by length to the power of the length penalty."""
        score: float = self.total / len(self.answer.tokens) ** self.answer.job.length_penalty
        return score

    def extended(self, choice: _Choice, parent: int, tokenizer: SegmentTokenizer) -> _Beam:
        """Return a beam that goes on with a token; this one stays as it is."""
        answer = Answer(self.answer.job, [*self.answer.tokens], [*self.answer.logprobs], node=self.answer.node)
        answer.write(choice.token, choice.logprob, tokenizer)
        return _Beam(answer, self.total + choice.logprob, parent)


@dataclass(slots=True)
class _Search:
    """The search behind one prompt; it is over when no beam is live.

    Attributes:
        job: what is asked for.
        live: the beams that go on, the best first.
        ended: answers that have ended, the best first, at most as many as there are beams.
    """

    job: GenerateJob
    live: list[_Beam]
    ended: list[_Beam] = field(default_factory=list)

    @property
    def next_tokens(self) -> Sequence[int]:
        """What each live beam has written last."""
        return [beam.answer.tokens[-1] for beam in self.live]

    @property
    def parents(self) -> Sequence[int]:
        """What each live beam continues."""
        return [beam.parent for beam in self.live]

    def advance(self, choices: Sequence[Sequence[_Choice]], tokenizer: SegmentTokenizer) -> None:
        """Take a step, given what each live beam may go on with."""
        before, self.live = self.live, []
        ranked = sorted(
            (-(before[number].total + choice.logprob), number, choice)
            for number, row in enumerate(choices)
            for choice in row
        )
        for rank, (_, number, choice) in enumerate(ranked[: _CANDIDATES_A_BEAM * self.job.beams]):
            if rank >= self.job.beams and len(self.live) == self.job.beams:
                break
            beam = before[number].extended(choice, number, tokenizer)
            if beam.answer.reason is None:
                self.live.append(beam)
            elif rank < self.job.beams:
                self.ended.append(beam)
        self.ended = sorted(self.ended, key=lambda beam: -beam.score)[: self.job.beams]
        full = len(self.ended) == self.job.beams
        if full and self.live and not self.live[0].score > self.ended[-1].score:
            self.live = []

    def result(self) -> Generated:
        """Return the best answer of a search that is over.

        Raises:
            DataError: there is none, for the model gave no token a log-probability.
        """
        if not self.ended:
            message = "expected the model's log-probabilities to be numbers, got NaN; check its weights and dtype"
            raise DataError(message)
        return self.ended[0].answer.result()


@torch.inference_mode()
def beam_search(
    forward: Forward, jobs: Sequence[GenerateJob], tokenizer: SegmentTokenizer, budget: int, way: Way
) -> Iterator[tuple[int, Generated]]:
    """Yield the number of each job with the answer of its beam search, as they are found.

    Args:
        forward: the model.
        jobs: that are answered together; of one number of beams.
        tokenizer: of the model.
        budget: most places of one forward pass.
        way: how prompts are read and batched.

    Raises:
        DataError: the model's log-probabilities are no numbers.
    """

    def advance(hidden: Float[Tensor, "P B D"], searches: Sequence[_Search]) -> None:
        counts = [len(search.live) for search in searches]
        held = torch.arange(hidden.shape[1]) < torch.tensor(counts)[:, None]
        choices = _choices(forward, hidden[held.to(hidden.device)], [beam for each in searches for beam in each.live])
        first = 0
        for search, count in zip(searches, counts, strict=True):
            if count:
                search.advance(choices[first : first + count], tokenizer)
            first += count

    begun = [(job, _Search(job, [_Beam(Answer(job))])) for job in jobs]
    for search in continued(forward, begun, advance, budget, way):
        yield search.job.number, search.result()


def _choices(forward: Forward, hidden: Tensor, beams: Sequence[_Beam]) -> list[list[_Choice]]:
    """Return each beam's best tokens, in order of their ids, as many as can matter and all that tie with the last."""
    choices: list[list[_Choice]] = [[] for _ in beams]
    most = _CANDIDATES_A_BEAM * max(beam.answer.job.beams for beam in beams)
    start = 0
    for logits in forward.logits(hidden):
        part = beams[start : start + len(logits)]
        logprobs = restrict(logits.log_softmax(-1), [beam.answer.node for beam in part])
        for row, beam in enumerate(part):
            if beam.answer.job.no_repeat_ngram:
                logprobs[row, repeating(beam.answer.tokens, beam.answer.job.no_repeat_ngram)] = -torch.inf
        least = logprobs.topk(min(most, logprobs.shape[1])).values[:, -1:]
        found = (logprobs >= least) & (logprobs > -torch.inf)
        rows, tokens = found.nonzero().unbind(1)
        for row, *choice in zip(rows.tolist(), tokens.tolist(), logprobs[found].tolist(), strict=True):
            choices[start + row].append(_Choice(*choice))
        start += len(logits)
    return choices
