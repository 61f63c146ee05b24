"""One at a time = batched = cached = in a tree = a full forward pass without any of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.model import WAYS
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request, Response

TOLERANCE = 1e-4


class Variant(NamedTuple):
    positions: str
    connector: str


class Naive:
    """The same answers by whole forward passes: one sequence, no cache, no padding, no tree."""

    def __init__(self, model: Kosmos, tokenizer: SegmentTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer

    def lay_out(self, *prompts: Prompt) -> tuple[list[int], list[Image | None]]:
        ids = [self.tokenizer.bos]
        images: list[Image | None] = [None]
        for part in (part for prompt in prompts for part in prompt.parts):
            if isinstance(part, Image):
                length = self.model.config.image_tokens
                ids += [self.tokenizer.image_begin, *[63] * length, self.tokenizer.image_end]
                images += [None, *[part] * length, None]
            else:
                new = self.tokenizer.encode(part)
                ids, images = ids + new, images + [None] * len(new)
        return ids, images

    @torch.inference_mode()
    def logprobs(self, ids: list[int], images: list[Image | None]) -> torch.Tensor:
        embeddings = self.model.decoder.embedding(torch.tensor(ids))
        at = 0
        while at < len(ids):
            image = images[at]
            if image is None:
                at += 1
                continue
            pixels = pixels_of(image.load(), self.model.config.image_size)[None]
            embedded = self.model.image_embeddings(pixels)[0]  # alone in its batch, every time
            embeddings[at : at + len(embedded)] = embedded
            at += len(embedded)
        embeddings = embeddings * self.model.config.decoder.width**0.5
        mask = torch.ones(len(ids), len(ids)).tril().bool()
        hidden = self.model.decoder(embeddings[None], torch.arange(len(ids))[None], mask[None])
        return self.model.decoder.logits(hidden)[0].log_softmax(-1)

    def answer(self, request: Request) -> Response:
        return self.generate(request) if isinstance(request, Generate) else self.score(request)

    def score(self, request: Score) -> Scored:
        found = []
        for each in request.continuations:
            target = self.tokenizer.encode(each.text)
            ids, images = self.lay_out(request.prompt, each.lead)
            rows = self.logprobs(ids + target, images + [None] * len(target))[len(ids) - 1 : -1]
            picked = rows[range(len(target)), target]
            greedy = rows.argmax(-1).tolist() == target
            found.append(LogLikelihood(tuple(target), tuple(picked.tolist()), len(each.text), greedy))
        return Scored(tuple(found))

    def generate(self, request: Generate) -> Generated:
        ids, images = self.lay_out(request.prompt)
        tokens: list[int] = []
        logprobs: list[float] = []
        while True:
            row = self.logprobs(ids + tokens, images + [None] * len(tokens))[-1]
            allowed = row.clone()
            n = request.no_repeat_ngram
            seen = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
            for token in range(len(row)):
                if n and (*tokens[len(tokens) - n + 1 :], token) in seen:
                    allowed[token] = -torch.inf
            tokens.append(int(allowed.argmax()))
            logprobs.append(float(row[tokens[-1]]))
            text = self.tokenizer.decode(tokens)
            cuts = [text.index(stop) for stop in request.stop if stop in text]
            if tokens[-1] in (self.tokenizer.eos, self.tokenizer.image_begin):
                return Generated(text, tuple(tokens), tuple(logprobs), "eos")
            if cuts:
                return Generated(text[: min(cuts)], tuple(tokens), tuple(logprobs), "stop")
            if len(tokens) == request.max_new_tokens:
                return Generated(text, tuple(tokens), tuple(logprobs), "length")


def expect_close(got: Response | Failed, want: Response | Failed) -> None:
    if isinstance(want, Generated):
        assert isinstance(got, Generated)
        assert (got.text, got.tokens, got.stop_reason) == (want.text, want.tokens, want.stop_reason)
        assert got.logprobs == pytest.approx(want.logprobs, abs=TOLERANCE)
        return
    assert isinstance(got, Scored)
    assert isinstance(want, Scored)
    for one, other in zip(got.continuations, want.continuations, strict=True):
        assert (one.tokens, one.characters, one.greedy) == (other.tokens, other.characters, other.greedy)
        assert one.logprobs == pytest.approx(other.logprobs, abs=TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 3, 16, None])
def test_any_batch_size_answers_as_full_forward_passes_do(
    model: Kosmos,
    tokenizer: SegmentTokenizer,
    make_requests: Callable[[int], list[tuple[int, Request]]],
    batch_size: int | None,
) -> None:
    requests = make_requests(batch_size or 0)
    naive = Naive(model, tokenizer)
    answers = dict(KosmosModel(model, tokenizer, batch_size).answer(requests))
    assert sorted(answers) == [number for number, _ in requests]
    for number, request in requests:
        expect_close(answers[number], naive.answer(request))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_answers_as_full_forward_passes_do(
    model: Kosmos,
    tokenizer: SegmentTokenizer,
    make_requests: Callable[[int], list[tuple[int, Request]]],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.setattr("kosmos_eval.model.engine.tree._MOST_PACKED", 40)  # so that there are trunks
    monkeypatch.setattr("kosmos_eval.model.engine.tree._LEAST_TRUNK", 6)
    requests = make_requests(11) + [(100 + number, request) for number, request in make_requests(12)]
    naive = Naive(model, tokenizer)
    answers = dict(KosmosModel(model, tokenizer).ways()[way].answer(requests))
    for number, request in requests:
        expect_close(answers[number], naive.answer(request))


BRANCHES = st.lists(st.tuples(st.text("ab", min_size=1, max_size=24), st.integers(0, 2)), min_size=1, max_size=14)


@settings(deadline=None, max_examples=30)
@given(branches=BRANCHES, most=st.integers(1, 40))
def test_trunks_behind_trunks_change_no_answer(
    make_model: Callable[[Variant], Kosmos],
    tokenizer: SegmentTokenizer,
    make_picture: Callable[[int], Image],
    branches: list[tuple[str, int]],
    most: int,
) -> None:
    ways = KosmosModel(make_model(Variant("xpos", "x-attention")), tokenizer).ways()
    requests: list[tuple[int, Request]] = []
    for text, image in branches:
        shown = (make_picture(image),) * (image + 1)
        options = (Continuation(text), Continuation("c"))
        requests.append((len(requests), Generate(Prompt.of(*shown, text), 3, num_beams=1 + image)))
        requests.append((len(requests), Score(Prompt.of(text[:9], *shown, text), options)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kosmos_eval.model.engine.tree._LEAST_TRUNK", 3)
        patch.setattr("kosmos_eval.model.engine.tree._MOST_PACKED", most)
        packed = dict(ways["packed"].answer(requests))
    for number, answer in ways["one at a time"].answer(requests):
        expect_close(packed[number], answer)


def test_answers_do_not_depend_on_the_order_of_requests(
    model: Kosmos, tokenizer: SegmentTokenizer, make_requests: Callable[[int], list[tuple[int, Request]]]
) -> None:
    requests = make_requests(7)
    shuffled = random.Random(0).sample(requests, len(requests))
    engine = KosmosModel(model, tokenizer, 5)
    first, second = dict(engine.answer(requests)), dict(engine.answer(shuffled))
    for number, answer in first.items():
        expect_close(answer, second[number])


def test_the_same_stream_has_the_same_bits_whatever_was_answered_before(
    model: Kosmos, tokenizer: SegmentTokenizer, make_requests: Callable[[int], list[tuple[int, Request]]]
) -> None:
    requests = make_requests(8)
    engine = KosmosModel(model, tokenizer)
    first = list(engine.answer(requests))
    list(engine.answer(make_requests(9)))
    assert list(engine.answer(requests)) == first
    assert list(KosmosModel(model, tokenizer).answer(requests)) == first
