"""A constrained answer = the best of the texts by whole forward passes, for greedy and for beam search."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.constraint import Trie, TrieMaker
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.model.specs import embedded_folder
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request

TOLERANCE = 1e-4
TEXTS = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=8).map(tuple)


class Variant(NamedTuple):
    positions: str
    connector: str


@torch.inference_mode()
def next_logprobs(model: Kosmos, tokenizer: SegmentTokenizer, prompt: Prompt, tokens: list[int]) -> torch.Tensor:
    """Log-probabilities after a prompt and each of the tokens behind it, [1 + tokens, V]."""
    table = model.decoder.embedding.weight
    pieces = [table[[tokenizer.bos]]]
    for part in prompt.parts:
        if isinstance(part, Image):
            image = model.image_embeddings(pixels_of(part.load(), model.config.image_size)[None])[0]
            pieces += [table[[tokenizer.image_begin]], image, table[[tokenizer.image_end]]]
        else:
            pieces.append(table[tokenizer.encode(part)])
    sequence = torch.cat([*pieces, table[tokens]]) * model.config.decoder.scale
    hidden = model.decoder(sequence[None], torch.arange(len(sequence))[None])
    found: torch.Tensor = model.decoder.logits(hidden[0, len(sequence) - len(tokens) - 1 :]).log_softmax(-1)
    return found


def naive_greedy(model: Kosmos, tokenizer: SegmentTokenizer, request: Generate) -> Generated:
    """Masks logits, step by step."""
    paths = {(*tokenizer.encode(text), tokenizer.eos): text for text in reversed(request.constraint or ())}
    paths = {path: text for path, text in paths.items() if len(path) <= request.max_new_tokens}
    tokens, logprobs = list[int](), list[float]()
    while tuple(tokens) not in paths:
        found = next_logprobs(model, tokenizer, request.prompt, tokens)[-1]
        mask = torch.full_like(found, -torch.inf)
        for path in paths:
            if list(path[: len(tokens)]) == tokens:
                mask[path[len(tokens)]] = 0
        tokens.append(int((found + mask).argmax()))
        logprobs.append(float(found[tokens[-1]]))
    return Generated(paths[tuple(tokens)], tuple(tokens), tuple(logprobs), "eos")


def ask(
    model: Kosmos, tokenizer: SegmentTokenizer, *requests: Request, batch_size: int | None = None
) -> list[Generated]:
    found = dict(KosmosModel(model, tokenizer, batch_size).answer(enumerate(requests)))
    answers = [found[number] for number in range(len(requests))]
    return [each for each in answers if isinstance(each, Generated)]


def expect_close(got: Generated, want: Generated) -> None:
    assert (got.text, got.tokens, got.stop_reason) == (want.text, want.tokens, want.stop_reason)
    assert got.logprobs == pytest.approx(want.logprobs, abs=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), texts=TEXTS, room=st.integers(6, 9))
def test_greedy_is_a_loop_that_masks_logits(
    make_model: Callable[[Variant], Kosmos], tokenizer: SegmentTokenizer, seed: int, texts: tuple[str, ...], room: int
) -> None:
    model = make_model(Variant("xpos", "x-attention"))
    request = Generate(Prompt.of("abcdefghij"[seed % 7 :] * (1 + seed // 10)), room, constraint=texts)
    expect_close(ask(model, tokenizer, request)[0], naive_greedy(model, tokenizer, request))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), texts=TEXTS, penalty=st.sampled_from([0.0, 0.0, 1.0, -0.5]))
def test_as_many_beams_as_texts_find_the_best_of_all(
    make_model: Callable[[Variant], Kosmos],
    tokenizer: SegmentTokenizer,
    seed: int,
    texts: tuple[str, ...],
    penalty: float,
) -> None:
    model = make_model(Variant("xpos", "x-attention"))
    prompt = Prompt.of("abcdefghij"[seed % 7 :] * (1 + seed // 10))
    beams = max(2, len(set(texts)))
    (answer,) = ask(model, tokenizer, Generate(prompt, 9, (), beams, penalty, constraint=texts))
    score = Score(prompt, tuple(Continuation(text) for text in texts))
    ((_, scored),) = KosmosModel(model, tokenizer).answer([(0, score)])
    assert isinstance(scored, Scored)
    totals = {}
    for text, likelihood in zip(texts, scored.continuations, strict=True):
        end = float(next_logprobs(model, tokenizer, prompt, list(likelihood.tokens))[-1, tokenizer.eos])
        totals[text] = (likelihood.total + end) / (len(likelihood.tokens) + 1) ** penalty
    assert totals[answer.text] == pytest.approx(max(totals.values()), abs=TOLERANCE)
    assert sum(answer.logprobs) / len(answer.tokens) ** penalty == pytest.approx(totals[answer.text], abs=TOLERANCE)
    assert answer.stop_reason == "eos"


def test_batches_of_mixed_constraints_with_images_answer_as_one_at_a_time_does(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    rng = random.Random(3)
    requests = []
    for number in range(16):
        pictures = [part for at in range(number % 3) for part in ("see", make_picture(at))]
        texts = tuple("".join(rng.choices("abcd", k=rng.randint(1, 5))) for _ in range(rng.randint(1, 6)))
        constraint = texts if number % 4 else None
        prompt = Prompt.of(*pictures, "what is" + "x" * number)
        requests.append(Generate(prompt, 7, num_beams=1 + 2 * (number % 2), constraint=constraint))
    together, alone = ask(model, tokenizer, *requests), ask(model, tokenizer, *requests, batch_size=1)
    for request, one, many in zip(requests, alone, together, strict=True):
        expect_close(many, one)
        if request.constraint:
            assert many.text in request.constraint
            if request.num_beams == 1:
                expect_close(many, naive_greedy(model, tokenizer, request))


def test_the_end_token_decides_between_a_text_and_one_that_begins_with_it(
    model: Kosmos, tokenizer: SegmentTokenizer
) -> None:
    request = Generate(Prompt.of("a"), 9, constraint=("ab", "abc"))
    (free,) = ask(model, tokenizer, request)
    ends = free.text == "ab"
    with torch.no_grad():  # the other way round: swap what `</s>` and `c` look like
        weight, pair = model.decoder.embedding.weight, [tokenizer.eos, *tokenizer.encode("c")]
        weight[pair] = weight[pair[::-1]]
    assert (naive_greedy(model, tokenizer, request).text == "ab") != ends
    expect_close(ask(model, tokenizer, request)[0], naive_greedy(model, tokenizer, request))


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_of_the_same_tokens_are_the_first_of_them(model: Kosmos, tokenizer: SegmentTokenizer, beams: int) -> None:
    for texts in (("ab", " ab"), (" ab", "ab", "ab")):
        (answer,) = ask(model, tokenizer, Generate(Prompt.of("a"), 3, num_beams=beams, constraint=texts))
        assert answer.text == texts[0]


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_that_do_not_fit_are_out_of_reach(model: Kosmos, tokenizer: SegmentTokenizer, beams: int) -> None:
    request = Generate(Prompt.of("a"), 3, num_beams=beams, constraint=("abcd", "abc", "ab", "bbbbbb"))
    (answer,) = ask(model, tokenizer, request)
    assert (answer.text, answer.stop_reason, len(answer.tokens)) == ("ab", "eos", 3)
    with pytest.raises(UsageError, match="3 tokens or more, got 2"):
        ask(model, tokenizer, replace(request, max_new_tokens=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"stop": ("b",)}, "expected stop to be empty"), ({"no_repeat_ngram": 2}, "expected no_repeat_ngram to be 0")],
)
def test_what_would_cut_or_forbid_the_texts_is_refused(
    model: Kosmos, tokenizer: SegmentTokenizer, changes: dict[str, tuple[str, ...]], message: str
) -> None:
    request = Generate(Prompt.of("a"), 9, constraint=("ab",))
    with pytest.raises(UsageError, match=message):
        ask(model, tokenizer, replace(request, **changes))  # type: ignore[arg-type]  # names and values from above


def test_a_blank_text_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the texts of constraint to have characters, got ' '"):
        Generate(Prompt.of("a"), 9, constraint=("ab", " "))


def test_logits_that_are_no_numbers_are_an_error_in_beam_search(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with torch.no_grad():
        model.decoder.norm.weight.fill_(torch.nan)
    with pytest.raises(DataError, match="to be numbers"):
        ask(model, tokenizer, Generate(Prompt.of("a"), 9, num_beams=2, constraint=("ab", "b")))


def test_a_trie_is_made_once_for_a_constraint(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[int]()
    grown = TrieMaker._grown

    def counted(self: TrieMaker, texts: tuple[str, ...], room: int) -> Trie:
        made.append(len(texts))
        return grown(self, texts, room)

    monkeypatch.setattr(TrieMaker, "_grown", counted)
    rng = random.Random(0)
    names = tuple("".join(rng.choices("abcdefghij", k=rng.randint(3, 9))) for _ in range(1000))
    requests = [Generate(Prompt.of("x" * (1 + at)), 10 + at, constraint=names) for at in range(12)]
    answers = ask(model, tokenizer, *requests)
    assert made == [1000]
    assert all(answer.text in names for answer in answers)


NAMES = (
    "red fox", "kit fox", "Arctic fox", "grey fox", "fox", "polar bear", "brown bear", "bear", "bearskin hat",
    "sea lion", "lion", "lionfish", "tiger", "tiger shark", "tiger beetle", "tiger cat", "St. Bernard",
    "Band-Aid", "CRT monitor",
)  # fmt: skip


def test_real_names_under_a_real_tokenizer_are_answered_as_exhaustive_scoring_ranks_them(
    make_picture: Callable[[int], Image],
) -> None:
    model, tokenizer = load_kosmos(embedded_folder("kosmos-tiny"), "cpu", torch.float32)
    engine = KosmosModel(model, tokenizer)
    for number in range(3):
        prompt = Prompt.of(make_picture(number), "The photo of the")
        asked: list[Request] = [
            Generate(prompt, 30, (), len(NAMES), 0.0, constraint=NAMES),
            Generate(prompt, 30, constraint=NAMES),
            Score(prompt, tuple(map(Continuation, NAMES))),
        ]
        answers = dict(engine.answer(enumerate(asked)))
        best, greedy, scored = answers[0], answers[1], answers[2]
        assert isinstance(best, Generated)
        assert isinstance(greedy, Generated)
        assert isinstance(scored, Scored)
        totals = {}
        for name, likelihood in zip(NAMES, scored.continuations, strict=True):
            assert tokenizer.decode(likelihood.tokens) == name
            end = float(next_logprobs(model, tokenizer, prompt, list(likelihood.tokens))[-1, tokenizer.eos])
            totals[name] = likelihood.total + end
        assert best.text == max(totals, key=lambda name: totals[name])
        assert sum(best.logprobs) == pytest.approx(totals[best.text], abs=TOLERANCE)
        expect_close(greedy, naive_greedy(model, tokenizer, asked[1]))  # type: ignore[arg-type]  # the second is one
