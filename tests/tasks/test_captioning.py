"""What both caption benchmarks have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.metrics.captions import CAPTION_METRICS
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import CorpusScored, Provable, Sample, Score
from kosmos_eval.tasks.captioning import CaptionSample
from kosmos_eval.tasks.coco_caption import CocoCaption
from kosmos_eval.tasks.flickr30k_caption import Flickr30kCaption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.tasks.captioning import Captioning

TASKS: tuple[type[Captioning], ...] = (CocoCaption, Flickr30kCaption)


def unseen() -> Any:  # noqa: ANN401  never opened
    raise AssertionError


def sample(key: str, *captions: str) -> CaptionSample:
    return CaptionSample(key=key, image=Image(unseen, key), captions=captions)


def asked(task: Captioning, query: CaptionSample, exemplars: Sequence[CaptionSample] = ()) -> tuple[Any, str]:
    asking = task.ask(query, exemplars)
    request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Generated(" a dog", (5, 2), (-0.1, -0.2), "eos"))
    return request, stopped.value.value


@pytest.mark.parametrize("task", TASKS)
def test_each_is_found_as_a_plugin_scored_over_the_corpus(task: type[Captioning]) -> None:
    found: object = Plugins().task(task.name)
    assert found is task
    assert isinstance(task(), CorpusScored)
    assert isinstance(task(), Provable)
    assert task.metrics[0].name == "cider"
    names = {"cider", "spice", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l"}
    assert {metric.name for metric in task.metrics if metric.corpus} == names


def test_the_request_is_kosmos_1_s() -> None:
    query = sample("q", "A dog.")
    request, answer = asked(CocoCaption(), query)
    assert request.prompt.parts == (query.image, "An image of")
    assert (request.num_beams, request.max_new_tokens, request.stop) == (5, 64, ("\n",))
    assert (request.length_penalty, request.no_repeat_ngram, request.constraint) == (1.0, 0, None)
    assert answer == " a dog"


def test_an_exemplar_shows_one_of_its_captions_on_one_line() -> None:
    query, first, second = sample("q", "A dog."), sample("a", " ", "Two cats \nsit."), sample("b", "A cup.", "The cup.")
    request, _ = asked(CocoCaption(), query, [first, second])
    assert request.prompt.parts[0::2] == (first.image, second.image, query.image)
    assert request.prompt.text() == "<image>An image of Two cats sit.<image>An image of A cup.<image>An image of"
    request, _ = asked(CocoCaption(exemplar_caption=2, separator="\n"), query, [first, second])
    assert request.prompt.text() == "<image>An image of Two cats sit.\n<image>An image of The cup.\n<image>An image of"


def test_settings_reach_the_request() -> None:
    task = CocoCaption(num_beams=1, max_new_tokens=9, length_penalty=0.5, no_repeat_ngram=3, stop=(".",))
    request, _ = asked(task, sample("q", "A dog."))
    assert request == Generate(request.prompt, 9, stop=(".",), num_beams=1, length_penalty=0.5, no_repeat_ngram=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 0}, "coco_caption: expected num_beams to be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram to be at least 0"),
        ({"exemplar_caption": 0}, "exemplar_caption to be at least 1, got 0"),
        ({"stop": ("",)}, "every stop text to have characters"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CocoCaption(**settings)


def test_a_caption_has_no_value_of_its_own_and_an_empty_one_is_unparsed() -> None:
    task, query = CocoCaption(), sample("q", "A dog.\n", "Dogs.")
    score = task.score(query, " a dog\n")
    assert (score.values, score.answer, score.target) == ({}, "a dog", "A dog. / Dogs.")
    empty = task.score(query, " \n")
    assert (empty.answer, empty.explanation) == (None, "empty; beside 2 captions by people")


def test_every_caption_enters_the_corpus_as_written_and_an_empty_one_as_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def scores(candidates: Any, references: Any, metrics: Any) -> dict[str, CorpusScore]:  # noqa: ANN401  kept whole
        seen.extend((candidates, references, metrics))
        return {}

    monkeypatch.setattr("kosmos_eval.tasks.captioning.caption_scores", scores)
    pairs: list[tuple[Sample, Score]] = [
        (sample("a", "A dog.\n", "Dogs."), Score({}, "A Dog")),
        (sample("b", "A cup."), Score({}, None)),
    ]
    CocoCaption().score_corpus(pairs)
    assert seen[:2] == [["A Dog", ""], [("A dog.\n", "Dogs."), ("A cup.",)]]
    assert seen[2] == [metric.name for metric in CocoCaption.metrics]


def test_the_corpus_has_cider_bleu_and_rouge_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("cider", "bleu_4", "rouge_l")
    monkeypatch.setattr(Flickr30kCaption, "metrics", tuple(CAPTION_METRICS[name] for name in wanted))
    task = Flickr30kCaption()
    samples = list(task.samples("test", Source("mini")))[:20]
    pairs: list[tuple[Sample, Score]] = [(each, task.score(each, each.captions[3])) for each in samples]
    empty: list[tuple[Sample, Score]] = [(each, task.score(each, "")) for each in samples]
    good, bad = task.score_corpus(pairs), task.score_corpus(empty)
    assert set(good) == set(wanted)
    for name in wanted:
        values = [each[name].weighed for each in (good, bad)]
        numbers = [value.values(np.ones((1, 20)))[0] for value in values if value is not None]
        assert numbers[0] >= 0.99
        assert numbers[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_the_microworld_stands_in_with_pictures_of_each_benchmark_s_own(task: type[Captioning]) -> None:
    samples = list(task().samples("test", Source("mini")))
    assert len(samples) == len({each.key for each in samples}) == 120
    assert all(len(each.captions) == 5 and each.labelled for each in samples)
    pool = ExemplarPool(task().samples("train", Source("mini")))
    assert len(pool.draw(samples[0], 8, seed=1, task=task.name)) == 8
    assert task().gold(samples[0], Generate(Prompt.of("?"), 1)) == samples[0].captions[0]
    with pytest.raises(UnknownNameError, match=f"no split of {task.name} named 'tset'; did you mean 'test'"):
        task().samples("tset", Source("mini"))
