"""Metrics of a whole corpus: computed once, weighed for categories and intervals, and never silently missing."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kosmos_eval.corpus import CorpusScore, mean_of
from kosmos_eval.corpus_scoring import CorpusResults, Measured, score_corpus
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.statistics.intervals import Estimate
from kosmos_eval.task import Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.corpus import Floats

CIDER = Metric("cider", "consensus", upper=10.0, corpus=True)
METEOR = Metric("meteor", "aligned words", corpus=True)
WORTH = Metric("worth", "a mean of samples")
RESULTS = (0.0, 1.0, 4.0, 3.0)


class Captions:
    """Scores what it is told to; counts how often it is asked."""

    def __init__(self, scores: Mapping[str, CorpusScore], metrics: tuple[Metric, ...] = (CIDER, METEOR, WORTH)) -> None:
        self.metrics = metrics
        self.scores = scores
        self.asked: list[list[str]] = []

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        self.asked.append([sample.key for sample, _ in scored])
        return self.scores


def cider(values: Sequence[float] = RESULTS, own: Sequence[float] | None = RESULTS, **more: Any) -> CorpusScore:  # noqa: ANN401  passed on
    return CorpusScore(mean_of(np.array(values)), None if own is None else np.array(own), **more)


def score(scores: Mapping[str, CorpusScore], metrics: tuple[Metric, ...] = (CIDER, METEOR, WORTH)) -> CorpusResults:
    samples = [Sample(key=key, groups={"half": "first" if key in "ab" else "last"}) for key in "abcd"]
    return results(Captions(scores, metrics), samples)


def results(task: Captions, samples: Sequence[Sample]) -> CorpusResults:
    cell: Any = SimpleNamespace(task=task, name="captions@mini|0", label="captions@mini")
    return score_corpus(cell, [(sample, Score({}, "said")) for sample in samples])


NONE = CorpusScore(None, unavailable="METEOR needs Java: install one")


def test_a_metric_has_the_value_of_the_corpus_its_interval_and_what_made_it() -> None:
    found = score({"cider": cider(made_with="a tokenizer"), "meteor": NONE})
    measured = found.whole["cider"]
    assert (measured.estimate.value, measured.estimate.count, measured.estimate.clusters) == (2.0, 4, 4)
    assert measured.estimate.low is not None
    assert measured.estimate.high is not None
    assert 0 <= measured.estimate.low < 2 < measured.estimate.high <= 4
    assert (measured.estimate.method, measured.made_with, measured.unavailable) == ("bca-bootstrap", "a tokenizer", "")


def test_what_is_unavailable_says_why_and_has_no_number() -> None:
    found = score({"cider": cider(), "meteor": NONE})
    assert found.whole["meteor"] == Measured(Estimate(None, None, None, None, 0, 0), NONE.unavailable)


def test_categories_are_the_same_metric_with_the_others_weights_at_nought() -> None:
    found = score({"cider": cider(), "meteor": NONE})
    assert {category: each.estimate.value for category, each in found.groups.items()} == {
        ("half", "first"): 0.5,
        ("half", "last"): 3.5,
    }
    assert all(each.estimate.count == 2 for each in found.groups.values())


def test_an_unavailable_headline_is_so_in_every_category() -> None:
    found = score({"cider": NONE, "meteor": cider()}, (CIDER, Metric("meteor", "words", upper=10.0, corpus=True)))
    assert {each.unavailable for each in found.groups.values()} == {NONE.unavailable}
    assert found.whole["meteor"].estimate.value == 2.0


def test_categories_belong_to_the_headline_alone() -> None:
    assert not score({"cider": cider(), "meteor": NONE}, (WORTH, CIDER, METEOR)).groups


def test_samples_keep_the_values_that_they_have_of_their_own() -> None:
    found = score({"cider": cider(own=(0.0, math.nan, 10 + 1e-9, 3.0)), "meteor": NONE})
    assert [found.values_of(key) for key in "abcd"] == [{"cider": 0.0}, {}, {"cider": 10.0}, {"cider": 3.0}]


def test_samples_are_told_apart_by_the_first_metric_that_they_have_values_of() -> None:
    metrics = (METEOR, CIDER, WORTH)
    assert score({"cider": cider(), "meteor": NONE}, metrics).guide(metrics) is CIDER
    assert score({"cider": cider(own=None), "meteor": NONE}, metrics).guide(metrics) is WORTH
    assert score({"cider": cider(own=None), "meteor": NONE}, metrics).guide(metrics[:2]) is METEOR


def test_all_samples_are_scored_at_once_and_none_is_not_asked_about() -> None:
    task = Captions({"cider": cider(), "meteor": NONE})
    results(task, [Sample(key=key) for key in "abcd"])
    assert task.asked == [["a", "b", "c", "d"]]
    assert results(task, []) == CorpusResults()
    assert len(task.asked) == 1


def test_samples_of_one_picture_are_one_cluster() -> None:
    task = Captions({"cider": cider(), "meteor": NONE})
    found = results(task, [Sample(key=key, cluster="x" if key in "ab" else "") for key in "abcd"])
    assert found.whole["cider"].estimate.clusters == 3


class OneClass:
    """A metric without a value unless all samples count."""

    count = 4

    def values(self, weights: Floats) -> Floats:
        return np.where((weights > 0).all(axis=1), 0.75, np.nan)


def test_what_the_samples_leave_undefined_has_no_value_and_a_count() -> None:
    found = score({"cider": CorpusScore(OneClass()), "meteor": NONE})
    assert found.whole["cider"].estimate == Estimate(0.75, None, None, None, 4, 4)
    assert found.groups["half", "first"].estimate == Estimate(None, None, None, None, 2, 2)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"cider": cider()}, r"expected score_corpus to give \['cider', 'meteor'\], got \['cider'\]"),
        ({"cider": cider(RESULTS[:3], None), "meteor": NONE}, r"expected cider of 4 samples, got \[3\]"),
        ({"cider": cider(RESULTS, RESULTS[:3]), "meteor": NONE}, r"expected cider of 4 samples, got \[3, 4\]"),
        ({"cider": cider((0.0, 0.0, 0.0, 44.0)), "meteor": NONE}, r"cider: expected a metric from 0\.0 to 10\.0"),
        ({"cider": cider(own=(0.0, 0.0, 11.0, 0.0)), "meteor": NONE}, r"expected cider of sample c to be from 0\.0"),
        ({"cider": cider(own=(0.0, math.inf, 0.0, 0.0)), "meteor": NONE}, r"expected cider of sample b to be from"),
        ({"cider": cider(), "meteor": CorpusScore(None)}, r"expected score_corpus to give meteor or to say why"),
    ],
)
def test_what_a_task_may_not_give_is_refused_by_name(scores: Mapping[str, CorpusScore], message: str) -> None:
    with pytest.raises(KosmosEvalError, match=rf"captions@mini.*{message}"):
        score(scores)


def test_a_defect_in_a_task_s_own_code_names_the_cell() -> None:
    class Broken(Captions):
        def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:  # noqa: ARG002  it fails first
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        results(Broken({}), [Sample(key="a")])
    assert caught.value.__notes__ == ["while working on captions@mini|0, the metrics of all samples"]
