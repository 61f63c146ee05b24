"""Scoring: prompts and all their continuations are one tree, of which every symbol is read once.

The last token of a continuation is a target only, and needs no forward pass. Logits are computed for the embeddings
that a target comes after and for no others, in float32.

Axes: D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from kosmos_eval.request import LogLikelihood, Scored

from .forward import Forward, Reader, Way, normalisers
from .tree import PrefixTree, rows_alone, rows_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from .forward import Read
    from .layout import Layout


@dataclass(frozen=True, slots=True)
class Branch:
    """A continuation behind its lead.

    Attributes:
        layout: lead and continuation.
        scored: tokens at its end that are scored.
        characters: of the continuation's text.
    """

    layout: Layout
    scored: int
    characters: int


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """A prompt and the branches behind it.

    Attributes:
        number: the caller's own.
        prompt: what all branches share.
        branches: at least one.
    """

    number: int
    prompt: Layout
    branches: tuple[Branch, ...]

    @property
    def longest(self) -> int:
        """Embeddings that are read of the prompt and its longest branch."""
        return len(self.prompt) + max(len(branch.layout) for branch in self.branches) - 1


@dataclass(slots=True)
class _Targets:
    """What one node predicts: ids of tokens, and the place of each one's result."""

    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


class Planted:
    """The tree of some jobs, and what is to be found out about it.

    Attributes:
        tree: of all that must be read.
        rows: in which it is read.
    """

    def __init__(self, jobs: Sequence[ScoreJob], image_length: int, budget: int, *, share: bool = True) -> None:
        """Plant the jobs.

        Args:
            jobs: in any order.
            image_length: embeddings an image.
            budget: most places of one forward pass.
            share: whether sequences share what they have in common.
        """
        self.tree = PrefixTree(image_length)
        self._jobs = jobs
        self._targets: dict[int, _Targets] = {}
        self._spans: list[list[tuple[int, int]]] = []
        """Of each job, for each branch, where its results begin and end."""
        self._owners: list[int] = []
        """Of each result, the number of its job."""
        for number, job in enumerate(jobs):
            self._plant(number, job)
        self._logprobs = np.zeros(len(self._owners), np.float32)
        self._greedy = np.zeros(len(self._owners), bool)
        self._missing = np.bincount(self._owners, minlength=len(jobs))
        self.rows = rows_shared(self.tree, budget) if share else rows_alone(self.tree, self._ends)

    def _plant(self, number: int, job: ScoreJob) -> None:
        stem = self.tree.add(job.prompt.symbols)[-1]
        spans = []
        for branch in job.branches:
            symbols = branch.layout.symbols
            nodes = [stem, *self.tree.add(symbols[:-1], stem)]
            first = len(self._owners)
            for node, token in zip(nodes[-branch.scored :], symbols[-branch.scored :], strict=True):
                targets = self._targets.setdefault(node, _Targets())
                targets.tokens.append(token)
                targets.places.append(len(self._owners))
                self._owners.append(number)
            spans.append((first, len(self._owners)))
        self._spans.append(spans)

    @property
    def _ends(self) -> Iterator[int]:
        """The nodes behind which nothing more is read for some branch; none is the beginning of another's sequence."""
        inner = set(self.tree.parents)
        return (node for node in range(len(self.tree)) if node not in inner)

    def take(self, read: Read, forward: Forward) -> list[int]:
        """Find out what a batch tells, and return the numbers of the jobs that are complete with it."""
        nodes = [node for node in read.nodes if node in self._targets]
        if not nodes:
            return []
        found = [self._targets.pop(node) for node in nodes]
        rows = np.repeat(np.arange(len(nodes)), [len(each.tokens) for each in found])
        tokens = np.concatenate([each.tokens for each in found])
        places = np.concatenate([each.places for each in found])
        start = 0
        for logits in forward.logits(read.states(nodes)):
            inside = slice(*np.searchsorted(rows, [start, start + len(logits)]))
            self._weigh(logits, forward.tensor(rows[inside] - start), forward.tensor(tokens[inside]), places[inside])
            start += len(logits)
        touched, counts = np.unique(np.asarray(self._owners)[places], return_counts=True)
        self._missing[touched] -= counts
        complete: list[int] = touched[self._missing[touched] == 0].tolist()
        return complete

    def _weigh(self, logits: Tensor, rows: Tensor, tokens: Tensor, places: NDArray[np.int64]) -> None:
        chosen = logits[rows, tokens]
        best, first = logits.max(-1)
        normaliser = normalisers(logits, best)
        self._logprobs[places] = (chosen - normaliser[rows]).cpu().numpy()
        self._greedy[places] = (tokens == first[rows]).cpu().numpy()

    def result(self, number: int) -> Scored:
        """Return the log-likelihoods of a job that is complete."""
        likelihoods = []
        for branch, (begin, end) in zip(self._jobs[number].branches, self._spans[number], strict=True):
            likelihoods.append(
                LogLikelihood(
                    tokens=branch.layout.symbols[-branch.scored :],
                    logprobs=tuple(self._logprobs[begin:end].tolist()),
                    characters=branch.characters,
                    greedy=bool(self._greedy[begin:end].all()),
                )
            )
        return Scored(tuple(likelihoods))


@torch.inference_mode()
def score(forward: Forward, jobs: Sequence[ScoreJob], budget: int, way: Way) -> Iterator[tuple[int, Scored]]:
    """Yield the number of each job with the log-likelihoods of its branches, as they are found.

    Args:
        forward: the model.
        jobs: that are read together.
        budget: most places of one forward pass.
        way: how rows are made and batched.
    """
    planted = Planted(jobs, forward.model.config.image_tokens, budget, share=way.share)
    for read in Reader(forward, planted.tree, budget, way).reads(planted.rows):
        for number in planted.take(read, forward):
            yield jobs[number].number, planted.result(number)
