"""The Raven benchmark: KOSMOS-1's prompt and the choice by P("Yes")."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.tasks.raven import Raven, RavenSample

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN, INF = float("nan"), float("inf")

ASKED = "Here are eight images:" + "<image>" * 8 + " The following image is:"


@pytest.fixture(scope="module")
def matrices() -> list[RavenSample]:
    return list(Raven().samples("val", Source("mini")))


def scored(logprobs: Sequence[float]) -> Scored:
    """A model's response: "Yes" is one token, of the given log-probability for each candidate."""
    return Scored(tuple(LogLikelihood((7,), (value,), 3, greedy=False) for value in logprobs))


def asked(
    sample: RavenSample, logprobs: Sequence[float], exemplars: Sequence[RavenSample] = ()
) -> tuple[ScoreRequest, tuple[float, ...]]:
    """Return the one request, and the answer made of the given response."""
    asking = Raven().ask(sample, exemplars)
    request = next(asking)
    assert isinstance(request, ScoreRequest)
    with pytest.raises(StopIteration) as stop:
        asking.send(scored(logprobs))
    return request, stop.value.value


def logprobs_for(best: int) -> list[float]:
    return [-1.0 if place == best else -3.0 for place in range(8)]


# The plugin


def test_the_plugin_is_well_formed() -> None:
    assert Plugins().task("raven") is Raven


# Asking


def test_the_prompt_is_the_papers(matrices: list[RavenSample]) -> None:
    request, _ = asked(matrices[0], logprobs_for(0))
    assert request.prompt.text() == ASKED
    assert request.prompt.images == matrices[0].context
    assert [each.lead.text() for each in request.continuations] == ["<image> Is it correct?"] * 8
    assert [each.lead.images for each in request.continuations] == [(each,) for each in matrices[0].candidates]
    assert {each.text for each in request.continuations} == {"Yes"}


def test_exemplars_are_solved_matrices_before_the_query(matrices: list[RavenSample]) -> None:
    request, _ = asked(matrices[0], logprobs_for(0), matrices[1:3])
    solved = f"{ASKED}<image> Is it correct? Yes "
    assert request.prompt.text() == solved + solved + ASKED
    assert request.prompt.images[8] == matrices[1].candidates[matrices[1].target or 0]
    assert request.prompt.images[-8:] == matrices[0].context


@pytest.mark.parametrize(
    ("count", "opening"),
    [
        (1, "Here is one image:"),
        (3, "Here are three images:"),
        (4, "Here are four images:"),
        (8, "Here are eight images:"),
        (17, "Here are 17 images:"),
    ],
)
def test_panels_are_counted_in_words(matrices: list[RavenSample], count: int, opening: str) -> None:
    panels = (matrices[0].context * 3)[:count]
    sample = RavenSample(key="few", context=panels, candidates=matrices[0].candidates, target=0)
    request, _ = asked(sample, logprobs_for(0))
    assert request.prompt.text() == opening + "<image>" * count + " The following image is:"


def test_exemplars_can_be_drawn_from_the_evaluated_split(matrices: list[RavenSample]) -> None:
    pool = ExemplarPool(matrices)
    drawn = pool.draw(matrices[0], 4, seed=0, task="raven")
    assert len({each.key for each in drawn} | {matrices[0].key}) == 5


# Scoring


def test_the_likeliest_candidate_is_the_answer_counted_from_one(matrices: list[RavenSample]) -> None:
    sample = matrices[0]
    assert sample.target is not None
    _, answer = asked(sample, logprobs_for(sample.target))
    score = Raven().score(sample, answer)
    assert (score.values, score.answer, score.target) == ({"accuracy": 1.0}, str(sample.target + 1), score.answer)
    assert score.margin == pytest.approx(2.0)
    wrong = Raven().score(sample, tuple(logprobs_for((sample.target + 1) % 8)))
    assert wrong.values == {"accuracy": 0.0}
    assert wrong.explanation == f"candidate {wrong.answer} is the likeliest, candidate {wrong.target} is right"


def test_candidates_that_tie_share_the_point(matrices: list[RavenSample]) -> None:
    right = matrices[0].target
    assert right is not None
    tied = [right, (right + 1) % 8, (right + 2) % 8]
    answer = tuple(-1.0 if place in tied else -2.0 for place in range(8))
    score = Raven().score(matrices[0], answer)
    assert score.values == {"accuracy": pytest.approx(1 / 3)}
    assert score.margin == 0.0
    assert score.answer == " or ".join(str(place + 1) for place in sorted(tied))
    assert "tie exactly" in score.explanation
    without = tuple(-1.0 if place in tied[1:] else -2.0 for place in range(8))
    assert Raven().score(matrices[0], without).values == {"accuracy": 0.0}


def test_a_model_that_cannot_tell_candidates_apart_is_at_chance(matrices: list[RavenSample]) -> None:
    values = [Raven().score(each, (-0.5,) * 8).values["accuracy"] for each in matrices]
    assert set(values) == {matrices[0].chance} == {1 / 8}


@pytest.mark.parametrize("spoilt", [NAN, INF, -INF])
def test_a_log_probability_that_is_not_finite_is_unparsed(matrices: list[RavenSample], spoilt: float) -> None:
    _, answer = asked(matrices[0], [-1.0, spoilt, *[-2.0] * 6])
    score = Raven().score(matrices[0], answer)
    assert (score.answer, score.margin, score.values) == (None, None, {"accuracy": 0.0})
    assert score.explanation == f"the log-probability of candidate 2 is {spoilt}"


def test_tokens_of_opposite_infinities_are_unparsed_too(matrices: list[RavenSample]) -> None:
    asking = Raven().ask(matrices[0], ())
    next(asking)
    torn = LogLikelihood((1, 2), (INF, -INF), 3, greedy=False)
    with pytest.raises(StopIteration) as stop:
        asking.send(Scored((torn,) * 8))
    assert Raven().score(matrices[0], stop.value.value).answer is None


def test_yes_of_several_tokens_counts_with_all_of_them(matrices: list[RavenSample]) -> None:
    asking = Raven().ask(matrices[0], ())
    next(asking)
    pair = LogLikelihood((1, 2), (-1.0, -0.5), 3, greedy=False)
    with pytest.raises(StopIteration) as stop:
        asking.send(Scored((pair,) * 8))
    assert stop.value.value == (-1.5,) * 8


def test_an_unlabelled_matrix_is_answered_and_not_scored(matrices: list[RavenSample]) -> None:
    sample = RavenSample(key="open", context=matrices[0].context, candidates=matrices[0].candidates, labelled=False)
    score = Raven().score(sample, tuple(logprobs_for(4)))
    assert (score.values, score.answer, score.target) == ({}, "5", "")


# The embedded matrices


def test_embedded_samples_carry_their_rules_as_breakdowns(matrices: list[RavenSample]) -> None:
    assert len(matrices) == 200
    sample = next(each for each in matrices if "position" in each.rules)
    assert sample.groups["panels"] == "8"
    assert sample.groups["configuration"] in {"2x2", "3x3"}
    assert sample.groups["position rule"] == sample.rules["position"]
    assert math.isclose(sample.chance or 0, 1 / 8)


def test_a_sample_has_a_content_that_covers_all_its_panels(matrices: list[RavenSample]) -> None:
    assert len(matrices[0].images) == 16
    assert len({each.content for each in matrices[:3]}) == 3


def test_an_unknown_embedded_split_is_refused() -> None:
    with pytest.raises(UsageError, match="expected the embedded data's train, val, test"):
        Raven().samples("dev", Source("mini"))
