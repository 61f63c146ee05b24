"""How others score options, on the same weights, and the least that any way has to compute.

    whole     one sequence an option, as lm-eval's `hf` model does (`HFLM._loglikelihood_tokens`, lm_eval 0.4.13):
              sorted by length, the longest first, 32 in a batch, padded on the right, the last token left out; logits
              and their log-softmax at every position over the whole vocabulary. Unlike there, a picture's embeddings
              are made once, unless `images_each`.
    cached    the prompt once, then its options as padded batches of 32 behind its keys and values, in their order;
              logits and log-softmax at the options' positions

A way that takes minutes can be sampled: every n-th batch is run, and the time scaled by padded positions.

Axes: N images, L embeddings an image, R rows, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from bench.measure import shortest

from kosmos_eval.model.cache import KeyValueCache
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Score

ROWS = 32

Place = tuple[int, int]
"""A request's number, and its option's."""


@dataclass(frozen=True, slots=True)
class Option:
    """A whole sequence.

    Attributes:
        place: which option it is.
        ids, slots: of all its tokens; a slot is -1 where a token stands, else image number * L + l.
        prompt: tokens in front that the request's options share.
        scored: tokens at the end that are scored.
    """

    place: Place
    ids: tuple[int, ...]
    slots: tuple[int, ...]
    prompt: int
    scored: int


Group = list[Option]
"""Options alike but for their last token, of which one is read for all: the first, which has most tokens scored."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Some of the batches of a piece of work.

    Attributes:
        batches: those that are run.
        of: how many there are.
        scale: what their time has to be multiplied by.
    """

    batches: Sequence[Sequence[Group]]
    of: int
    scale: float

    @property
    def note(self) -> str:
        """What the sampling has to say of itself, nothing if every batch is run."""
        return "" if len(self.batches) == self.of else f"extrapolated from {len(self.batches)} of {self.of} batches"


class Peer:
    """Ways of others through a model."""

    def __init__(self, model: Kosmos, tokenizer: SegmentTokenizer, requests: Sequence[Score]) -> None:
        """Lay the requests out; what that takes is not counted against the others."""
        self.model = model
        self._tokenizer = tokenizer
        self._latents = model.config.image_tokens
        self.pictures: dict[str, tuple[int, Image]] = {}
        self.options = [option for number, request in enumerate(requests) for option in self._laid(number, request)]

    def _laid(self, number: int, request: Score) -> Iterable[Option]:
        ids, slots = self._piece(request.prompt)
        ids, slots = [self._tokenizer.bos, *ids], [-1, *slots]
        for at, each in enumerate(request.continuations):
            lead, under = self._piece(each.lead)
            text = self._tokenizer.encode(each.text)
            end = (*under, *[-1] * len(text))
            yield Option((number, at), (*ids, *lead, *text), (*slots, *end), len(ids), len(text))

    def _piece(self, prompt: Prompt) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        slots: list[int] = []
        for part in prompt.parts:
            if isinstance(part, Image):
                first = self.pictures.setdefault(part.digest, (len(self.pictures), part))[0] * self._latents
                begin, end = self._tokenizer.image_begin, self._tokenizer.image_end
                ids += [begin, *[begin] * self._latents, end]
                slots += [-1, *range(first, first + self._latents), -1]
            else:
                text = self._tokenizer.encode(part)
                ids += text
                slots += [-1] * len(text)
        return ids, slots

    @torch.inference_mode()
    def images(self, numbers: Iterable[int] | None = None) -> Tensor:
        """Return the embeddings of pictures, [N, L, D]: of all distinct ones, or of those with the given numbers."""
        held = [image for _, image in self.pictures.values()]
        chosen = held if numbers is None else [held[number] for number in numbers]
        if not chosen:
            return torch.empty(0, self._latents, self.model.config.decoder.width)
        size = self.model.config.image_size
        pixels = torch.stack([pixels_of(image.load(), size) for image in chosen])
        return torch.cat([self.model.image_embeddings(part) for part in torch.split(pixels, ROWS)])

    def whole_batches(self, every: int = 1, *, share_last: bool = False) -> Sampled:
        """Return the batches of `whole`.

        Args:
            every: which are run.
            share_last: read options that are alike but for their last token once, as lm-eval's `logits_cache` does.
        """
        groups: dict[object, Group] = defaultdict(list)
        for option in sorted(self.options, key=lambda each: (-len(each.ids), each.ids)):
            groups[(option.ids[:-1], option.slots[:-1]) if share_last else option.place].append(option)
        ordered = [sorted(group, key=lambda each: -each.scored) for group in groups.values()]
        batches = [ordered[start : start + ROWS] for start in range(0, len(ordered), ROWS)]
        return _sample(batches, every, lambda batch: len(batch) * max(len(group[0].ids) - 1 for group in batch))

    @torch.inference_mode()
    def whole(self, sampled: Sampled, *, images_each: bool = False) -> dict[Place, float]:
        """Return each option's log-likelihood, read as whole sequences."""
        scores: dict[Place, float] = {}
        images = self.images() if not images_each else None
        for batch in sampled.batches:
            rows = [group[0] for group in batch]
            width = max(len(row.ids) for row in rows) - 1
            ids = torch.tensor([(*row.ids[:-1], *[0] * (width + 1 - len(row.ids))) for row in rows])
            slots = torch.tensor([(*row.slots[:-1], *[-1] * (width + 1 - len(row.slots))) for row in rows])
            used = images if images is not None else self._each(slots)
            positions = torch.arange(width).expand(len(rows), -1)
            hidden = self.model.decoder(self.model.embed(ids, slots, used), positions)
            logprobs = self.model.decoder.logits(hidden).float().log_softmax(-1)
            for row, group in enumerate(batch):
                for option in group:
                    each = logprobs[row, len(option.ids) - 1 - option.scored : len(option.ids) - 1]
                    each.argmax(-1)  # whether the option is the first choice is asked there as well
                    scores[option.place] = _picked(each, option)
        return scores

    def _each(self, slots: Tensor) -> Tensor:
        """Return the embeddings of pictures, made for every sequence that they stand in."""
        firsts = [row[row >= 0][:: self._latents] // self._latents for row in slots]
        made = self.images([int(number) for row in firsts for number in row])
        placed = torch.empty(len(self.pictures), *made.shape[1:])
        placed[torch.cat(firsts)] = made
        return placed

    def cached_batches(self, every: int = 1, *, by_length: bool = False) -> Sampled:
        """Return the batches of `cached`; by length, the options of a request are sorted, which pads less."""
        batches: list[list[Group]] = []
        apart: dict[int, list[Option]] = defaultdict(list)
        for option in self.options:
            apart[option.place[0]].append(option)
        for options in apart.values():
            ordered = sorted(options, key=lambda each: -len(each.ids)) if by_length else options
            batches += [[[each] for each in ordered[at : at + ROWS]] for at in range(0, len(ordered), ROWS)]
        return _sample(
            batches, every, lambda batch: len(batch) * max(len(group[0].ids) - group[0].prompt for group in batch)
        )

    @torch.inference_mode()
    def cached(self, sampled: Sampled) -> dict[Place, float]:
        """Return each option's log-likelihood, the prompt read once for all options of a request."""
        decoder, scores, images = self.model.decoder, dict[Place, float](), self.images()
        read: dict[int, tuple[KeyValueCache, Tensor]] = {}
        for batch in sampled.batches:
            rows = [group[0] for group in batch]
            number, length = rows[0].place[0], rows[0].prompt
            if number not in read:
                cache = KeyValueCache(self.model.config.decoder.layers, length)
                start = self._embedded([rows[0]], 0, length, images)
                read = {number: (cache, decoder(start, torch.arange(length)[None], None, cache)[:, -1:])}
            cache, last = read[number]
            width = max(len(row.ids) for row in rows) - length
            own = cache.select(torch.zeros(len(rows), dtype=torch.int64), width)
            positions = torch.arange(length, length + width).expand(len(rows), -1)
            mask = torch.cat([torch.ones(width, length), torch.ones(width, width).tril()], 1).bool()
            hidden = decoder(
                self._embedded(rows, length, length + width, images), positions, mask.expand(len(rows), -1, -1), own
            )
            hidden = torch.cat([last.expand(len(rows), -1, -1), hidden[:, :-1]], 1)
            logprobs = decoder.logits(hidden).float().log_softmax(-1)
            for row, option in enumerate(rows):
                end = len(option.ids) - length
                scores[option.place] = _picked(logprobs[row, end - option.scored : end], option)
        return scores

    def _embedded(self, rows: Sequence[Option], start: int, stop: int, images: Tensor) -> Tensor:
        def padded(each: Sequence[int], fill: int) -> list[int]:
            return [*each[start:stop], *[fill] * (stop - max(start, len(each)))]

        ids = torch.tensor([padded(row.ids, self._tokenizer.pad) for row in rows])
        return self.model.embed(ids, torch.tensor([padded(row.slots, -1) for row in rows]), images)

    def floor(self) -> float:
        """Return the seconds of what cannot be spared.

        That is every distinct prefix once through the blocks, every distinct prefix that a scored token follows once
        through the head, and every distinct picture once through the tower, each at the best rate that a bare forward
        pass reaches here; tokens that are only scored need no forward pass.
        """
        nodes: dict[tuple[int, int, int], int] = {}
        scored: set[int] = set()
        for option in self.options:
            at = -1
            for place, (token, slot) in enumerate(zip(option.ids[:-1], option.slots[:-1], strict=True)):
                at = nodes.setdefault((at, token, slot), len(nodes))
                if place >= len(option.ids) - 1 - option.scored:
                    scored.add(at)
        return bare_seconds(self.model, len(nodes), len(scored)) + _picture_seconds(self)


@torch.inference_mode()
def bare_seconds(model: Kosmos, tokens: int, scored: int) -> float:
    """Return the seconds of so many tokens in the blocks and so many in the head, at the best rate reached here."""
    rows, width = 8, 128
    embeddings = torch.zeros(rows, width, model.config.decoder.width)
    positions = torch.arange(width).expand(rows, -1)
    hidden = torch.zeros(256, model.config.decoder.width)
    blocks = shortest(lambda: model.decoder(embeddings, positions)) / (rows * width)
    head = shortest(lambda: model.decoder.logits(hidden)) / len(hidden)
    return tokens * blocks + scored * head


def _picture_seconds(peer: Peer) -> float:
    if not peer.pictures:
        return 0.0
    first = list(range(min(ROWS, len(peer.pictures))))
    return shortest(lambda: peer.images(first), 3) / len(first) * len(peer.pictures)


def _picked(logprobs: Tensor, option: Option) -> float:
    tokens = torch.tensor(option.ids[-option.scored :])
    return float(logprobs.gather(-1, tokens[:, None]).sum())


def _sample(batches: list[list[Group]], every: int, size: Callable[[list[Group]], int]) -> Sampled:
    """Return every n-th batch, from the middle of the first n."""
    chosen = batches[every // 2 :: every] or batches[:1]
    return Sampled(chosen, len(batches), sum(map(size, batches)) / sum(map(size, chosen)))
