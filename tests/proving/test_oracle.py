"""Scripted models answer as they are told, whichever way log-likelihoods are compared."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.choice import weights_of
from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Prompt
from kosmos_eval.proving.oracle import ByContent, Perfect, Scripted, Wrong, empty, weighed, written
from kosmos_eval.request import Continuation, Generate, Generated, Score, Scored
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from kosmos_eval.choice import By

SAMPLE = Sample(key="7")


def options(*texts: str) -> Score:
    return Score(Prompt.of("?"), tuple(map(Continuation, texts)))


def knows(gold: Any) -> Any:  # noqa: ANN401  whatever a task may say
    return SimpleNamespace(gold=lambda _sample, _request: gold)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), st.randoms(use_true_random=False))
def test_the_order_is_that_of_the_weights_however_it_is_compared(weights: list[int], random: Any) -> None:  # noqa: ANN401  hypothesis's own
    request = options(*("x" * random.randint(1, 30) for _ in weights))
    found = weighed(request, weights).continuations
    kinds: tuple[By, ...] = ("total", "per_token", "per_character")
    for by in kinds:
        got = weights_of(found, by)
        assert all(map(math.isfinite, got))
        if by != "per_character":  # where equal weights of unequal texts are no tie
            assert [one < two for one, two in pairwise(got)] == [one < two for one, two in pairwise(weights)]
        best = max(range(len(got)), key=got.__getitem__)
        assert weights[best] == max(weights)


def test_a_thousand_options_are_told_apart() -> None:
    found = weighed(options(*("x" * (1 + place % 9) for place in range(1000))), list(range(1000)))
    totals = weights_of(found.continuations)
    assert list(totals) == sorted(totals)
    assert all(map(math.isfinite, totals))
    assert len(set(totals)) == 1000


def test_a_text_is_cut_as_the_request_says() -> None:
    request = Generate(Prompt.of("?"), max_new_tokens=2, stop=("\n", "!"))
    assert written("a b", request).text == "a b"
    assert written("a b", request).stop_reason == "eos"
    assert (written("a! b\n", request).text, written("a! b\n", request).stop_reason) == ("a", "stop")
    assert (written("a b c", request).text, written("a b c", request).stop_reason) == ("a b", "length")


def test_the_perfect_model_says_what_the_task_calls_best() -> None:
    assert weights_of(answer(Perfect(knows(1)), options("a", "b")).continuations)[1] > -1
    assert list(Perfect(knows([3.0, 1.0])).weights(SAMPLE, options("a", "b"))) == [3.0, 1.0]
    written_one = Perfect(knows("b"))(SAMPLE, Generate(Prompt.of("?"), 2))
    assert isinstance(written_one, Generated)
    assert written_one.text == "b"


def answer(script: Any, request: Score) -> Scored:  # noqa: ANN401  any script
    [(number, response)] = Scripted([SAMPLE], script).answer([(0, request)])
    assert number == 0
    assert isinstance(response, Scored)
    return response


@pytest.mark.parametrize(
    ("gold", "request_", "message"),
    [
        (2, options("a", "b"), "sample 7: expected gold to be an index below 2, or 2 weights, got 2"),
        ("a", options("a", "b"), "sample 7: expected gold to be an index below 2"),
        ([1.0], options("a", "b"), "sample 7: expected gold to be an index below 2, or 2 weights"),
        (1, Generate(Prompt.of("?"), 2), "sample 7: expected gold to be a text, as it is asked for one, got 1"),
        ("c", Generate(Prompt.of("?"), 2, constraint=("a", "b")), "expected gold to be one of the allowed .* got 'c'"),
    ],
)
def test_an_answer_that_no_model_could_give_is_refused(gold: object, request_: Any, message: str) -> None:  # noqa: ANN401  either kind
    with pytest.raises(DataError, match=message):
        Perfect(knows(gold))(SAMPLE, request_)


def test_the_others_err_say_nothing_or_go_by_content() -> None:
    three = options("a", "b", "c")
    assert list(Wrong(knows(2), 1).weights(SAMPLE, three)) == [1.0, 0.0, 0.0]
    assert all(math.isnan(each.total) for each in answer(empty, three).continuations)
    nothing = empty(SAMPLE, Generate(Prompt.of("?"), 2, constraint=("a", "b")))
    assert isinstance(nothing, Generated)
    assert nothing.text == ""
    a, b, c = ByContent(knows(0)).weights(SAMPLE, three)
    assert list(ByContent(knows(0)).weights(SAMPLE, options("c", "a", "b"))) == [c, a, b]
    assert len({a, b, c}) == 3
