from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.errors import DataError
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, LogLikelihood, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.prompt import Image


def one_score(engine: KosmosModel, prompt: Prompt, *continuations: Continuation) -> tuple[LogLikelihood, ...]:
    ((_, scored),) = engine.answer([(0, Score(prompt, continuations))])
    assert isinstance(scored, Scored)
    return scored.continuations


def test_duplicate_continuations_score_alike_to_the_bit(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    first, other, last = one_score(
        KosmosModel(model, tokenizer), Prompt.of("which"), *map(Continuation, ("red", "blue", "red"))
    )
    assert first == last
    assert first != other


def test_a_lead_is_read_and_not_scored(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    engine = KosmosModel(model, tokenizer)
    with_lead, bare = one_score(
        engine, Prompt.of("here"), Continuation("Yes", Prompt.of(make_picture(1), "is it")), Continuation("Yes")
    )
    assert len(with_lead.tokens) == len(bare.tokens) == 3
    assert with_lead.logprobs != bare.logprobs
    (moved,) = one_score(engine, Prompt.of("here", make_picture(1), "is it"), Continuation("Yes"))
    assert with_lead.logprobs == pytest.approx(moved.logprobs, abs=1e-4)


def test_more_branches_than_one_tree_holds_are_all_scored(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    names = [f"{a}{b}{c}d" for a in "abcdefghij" for b in "abcdefgh" for c in "abcdefgh"]
    engine = KosmosModel(model, tokenizer)
    together = one_score(engine, Prompt.of("name"), *map(Continuation, names))
    for at in (0, 300, 639):
        (alone,) = one_score(engine, Prompt.of("name"), Continuation(names[at]))
        assert together[at].logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_first_tokens_of_all_branches_are_a_distribution(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    scored = one_score(KosmosModel(model, tokenizer), Prompt.of("say"), *map(Continuation, letters))
    total = torch.tensor([each.total for each in scored]).exp().sum()
    assert 0 < total < 1
    assert sum(each.greedy for each in scored) <= 1


def test_a_continuation_that_tokenises_to_nothing_is_an_error(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "encode", lambda _: [])
    with pytest.raises(DataError, match="to have tokens"):
        one_score(KosmosModel(model, tokenizer), Prompt.of("x"), Continuation("y"))
