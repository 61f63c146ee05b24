"""The language benchmarks read their official files, and score as lm-eval does."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lm_eval.tasks.super_glue.cb.aggregate import cb_multi_fi

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.tasks.language import (
    CB,
    COPA,
    PIQA,
    BoolQ,
    HellaSwag,
    StoryCloze,
    Winograd273,
    Winograd285,
    Winogrande,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kosmos_eval.lm_eval_tasks.task import LmEvalSample, LmEvalTask
    from kosmos_eval.request import Request

STORY = "cloze_test_test__spring2016 - cloze_test_ALL_test.csv"
NAMES = (
    *("boolq", "cb", "copa", "hellaswag", "piqa", "story_cloze"),
    *("winograd_wsc273", "winograd_wsc285", "winogrande"),
)


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(json.dumps(row).encode() + b"\r\n" for row in rows))
    return path


def read(task: LmEvalTask, folder: Path, split: str = "") -> list[LmEvalSample]:
    return task.samples(split or getattr(task, "split", ""), Source("folder", folder))


def asked(task: LmEvalTask, sample: LmEvalSample, totals: Sequence[float], *shown: LmEvalSample) -> tuple[Any, Any]:
    """Return the request, and the answer made of the given log-likelihoods."""
    asking = task.ask(sample, shown)
    request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored(tuple(LogLikelihood((1,), (each,), 4, greedy=False) for each in totals)))
    return request, stopped.value.value


def options(request: Request) -> list[tuple[str, str]]:
    assert isinstance(request, ScoreRequest)
    return [((request.prompt + each.lead).text(), each.text) for each in request.continuations]


def test_all_are_found_as_plugins_and_run_as_a_group() -> None:
    plugins = Plugins()
    assert [name for name in plugins.names("task") if "language" in getattr(plugins.task(name), "groups", {})] == [
        *NAMES
    ]


@pytest.mark.parametrize("places", [("valid", ""), ("valid", "piqa/"), ("dev", "physicaliqa-train-dev/"), ("dev", "")])
def test_piqa_s_labels_stand_beside_its_rows(tmp_path: Path, places: tuple[str, str]) -> None:
    name, place = places
    rows = [
        {"goal": "Open a jar", "sol1": "Twist.", "sol2": "Sing."},
        {"goal": "Sit", "sol1": "Fly", "sol2": "a chair"},
    ]
    path = write(tmp_path / place / f"{name}.jsonl", *rows)
    path.with_name(f"{name}-labels.lst").write_text("0\n1\n")
    samples = read(PIQA(), tmp_path)
    assert [(each.choices, each.target) for each in samples] == [(("Twist.", "Sing."), 0), (("Fly", "a chair"), 1)]
    request, answer = asked(PIQA(), samples[0], (-2.0, -1.9), samples[1])
    context = "Question: Sit\nAnswer: a chair\n\nQuestion: Open a jar\nAnswer:"
    assert options(request) == [(context, " Twist."), (context, " Sing.")]
    score = PIQA().score(samples[0], answer)
    assert score.values == {"acc": 0.0, "acc_norm": 1.0}, "the first has more letters, so it is likelier a letter"
    assert (score.answer, score.target) == ("Sing.", "Twist.")
    assert score.margin == pytest.approx(0.1)
    path.with_name(f"{name}-labels.lst").write_text("0\n")
    with pytest.raises(DataError, match=r"labels\.lst: expected 2 labels, one for each row, got 1"):
        read(PIQA(), tmp_path)


def test_piqa_s_exemplars_stand_beside_its_questions_in_a_folder_of_any_name(tmp_path: Path) -> None:
    row = {"goal": "Open a jar", "sol1": "Twist.", "sol2": "Sing.", "label": 0}
    for place in ("data/valid", "data/train", "CB/train"):
        write(tmp_path / f"{place}.jsonl", {**row, "goal": place})
    assert [read(PIQA(), tmp_path, split)[0].doc["goal"] for split in ("validation", "train")] == [
        "data/valid",
        "data/train",
    ]
    (tmp_path / "data" / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"expected piqa/train\.jsonl in "):
        read(PIQA(), tmp_path, "train")


def test_hellaswag_is_read_as_its_authors_ship_it(tmp_path: Path) -> None:
    row = {
        "ind": 24,
        "activity_label": "Roof shingle removal",
        "ctx_a": "A man is on a roof.",
        "ctx_b": "he",
        "ctx": "",
        "split": "val",
        "label": 3,
        "endings": ["is [title] up.", "rips.", "holds.", "pulls  up."],
        "source_id": "activitynet~v_1",
    }
    write(tmp_path / "data" / "hellaswag_val.jsonl", row, row)
    samples = read(HellaSwag(), tmp_path)
    assert [(each.key, each.cluster, each.target) for each in samples] == [
        ("24", "activitynet~v_1", 3),
        ("24#2", "activitynet~v_1", 3),
    ]
    request, answer = asked(HellaSwag(), samples[0], (-1.0, -2.0, -3.0, -0.5))
    assert options(request)[0] == ("Roof shingle removal: A man is on a roof. He", " is. up.")
    assert HellaSwag().score(samples[0], answer).values["acc"] == 1.0
    write(tmp_path / "data" / "hellaswag_val.jsonl", {**row, "label": ""})
    with pytest.raises(
        DataError, match=r"hellaswag_val\.jsonl: line 1: expected label to be one of 0, 1, 2, 3, got ''"
    ):
        read(HellaSwag(), tmp_path)


def test_winogrande_weighs_what_follows_the_blank_behind_each_candidate(tmp_path: Path) -> None:
    row = {"qID": "3FC-2", "sentence": "Ian ate Bo's soup as _ was full.", "option1": "Ian", "option2": "Bo"}
    write(tmp_path / "winogrande_1.1" / "dev.jsonl", {**row, "answer": "2"})
    [sample] = read(Winogrande(), tmp_path)
    assert (sample.key, sample.cluster, sample.target) == ("3FC-2", "3FC", 1)
    request, answer = asked(Winogrande(), sample, (-3.0, -2.0))
    assert options(request) == [("Ian ate Bo's soup as Ian", " was full."), ("Ian ate Bo's soup as Bo", " was full.")]
    assert Winogrande().score(sample, answer).values == {"acc": 1.0}
    write(tmp_path / "winogrande_1.1" / "dev.jsonl", row)
    (tmp_path / "winogrande_1.1" / "dev-labels.lst").write_text("1\n")
    assert read(Winogrande(), tmp_path)[0].target == 0
    write(tmp_path / "winogrande_1.1" / "dev.jsonl", {**row, "sentence": "No blank.", "answer": "1"})
    with pytest.raises(DataError, match=r"dev\.jsonl: line 1: lm-eval's winogrande/default\.yaml cannot read it"):
        read(Winogrande(), tmp_path)


def test_superglue_is_read_from_the_folders_of_its_archive(tmp_path: Path) -> None:
    write(tmp_path / "BoolQ" / "val.jsonl", {"question": "is it", "passage": "It is.", "idx": 7, "label": True})
    write(tmp_path / "CB" / "val.jsonl", {"premise": "A.", "hypothesis": "B", "label": "neutral", "idx": 0})
    copa = {"premise": "It rained.", "choice1": "I sang.", "choice2": "I got wet.", "question": "effect"}
    write(tmp_path / "COPA" / "val.jsonl", {**copa, "label": 1, "idx": 3})
    tasks = (BoolQ(), CB(), COPA())
    found = [read(task, tmp_path)[0] for task in tasks]
    assert [(each.key, each.choices[each.target].strip()) for each in found] == [
        ("7", "yes"),
        ("0", "Neither"),
        ("3", "i got wet."),
    ]
    assert [read(task, tmp_path.parent)[0] for task in tasks] == found
    assert read(CB(), tmp_path / "CB") == [found[1]]
    assert options(next(COPA().ask(found[2], [])))[1] == ("It rained therefore", "  i got wet.")
    with pytest.raises(DataError, match=r"expected BoolQ/train\.jsonl in .* found none; get it at super\.gluebench"):
        read(BoolQ(), tmp_path, "train")
    write(tmp_path / "CB" / "val.jsonl", {"premise": "A.", "label": "neutral", "idx": 0})
    with pytest.raises(DataError, match=r'val\.jsonl: line 1: expected "hypothesis", got only'):
        read(CB(), tmp_path)


def test_story_cloze_is_read_by_edition(tmp_path: Path) -> None:
    header = [f"InputSentence{number}" for number in range(1, 5)]
    header = ["InputStoryid", *header, "RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2", "AnswerRightEnding"]
    with (tmp_path / STORY).open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, ["a-1", "One, two.", "B.", "C.", "D.", "Right.", "Wrong.", "1"]])
    [sample] = read(StoryCloze(), tmp_path)
    assert (sample.key, sample.target) == ("a-1", 0)
    assert options(next(StoryCloze().ask(sample, [])))[0] == ("One, two. B. C. D.", " Right.")
    with pytest.raises(DataError, match=r"expected one cloze_test_val__winter2018\*\.csv in .*, got none; ask for it"):
        read(StoryCloze(year="2018"), tmp_path, "validation")
    with pytest.raises(UsageError, match="expected year to be 2016 or 2018, got '2017'"):
        StoryCloze(year="2017")  # type: ignore[arg-type]  # as a user may set it


SCHEMA = """<schema><text><txt1>{left}</txt1><pron> {pronoun} </pron><txt2>{right}
</txt2></text><answers><answer> The ant</answer><answer>Bo
</answer></answers><correctAnswer> {correct}. </correctAnswer></schema>"""


def test_winograd_s_xml_has_285_schemas_of_which_the_first_are_the_273(tmp_path: Path) -> None:
    schemas = [
        SCHEMA.format(left=f"Number {place} told\n  Bo that", pronoun="it", right="won.", correct="AB"[place % 2])
        for place in range(285)
    ]
    schemas[1] = SCHEMA.format(left="Bo took", pronoun="his", right=", and left.", correct="b")
    schemas[2] = SCHEMA.format(left="", pronoun="It", right="", correct="A")
    text = f"<?xml version='1.0' encoding='UTF-8'?>\n<collection>{''.join(schemas)}</collection>"
    (tmp_path / "WSCollection.xml").write_text(text, encoding="utf-8")
    samples = read(Winograd285(), tmp_path)
    assert (len(samples), len(read(Winograd273(), tmp_path))) == (285, 273)
    assert len({each.key for each in samples}) == 285
    assert [each.target for each in samples[:4]] == [0, 1, 0, 1]
    assert options(next(Winograd285().ask(samples[0], []))) == [
        ("Number 0 told Bo that the ant", "  won."),
        ("Number 0 told Bo that Bo", "  won."),
    ]
    assert options(next(Winograd285().ask(samples[1], [])))[1] == ("Bo took Bo's", "  , and left.")
    assert [(each.doc["text"], each.doc["pronoun_loc"]) for each in samples[1:3]] == [
        ("Bo took his , and left.", 8),
        ("It", 0),
    ]
    (tmp_path / "WSCollection.xml").write_text("<collection><schema></schema></collection>", encoding="utf-8")
    with pytest.raises(DataError, match=r"schema 1: expected a pronoun, two answers and the right one"):
        read(Winograd285(), tmp_path)
    write(tmp_path / "wsc285.jsonl", {**samples[0].doc, "source": "x"})
    assert read(Winograd285(), tmp_path)[0].doc == samples[0].doc
    lines = (tmp_path / "wsc285.jsonl").read_text(encoding="utf-8-sig")
    for text in (lines, f"[{lines}]"):
        (tmp_path / "wsc273.json").write_text(text, encoding="utf-8")
        assert [each.doc for each in read(Winograd273(), tmp_path)] == [samples[0].doc]


def test_the_hub_s_rows_are_read_of_the_dataset_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, label in (("boolq", 1), ("cb", 0)):
        (tmp_path / "hub" / name).mkdir(parents=True)
        columns = {"question": ["is it"], "passage": ["It is."], "idx": [4], "label": [label]}
        pq.write_table(pa.table(columns), tmp_path / "hub" / name / "validation-00000-of-00001.parquet")
    task = BoolQ(hub_id=str(tmp_path / "hub"))
    [sample] = task.samples("validation", Source("hub"))
    assert (sample.target, len(sample.key)) == (1, 16)
    said = task.provenance(Source("hub"))
    assert str(said["lm-eval super_glue/boolq/default.yaml"]).startswith("task version 2.0, lm-eval ")


def test_f1_is_lm_eval_s_for_any_weights() -> None:
    samples = CB().samples("validation", Source("mini"))[:30]
    generator = np.random.default_rng(0)
    scored = [(each, CB().score(each, asked(CB(), each, generator.normal(size=3).tolist())[1])) for each in samples]
    weighed = CB().score_corpus(scored)["f1"].weighed
    assert weighed is not None
    drawn = generator.integers(0, 3, size=30)
    names = ("True", "False", "Neither")
    items = [(names.index(score.answer or ""), sample.target) for sample, score in scored]
    often = [item for item, times in zip(items, drawn, strict=True) for _ in range(times)]
    found = weighed.values(np.stack([np.ones(30), drawn.astype(float), np.zeros(30)]))
    assert found[:2] == pytest.approx([cb_multi_fi(items), cb_multi_fi(often)])
    assert math.isnan(found[2])


def test_what_is_no_number_is_unparsed_and_a_blank_candidate_is_never_chosen(tmp_path: Path) -> None:
    write(tmp_path / "valid.jsonl", {"goal": "Sit", "sol1": " ", "sol2": "a chair", "label": 1})
    [sample] = read(PIQA(), tmp_path)
    request, answer = asked(PIQA(), sample, (-9.0,))
    assert [text for _, text in options(request)] == [" a chair"]
    assert PIQA().gold(sample, request) == 0
    assert PIQA().score(sample, answer).values == {"acc": 1.0, "acc_norm": 1.0}
    _, answer = asked(PIQA(), sample, (math.nan,))
    score = PIQA().score(sample, answer)
    assert (score.answer, score.values) == (None, {"acc": 0.0, "acc_norm": 0.0})


def test_a_split_goes_by_the_names_people_use_and_another_is_an_error() -> None:
    assert PIQA().samples("dev", Source("mini")) == PIQA().samples("validation", Source("mini"))
    with pytest.raises(UnknownNameError, match="no split of piqa named 'test'"):
        PIQA().samples("test", Source("mini"))


@pytest.mark.parametrize(
    ("task", "name", "change"),
    [
        (COPA(), "val.jsonl", {"question": "why"}),
        (COPA(), "val.jsonl", {"choice1": ""}),
        (Winogrande(), "dev.jsonl", {"sentence": "Ann told Bo that she won."}),
        (HellaSwag(), "hellaswag_val.jsonl", {"endings": ["One.", "Two."], "label": 3}),
    ],
)
def test_a_first_row_that_lm_eval_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: LmEvalTask, name: str, change: dict[str, object]
) -> None:
    monkeypatch.setattr("kosmos_eval.lm_eval_tasks.task._TASKS", {})
    row = {
        "premise": "It rained.",
        "choice1": "Wet.",
        "choice2": "Dry.",
        "question": "effect",
        "label": 1,
        "sentence": "Ann told Bo that _ won.",
        "option1": "Ann",
        "option2": "Bo",
        "answer": "1",
        "activity_label": "Rain",
        "ctx_a": "It rains.",
        "ctx_b": "",
        "endings": ["One.", "Two.", "Three.", "Four."],
    }
    write(tmp_path / name, {**row, **change})
    with pytest.raises(DataError, match=rf"^{name}: line 1: (lm-eval's .* cannot read it|expected the right one of 2)"):
        read(task, tmp_path)
    write(tmp_path / name, row)
    assert read(task, tmp_path)[0].target == (0 if isinstance(task, Winogrande) else 1)
