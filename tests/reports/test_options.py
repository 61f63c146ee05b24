from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.reports.options import OPTION_LIMIT, build_options, nats, numbered_option, right_options
from kosmos_eval.reports.pictures import Album
from kosmos_eval.request import LogLikelihood, Scored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.reports.options import Options
    from tests.reports.conftest import Make


def build(make: Make, options: Mapping[str, tuple[float, ...]], *, correct: bool = False, **changes: Any) -> Options:  # noqa: ANN401  any field
    exchange = make.score("prompt", {text: math.fsum(logprobs) for text, logprobs in options.items()})
    rows = tuple(LogLikelihood((1,) * len(each), each, len(text), greedy=False) for text, each in options.items())
    sample = make.sample("1", exchange, **changes)
    return build_options(exchange, Scored(rows), sample, Album(make.record()), correct=correct)


def test_shares_are_the_softmax_over_the_options(make: Make) -> None:
    built = build(make, {"a": (math.log(0.6),), "b": (math.log(0.2),)}, target="b")
    assert [option.share for option in built.shown] == ["75.0", "25.0"]
    assert [option.share_width for option in built.shown] == [75.0, 25.0]
    assert [(option.best, option.right) for option in built.shown] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("margin", "measure", "best"),
    [(1.5, "sum over tokens", "b"), (0.5, "mean a token", "ten digits"), (2.1, "mean a character", "ten digits")],
)
def test_the_margin_tells_how_options_were_compared(make: Make, margin: float, measure: str, best: str) -> None:
    # Sums -4 and -2.5, a token -2 and -2.5, a character -0.4 and -2.5.
    built = build(make, {"ten digits": (-2.0, -2.0), "b": (-2.5,)}, margin=margin)
    assert built.measure == measure
    assert [option.pieces[0].text for option in built.shown if option.best] == [best]


def test_a_long_list_shows_the_likeliest_and_the_target(make: Make) -> None:
    options = {f"name {index}": (-float(index),) for index in range(1000)}
    built = build(make, options, target="name 700")
    assert [option.number for option in built.shown] == [*range(1, 9), 701]
    assert built.left_out == 991
    assert len(build(make, dict(list(options.items())[:OPTION_LIMIT])).shown) == OPTION_LIMIT


def test_a_right_answer_marks_the_preferred_option_when_the_target_names_none(make: Make) -> None:
    options = {"Yes": (-2.0,), "Yes ": (-1.0,)}
    assert [option.right for option in build(make, options, target="triangle", correct=True).shown] == [False, True]
    assert not any(option.right for option in build(make, options, target="triangle").shown)


def test_impossible_options_are_shown_as_such(make: Make) -> None:
    built = build(make, {"a": (-math.inf,), "b": (-1.0,)})
    assert [(option.likelihood, option.share) for option in built.shown] == [("−∞", "0.0"), ("−1.000", "100.0")]  # noqa: RUF001  a true minus sign
    assert [option.share for option in build(make, {"a": (-math.inf,)}).shown] == ["—"]


def test_target_is_found_as_the_whole_option_or_its_end() -> None:
    assert right_options([" Yes", " no"], "yes") == {0}
    assert right_options(["Is it? yes", "Is it? no."], "No") == {1}
    assert right_options(["<image:0123456789ab>yes", "no"], "yes") == {0}
    assert right_options(["ayes", "no"], "yes") == frozenset()
    assert right_options(["a: yes", "b: yes"], "yes") == frozenset()
    assert right_options(["", "no"], "") == frozenset()


@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        ("3", "2", {1}),
        ("2", "1", {1}),
        ("C", "A", {0}),
        ("candidate 3", "candidate 6", {5}),
        ("3", "9", set()),
        ("9", "1", set()),
        (None, "1", set()),
        ("3", "square", set()),
    ],
)
def test_numbers_and_letters_count_as_the_answer_does(
    make: Make, answer: str | None, target: str, expected: set[int]
) -> None:
    assert numbered_option(make.sample(answer=answer, target=target), preferred=2, options=6) == expected


def test_nats_keep_three_decimals_or_powers_of_ten() -> None:
    assert nats(None) == "—"
    assert nats(0.0) == "0.000"
    assert nats(-1.5) == "\N{MINUS SIGN}1.500"
    assert nats(0.00042) == "4.2e\N{MINUS SIGN}04"
    assert nats(math.nan) == "not a number"
