"""Many candidate names behind one picture: packed behind one prefix, beside what others do.

    python benchmarks/candidates.py [--shape small|large] [--vocabulary 65037] [--names 1000] [--prefix 8]

Four ways through one model with the same random weights in one process; the scores must agree to 1e-4 nats a token.

    packed      this engine: the prefix once, names as a packed tree, logits where a token is scored
    apart       this engine, one picture a call: with several pictures, what sharing the names between them is worth
    cached      the prefix once, then names as a padded batch behind its keys and values
    whole       one whole sequence a name, 32 in a batch, log-softmax over all positions: as lm-eval's `hf` model does

Names are random tokens, one to six of them: what they mean does not change the time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from kosmos_eval.model.cache import KeyValueCache
from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Score, Scored
from kosmos_eval.worker import prepare_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import PIL.Image

_SIDE = 112
_LATENTS = 64
_ROWS = 32
_FIRST = 16  # ids below are special
_TOLERANCE = 1e-4  # nats a token


def shape_of(name: str, vocabulary: int) -> KosmosConfig:
    """Return a small model in KOSMOS-2's layout, or one of about 300 million weights beside its embedding."""
    width, layers, heads = (256, 6, 8) if name == "small" else (1024, 24, 16)
    return KosmosConfig(
        VisionConfig(image_size=_SIDE, patch_size=14, width=192, layers=6, heads=6, hidden=768, normalise=True),
        ConnectorConfig("x-attention", queries=_LATENTS, heads=heads),
        DecoderConfig(vocabulary, width, layers, heads, 4 * width, "sinusoidal"),
    )


class NumberTokenizer:
    """Text as the numbers of its tokens."""

    bos, pad, eos, unk, image_begin, image_end = 0, 1, 2, 3, 4, 5

    def encode(self, text: str) -> list[int]:
        """Return the ids that a text spells."""
        return [int(word) for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """Return ids as text."""
        return " ".join(map(str, ids))


class Case:
    """A model, pictures with a prompt, and names."""

    def __init__(self, options: argparse.Namespace) -> None:
        draw = np.random.default_rng(0)
        self.tokenizer = NumberTokenizer()
        self.model = Kosmos.initialised(shape_of(options.shape, options.vocabulary), 0).eval()
        self.engine = KosmosModel(self.model, self.tokenizer)

        def words(count: int) -> str:
            return self.tokenizer.decode(draw.integers(_FIRST, options.vocabulary, count).tolist())

        self.text = words(options.prefix)
        self.names = list(
            dict.fromkeys(words(int(draw.choice((1, 2, 2, 3, 3, 3, 4, 5, 6)))) for _ in range(options.names))
        )
        self.pictures = [Image(lambda seed=seed: _noise(seed), f"noise {seed}") for seed in range(options.pictures)]

    def ask(self, pictures: list[Image]) -> list[list[float]]:
        """Return each picture's scores of all names, asked together."""
        names = tuple(Continuation(name) for name in self.names)
        requests = [Score(Prompt.of(picture, self.text), names) for picture in pictures]
        answers = dict(self.engine.answer(enumerate(requests)))
        scored = [answer for _, answer in sorted(answers.items()) if isinstance(answer, Scored)]
        return [[each.total for each in answer.continuations] for answer in scored]

    def packed(self) -> list[list[float]]:
        """Return the scores, all pictures at once."""
        return self.ask(self.pictures)

    def apart(self) -> list[list[float]]:
        """Return the scores, one picture a call."""
        return [self.ask([picture])[0] for picture in self.pictures]

    @cached_property
    def _ids(self) -> list[list[int]]:
        return [self.tokenizer.encode(name) for name in self.names]

    def _prefix(self, picture: Image) -> tuple[torch.Tensor, int]:
        """Return the embeddings of picture and prompt, [1, T, D], and how many these are."""
        from kosmos_eval.model.preprocess import pixels_of  # noqa: PLC0415  beside its only use

        images = self.model.image_embeddings(pixels_of(picture.load(), _SIDE)[None])
        ids = [0, 4, *[4] * _LATENTS, 5, *self.tokenizer.encode(self.text)]
        slots = [-1, -1, *range(_LATENTS), *[-1] * (len(ids) - _LATENTS - 2)]
        return self.model.embed(torch.tensor([ids]), torch.tensor([slots]), images), len(ids)

    def whole(self) -> list[list[float]]:
        """Return the scores, one whole sequence a name."""
        return [self._each_whole(picture) for picture in self.pictures]

    @torch.inference_mode()
    def _each_whole(self, picture: Image) -> list[float]:
        scores: list[float] = []
        prefix, length = self._prefix(picture)
        order = sorted(range(len(self._ids)), key=lambda number: -len(self._ids[number]))
        for start in range(0, len(order), _ROWS):
            rows = [self._ids[number] for number in order[start : start + _ROWS]]
            names = _padded(rows)
            embeddings = torch.cat([prefix.expand(len(rows), -1, -1), self.model.embed(names)], 1)
            positions = torch.arange(embeddings.shape[1]).expand(len(rows), -1)
            logprobs = self.model.decoder.logits(self.model.decoder(embeddings, positions)).float().log_softmax(-1)
            scores += _sums(logprobs[:, length - 1 :], names, rows)
        return [score for _, score in sorted(zip(order, scores, strict=True))]

    def cached(self) -> list[list[float]]:
        """Return the scores, the prefix read once and the names as a padded batch behind it."""
        return [self._each_cached(picture) for picture in self.pictures]

    @torch.inference_mode()
    def _each_cached(self, picture: Image) -> list[float]:
        prefix, length = self._prefix(picture)
        decoder = self.model.decoder
        cache = KeyValueCache(self.model.config.decoder.layers, length)
        last = decoder(prefix, torch.arange(length)[None], None, cache)[:, -1:]
        scores: list[float] = []
        for start in range(0, len(self._ids), _ROWS):
            rows = self._ids[start : start + _ROWS]
            names = _padded(rows)
            count, width = names.shape
            own = cache.select(torch.zeros(count, dtype=torch.int64), width)
            positions = torch.arange(length, length + width).expand(count, -1)
            mask = torch.cat([torch.ones(width, length), torch.ones(width, width).tril()], 1).bool()
            hidden = decoder(self.model.embed(names), positions, mask.expand(count, -1, -1), own)
            hidden = torch.cat([last.expand(count, -1, -1), hidden[:, :-1]], 1)
            scores += _sums(decoder.logits(hidden).float().log_softmax(-1), names, rows)
        return scores


def _noise(seed: int) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  beside its only use

    return PIL.Image.frombytes("RGB", (_SIDE, _SIDE), np.random.default_rng(seed).bytes(3 * _SIDE * _SIDE))


def _padded(rows: list[list[int]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=1)


def _sums(logprobs: torch.Tensor, names: torch.Tensor, rows: list[list[int]]) -> list[float]:
    """Return the summed log-probability of each row's tokens, each read from the position before it."""
    each = logprobs[:, : names.shape[1]].gather(-1, names[..., None])[..., 0]
    return [float(each[row, : len(ids)].sum()) for row, ids in enumerate(rows)]


def _time(call: Callable[[], list[list[float]]], repeats: int) -> tuple[float, list[list[float]]]:
    times, scores = [], []
    for _ in range(repeats):
        clock = time.perf_counter()
        scores = call()
        times.append(time.perf_counter() - clock)
    return statistics.median(times), scores


def main() -> int:
    """Print a line for each way; return 1 if the scores differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("small", "large"), default="small")
    parser.add_argument("--vocabulary", type=int, default=65_037)
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--prefix", type=int, default=8, help="tokens of text between picture and name")
    parser.add_argument("--pictures", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default="packed,apart,cached,whole")
    options = parser.parse_args()
    prepare_process(1)
    case = Case(options)
    case.ask(case.pictures[:1])
    ways: dict[str, Callable[[], list[list[float]]]] = {
        "packed": case.packed,
        "apart": case.apart,
        "cached": case.cached,
        "whole": case.whole,
    }
    longest = max(len(name.split()) for name in case.names)
    best, ours = _time(case.packed, options.repeats)
    print(f"{len(case.names)} names, {options.shape}, vocabulary {options.vocabulary}, pictures {options.pictures}")
    print(f"packed  {best:8.3f} s")
    for name in [each for each in options.ways.split(",") if each != "packed"]:
        seconds, scores = _time(ways[name], 1 if name == "whole" else options.repeats)
        worst = max(
            abs(a - b) for mine, other in zip(ours, scores, strict=True) for a, b in zip(mine, other, strict=True)
        )
        print(f"{name:<7} {seconds:8.3f} s   {seconds / best:6.1f}x   largest difference {worst:.1e} nats")
        if worst > _TOLERANCE * longest:
            print(f"{name}: the scores differ")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
