"""Raven's candidates behind one shared context, beside one whole sequence a candidate.

    python benchmarks/raven.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

The prompts are the benchmark's own: the matrices of the mini data, which have eight candidates, asked of kosmos-tiny;
and the same with six, on a model of random weights in KOSMOS-2's layout. The scores must agree to 1e-4 nats a token.
The other way is measured twice: with each picture's embeddings made once, and made for every sequence, as by a harness
that hands a model one sequence with its pictures at a time. The bar is held against the first, the more generous one,
where it can be met at all: kosmos-tiny's vision tower takes longer than its decoder, and with the pictures encoded once
on both sides most of the time is the same work, so there it is held against the second.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from bench.answers import Renewed, check, totals
from bench.measure import Row, arguments, finish, in_turns
from bench.peers import Peer
from bench.shapes import KOSMOS_2_VOCABULARY, SMALL, TINY, TOY, NumberTokenizer, noise, words
from bench.tasks import first_requests

from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Score

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos

_BAR = 3.0


def matrices(count: int, side: int) -> list[Score]:
    """Return matrices of eight panels and six candidates, with texts as long as the prompt's."""
    draw = np.random.default_rng(0)
    opening, closing, question, yes = (words(draw, KOSMOS_2_VOCABULARY, tokens) for tokens in (5, 6, 4, 1))
    found = []
    for number in range(count):
        panels = [noise(100 * number + panel, side) for panel in range(14)]
        shared: list[str | Image] = [opening, *panels[:8], closing]
        leads = [Prompt.of(candidate, question) for candidate in panels[8:]]
        found.append(Score(Prompt.of(*shared), tuple(Continuation(yes, lead) for lead in leads)))
    return found


def compare(
    title: str, model: Kosmos, tokenizer: SegmentTokenizer, requests: Sequence[Score], options: argparse.Namespace
) -> list[Row]:
    """Return a row for each of the two ways of others."""
    held = "each" if title.endswith("kosmos-tiny") else "once"
    peer, engine = Peer(model, tokenizer, requests), Renewed(model, tokenizer)
    batches = peer.whole_batches()
    ways = {
        "ours": lambda: totals(engine.model, requests),
        "once": lambda: peer.whole(batches),
        "each": lambda: peer.whole(batches, images_each=True),
    }
    timed = in_turns(ways, options.repeats, engine.renew)
    ours, floor = timed["ours"], peer.floor()
    rows = []
    for name, pictures in (("once", "pictures encoded once"), ("each", "pictures encoded each time")):
        bar = _BAR if name == held else None
        apart = check(ours.answer, timed[name].answer, peer.options)
        against = f"one sequence a candidate, {pictures}"
        rows.append(Row(title, against, ours.seconds, timed[name].seconds, at_least=bar, floor=floor, apart=apart))
    return rows


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    found: list[Row] = []
    for shots, items in ((0, 1),) if options.quick else ((0, 40), (4, 20)):
        requests = first_requests("raven", shots, items)
        asked = [request for request in requests if isinstance(request, Score)]
        title = f"Raven, {len(asked)} matrices, 8 candidates, {shots}-shot, kosmos-tiny"
        if options.only in title:
            model, tokenizer = load_kosmos(TINY, "cpu")
            found += compare(title, model, tokenizer, asked, options)
    shape, count = (TOY, 1) if options.quick else (SMALL, 4)
    title = f"Raven, {count} matrices, 6 candidates, small, vocabulary 65k"
    if options.only in title:
        model = shape.model(KOSMOS_2_VOCABULARY)
        asked = matrices(count, shape.side)
        found += compare(title, model, NumberTokenizer(KOSMOS_2_VOCABULARY), asked, options)
    return found


def main() -> int:
    """Print the rows and write them down."""
    options = arguments(__doc__)
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
