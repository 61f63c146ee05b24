"""Beam search in batches, with a cache = a plain beam search, one prompt at a time, by whole forward passes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest
import torch

from kosmos_eval.errors import DataError
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.beam import _Beam, _Choice, _Search, beam_search
from kosmos_eval.model.engine.forward import Forward, Way
from kosmos_eval.model.engine.generate import Answer, GenerateJob, generate
from kosmos_eval.model.engine.layout import Layout
from kosmos_eval.model.engine.memory import Memory
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Failed, Generate, Generated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request, Response

TOLERANCE = 1e-4


class Variant(Protocol):
    """What a model in small is made of."""

    connector: str


class Hypothesis(NamedTuple):
    """Written tokens, the log-probability of each, and the text before a stop text if one was written."""

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    cut: str | None = None

    @property
    def total(self) -> float:
        return sum(self.logprobs)


class Reference:
    """Beam search over all tokens of all beams, each beam read from its start at every step, alone."""

    def __init__(self, model: Kosmos, tokenizer: SegmentTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.ends = (tokenizer.eos, tokenizer.image_begin)

    @torch.inference_mode()
    def embedded(self, prompt: Prompt) -> torch.Tensor:
        table, pieces = self.model.decoder.embedding.weight, []
        pieces.append(table[[self.tokenizer.bos]])
        for part in prompt.parts:
            if isinstance(part, Image):
                pixels = pixels_of(part.load(), self.model.config.image_size)[None]
                image = self.model.image_embeddings(pixels)[0]
                pieces += [table[[self.tokenizer.image_begin]], image, table[[self.tokenizer.image_end]]]
            else:
                pieces.append(table[self.tokenizer.encode(part)])
        return torch.cat(pieces)

    @torch.inference_mode()
    def logprobs(self, prompt: torch.Tensor, tokens: tuple[int, ...]) -> list[float]:
        """Log-probabilities of the next token."""
        sequence = torch.cat([prompt, self.model.decoder.embedding.weight[list(tokens)]])
        positions = torch.arange(len(sequence))[None]
        hidden = self.model.decoder((sequence * self.model.config.decoder.scale)[None], positions)
        found: list[float] = self.model.decoder.logits(hidden[0, -1]).log_softmax(-1).tolist()
        return found

    def candidates(self, request: Generate, prompt: torch.Tensor, live: list[Hypothesis]) -> list[Hypothesis]:
        """The best continuations of all beams, the best first."""
        n = request.no_repeat_ngram
        found = []
        for number, beam in enumerate(live):
            for token, logprob in enumerate(self.logprobs(prompt, beam.tokens)):
                tokens = (*beam.tokens, token)
                ngrams = [tokens[at : at + n] for at in range(len(tokens) - n + 1)] if n else []
                if len(ngrams) == len(set(ngrams)):
                    grown = Hypothesis(tokens, (*beam.logprobs, logprob), self.cut(tokens, request.stop))
                    found.append((-grown.total, number, token, grown))
        return [each[-1] for each in sorted(found)[: 3 * request.num_beams]]

    def cut(self, tokens: tuple[int, ...], stops: tuple[str, ...]) -> str | None:
        text = self.tokenizer.decode(tokens)
        places = [text.index(stop) for stop in stops if stop in text]
        return text[: min(places)] if places and tokens[-1] not in self.ends else None

    def answer(self, request: Generate) -> Generated:
        prompt, beams = self.embedded(request.prompt), request.num_beams
        live, kept = [Hypothesis()], list[tuple[float, Hypothesis]]()
        for length in range(1, request.max_new_tokens + 1):
            best = self.candidates(request, prompt, live)
            last = length == request.max_new_tokens
            over = [last or each.cut is not None or each.tokens[-1] in self.ends for each in best]
            divisor = length**request.length_penalty
            kept += [(each.total / divisor, each) for each, ended in zip(best[:beams], over, strict=False) if ended]
            kept = sorted(kept, key=lambda each: -each[0])[:beams]
            live = [each for each, ended in zip(best, over, strict=True) if not ended][:beams]
            if not live or (len(kept) == beams and live[0].total / divisor <= kept[-1][0]):
                break
        return self.response(kept[0][1])

    def response(self, found: Hypothesis) -> Generated:
        text = self.tokenizer.decode(found.tokens)
        if found.tokens[-1] in self.ends:
            return Generated(text, found.tokens, found.logprobs, "eos")
        if found.cut is not None:
            return Generated(found.cut, found.tokens, found.logprobs, "stop")
        return Generated(text, found.tokens, found.logprobs, "length")


def expect_close(got: Response | Failed, want: Response | Failed) -> None:
    assert isinstance(got, Generated)
    assert isinstance(want, Generated)
    assert (got.text, got.tokens, got.stop_reason) == (want.text, want.tokens, want.stop_reason)
    assert got.logprobs == pytest.approx(want.logprobs, abs=TOLERANCE)


@pytest.fixture
def ending(model: Kosmos, variant: Variant, tokenizer: SegmentTokenizer) -> Kosmos:
    """A model of several minds, that ends its answers now and then, at different lengths."""
    with torch.no_grad():
        bias = model.decoder.norm.bias
        model.decoder.norm.weight.mul_(0.4)
        likelier = bias / bias.norm() * (2.0 if variant.connector == "resampler" else 0.5)
        model.decoder.embedding.weight[[tokenizer.eos, tokenizer.image_begin]] += likelier
    return model


def beam_requests(make_picture: Callable[[int], Image], beams: Iterable[int], seed: int = 0) -> list[Generate]:
    """Requests with texts and images in many lengths, under all kinds of settings."""
    rng = random.Random(seed)

    def text(most: int) -> str:
        return "".join(rng.choices("abcdefghij ", k=rng.randint(1, most)))

    requests = []
    for number, penalty in enumerate([1.0, 0.0, 2.0, -1.0, 0.6, 1.0, 4.0, 1.0]):
        parts = [part for _ in range(number % 4) for part in (text(9), make_picture(rng.randint(0, 4)))]
        requests += [
            Generate(
                Prompt.of(*parts, text(9)),
                rng.randint(5, 12) if number else 1,
                tuple(text(1) for _ in range(rng.choice([0, 0, 4]))),
                num_beams=beam,
                length_penalty=penalty,
                no_repeat_ngram=rng.choice([0, 1, 2]),
            )
            for beam in beams
        ]
    return requests


def test_beam_search_answers_as_a_plain_one_does(
    ending: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    requests = beam_requests(make_picture, (2, 5))
    reference = Reference(ending, tokenizer)
    want = [reference.answer(request) for request in requests]
    for batch_size in (1, 7, None):
        answers = dict(KosmosModel(ending, tokenizer, batch_size).answer(enumerate(requests)))
        for number, each in enumerate(want):
            expect_close(answers[number], each)
    assert len({len(each.tokens) for each in want if each.stop_reason == "eos"}) >= 3
    assert {each.stop_reason for each in want} >= {"eos", "length"}


def test_a_stop_text_that_spans_tokens_ends_a_beam(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with torch.no_grad():
        model.decoder.embedding.weight[:6] = 0  # special tokens are unlikely, so there is text to stop at
    reference, engine = Reference(model, tokenizer), KosmosModel(model, tokenizer)
    requests = []
    for text in ("a", "bcd", "ef?", "ghijkl"):
        request = Generate(Prompt.of(text), 6, num_beams=3, length_penalty=0)
        requests.append(replace(request, stop=(reference.answer(request).text[1:3], "zzz")))
    want = [reference.answer(request) for request in requests]
    for number, answer in engine.answer(enumerate(requests)):
        expect_close(answer, want[number])
    assert "stop" in {answer.stop_reason for answer in want}


def test_swapping_two_images_changes_the_answer_of_their_own_prompt_alone(
    ending: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    def answers(first: int, second: int) -> dict[int, Response | Failed]:
        middle = Prompt.of("one", make_picture(first), "or", make_picture(second), "which")
        others = [Prompt.of("see", make_picture(0), make_picture(1)), Prompt.of(make_picture(1), "what is it")]
        prompts = enumerate([others[0], middle, others[1]])
        engine = KosmosModel(ending, tokenizer)
        requests: list[tuple[int, Request]] = [(at, Generate(each, 8, num_beams=4)) for at, each in prompts]
        found = dict(engine.answer(requests))
        expect_close(found[1], Reference(ending, tokenizer).answer(Generate(middle, 8, num_beams=4)))
        return found

    before, after = answers(0, 1), answers(1, 0)
    expect_close(after[0], before[0])
    expect_close(after[2], before[2])
    assert before[1].logprobs != pytest.approx(after[1].logprobs, abs=TOLERANCE)  # type: ignore[union-attr]  # Generated


def test_one_beam_is_greedy_whatever_the_length_penalty(ending: Kosmos, tokenizer: SegmentTokenizer) -> None:
    forward = Forward(ending, torch.empty(0, 4, 32), Memory(ending, torch.device("cpu")))
    jobs: list[GenerateJob] = []
    for penalty in (-2.0, 0.0, 1.0, 5.0):
        ids = (tokenizer.bos, *tokenizer.encode("abcdefg"[: 1 + len(jobs)]))
        jobs.append(GenerateJob(len(jobs), Layout(ids, len(ids)), 9, ("x", "ab"), 2, beams=1, length_penalty=penalty))
    found, greedy = (dict(way(forward, jobs, tokenizer, 1 << 12, Way())) for way in (beam_search, generate))
    assert sorted(found) == sorted(greedy) == [0, 1, 2, 3]
    for number, answer in found.items():
        expect_close(answer, greedy[number])


def test_the_same_stream_has_the_same_bits(
    ending: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    requests = list(enumerate(beam_requests(make_picture, (1, 2, 5), seed=1)))
    engine = KosmosModel(ending, tokenizer)
    assert list(engine.answer(requests)) == list(engine.answer(requests))


def test_ties_go_to_the_first_beam_and_then_to_the_lowest_token(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with torch.no_grad():
        model.decoder.embedding.weight.zero_()
    request = Generate(Prompt.of("a"), 2, num_beams=5, length_penalty=4.0, no_repeat_ngram=1)
    ((_, answer),) = KosmosModel(model, tokenizer).answer([(0, request)])
    assert answer.tokens == (0, 1)  # type: ignore[union-attr]  # a Generate has a Generated


def test_an_ended_candidate_behind_as_many_better_ones_as_there_are_beams_is_dropped(
    tokenizer: SegmentTokenizer,
) -> None:
    job = GenerateJob(0, Layout((tokenizer.bos,), 1), 9, beams=2)
    search = _Search(job, [_Beam(Answer(job))])
    best_first = (tokenizer.eos, 7, tokenizer.image_begin, 8, 9)
    search.advance([[_Choice(token, -1.0 - place) for place, token in enumerate(best_first)]], tokenizer)
    assert [beam.answer.tokens for beam in search.ended] == [[tokenizer.eos]]
    assert [beam.answer.tokens for beam in search.live] == [[7], [8]]


def test_logits_computed_in_parts_go_to_their_own_beams(
    ending: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [(at, Generate(Prompt.of("abc"[at:]), 5, num_beams=3, no_repeat_ngram=1)) for at in range(3)]
    whole = dict(KosmosModel(ending, tokenizer).answer(requests))
    monkeypatch.setattr("kosmos_eval.model.engine.forward._MOST_LOGITS", 2 * tokenizer.vocabulary_size)
    for number, answer in KosmosModel(ending, tokenizer).answer(requests):
        expect_close(answer, whole[number])


def test_more_beams_than_tokens_leave_fewer_beams(ending: Kosmos, tokenizer: SegmentTokenizer) -> None:
    request = Generate(Prompt.of("a"), 3, num_beams=40, no_repeat_ngram=1)
    ((_, answer),) = KosmosModel(ending, tokenizer).answer([(0, request)])
    expect_close(answer, Reference(ending, tokenizer).answer(request))


def test_each_beam_counts_as_a_sequence_of_a_batch(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = set()
    original = model.decoder.forward

    def counted(embeddings: torch.Tensor, *others: object) -> torch.Tensor:
        shapes.add(tuple(embeddings.shape[:2]))
        return original(embeddings, *others)  # type: ignore[arg-type]  # as they came

    with torch.no_grad():
        model.decoder.embedding.weight[[tokenizer.eos, tokenizer.image_begin]] = 0
    monkeypatch.setattr(model.decoder, "forward", counted)
    prompts = [Prompt.of(text) for text in ("a", "b", "c", "d")]
    for beams in (2, 5):
        requests = [(at, Generate(prompt, 4, num_beams=beams)) for at, prompt in enumerate(prompts)]
        assert len(list(KosmosModel(model, tokenizer, 7).answer(requests))) == 4
    written = {shape for shape in shapes if shape[1] in {2, 5}}
    assert max(rows * beams for rows, beams in written) <= 7
    assert (3, 2) in written


def test_log_probabilities_that_are_no_numbers_are_an_error(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with torch.no_grad():
        model.decoder.norm.weight.fill_(torch.nan)
    with pytest.raises(DataError, match="to be numbers, got NaN"):
        list(KosmosModel(model, tokenizer).answer([(0, Generate(Prompt.of("a"), 2, num_beams=2))]))
