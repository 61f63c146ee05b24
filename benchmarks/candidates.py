"""Many candidate names behind pictures: this engine beside one sequence a name, and beside a cached prefix.

    python benchmarks/candidates.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

The names are ImageNet's 1,000, spelled as KOSMOS-2's tokenizer spells them, or as kosmos-tiny's does; models have
random weights. All ways go through the same weights in one process, in turns, and their scores must agree to 1e-4
nats a token. `bench/peers.py` says what the other ways do, and what the floor is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from bench.answers import Renewed, check, totals
from bench.measure import Row, Timed, arguments, finish, in_turns
from bench.peers import Peer, Place
from bench.shapes import (
    KOSMOS_2_VOCABULARY,
    LARGE,
    SMALL,
    TINY,
    TINY_VOCABULARY,
    TOY,
    NumberTokenizer,
    Shape,
    imagenet_names,
    noise,
    words,
)

from kosmos_eval.model.tokenizer import Tokenizer
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Score

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_PROMPT = 8  # tokens between picture and name


@dataclass
class Case:
    """A model, and names to score behind pictures.

    Attributes:
        shape: of the model.
        vocabulary: of the model; the names are those of the tokenizer that has it.
        names: how many.
        exemplars: shown before the query, each a picture and a text.
        pictures: asked about.
    """

    shape: Shape
    vocabulary: int
    names: int
    exemplars: int = 0
    pictures: int = 1
    requests: list[Score] = field(init=False)
    peer: Peer = field(init=False)
    engine: Renewed = field(init=False)

    def __post_init__(self) -> None:
        model, tokenizer = self.shape.model(self.vocabulary), NumberTokenizer(self.vocabulary)
        draw, side = np.random.default_rng(0), self.shape.side
        names = tuple(Continuation(name) for name in _names(self.vocabulary, self.names))
        shown: list[str | Image] = []
        for number in range(self.exemplars):
            shown += [noise(1000 + number, side), words(draw, self.vocabulary, _PROMPT + 1)]
        text = words(draw, self.vocabulary, _PROMPT)
        pictures = [noise(number, side) for number in range(self.pictures)]
        self.requests = [Score(Prompt.of(*shown, picture, text), names) for picture in pictures]
        self.peer = Peer(model, tokenizer, self.requests)
        self.engine = Renewed(model, tokenizer)

    @cached_property
    def floor(self) -> float:
        """Seconds of what cannot be spared."""
        return self.peer.floor()

    def ours(self) -> dict[Place, float]:
        """Return the scores of all requests, asked together."""
        return totals(self.engine.model, self.requests)

    def apart(self) -> dict[Place, float]:
        """Return the same scores, each picture asked about in a call of its own."""
        found = [totals(self.engine.model, [request]) for request in self.requests]
        return {(number, at): each[0, at] for number, each in enumerate(found) for _, at in each}


def _names(vocabulary: int, count: int) -> list[str]:
    """Return names as numbers, for the small vocabulary those of kosmos-tiny's own tokenizer."""
    pairs = imagenet_names()[:: 1000 // count][:count]
    if vocabulary == KOSMOS_2_VOCABULARY:
        return [ids for _, ids in pairs]
    tokenizer = Tokenizer.load(TINY)
    return [" ".join(map(str, tokenizer.encode(name))) for name, _ in pairs]


@dataclass(frozen=True)
class Comparison:
    """A row: a case, another way through it, and the bar; `every` samples the other way's batches."""

    case: Case
    title: str
    repeats: int

    def whole(self, every: int, bar: float | None, *, share_last: bool = False) -> Row:
        """Compare with one sequence a name."""
        batches = self.case.peer.whole_batches(every, share_last=share_last)
        against = "one sequence a name"
        if share_last:
            against += ", names alike but for the last token once (lm-eval's logits cache)"
        return self._row(against, lambda: self.case.peer.whole(batches), batches.scale, bar, batches.note)

    def cached(self, every: int, bar: float | None, *, by_length: bool = False) -> Row:
        """Compare with the prefix once and padded batches behind it."""
        batches = self.case.peer.cached_batches(every, by_length=by_length)
        against = f"prefix cached, names as padded batches{', sorted by length' if by_length else ''}"
        return self._row(against, lambda: self.case.peer.cached(batches), batches.scale, bar, batches.note)

    def apart(self, bar: float) -> Row:
        """Compare with a call a picture."""
        count = len(self.case.requests)
        return self._row(f"{count} times one picture", self.case.apart, 1.0, bar, "")

    def _row(
        self, against: str, other: Callable[[], dict[Place, float]], scale: float, bar: float | None, note: str
    ) -> Row:
        ways = {"ours": self.case.ours, "theirs": other}
        timed: dict[str, Timed[dict[Place, float]]] = in_turns(ways, self.repeats, self.case.engine.renew)
        apart = check(timed["ours"].answer, timed["theirs"].answer, self.case.peer.options)
        seconds = timed["theirs"].seconds * scale
        return Row(
            self.title,
            against,
            timed["ours"].seconds,
            seconds,
            at_least=bar,
            floor=self.case.floor,
            apart=apart,
            note=note,
        )


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    quick = options.quick
    small, large = (TOY, TOY) if quick else (SMALL, LARGE)
    many, some, pictures = (20, 10, 3) if quick else (1000, 100, 16)

    def compare(title: str, case: Case) -> Comparison:
        return Comparison(case, title, options.repeats)

    found: list[Row] = []
    if options.only in (title := f"{many} names a picture, small, vocabulary 65k"):
        each = compare(title, Case(small, KOSMOS_2_VOCABULARY, many))
        found += [
            each.whole(8, 30),
            each.whole(8, None, share_last=True),
            each.cached(4, 5),
            each.cached(4, None, by_length=True),
        ]
    if options.only in (title := f"{many} names a picture, 300M, vocabulary 65k"):
        each = compare(title, Case(large, KOSMOS_2_VOCABULARY, many))
        found += [each.whole(8, 30), each.cached(8, 5)]
    if options.only in (title := f"{many} names a picture, small, vocabulary 2,048"):
        each = compare(title, Case(small, TINY_VOCABULARY, many))
        found += [each.whole(2, 18), each.cached(2, 5), each.cached(2, None, by_length=True)]
    if options.only in (title := f"{some} names after a 4-shot prefix, small, vocabulary 65k"):
        each = compare(title, Case(small, KOSMOS_2_VOCABULARY, some, exemplars=4))
        found += [each.whole(1, 60)]
    for vocabulary in (KOSMOS_2_VOCABULARY, TINY_VOCABULARY):
        if options.only in (title := f"{pictures} pictures, {many} names, small, vocabulary {vocabulary:,}"):
            each = compare(title, Case(small, vocabulary, many, pictures=pictures))
            found += [each.apart(1.5)]
    return found


def main() -> int:
    """Print the rows and write them down."""
    options = arguments(__doc__)
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
