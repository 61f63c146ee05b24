"""Visual questions with shared prompts, beside the same engine when it shares nothing between requests.

    python benchmarks/questions.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

The questions are those of the mini data, five a picture, as VQA v2.0 asks them: zero-shot, and behind four exemplars
that are the same for all. They are asked of kosmos-tiny, and, with texts of the same lengths, of a model of random
weights in KOSMOS-2's layout. Both ways batch, and the tokens that they write must be equal.

The engine shares two things: what prompts begin with is read once, and a picture is encoded once. So it is measured
twice without sharing: with neither, as by a harness that hands a model each prompt with its pictures, which is what the
bar is held against; and with the pictures encoded once all the same.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from bench.answers import Renewed, check_tokens, unrecognised, written
from bench.measure import Row, arguments, finish, in_turns
from bench.shapes import KOSMOS_2_VOCABULARY, SMALL, TINY, TOY, NumberTokenizer, words
from bench.tasks import first_requests

from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.tokenizer import Tokenizer
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from kosmos_eval.request import Generated

_UNSHARED = ("batched", "padded")
"""The ways through the engine that batch requests and share no prefix between them; the faster one counts."""

_BARS = {0: 1.5, 4: 3.0}
_NEW_TOKENS = 4
"""Written a question by a model of random weights, which does not end of itself; as many as a short answer has."""


def numbered(requests: Sequence[Generate], vocabulary: int) -> list[Generate]:
    """Return the same requests with each text as random tokens, as many as kosmos-tiny's tokenizer makes of it."""
    draw, tokenizer, known = np.random.default_rng(0), Tokenizer.load(TINY), dict[str, str]()

    def as_numbers(part: str | Image) -> str | Image:
        if isinstance(part, Image):
            return part
        if part not in known:
            known[part] = words(draw, vocabulary, len(tokenizer.encode(part)))
        return known[part]

    return [Generate(Prompt.of(*map(as_numbers, request.prompt.parts)), _NEW_TOKENS) for request in requests]


def compare(title: str, engine: Renewed, requests: Sequence[Generate], bar: float, repeats: int) -> list[Row]:
    """Return a row for each of the two ways not to share."""
    separate = unrecognised(requests)
    ways = {"ours": lambda: written(engine.model, requests)}
    for name in _UNSHARED:
        ways[f"each {name}"] = partial(_unshared, engine, name, separate)
        ways[f"once {name}"] = partial(_unshared, engine, name, requests)
    timed = in_turns(ways, repeats, engine.renew)
    ours = timed.pop("ours")
    for each in timed.values():
        check_tokens([answer.tokens for answer in ours.answer], [answer.tokens for answer in each.answer])
    tokens = sum(len(each.tokens) for each in ours.answer) / len(requests)
    note = f"{tokens:.1f} tokens written a question"
    found = []
    for kind, pictures in (("each", "pictures encoded each time"), ("once", "pictures encoded once")):
        best = min((f"{kind} {name}" for name in _UNSHARED), key=lambda name: timed[name].seconds)
        against = f"the same engine without sharing ({best.split()[1]}), {pictures}"
        held = bar if kind == "each" else None
        found.append(Row(title, against, ours.seconds, timed[best].seconds, at_least=held, note=note))
    return found


def _unshared(engine: Renewed, way: str, requests: Sequence[Generate]) -> list[Generated]:
    return written(engine.model.ways()[way], requests)


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    found: list[Row] = []
    shape = TOY if options.quick else SMALL
    for shots, bar in _BARS.items():
        count = 5 if options.quick else 100
        requests = [each for each in first_requests("vqav2", shots, count) if isinstance(each, Generate)]
        kind = "five questions a picture" if shots == 0 else "fixed exemplars"
        title = f"VQA, {len(requests)} questions, {shots}-shot, {kind}"
        if options.only in (name := f"{title}, kosmos-tiny"):
            engine = Renewed(*load_kosmos(TINY))
            found += compare(name, engine, requests, bar, options.repeats)
        if options.only in (name := f"{title}, small, vocabulary 65k"):
            engine = Renewed(shape.model(KOSMOS_2_VOCABULARY), NumberTokenizer(KOSMOS_2_VOCABULARY))
            found += compare(name, engine, numbered(requests, KOSMOS_2_VOCABULARY), bar, options.repeats)
    return found


def main() -> int:
    """Print the rows and write them down."""
    options = arguments(__doc__)
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
