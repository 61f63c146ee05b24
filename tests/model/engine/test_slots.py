"""As an answer is complete, its place goes to the next that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kosmos_eval.language_model import Auditable, Surveyor
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request


@pytest.fixture
def endless(model: Kosmos, tokenizer: SegmentTokenizer) -> Kosmos:
    """A model that ends no answer of itself."""
    with torch.no_grad():
        model.decoder.embedding.weight[[tokenizer.eos, tokenizer.image_begin]] = 0
    return model


def shapes_of(model: Kosmos, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Rows and new places of every pass from now on."""
    shapes: list[tuple[int, int]] = []
    original = model.decoder.forward

    def forward(embeddings: torch.Tensor, *others: Any) -> torch.Tensor:  # noqa: ANN401  as they came
        shapes.append((embeddings.shape[0], embeddings.shape[1]))
        return original(embeddings, *others)

    monkeypatch.setattr(model.decoder, "forward", forward)
    return shapes


@pytest.mark.parametrize("beams", [1, 3])
def test_slots_are_filled_again_while_others_go_on(
    endless: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch, beams: int
) -> None:
    lengths = [30, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    letters = "abcdefghij"
    requests: list[tuple[int, Request]] = [
        (at, Generate(Prompt.of(letters[at:] + letters[:at]), most, num_beams=beams)) for at, most in enumerate(lengths)
    ]
    alone = {number: dict(KosmosModel(endless, tokenizer).answer([(number, each)])) for number, each in requests}
    engine = KosmosModel(endless, tokenizer, 3 * beams)
    shapes = shapes_of(endless, monkeypatch)
    together = dict(engine.answer(requests))
    for number, answer in together.items():
        want = alone[number][number]
        assert isinstance(answer, Generated)
        assert isinstance(want, Generated)
        assert answer.tokens == want.tokens
        assert answer.logprobs == pytest.approx(want.logprobs, abs=1e-4)
    steps = [rows for rows, places in shapes if places == beams]
    assert max(steps) == 3
    # Three at a time, each batch waiting for its longest, would take 29 + 2 + 2 + 2 steps; nine short ones fit beside
    # the long one.
    assert len(steps) == 29
    assert steps[:8] == [3] * 8


def test_prompts_wait_until_there_is_a_slot(
    endless: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = KosmosModel(endless, tokenizer, 2)
    shapes = shapes_of(endless, monkeypatch)
    requests = [(at, Generate(Prompt.of("abcdefgh"[at:] * 9), 2)) for at in range(8)]
    answers = engine.answer(requests)
    next(answers)
    assert sum(rows for rows, places in shapes if places > 1) <= 4
    assert len(list(answers)) == 7


def test_equal_requests_with_different_limits_share_a_prompt(endless: Kosmos, tokenizer: SegmentTokenizer) -> None:
    requests = [(most, Generate(Prompt.of("hello"), most)) for most in (1, 5, 9)]
    answers = dict(KosmosModel(endless, tokenizer).answer(requests))
    assert [len(answers[most].tokens) for most in (1, 5, 9)] == [1, 5, 9]  # type: ignore[union-attr]  # all are Generated
    assert answers[9].tokens[:5] == answers[5].tokens  # type: ignore[union-attr]  # as above


def test_questions_about_a_picture_read_it_once(
    endless: Kosmos,
    tokenizer: SegmentTokenizer,
    make_picture: Callable[[int], Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = KosmosModel(endless, tokenizer)
    shapes = shapes_of(endless, monkeypatch)
    requests = [(at, Generate(Prompt.of(make_picture(0), "question " + "abcde"[at]), 1)) for at in range(5)]
    list(engine.answer(requests))
    assert shapes == [(1, 1 + 1 + 4 + 1 + 9 + 5)]


def test_each_margin_is_how_far_a_token_led_the_next_one(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    ((_, answer),) = KosmosModel(model, tokenizer).answer([(0, Generate(Prompt.of("abc"), 5))])
    assert isinstance(answer, Generated)
    assert len(answer.margins) == len(answer.tokens)
    ids = [tokenizer.bos, *tokenizer.encode("abc")]
    with torch.inference_mode():
        for place, token in enumerate(answer.tokens):
            sequence = torch.tensor([ids + list(answer.tokens[:place])])
            hidden = model.decoder(model.embed(sequence), torch.arange(sequence.shape[1])[None])
            best, second = model.decoder.logits(hidden[0, -1]).topk(2).values.tolist()
            assert answer.margins[place] == pytest.approx(best - second, abs=1e-4)
            assert int(model.decoder.logits(hidden[0, -1]).argmax()) == token


def test_a_constraint_of_one_text_leaves_no_other_choice(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    ((_, answer),) = KosmosModel(model, tokenizer).answer([(0, Generate(Prompt.of("a"), 9, constraint=("yes",)))])
    assert answer.margins == (float("inf"),) * 4  # type: ignore[union-attr]  # a Generate has a Generated


def test_a_survey_counts_what_sharing_saves(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    engine = KosmosModel(model, tokenizer)
    assert isinstance(engine, Surveyor)
    assert isinstance(engine, Auditable)
    head = 1 + 1 + 4 + 1
    asked: list[Request] = [Generate(Prompt.of(make_picture(0), text), 7) for text in ("abcd", "abce")]
    asked.append(Score(Prompt.of(make_picture(1), "ab"), (Continuation("xy"), Continuation("xz"), Continuation("w"))))
    survey = engine.survey(asked)
    assert survey.images == 2
    assert survey.new_tokens == 14
    assert survey.whole_tokens == 2 * (head + 4) + 2 * (head + 3) + (head + 2)
    assert survey.shared_tokens == (head + 3 + 2) + (head + 2 + 1)
    assert survey.memory > 0
    if model.config.decoder.positions == "sinusoidal":
        assert engine.survey([Generate(Prompt.of("a" * 300), 1)]).whole_tokens == 0
