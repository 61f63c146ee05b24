"""Images at any place of a prompt, in any number, under all kinds of request: alone = in a batch = in a lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Failed, Request, Response

Parts = tuple[str | int, ...]
"""A prompt in small: texts, and numbers of pictures."""

parts = st.lists(st.one_of(st.integers(0, 3), st.text("abc ", max_size=6)), max_size=6).map(tuple)
once = settings(
    max_examples=5, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def likelihoods(response: Response | Failed) -> list[tuple[float, ...]]:
    assert isinstance(response, Scored)
    return [each.logprobs for each in response.continuations]


@once
@given(prompt=parts, leads=st.lists(parts, min_size=1, max_size=4))
def test_a_lead_counts_as_the_end_of_the_prompt(
    model: Kosmos,
    tokenizer: SegmentTokenizer,
    make_picture: Callable[[int], Image],
    prompt: Parts,
    leads: list[Parts],
) -> None:
    def made(*each: str | int) -> Prompt:
        return Prompt.of(*(make_picture(part) if isinstance(part, int) else part for part in each))

    # Candidates that differ in their picture alone, as a matrix's do, stand beside the random ones.
    leads = [*leads, *((number, "is it right") for number in range(4))]
    together = Score(made(*prompt, 0), tuple(Continuation("Yes", made(*lead)) for lead in leads))
    moved = [Score(made(*prompt, 0, *lead), (Continuation("Yes"),)) for lead in leads]  # texts do not join across the 0
    engine = KosmosModel(model, tokenizer)
    [(_, answer)] = engine.answer([(0, together)])
    alone = dict(KosmosModel(model, tokenizer, 1).answer(enumerate(moved)))
    for at, found in enumerate(likelihoods(answer)):
        [expected] = likelihoods(alone[at])
        assert found == pytest.approx(expected, abs=1e-4)


@once
@given(prompts=st.lists(parts, min_size=2, max_size=6))
def test_a_batch_answers_as_each_prompt_alone(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image], prompts: list[Parts]
) -> None:
    requests: list[Request] = []
    for each in prompts:
        prompt = Prompt.of(*(make_picture(part) if isinstance(part, int) else part for part in each))
        requests += [Generate(prompt, 4), Generate(prompt, 4, num_beams=3), Score(prompt, (Continuation("No"),))]
    together = dict(KosmosModel(model, tokenizer).answer(enumerate(requests)))
    for at, request in enumerate(requests):
        [(_, alone)] = KosmosModel(model, tokenizer, 1).answer([(0, request)])
        both = (together[at], alone)
        if isinstance(request, Score):
            assert likelihoods(both[0])[0] == pytest.approx(likelihoods(both[1])[0], abs=1e-4)
        else:
            assert [each.tokens for each in both] == [both[1].tokens] * 2  # type: ignore[union-attr]  # a Generate has a Generated
            assert both[0].logprobs == pytest.approx(both[1].logprobs, abs=1e-4)  # type: ignore[union-attr]  # as above
