"""Constraints: a trie over the tokens of the texts that an answer may be.

Each text is tokenised as a segment of its own, as a continuation to be scored is, and ends with `</s>`. So where one
text's tokens begin another's, `</s>` is what ends the shorter one. Texts of the same tokens are one path, and the
answer's text is the first of them. Texts that do not fit into the tokens that may be written are left out.

Axes: R rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kosmos_eval.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

    from kosmos_eval.request import Generate

    from .layout import LayoutMaker

_MOST_TRIES = 64


@dataclass(eq=False)
class Node:
    """A place in a trie.

    Attributes:
        children: where each allowed token leads; `</s>` leads to an end.
        text: at an end, what was written.
    """

    children: dict[int, Node] = field(default_factory=dict)
    text: str | None = None

    @cached_property
    def allowed(self) -> NDArray[np.int64]:
        """Ids of the tokens that may come next."""
        return np.fromiter(self.children, np.int64, len(self.children))

    def child(self, token: int) -> Node:
        """Return where a token leads.

        Raises:
            DataError: nowhere, for the model gave no allowed token a number.
        """
        if token not in self.children:
            message = "expected the model's logits of the constraint's tokens to be numbers, got none; check its dtype"
            raise DataError(message)
        return self.children[token]


class Trie(NamedTuple):
    """The root of a trie, and the tokens of its longest text, `</s>` included."""

    root: Node
    longest: int


class TrieMaker:
    """Makes tries, one for each distinct constraint and number of tokens that shuts texts out."""

    def __init__(self, maker: LayoutMaker, eos: int) -> None:
        self._maker = maker
        self._eos = eos
        self._paths = lru_cache(_MOST_TRIES)(self._encoded)
        self._tries = lru_cache(_MOST_TRIES)(self._grown)

    def trie(self, request: Generate, room: int) -> Trie | None:
        """Return the trie of a request's constraint, `None` if it has none.

        Args:
            request: whose answer is constrained.
            room: most tokens of an answer.

        Raises:
            DataError: a text has no tokens.
            UsageError: no text fits, or the request also has stop texts or forbids n-grams, which would make the
                answer none of the texts.
        """
        texts = request.constraint
        if texts is None:
            return None
        if request.stop:
            message = f"expected stop to be empty beside a constraint, got {request.stop!r}; it would cut the texts"
            raise UsageError(message)
        if request.no_repeat_ngram:
            message = (
                f"expected no_repeat_ngram to be 0 beside a constraint, got {request.no_repeat_ngram}; the texts say "
                f"what may be repeated"
            )
            raise UsageError(message)
        lengths = [len(path) for path in self._paths(texts)]
        if room < min(lengths):
            message = (
                f"expected max_new_tokens, and the positions behind the prompt, to have room for a text of the "
                f"constraint and its end, {min(lengths)} tokens or more, got {room}"
            )
            raise UsageError(message)
        return self._tries(texts, min(room, max(lengths)))

    def _encoded(self, texts: tuple[str, ...]) -> dict[tuple[int, ...], str]:
        """Return the first text of each path."""
        paths: dict[tuple[int, ...], str] = {}
        for text in texts:
            ids = self._maker.text(text).symbols
            if not ids:
                message = f"expected text {text!r} of the constraint to have tokens, got none; the tokenizer drops it"
                raise DataError(message)
            paths.setdefault((*ids, self._eos), text)
        return paths

    def _grown(self, texts: tuple[str, ...], room: int) -> Trie:
        root, longest = Node(), 0
        for path, text in self._paths(texts).items():
            if len(path) <= room:
                longest, node = max(longest, len(path)), root
                for token in path:
                    node = node.children.setdefault(token, Node())
                node.text = text
        return Trie(root, longest)


def restrict(values: Float[Tensor, "R V"], nodes: Sequence[Node | None]) -> Float[Tensor, "R V"]:
    """Return values with minus infinity at the tokens that a row's node does not allow; `None` allows all."""
    bound = [(row, node.allowed) for row, node in enumerate(nodes) if node is not None]
    if not bound:
        return values
    numbers = torch.as_tensor([row for row, _ in bound], device=values.device)
    counts = torch.as_tensor([len(allowed) for _, allowed in bound], device=values.device)
    rows = numbers.repeat_interleave(counts)
    tokens = torch.as_tensor(np.concatenate([allowed for _, allowed in bound]), device=values.device)
    restricted = values.index_fill(0, numbers, -torch.inf)
    restricted[rows, tokens] = values[rows, tokens]
    return restricted
