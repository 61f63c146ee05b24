"""Captions by a KOSMOS-2, beside `generate` of transformers on the same weights: greedy, and with five beams.

    python benchmarks/captions.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

Every prompt is a picture of its own and the same text, so all are equally long: transformers' batches of a KOSMOS-2
are wrong where they are padded in front. Both sides encode the pictures within the time. Weights are random, so no
answer ends of itself (the script makes sure), and lengths are set:

    greedy    each request has a length of its own, 8 to 40 tokens. transformers runs each batch to its longest, and
              the tokens beyond a row's own length are cut off before they are compared. It is tried at batches of
              8, 16, 32 and 64, in order of arrival and sorted by length, which nobody knows beforehand; the best of
              all counts.
    beam 5    every request is as long as every other, for what a search finds depends on where it stops. transformers
              is tried at the same batch sizes; again the best counts.

All batch sizes are tried once; the best one is then timed in turns with ours. The floor of the greedy row is what no
engine can spare: see `floor`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from bench.answers import Renewed, check_tokens, written
from bench.measure import Row, arguments, finish, in_turns, shortest
from bench.shapes import KOSMOS_2_VOCABULARY, TINY_VOCABULARY, NumberTokenizer, noise, words

from kosmos_eval.model.cache import KeyValueCache
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.layouts import HEAD, TRANSFORMERS, transformers_config
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from kosmos_eval.prompt import Image

_BAR = 1.3
_PATCH = 14
_TEXT = 5


def shape(*, quick: bool) -> dict[str, Any]:
    """Return the configuration as transformers has it."""
    width, layers, side = (32, 2, 28) if quick else (512, 8, 112)
    text = {
        "vocab_size": TINY_VOCABULARY if quick else KOSMOS_2_VOCABULARY,
        "embed_dim": width,
        "layers": layers,
        "ffn_dim": 4 * width,
    }
    text["attention_heads"] = 2 if quick else 8
    vision = {"hidden_size": 192, "num_hidden_layers": 1 if quick else 6, "num_attention_heads": 6}
    vision |= {"intermediate_size": 768, "image_size": side, "patch_size": _PATCH}
    latents = 4 if quick else 64
    return {"model_type": "kosmos-2", "latent_query_num": latents, "text_config": text, "vision_config": vision}


@dataclass(frozen=True)
class Pair:
    """The same model twice.

    Attributes:
        model: ours, bare.
        engine: ours.
        theirs: transformers'.
        tokenizer: of both.
        latents: embeddings a picture.
        side: of a picture.
    """

    model: Kosmos
    engine: Renewed
    theirs: Any
    tokenizer: NumberTokenizer
    latents: int
    side: int

    @classmethod
    def of(cls, values: dict[str, Any]) -> Pair:
        """Return a model of random weights, in both hands."""
        config = transformers_config(values, "the shape")
        model = Kosmos.initialised(config, 0).eval()
        state = {name: weight for name, weight in model.state_dict().items() if name != HEAD}
        wanted = TRANSFORMERS.wanted({name: weight.shape for name, weight in state.items()}, _PATCH)
        settings = {name: value for name, value in values.items() if name != "model_type"}
        theirs = transformers.Kosmos2ForConditionalGeneration(transformers.Kosmos2Config(**settings)).eval()
        loaded = theirs.load_state_dict(
            {name: state[ours].reshape(shape) for ours, (name, shape) in wanted.items()}, strict=False
        )
        assert not loaded.unexpected_keys, loaded
        theirs.tie_weights()
        tokenizer = NumberTokenizer(config.decoder.vocabulary)
        return cls(model, Renewed(model, tokenizer), theirs, tokenizer, config.image_tokens, config.image_size)

    def our_answers(self, requests: Sequence[Generate]) -> list[list[int]]:
        """Return what our engine writes."""
        return [list(each.tokens) for each in written(self.engine.model, requests)]

    @torch.inference_mode()
    def their_answers(self, requests: Sequence[Generate], rows: int, *, by_length: bool = False) -> list[list[int]]:
        """Return what transformers writes in batches of so many rows, each answer cut to its own length."""
        order = sorted(range(len(requests)), key=lambda at: -requests[at].max_new_tokens if by_length else at)
        answers: dict[int, list[int]] = {}
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            ids, under, pixels = zip(*(self._inputs(requests[at].prompt) for at in batch), strict=True)
            first = requests[batch[0]]
            made = self.theirs.generate(
                pixel_values=torch.stack(pixels),
                image_embeds_position_mask=torch.tensor(under),
                input_ids=torch.tensor(ids),
                attention_mask=torch.ones(len(batch), len(ids[0]), dtype=torch.long),
                max_new_tokens=max(requests[at].max_new_tokens for at in batch),
                num_beams=first.num_beams,
                length_penalty=first.length_penalty,
                eos_token_id=[self.tokenizer.eos, self.tokenizer.image_begin],
                pad_token_id=self.tokenizer.pad,
                do_sample=False,
                early_stopping=False,
            )
            for at, row in zip(batch, made[:, len(ids[0]) :].tolist(), strict=True):
                answers[at] = row[: requests[at].max_new_tokens]
        return [answers[at] for at in range(len(requests))]

    def _inputs(self, prompt: Prompt) -> tuple[list[int], list[int], torch.Tensor]:
        image, text = prompt.parts
        assert not isinstance(image, str)
        assert isinstance(text, str)
        spelled = self.tokenizer.encode(text)
        begin, end = self.tokenizer.image_begin, self.tokenizer.image_end
        ids = [self.tokenizer.bos, begin, *[begin] * self.latents, end, *spelled]
        under = [0, 0, *[1] * self.latents, 0, *[0] * len(spelled)]
        return ids, under, pixels_of(image.load(), self.side)


@torch.inference_mode()
def floor(pair: Pair, requests: Sequence[Generate]) -> float:
    """Return the seconds of what cannot be spared when greedy answers have the lengths that are asked for.

    That is every picture once through the tower, every prompt once through the blocks, and one pass of blocks and head
    a step over the answers that still grow, each timed by itself. Choosing tokens, handling the cache and whatever an
    engine does besides take no time.
    """
    model, count = pair.model, len(requests)
    prompt = len(pair._inputs(requests[0].prompt)[0])  # noqa: SLF001  the same module
    pixels = torch.zeros(count, 3, pair.side, pair.side)
    embeddings = torch.zeros(count, prompt, model.config.decoder.width)
    positions = torch.arange(prompt).expand(count, -1)
    last = positions[:, -1:]
    seconds = shortest(lambda: model.image_embeddings(pixels), 3)
    seconds += shortest(lambda: model.decoder.logits(model.decoder(embeddings, positions, wanted=last)), 3)
    lengths = np.array([request.max_new_tokens for request in requests])
    growing = [int((lengths > step).sum()) for step in range(1, int(lengths.max()))]
    known = sorted({*range(8, count, 8), 1, count})
    behind = prompt + int(lengths.mean()) // 2
    return seconds + float(np.interp(growing, known, [_step_seconds(model, rows, behind) for rows in known]).sum())


def _step_seconds(model: Kosmos, rows: int, behind: int) -> float:
    """Return the seconds of one token for each of some answers, behind so many others."""
    cache = KeyValueCache(model.config.decoder.layers, behind + 1)
    width = model.config.decoder.width
    model.decoder(torch.zeros(rows, behind, width), torch.arange(behind).expand(rows, -1), None, cache)
    one = torch.zeros(rows, 1, width)
    at, mask = torch.full((rows, 1), behind), torch.ones(rows, 1, behind + 1, dtype=torch.bool)

    def step() -> None:
        cache.length = behind
        model.decoder.logits(model.decoder(one, at, mask, cache))

    return shortest(step)


def compare(
    title: str, pair: Pair, requests: Sequence[Generate], sizes: Sequence[int], options: argparse.Namespace
) -> Row:
    """Return the row of requests, beside the best that transformers reaches."""
    mixed = len({request.max_new_tokens for request in requests}) > 1
    ways: dict[str, Any] = {"ours": partial(pair.our_answers, requests)}
    for rows in sizes:
        ways[f"batches of {rows}"] = partial(pair.their_answers, requests, rows)
        if mixed and rows < len(requests):
            ways[f"batches of {rows}, sorted by length"] = partial(pair.their_answers, requests, rows, by_length=True)
    tried = in_turns(ways, 1, pair.engine.renew)
    ours = tried.pop("ours")
    lengths = [len(answer) for answer in ours.answer]
    assert lengths == [request.max_new_tokens for request in requests], "an answer ended of itself"
    for theirs in tried.values():
        check_tokens(ours.answer, theirs.answer)
    best = min(tried, key=lambda name: tried[name].seconds)
    timed = in_turns({name: ways[name] for name in ("ours", best)}, options.repeats, pair.engine.renew)
    all_times = ", ".join(f"{name.removeprefix('batches of ')} {each.seconds:.3g} s" for name, each in tried.items())
    against = f"transformers {transformers.__version__} generate, {best}"
    return Row(
        title,
        against,
        timed["ours"].seconds,
        timed[best].seconds,
        at_least=_BAR,
        floor=floor(pair, requests) if mixed else None,
        note=f"transformers at {all_times}",
    )


def asked(pictures: Sequence[Image], lengths: Sequence[int], beams: int = 1) -> list[Generate]:
    """Return a request a picture."""
    text = words(np.random.default_rng(1), TINY_VOCABULARY, _TEXT)
    pairs = zip(pictures, lengths, strict=True)
    return [Generate(Prompt.of(picture, text), length, num_beams=beams) for picture, length in pairs]


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    pair = Pair.of(shape(quick=options.quick))
    many, few, longest, sizes = (6, 3, 8, (2, 6)) if options.quick else (64, 16, 40, (8, 16, 32, 64))
    lengths = np.random.default_rng(2).integers(longest // 5, longest + 1, many).tolist()
    pictures = [noise(number, pair.side) for number in range(many)]
    found: list[Row] = []
    if options.only in (title := f"captions, greedy, {many} requests of {min(lengths)} to {max(lengths)} tokens"):
        found.append(compare(title, pair, asked(pictures, lengths), sizes, options))
    beam_lengths = [longest // 2] * few
    if options.only in (title := f"captions, beam 5, {few} requests of {longest // 2} tokens"):
        fitting = [rows for rows in sizes if rows <= few]
        found.append(compare(title, pair, asked(pictures[:few], beam_lengths, beams=5), fitting, options))
    return found


def main() -> int:
    """Print the rows and write them down."""
    options = arguments(__doc__)
    transformers.logging.set_verbosity_error()
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
