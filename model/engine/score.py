"""Scoring: prompts and all their continuations are one tree, of which every symbol is read once.

The last token of a continuation is a target only, and needs no forward pass. Logits are computed for the embeddings
that a target comes after and for no others, in float32.

Axes: D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from kosmos_eval.request import LogLikelihood, Scored

from .forward import Forward, Reader, Way, normalisers
from .tree import ROOT, PrefixTree, rows_alone, rows_shared

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
        characters: of the continuation's whole text.
    """

    layout: Layout
    scored: int
    characters: int


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """A prompt and the branches behind it.

    Attributes:
        number: the caller's own.
        prompt: what all branches share; empty where each branch is a whole sequence, with more than what is scored.
        branches: at least one.
        windows: of each continuation, how many branches it is: windows of one text, one after the other.
    """

    number: int
    prompt: Layout
    branches: tuple[Branch, ...]
    windows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.windows:
            object.__setattr__(self, "windows", (1,) * len(self.branches))

    @property
    def longest(self) -> int:
        """Embeddings that are read of the prompt and its longest branch."""
        return len(self.prompt) + max(len(branch.layout) for branch in self.branches) - 1


class Planted:
    """The tree of some jobs, and what is to be found out about it.

    Attributes:
        tree: of all that must be read.
        sources: nodes after which a target comes.
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
        ends: list[int] = []
        sources: list[int] = []
        tokens: list[int] = []
        for job in jobs:
            stem = self.tree.add(job.prompt.symbols)[-1:]
            for branch in job.branches:
                symbols = branch.layout.symbols
                nodes = [*stem, *self.tree.add(symbols[:-1], stem[0] if stem else ROOT)]
                sources += nodes[-branch.scored :]
                tokens += symbols[-branch.scored :]
                ends.append(nodes[-1])
        counts = [sum(branch.scored for branch in job.branches) for job in jobs]
        self._firsts = np.cumsum([0, *counts])
        """Of each job, where its results begin: as many as it has scored tokens, branch after branch."""
        self._owners = np.repeat(np.arange(len(jobs)), counts)
        self._missing = np.asarray(counts)
        self.sources = frozenset(sources)
        self._order = np.argsort(sources, kind="stable")
        """The results by the node that tells them."""
        self._sources = np.asarray(sources, np.int64)[self._order]
        self._tokens = np.asarray(tokens, np.int64)[self._order]
        self._known = np.zeros(len(sources), bool)
        self._logprobs = np.zeros(len(sources), np.float32)
        self._greedy = np.zeros(len(sources), bool)
        self.rows = rows_shared(self.tree, budget) if share else rows_alone(self.tree, ends)

    def take(self, read: Read, forward: Forward) -> list[int]:
        """Find out what a batch tells, and return the numbers of the jobs that are complete with it."""
        read_nodes = np.fromiter(read.wanted, np.int64, len(read.wanted))
        told = np.flatnonzero(~self._known & np.isin(self._sources, read_nodes))
        if not len(told):
            return []
        self._known[told] = True
        nodes, rows = np.unique(self._sources[told], return_inverse=True)
        tokens, places = self._tokens[told], self._order[told]
        start = 0
        for logits in forward.logits(read.states(nodes.tolist())):
            inside = slice(*np.searchsorted(rows, [start, start + len(logits)]))
            self._weigh(logits, forward.tensor(rows[inside] - start), forward.tensor(tokens[inside]), places[inside])
            start += len(logits)
        touched, counts = np.unique(self._owners[places], return_counts=True)
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
        end = int(self._firsts[number])
        branches = iter(self._jobs[number].branches)
        for count in self._jobs[number].windows:
            windows = list(islice(branches, count))
            begin, end = end, end + sum(window.scored for window in windows)
            likelihoods.append(
                LogLikelihood(
                    tokens=tuple(token for each in windows for token in each.layout.symbols[-each.scored :]),
                    logprobs=tuple(self._logprobs[begin:end].tolist()),
                    characters=windows[0].characters,
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
    for read in Reader(forward, planted.tree, planted.sources, budget, way).reads(planted.rows):
        for number in planted.take(read, forward):
            yield jobs[number].number, planted.result(number)
