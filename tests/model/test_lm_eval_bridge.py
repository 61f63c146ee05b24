"""lm-eval runs our models: by their name, with pictures, through its cache; what cannot be done is refused."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import datasets
import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager

from kosmos_eval.errors import DataError, RequestFailedError, UnknownNameError, UsageError
from kosmos_eval.microworld.mini import vqa_items
from kosmos_eval.microworld.scene import COLOURS
from kosmos_eval.model.lm_eval_bridge import KosmosLM, main
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.language_model import Model
    from kosmos_eval.microworld.mini import VQAItem
    from kosmos_eval.request import Failed, Request, Response

NEAR = 1e-4


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Iterator[None]:
    """Nothing here may ask the network, and lm-eval warns about much."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("huggingface_hub.constants", "datasets.config"):
            patch.setattr(f"{module}.HF_HUB_OFFLINE", True)
        patch.setattr(logging.getLogger("lm_eval"), "level", logging.ERROR)
        yield


def instances(kind: str, arguments: Iterable[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(kind, {}, each, number) for number, each in enumerate(arguments)]


@pytest.fixture(scope="module")
def coloured() -> list[VQAItem]:
    """Questions about colours, of pictures of the embedded data."""
    asked = (each for each in vqa_items("val") if each.question.kind == "colour")
    return [each for each, _ in zip(asked, range(24), strict=False)]


@pytest.fixture(scope="module")
def tiny() -> KosmosLM:
    return KosmosLM("kosmos-tiny", device="cpu")


def test_pictures_in_multiple_choice_are_seen(tiny: KosmosLM, coloured: list[VQAItem], tmp_path: Path) -> None:
    rows = {
        "picture": [each.image.load() for each in coloured],
        "question": [each.question.text for each in coloured],
        "answer": [each.question.answer for each in coloured],
    }
    datasets.Dataset.from_dict(rows).cast_column("picture", datasets.Image()).to_parquet(tmp_path / "rows.parquet")
    task = {
        "task": "colours",
        "dataset_path": "parquet",
        "dataset_kwargs": {
            "data_files": {"test": str(tmp_path / "rows.parquet")},
            "cache_dir": str(tmp_path / "cache"),
        },
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_image": ["picture"],
        "doc_to_text": "<image> Question: {{question}} Answer:",
        "doc_to_choice": list(COLOURS),
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "colours.yaml").write_text(json.dumps(task))
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = lm_eval.simple_evaluate(model=tiny, tasks=["colours"], task_manager=manager, bootstrap_iters=0)
    assert found["results"]["colours"]["acc,none"] > 0.6, "chance is 1 in 8"
    for each, sample in zip(coloured, found["samples"]["colours"], strict=True):
        prompt = Prompt.of(each.image, f" Question: {each.question.text} Answer:")
        [(_, scored)] = tiny._model.answer([(0, Score(prompt, tuple(map(Continuation, COLOURS))))])
        assert isinstance(scored, Scored)
        for value, likelihood in zip(sample["filtered_resps"], scored.continuations, strict=True):
            assert value[0] == pytest.approx(likelihood.total, abs=NEAR)


def test_pictures_are_asked_about_freely_too(tiny: KosmosLM, coloured: list[VQAItem]) -> None:
    settings = {"until": ["\n"], "max_gen_toks": 8, "do_sample": False}
    shown = [(f"<image>Question: {each.question.text} Answer:", settings, each.image.load()) for each in coloured]
    asked = [(context, settings, {"visual": [picture]}) for context, settings, picture in shown]
    found = tiny.generate_until(instances("generate_until", asked))
    right = sum(answer.strip() == each.question.answer for answer, each in zip(found, coloured, strict=True))
    assert right > 0.6 * len(coloured)
    with pytest.raises(DataError, match="expected a picture for each <image> of the context, got 2 for 1"):
        tiny.generate_until(instances("generate_until", [(*asked[0][:2], {"visual": [shown[0][2]] * 2})]))


class Noting:
    """A model that notes what it is asked in one stream."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.streams: list[list[Request]] = []

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._model.facts

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        taken = list(requests)
        self.streams.append([request for _, request in taken])
        return reversed(list(self._model.answer(taken)))  # in any order


def test_all_requests_of_a_call_are_one_stream_with_a_request_for_each_context(tiny: KosmosLM) -> None:
    noting = Noting(tiny._model)
    asked = [(context, f" {option}") for option in ("yes", "no", "maybe") for context in ("is it?", "or not?")]
    found = KosmosLM(noting).loglikelihood(instances("loglikelihood", asked))
    [stream] = noting.streams
    assert [len(each.continuations) for each in stream if isinstance(each, Score)] == [3, 3]
    assert found == KosmosLM(tiny._model).loglikelihood(instances("loglikelihood", asked)), "in the caller's order"
    KosmosLM(noting).loglikelihood_rolling(instances("loglikelihood_rolling", [("a b",), (" ",), ("c",)]))
    assert len(noting.streams) == 2
    assert KosmosLM(noting).loglikelihood_rolling(instances("loglikelihood_rolling", [(" ",)])) == [0.0]


def test_answers_are_kept_in_lm_eval_s_cache(tiny: KosmosLM, tmp_path: Path) -> None:
    noting = Noting(tiny._model)
    cached = CachingLM(KosmosLM(noting), str(tmp_path / "cache.db"))
    kinds: dict[str, list[tuple[Any, ...]]] = {
        "loglikelihood": [("a", " b"), ("a", " c")],
        "loglikelihood_rolling": [("a b c",)],
        "generate_until": [("a", {"until": ["x"], "max_gen_toks": 3})],
    }
    for kind, asked in kinds.items():
        first = getattr(cached, kind)(instances(kind, asked))
        streams = len(noting.streams)
        assert getattr(cached, kind)(instances(kind, asked)) == first
        assert len(noting.streams) == streams, "nothing is asked again"


def test_lm_eval_finds_the_model_by_its_name(tmp_path: Path) -> None:
    arguments = "pretrained=kosmos-tiny-lm,dtype=float32"
    (tmp_path / "rows.jsonl").write_text('{"text": "the circle is"}\n{"text": "the square is"}\n')
    task = {
        "task": "endings",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}, "cache_dir": str(tmp_path / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_choice": ["red", "blue"],
        "doc_to_target": 0,
    }
    (tmp_path / "endings.yaml").write_text(json.dumps(task))
    found = lm_eval.simple_evaluate(
        model="kosmos",
        model_args=arguments,
        device="cpu",
        batch_size="auto",
        tasks=["endings"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
    )
    assert len(found["samples"]["endings"]) == 2
    assert len(found["config"]["model_fingerprint"]) == 64
    assert get_model("hf").__name__ == "HFLM", "and lm-eval's own models are there as well"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pretrained": "no-such-model"}, UnknownNameError, "no model named 'no-such-model'"),
        ({"revison": "main"}, UnknownNameError, "no argument of model kosmos-tiny named 'revison'"),
        ({"dtype": "float31"}, UsageError, "expected dtype to be one of"),
        ({"batch_size": "many"}, UsageError, "expected batch_size to be auto or a whole number from 1, got 'many'"),
        ({"max_length": 0}, UsageError, "expected max_length to be a whole number from 1, got 0"),
    ],
)
def test_what_cannot_be_loaded_is_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        KosmosLM(**settings)


def test_what_cannot_be_done_is_refused(tiny: KosmosLM) -> None:
    with pytest.raises(UsageError, match="expected no arguments for a model that is loaded, got revision"):
        KosmosLM(tiny._model, revision="main")
    with pytest.raises(UsageError, match="Kosmos models have none"):
        tiny.apply_chat_template([{"role": "user", "content": "hello"}])
    with pytest.raises(UsageError, match="Kosmos models have none"):
        tiny.chat_template(chat_template=True)
    assert tiny.chat_template() == ""
    with pytest.raises(RequestFailedError, match="'a': expected a continuation of at most 2 tokens"):
        KosmosLM(tiny._model, max_length=2).loglikelihood(instances("loglikelihood", [("a", " red green blue")]))
    assert (tiny.rank, tiny.world_size, tiny.tokenizer_name) == (0, 1, "kosmos-tiny")


def test_the_module_is_lm_eval_s_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: called.append("called"))
    main()
    assert called == ["called"]
