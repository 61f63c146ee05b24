"""A sample's margin is its closest choice, and a near tie is what rounding can turn."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.margins import NEAR_TIE_NATS, is_near_tie, sample_margin, summarise_margins
from kosmos_eval.prompt import Prompt
from kosmos_eval.record import MarginSummary
from kosmos_eval.request import Continuation, Generate, Generated, LogLikelihood, Score, Scored

ASKED = Generate(Prompt.of("a"), 4)


def wrote(*margins: float, tokens: int | None = None) -> Generated:
    count = len(margins) if tokens is None else tokens
    return Generated("", (1,) * count, (-1.0,) * count, "eos", margins)


def weighed(*totals: float, texts: str = "abcdefgh") -> tuple[Score, Scored]:
    request = Score(Prompt.of("a"), tuple(Continuation(text) for text, _ in zip(texts, totals, strict=False)))
    return request, Scored(tuple(LogLikelihood((1,), (total,), 1, greedy=False) for total in totals))


def test_of_what_was_written_the_closest_token_counts() -> None:
    assert sample_margin([ASKED], [wrote(2.0, 0.5, math.inf)]) == 0.5


def test_of_candidates_the_best_two_count() -> None:
    request, response = weighed(-5.0, -1.0, -9.0, -1.25)
    assert sample_margin([request], [response]) == 0.25


def test_over_all_stages_the_smallest_counts() -> None:
    request, response = weighed(-1.0, -2.0)
    assert sample_margin([ASKED, request], [wrote(0.5), response]) == 0.5
    assert sample_margin([ASKED, request], [wrote(3.0), response]) == 1.0


def test_a_task_s_own_comparison_stands_in_for_the_sums_but_not_for_what_was_written() -> None:
    request, response = weighed(-1.0, -1.5)
    assert sample_margin([request], [response], 0.75) == 0.75
    assert sample_margin([request], [response], 0.25) == 0.25
    assert sample_margin([ASKED, request], [wrote(0.125), response], 0.75) == 0.125


def test_what_the_model_does_not_tell_makes_the_margin_unknown_unless_the_task_compares() -> None:
    request, response = weighed(-1.0, -1.5)
    assert sample_margin([ASKED], [wrote(tokens=2)]) is None
    assert sample_margin([ASKED, request], [wrote(tokens=2), response]) is None
    assert sample_margin([ASKED, request], [wrote(tokens=2), response], 0.75) == 0.75


def test_without_a_choice_there_is_no_margin() -> None:
    request, response = weighed(-1.0)
    assert sample_margin([request], [response]) is None
    assert sample_margin([ASKED], [wrote(math.inf, math.inf)]) is None
    assert sample_margin([ASKED], [wrote()]) is None


def test_equal_candidates_are_one_and_impossible_ones_tie() -> None:
    request, response = weighed(-1.0, -1.0, -3.0, texts="aab")
    assert sample_margin([request], [response]) == 2.0
    request, response = weighed(-math.inf, -math.inf)
    assert sample_margin([request], [response]) == 0.0
    request, response = weighed(-1.0, -math.inf)
    assert sample_margin([request], [response]) is None


def test_what_is_no_number_is_no_margin() -> None:
    assert sample_margin([ASKED], [wrote(0.5, math.nan)]) is None
    assert sample_margin([ASKED], [wrote(math.nan, 0.5)]) is None


def test_a_margin_is_never_negative() -> None:
    assert sample_margin([ASKED], [wrote(-1e-9)]) == 0.0


@pytest.mark.parametrize("dtype", get_args(RunConfig.model_fields["dtype"].annotation))
def test_a_near_tie_is_below_the_threshold_of_its_type(dtype: str) -> None:
    threshold = NEAR_TIE_NATS[dtype]
    assert is_near_tie(threshold * 0.999, dtype) is True
    assert is_near_tie(threshold, dtype) is False
    assert is_near_tie(None, dtype) is None


def test_coarser_types_have_wider_near_ties() -> None:
    assert NEAR_TIE_NATS["float32"] < NEAR_TIE_NATS["float16"] < NEAR_TIE_NATS["bfloat16"]


def test_a_summary_counts_near_ties_and_exact_ones_and_takes_the_median() -> None:
    threshold = NEAR_TIE_NATS["float32"]
    margins = [3.0, 0.0, 1.0, threshold / 2, 2.0]
    assert summarise_margins(margins, "float32") == MarginSummary(5, 2, 0.4, 1, 1.0, threshold)
    assert summarise_margins([1.0, 2.0], "bfloat16") == MarginSummary(2, 0, 0.0, 0, 1.5, NEAR_TIE_NATS["bfloat16"])


def test_a_summary_of_nothing_is_no_number() -> None:
    assert summarise_margins([], "float32") == MarginSummary(0, 0, None, 0, None, NEAR_TIE_NATS["float32"])
