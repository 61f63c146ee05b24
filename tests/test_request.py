"""Requests are values: checked when they are made, and equal exactly when their digests are."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import (
    Continuation,
    Failed,
    Generate,
    Generated,
    LogLikelihood,
    Score,
    Scored,
    WholeText,
    request_digest,
    response_from_json,
    response_to_json,
)

if TYPE_CHECKING:
    from kosmos_eval.request import Request, Response


def image(shade: int) -> Image:
    return Image(lambda: PIL.Image.new("RGB", (2, 2), (shade, 0, 0)), f"shade {shade}")


PROMPT = Prompt.of("see ", image(1), " what?")
GENERATE = Generate(PROMPT, max_new_tokens=4, stop=("\n",), constraint=("yes", "no"))
SCORE = Score(PROMPT, (Continuation("yes", lead=Prompt.of(image(2))), Continuation("no")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "expected max_new_tokens to be at least 1, got 0"),
        ({"num_beams": 0}, "expected num_beams to be at least 1, got 0"),
        ({"no_repeat_ngram": -1}, r"expected no_repeat_ngram to be 0 \(off\) or more, got -1"),
        ({"stop": ("a", "")}, r"expected stop to be a tuple of texts with characters, got \('a', ''\)"),
        ({"stop": "\n"}, r"expected stop to be a tuple of texts with characters, got '\\n'"),
        ({"constraint": ()}, "expected constraint to be None"),
        ({"whole": WholeText(rolling=True)}, "expected whole.rolling to be False where nothing is scored, got True"),
    ],
)
def test_a_generation_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GENERATE, **changes)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_a_continuation_needs_text(text: str) -> None:
    with pytest.raises(ValueError, match="expected a continuation with text to score"):
        Continuation(text)


def test_scoring_needs_a_continuation() -> None:
    with pytest.raises(ValueError, match="expected at least one continuation to score, got none"):
        Score(PROMPT, ())


@pytest.mark.parametrize("lead", [Prompt(), Prompt.of("see")])
def test_a_text_in_windows_has_no_prompt(lead: Prompt) -> None:
    prompt = Prompt() if lead.parts else PROMPT
    with pytest.raises(ValueError, match="expected no prompt and no lead in front of a text that is scored in windows"):
        Score(prompt, (Continuation("yes", lead),), WholeText(rolling=True))


def test_at_least_one_token_is_read_at_once() -> None:
    with pytest.raises(ValueError, match="expected most to be None"):
        WholeText(most=0)


OTHERS: list[Request] = [
    replace(GENERATE, prompt=Prompt.of("see ", image(3), " what?")),
    replace(GENERATE, prompt=Prompt.of("see", image(1), " what?")),
    replace(GENERATE, prompt=Prompt.of("see <image> what?")),
    replace(GENERATE, prompt=Prompt.of("see ", " what?", image(1))),
    replace(GENERATE, max_new_tokens=5),
    replace(GENERATE, stop=("\n", "\n\n")),
    replace(GENERATE, stop=()),
    replace(GENERATE, num_beams=2),
    replace(GENERATE, length_penalty=0.5),
    replace(GENERATE, no_repeat_ngram=3),
    replace(GENERATE, constraint=("no", "yes")),
    replace(GENERATE, constraint=None),
    *(replace(GENERATE, whole=WholeText(begin, most)) for begin in (True, False) for most in (None, 9)),
    SCORE,
    replace(SCORE, prompt=Prompt.of("see")),
    replace(SCORE, continuations=SCORE.continuations[::-1]),
    replace(SCORE, continuations=SCORE.continuations[:1]),
    replace(SCORE, continuations=(Continuation("yes", lead=Prompt.of(image(4))), Continuation("no"))),
    replace(SCORE, continuations=(Continuation("yes "), Continuation("no"))),
    replace(SCORE, whole=WholeText()),
    *(Score(Prompt(), (Continuation("no"),), whole) for whole in (None, WholeText(), WholeText(rolling=True))),
]


def test_every_field_and_every_pixel_is_in_the_digest() -> None:
    digests = [request_digest(each) for each in (GENERATE, *OTHERS)]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 64 for digest in digests)


def test_no_field_is_left_out_of_the_cases_above() -> None:
    assert {name for name in Generate.__dataclass_fields__ if all(_same(each, name) for each in OTHERS)} == set()


def _same(other: Request, name: str) -> bool:
    return not isinstance(other, Generate) or getattr(other, name) == getattr(GENERATE, name)


def test_equal_requests_have_equal_digests() -> None:
    same = Generate(
        Prompt.of("see", " ", Image(image(1).load, "another file"), " what?"),
        max_new_tokens=4,
        stop=("\n",),
        length_penalty=1,  # an int, equal to 1.0
        constraint=("yes", "no"),
    )
    assert same == GENERATE
    assert request_digest(same) == request_digest(GENERATE)


def test_the_digest_is_spelt_out_so_that_old_journals_stay_readable() -> None:
    request = Score(Prompt.of("café"), (Continuation("no"),))
    spelt = '["Score", {"continuations": [{"lead": [], "text": "no"}], "prompt": ["café"]}]'
    assert request_digest(request) == hashlib.sha256(spelt.encode()).hexdigest()
    spelt = (
        '["Generate", {"constraint": null, "length_penalty": 1.0, "max_new_tokens": 4, "no_repeat_ngram": 0, '
        '"num_beams": 1, "prompt": ["café"], "stop": ["."]}]'
    )
    generate = Generate(Prompt.of("café"), 4, (".",))
    assert request_digest(generate) == hashlib.sha256(spelt.encode()).hexdigest()


numbers = st.floats(allow_nan=False) | st.sampled_from([math.inf, -math.inf])
likelihoods = st.builds(
    lambda rows, characters, greedy: LogLikelihood(
        tuple(token for token, _ in rows), tuple(logprob for _, logprob in rows), characters, greedy
    ),
    st.lists(st.tuples(st.integers(0, 99), numbers), max_size=3),
    st.integers(1, 9),
    st.booleans(),
)
generated = st.builds(
    lambda text, rows, logprobs, reason, known: Generated(
        text, tuple(token for token, _ in rows), logprobs, reason, tuple(margin for _, margin in rows) if known else ()
    ),
    st.text(),
    st.lists(st.tuples(st.integers(0, 99), numbers), max_size=3),
    st.lists(numbers, max_size=3).map(tuple),
    st.sampled_from(["eos", "stop", "length"]),
    st.booleans(),
)
failed = st.builds(Failed, st.text(), st.none() | st.integers(1, 9))
responses = generated | st.builds(Scored, st.lists(likelihoods, max_size=3).map(tuple)) | failed


@given(responses)
def test_a_response_comes_back_from_json_as_it_was(response: Response | Failed) -> None:
    assert response_from_json(json.loads(json.dumps(response_to_json(response)))) == response


def test_a_response_of_before_margins_were_kept_is_read() -> None:
    values = response_to_json(Generated("a", (1,), (-1.0,), "eos", (0.5,)))
    del values["margins"]
    assert response_from_json(values) == Generated("a", (1,), (-1.0,), "eos")


def test_margins_are_one_a_token_or_none() -> None:
    with pytest.raises(ValueError, match="expected a margin for each of 2 tokens, or none, got 1"):
        Generated("a", (1, 2), (-1.0, -1.0), "eos", (0.5,))


def test_not_a_number_comes_back_from_json() -> None:
    response = Scored((LogLikelihood((1, 2), (math.nan, -1.0), 3, greedy=True),))
    back = response_from_json(json.loads(json.dumps(response_to_json(response))))
    assert isinstance(back, Scored)
    assert math.isnan(back.continuations[0].logprobs[0])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "Other"},
        {"kind": "Generated", "text": "x"},
        {"kind": "Generated", "text": "", "tokens": [], "logprobs": [], "stop_reason": "eos", "margins": None},
        {"kind": "Failed"},
        {"kind": "Scored"},
        {"kind": "Scored", "continuations": [{"tokens": [1]}]},
        {"kind": "Scored", "continuations": 3},
    ],
)
def test_json_that_is_no_response_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a Generated, Scored or Failed response, got"):
        response_from_json(values)


def test_log_likelihoods_are_summed_and_averaged_by_token_and_by_character() -> None:
    likelihood = LogLikelihood((7, 8), (-1.0, -2.0), 6, greedy=False)
    assert (likelihood.total, likelihood.per_token, likelihood.per_character) == (-3.0, -1.5, -0.5)


def test_the_sum_over_tokens_is_rounded_once() -> None:
    logprobs = tuple(-0.1 for _ in range(10))
    assert LogLikelihood(tuple(range(10)), logprobs, 10, greedy=False).total == -1.0
    assert sum(logprobs) != -1.0


def test_an_impossible_token_makes_the_sum_minus_infinity() -> None:
    assert LogLikelihood((7, 8), (-math.inf, -2.0), 6, greedy=False).total == -math.inf
