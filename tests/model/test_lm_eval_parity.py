"""The bridge to lm-eval, and the language tasks, give the values of lm-eval's own `hf` model on the same weights."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from tokenizers.processors import TemplateProcessing

from kosmos_eval.data.source import Source
from kosmos_eval.microworld.language import language_rows
from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.layouts import HEAD, TRANSFORMERS
from kosmos_eval.model.lm_eval_bridge import KosmosLM
from kosmos_eval.model.tokenizer import FILE_NAME, RELEASED_FILE_NAME, Tokenizer
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lm_eval.api.model import LM

transformers = pytest.importorskip("transformers")
huggingface = pytest.importorskip("lm_eval.models.huggingface")
pytest.importorskip("google.protobuf")

POSITIONS = 48
NEAR = 1e-4


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Iterator[None]:
    """Nothing here may ask the network, and lm-eval warns about much."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("huggingface_hub.constants", "datasets.config"):
            patch.setattr(f"{module}.HF_HUB_OFFLINE", True)
        for name in ("lm_eval", "transformers"):
            patch.setattr(logging.getLogger(name), "level", logging.ERROR)
        yield


class Pair:
    """The same weights behind lm-eval's model and behind ours."""

    def __init__(self, decoder: Kosmos, folder: Path) -> None:
        self._decoder, self._theirs, self._folder = decoder, _theirs(decoder), folder
        self.engine = KosmosModel(decoder, Tokenizer.load(folder))

    def models(self, **settings: Any) -> tuple[LM, KosmosLM]:  # noqa: ANN401  what both take by the same names
        tokenizer = transformers.XLMRobertaTokenizer.from_pretrained(str(self._folder))
        # XLM-R's own puts `</s>` behind every text; Kosmos's language data begin with `<s>` and go on.
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
        theirs = huggingface.HFLM(
            pretrained=self._theirs, tokenizer=tokenizer, backend="causal", batch_size=1, device="cpu", **settings
        )
        return theirs, KosmosLM(self.engine, **settings)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, pieces: Callable[[], bytes]) -> Pair:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / FILE_NAME).write_bytes(pieces())  # without markup, which transformers' tokenizer would not have
    (folder / RELEASED_FILE_NAME).write_bytes((folder / FILE_NAME).read_bytes())
    shape = DecoderConfig(
        vocabulary=Tokenizer.load(folder).vocabulary_size,
        width=32,
        layers=2,
        heads=4,
        hidden=64,
        positions="sinusoidal",
        max_positions=POSITIONS,
    )
    vision = VisionConfig(image_size=16, patch_size=4, width=16, layers=1, heads=2, hidden=32, normalise=True)
    ours = Kosmos.initialised(KosmosConfig(vision, ConnectorConfig("x-attention", queries=4, heads=4), shape), 0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            spread = 0.2 if parameter.ndim == 1 else 0.05
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
            if name.endswith("out_proj.weight"):
                parameter.mul_(3)
    return Pair(ours, folder)


def _theirs(model: Kosmos) -> torch.nn.Module:
    """transformers' decoder with the same weights."""
    shape = model.config.decoder
    config = transformers.Kosmos2TextConfig(
        vocab_size=shape.vocabulary,
        embed_dim=shape.width,
        layers=shape.layers,
        ffn_dim=shape.hidden,
        attention_heads=shape.heads,
        max_position_embeddings=shape.max_positions,
    )
    theirs: torch.nn.Module = transformers.models.kosmos2.modeling_kosmos2.Kosmos2TextForCausalLM(config).eval()
    loaded = theirs.load_state_dict(
        {
            TRANSFORMERS.name_of(name).removeprefix("text_model."): weight
            for name, weight in model.state_dict().items()
            if name.startswith("decoder.") and name != HEAD
        },
        strict=False,
    )
    assert not loaded.unexpected_keys, loaded
    theirs.tie_weights()  # type: ignore[operator]  # a method of transformers' models
    return theirs


def instances(kind: str, arguments: Iterable[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(kind, {}, each, number) for number, each in enumerate(arguments)]


def words(count: int, seed: int = 0) -> str:
    rng = random.Random(seed)
    return " ".join(
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123.,'", k=rng.randint(1, 6))) for _ in range(count)
    )


PAIRS = [
    ("the cat sat", " on it"),
    ("the cat sat", "on it"),  # goes on in the middle of a word
    ("the cat sat", ", or not"),
    ("the cat sat ", "on it"),
    ("the cat sat  \n", "  on it"),
    ("the cat\nsat\tthere", "\non it"),
    ("", "on it"),
    ("", " on it"),
    ("  ", "on it"),
    ("\n\n", " x"),
    ("word ph", "rases."),
    ("1", "2"),
    ("a", " b"),
    ("question: what? answer:", " yes"),
    ("question: what? answer:", " no"),
    ("question: what? answer:", " yes"),
    ("see the <phrase> it</phrase> here", " patch <object>"),
    (f"e{chr(0x301)} \N{LATIN SMALL LIGATURE FI} \N{FULLWIDTH DIGIT ONE}", " \N{SLIGHTLY SMILING FACE}x"),
    (words(12), " on it"),
    (words(60), " on it"),  # cut from the left, and `<s>` with it
    (words(60), " off"),
    (words(9), " " + words(5, seed=1)),
]


@pytest.mark.parametrize("settings", [{}, {"add_bos_token": False}, {"max_length": 11}])
def test_log_likelihoods_are_those_of_the_hf_model(pair: Pair, settings: dict[str, Any]) -> None:
    hf, ours = pair.models(**settings)
    asked = [each for each in PAIRS if each[0].strip() or not each[0] or "add_bos_token" not in settings]
    if "max_length" in settings:
        asked = [each for each in asked if len(each[1]) < 12]
    theirs = hf.loglikelihood(instances("loglikelihood", asked), disable_tqdm=True)
    found = ours.loglikelihood(instances("loglikelihood", asked))
    for each, one, other in zip(asked, found, theirs, strict=True):
        assert one[0] == pytest.approx(other[0], abs=NEAR), each
        assert one[1] == other[1], each
    assert len({round(one[0], 3) for one in found}) > len(asked) / 2, "values tell texts apart"


ROLLED = [
    words(3),
    words(11),
    words(30),
    words(80),
    " leading",
    "trailing \n",
    "a",
    "word\n\nword",
    "<phrase>a</phrase> b",
]


@pytest.mark.parametrize("settings", [{}, {"add_bos_token": False}, {"max_length": 5}])
def test_rolling_log_likelihoods_are_those_of_the_hf_model(pair: Pair, settings: dict[str, Any]) -> None:
    hf, ours = pair.models(**settings)
    asked = instances("loglikelihood_rolling", [(text,) for text in ROLLED])
    theirs = hf.loglikelihood_rolling(asked, disable_tqdm=True)
    assert ours.loglikelihood_rolling(asked) == pytest.approx(theirs, abs=NEAR)


@pytest.mark.parametrize("settings", [{}, {"add_bos_token": False}])
def test_answers_are_those_of_the_hf_model(pair: Pair, settings: dict[str, Any]) -> None:
    hf, ours = pair.models(**settings)
    unstopped = {"until": [], "max_gen_toks": 9, "do_sample": False}
    contexts = ["the cat sat", "the cat sat ", words(12), words(70), "word\nphrase", "question: what? answer:"]
    theirs = hf.generate_until(instances("generate_until", [(each, unstopped) for each in contexts]), disable_tqdm=True)
    asked = [(each, unstopped) for each in contexts]
    assert ours.generate_until(instances("generate_until", asked)) == theirs
    assert len(set(theirs)) > 2
    ends = [
        (each, {"until": [text[3:5], text[6:7]], "max_gen_toks": 9})
        for each, text in zip(contexts, theirs, strict=True)
    ]
    stopped = hf.generate_until(instances("generate_until", ends), disable_tqdm=True)
    assert ours.generate_until(instances("generate_until", ends)) == stopped
    assert stopped != theirs


TASKS: dict[str, dict[str, Any]] = {
    "choices": {
        "output_type": "multiple_choice",
        "doc_to_text": "question: {{question}} answer:",
        "doc_to_choice": "{{options}}",
        "doc_to_target": "{{label}}",
        "num_fewshot": 2,
        "fewshot_split": "test",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "acc_mutual_info"}],
    },
    "answers": {
        "output_type": "generate_until",
        "doc_to_text": "question: {{question}} answer:",
        "doc_to_target": "{{options[0]}}",
        "generation_kwargs": {"until": [".", "e"], "max_gen_toks": 8, "do_sample": False, "temperature": 0.0},
        "metric_list": [{"metric": "exact_match"}],
    },
    "texts": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
    },
}
"""YAML as lm-eval's users write it, but for what all have in common."""


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    """lm-eval's task manager on a folder of tasks and their data."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {
            "question": words(4, row),
            "options": [words(1 + row % 3, 9 * row), "yes", "no"],
            "label": row % 3,
            "text": words(20 * row + 3, row),
        }
        for row in range(7)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, task in TASKS.items():
        where = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")}
        common = {"task": name, "dataset_path": "json", "dataset_kwargs": where, "test_split": "test"}
        (folder / f"{name}.yaml").write_text(json.dumps({**common, **task}))  # JSON is YAML
    return TaskManager(include_path=str(folder), include_defaults=False)


def evaluated(model: LM, manager: TaskManager) -> dict[str, Any]:
    results: dict[str, Any] = lm_eval.simple_evaluate(
        model=model, tasks=list(TASKS), task_manager=manager, bootstrap_iters=0
    )
    return results


def test_lm_eval_finds_the_same_metrics_and_values_with_either_model(pair: Pair, manager: TaskManager) -> None:
    hf, ours = pair.models()
    theirs, found = evaluated(hf, manager), evaluated(ours, manager)
    for task in TASKS:
        measured = {name: value for name, value in found["results"][task].items() if isinstance(value, float)}
        assert measured == {name: pytest.approx(theirs["results"][task][name], rel=1e-5) for name in measured}, task
        assert any(measured.values()) or task == "answers", task
        for one, other in zip(found["samples"][task], theirs["samples"][task], strict=True):
            assert one["prompt_hash"] == other["prompt_hash"]
            assert len(one["resps"]) == len(other["resps"]) == (6 if task == "choices" else 1)
            for mine, its in zip(one["resps"], other["resps"], strict=True):
                value, expected = mine[0], its[0]
                if task == "choices":
                    assert value[1] == expected[1]
                    value, expected = value[0], expected[0]
                assert value == (expected if task == "answers" else pytest.approx(expected, abs=NEAR)), one["doc_id"]


LANGUAGE = {
    "story_cloze": "storycloze/storycloze_2016.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "winograd_wsc273": "wsc273/default.yaml",
    "winogrande": "winogrande/default.yaml",
    "piqa": "piqa/piqa.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "cb": "super_glue/cb/default.yaml",
    "copa": "super_glue/copa/default.yaml",
}


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    """lm-eval's own language tasks on six rows of our embedded data, two of them exemplars."""
    folder = tmp_path_factory.mktemp("language")
    for name, recipe in LANGUAGE.items():
        task: Any = Plugins().task(name)()
        rows = [row for _, row in language_rows(task.mini, task.split)]
        files = {"asked": rows[:6], "shown": rows[50:52]}
        for split, some in files.items():
            (folder / f"{name}.{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
        where = {"data_files": {split: str(folder / f"{name}.{split}.jsonl") for split in files}}
        said = {
            "include": str(Path(lm_eval.__path__[0]) / "tasks" / recipe),
            "task": name,
            "tag": None,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {**where, "cache_dir": str(folder / "cache")},
            "training_split": None,
            "validation_split": None,
            "test_split": "asked",
            "fewshot_split": "shown",
            "fewshot_config": {"sampler": "first_n"},
        }
        (folder / f"{name}.yaml").write_text(json.dumps(said))
    return TaskManager(include_path=str(folder), include_defaults=False)


@pytest.mark.parametrize("shots", [0, 2])
def test_language_tasks_have_the_prompts_values_and_scores_of_lm_eval_s_own(
    pair: Pair, language: TaskManager, shots: int
) -> None:
    hf, _ = pair.models()
    theirs = lm_eval.simple_evaluate(
        model=hf, tasks=list(LANGUAGE), task_manager=language, num_fewshot=shots, bootstrap_iters=0
    )
    worst = 0.0
    for name in LANGUAGE:
        task: Any = Plugins().task(name)()
        samples = task.samples(task.split, Source("mini"))
        scored = []
        for sample, logged in zip(samples[:6], theirs["samples"][name], strict=True):
            asking = task.ask(sample, samples[50 : 50 + shots])
            request = next(asking)
            contexts = [(request.prompt + each.lead).text() for each in request.continuations]
            pairs = list(zip(contexts, [each.text for each in request.continuations], strict=True))
            assert pairs == [tuple(each) for each in logged["arguments"]], name
            [(_, response)] = pair.engine.answer([(0, request)])
            assert isinstance(response, Scored)
            with pytest.raises(StopIteration) as stopped:
                asking.send(response)
            answer = stopped.value.value
            for (total, greedy), [other] in zip(answer, logged["resps"], strict=True):
                worst = max(worst, abs(total - float(other[0])))
                assert greedy == other[1], name
            scored.append((sample, task.score(sample, answer)))
        expected = theirs["results"][name]
        for metric in task.metrics:
            found = (
                task.score_corpus(scored)[metric.name].weighed.values(np.ones((1, len(scored))))[0]
                if metric.corpus
                else sum(score.values[metric.name] for _, score in scored) / len(scored)
            )
            assert found == pytest.approx(expected[f"{metric.name},none"]), (name, metric.name)
    print(f"largest difference of a log-likelihood: {worst:.2g}")  # noqa: T201  shown with -rP
    assert worst < NEAR
