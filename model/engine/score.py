"""Scoring: each prompt is read once, and all its continuations as a tree of branches behind it.

Logits are computed for the tokens that come before a scored one and for no others, in float32.

Axes: R trees, T nodes, S cached tokens, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from kosmos_eval.request import LogLikelihood, Scored

from .tree import PREFIX, BranchTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from .forward import Forward, Prefix
    from .layout import Layout

_MOST_NODES = 512
"""Nodes of a tree: a mask grows with their square."""


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
    """A prompt and the branches behind it."""

    prompt: Layout
    branches: tuple[Branch, ...]

    @property
    def longest(self) -> int:
        """Tokens of the prompt and its longest branch."""
        return len(self.prompt) + max(len(branch.layout) for branch in self.branches)


@dataclass(slots=True)
class _Targets:
    """Tokens to be scored, and the hidden state that each is predicted from; equal lengths.

    Attributes:
        sources: numbers of hidden states.
        tokens: ids.
        places: where each result goes.
    """

    sources: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, source: int, token: int, place: int) -> None:
        self.sources.append(source)
        self.tokens.append(token)
        self.places.append(place)


@dataclass(slots=True)
class _PlacedTree:
    """A tree, and its targets as (node, token, place)."""

    tree: BranchTree
    targets: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Results:
    """Log-probability of each scored token, and whether it was the first choice."""

    logprobs: NDArray[np.float32]
    greedy: NDArray[np.bool_]


@torch.inference_mode()
def score(forward: Forward, jobs: Sequence[ScoreJob], budget: int) -> list[Scored]:
    """Return the log-likelihoods of all branches of the jobs.

    Args:
        forward: the model.
        jobs: their prompts are read as one batch.
        budget: most tokens, cached ones included, of one forward pass over trees.
    """
    offsets = np.cumsum([0, *(branch.scored for job in jobs for branch in job.branches)])
    first, placed = _plant(jobs, offsets)
    results = _Results(np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], bool))
    room = max((len(each.tree) for each in placed), default=0)
    prefix = forward.read([job.prompt for job in jobs], room)
    _weigh(forward, prefix.last, first, results)
    width = int(prefix.lengths.max())
    for part in _parts(placed, width, budget):
        hidden = _read_trees(forward, prefix, [each.tree for each in part], whole=len(part) == len(placed))
        targets = _Targets()
        for row, each in enumerate(part):
            for node, token, place in each.targets:
                targets.add(row * hidden.shape[1] + node, token, place)
        _weigh(forward, hidden.flatten(0, 1), targets, results)
    return _collect(jobs, offsets, results)


def _plant(jobs: Sequence[ScoreJob], offsets: NDArray[np.int64]) -> tuple[_Targets, list[_PlacedTree]]:
    """Return what the prompts themselves predict, and the trees behind them."""
    first = _Targets()
    placed: list[_PlacedTree] = []
    index = 0
    for row, job in enumerate(jobs):
        current: _PlacedTree | None = None
        for branch in job.branches:
            length = len(branch.layout)
            if current is None or len(current.tree) + length - 1 > _MOST_NODES:
                current = _PlacedTree(BranchTree(row))
                placed.append(current)
            nodes = current.tree.add(branch.layout)
            for at in range(length - branch.scored, length):
                place = int(offsets[index]) + at - (length - branch.scored)
                if nodes[at] == PREFIX:
                    first.add(row, branch.layout.ids[at], place)
                else:
                    current.targets.append((nodes[at], branch.layout.ids[at], place))
            index += 1
    return first, [each for each in placed if len(each.tree)]


def _parts(placed: Sequence[_PlacedTree], width: int, budget: int) -> Iterator[Sequence[_PlacedTree]]:
    """Cut the trees into parts whose padded size, with the cache, stays within the budget."""
    start, nodes = 0, 0
    for index, each in enumerate(placed):
        nodes = max(nodes, len(each.tree))
        if index > start and (index + 1 - start) * (width + nodes) > budget:
            yield placed[start:index]
            start, nodes = index, len(each.tree)
    if start < len(placed):
        yield placed[start:]


def _read_trees(forward: Forward, prefix: Prefix, trees: Sequence[BranchTree], *, whole: bool) -> Tensor:
    """Return the hidden states of trees, [R, T, D], each read behind its own prefix.

    Args:
        forward: the model.
        prefix: what was read before.
        trees: to be read.
        whole: whether these are all the trees there are.
    """
    embeddings = forward.embed([tree.layout for tree in trees])
    count, width, _ = embeddings.shape
    rows = forward.tensor([tree.prefix for tree in trees])
    depths, below = np.zeros((count, width), np.int64), np.zeros((count, width, width), bool)
    for row, tree in enumerate(trees):
        depths[row, : len(tree)] = tree.depths
        below[row, : len(tree), : len(tree)] = tree.mask()
    above = prefix.visible(rows)[:, None].expand(-1, width, -1)
    mask = torch.cat([above, forward.tensor(below)], -1)
    positions = prefix.lengths[rows][:, None] + forward.tensor(depths)
    own_rows = whole and [tree.prefix for tree in trees] == list(range(len(prefix.lengths)))
    cache = prefix.cache if own_rows else prefix.cache.select(rows, width)
    hidden: Tensor = forward.model.decoder(embeddings, positions, mask, cache)
    return hidden


def _weigh(forward: Forward, hidden: Tensor, targets: _Targets, results: _Results) -> None:
    """Fill in the results of the targets; each hidden state's logits are computed once."""
    if not targets.sources:
        return
    sources, inverse = np.unique(targets.sources, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    rows, tokens = inverse[order], np.asarray(targets.tokens)[order]
    places = np.asarray(targets.places)[order]
    start = 0
    for logits in forward.logits(hidden[forward.tensor(sources)]):
        inside = slice(*np.searchsorted(rows, [start, start + len(logits)]))
        row, token = forward.tensor(rows[inside] - start), forward.tensor(tokens[inside])
        logprobs = logits.log_softmax(-1)[row, token]
        results.logprobs[places[inside]] = logprobs.cpu().numpy()
        results.greedy[places[inside]] = (logits.argmax(-1)[row] == token).cpu().numpy()
        start += len(logits)


def _collect(jobs: Sequence[ScoreJob], offsets: NDArray[np.int64], results: _Results) -> list[Scored]:
    spans = iter(pairwise(offsets.tolist()))
    answers = []
    for job in jobs:
        likelihoods = []
        for branch in job.branches:
            begin, end = next(spans)
            likelihoods.append(
                LogLikelihood(
                    tokens=branch.layout.ids[-branch.scored :],
                    logprobs=tuple(results.logprobs[begin:end].tolist()),
                    characters=branch.characters,
                    greedy=bool(results.greedy[begin:end].all()),
                )
            )
        answers.append(Scored(tuple(likelihoods)))
    return answers
