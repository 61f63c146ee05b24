"""`lm_eval:NAME` runs any text task of lm-eval: its numbers are lm-eval's own with the same weights."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import lm_eval
import pytest
from lm_eval.tasks import TaskManager

from kosmos_eval.config import parse_config
from kosmos_eval.errors import DataError, RunRefusedError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.model.lm_eval_bridge import KosmosLM
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.run import evaluate, prepare_resumed
from kosmos_eval.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kosmos_eval.plan import Plan
    from kosmos_eval.record import RunRecord

COLOURS = """
task: colours
tag: fruit
dataset_path: json
dataset_kwargs: {data_files: {train: colours_train.jsonl, test: colours.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
fewshot_split: train
fewshot_config: {sampler: first_n}
description: "Name the colour.\\n\\n"
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: label
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
  - {metric: acc_mutual_info, aggregation: mean, higher_is_better: true}
  - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
  - {metric: f1, aggregation: f1, higher_is_better: true}
  - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
metadata: {version: 2.0}
"""
COUNTS = """
task: counts
tag: fruit
dataset_path: json
dataset_kwargs: {data_files: {test: counts.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
gen_prefix: "It is"
generation_kwargs: {until: ["."], do_sample: false, temperature: 0.0, max_gen_toks: 8}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, regexes_to_ignore: ["so "]}
  - {metric: chrf, aggregation: chrf, higher_is_better: true}
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "^.{0,9}(red|blue|a)"}, {function: take_first}]
  - name: flexible-extract
    filter: [{function: regex, group_select: -1, regex_pattern: "([a-z]+)"}, {function: take_first}]
"""
SUMS = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {validation: sums.jsonl}}
output_type: loglikelihood
validation_split: validation
process_docs: !function code.without_odd
doc_to_text: "{{context}}"
doc_to_target: "{{completion}}"
target_delimiter: ""
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
PAGES = """
task: pages
dataset_path: json
dataset_kwargs: {data_files: {test: pages.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: !function code.detokenised
process_results: !function code.perplexities
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
  - {metric: spread, aggregation: !function code.spread, higher_is_better: false}
"""
ALL = """
group: all_of_them
task:
  - fruit
  - {task: sums, description: "Add. "}
  - {group: inner, task: [pages]}
"""
CODE = """
def without_odd(dataset):
    return dataset.filter(lambda doc: doc["number"] % 2 == 0)

def detokenised(doc):
    return doc["page"].replace(" .", ".")

def perplexities(doc, results):
    (total,) = results
    words, size = len(doc["page"].split()), len(doc["page"].encode())
    values = {"word_perplexity": (total, words), "byte_perplexity": (total, size), "bits_per_byte": (total, size)}
    return {**values, "spread": total}

def spread(totals):
    return max(totals) - min(totals)
"""
TASKS = ("colours", "counts", "sums", "pages")


def _write(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of lm-eval tasks of each kind, with their data."""
    place = tmp_path / "tasks"
    place.mkdir()
    for name, text in (("colours", COLOURS), ("counts", COUNTS), ("sums", SUMS), ("pages", PAGES), ("all", ALL)):
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    (place / "code.py").write_text(CODE, encoding="utf-8")
    choices = ["red", "dark green and brown"]
    for name, count in (("colours", 9), ("colours_train", 4)):
        asked = [f"What colour is {name} number {number}?" for number in range(count)]
        _write(
            place, f"{name}.jsonl", [{"question": q, "choices": choices, "label": n % 2} for n, q in enumerate(asked)]
        )
    things = ("dog", "ball", "car", "cat", "bird", "house")
    counts = [{"question": f"The {thing} is small. What colour?", "answer": "a"} for thing in things]
    _write(place, "counts.jsonl", counts)
    sums = [
        {"number": n, "context": f"Question: What is {n} plus 3?\nAnswer:", "completion": " red"} for n in range(12)
    ]
    _write(place, "sums.jsonl", sums)
    pages = [{"page": f"The {thing} is red . " * (1 + place % 3)} for place, thing in enumerate(things)]
    _write(place, "pages.jsonl", pages)
    return place


def _run(folder: Path, *tasks: str, shots: int = 0, processes: int = 1) -> RunRecord:
    names, output = [f"lm_eval:{task}" for task in tasks], folder.parent / f"run{shots}"
    return evaluate(
        tasks=names,
        model="kosmos-tiny-lm",
        shots=shots,
        include_path=[str(folder)],
        report=[],
        output_path=output,
        processes=processes,
    )


def _plan(folder: Path, *tasks: str, **settings: object) -> Plan:
    values = {"tasks": tasks, "include_path": [str(folder)], **settings}
    return make_plan(parse_config(values, "the test"), Plugins([folder]))


def _theirs(folder: Path, tasks: Iterable[str], shots: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what lm-eval's own evaluation gives with the same weights."""
    monkeypatch.chdir(folder)  # where lm-eval looks for data files
    loaded = TaskManager(include_path=str(folder), include_defaults=False).load(list(tasks))
    for task in loaded["tasks"].values():
        task.set_config("num_fewshot", shots)
        task.set_fewshot_seed(0)
    results = lm_eval.evaluate(KosmosLM("kosmos-tiny-lm"), loaded, bootstrap_iters=0)
    return {
        task: {name: value for name, value in row.items() if "," in name and "_stderr" not in name}
        for task, row in results["results"].items()
    }


def _ours(record: RunRecord, shots: int) -> dict[str, Any]:
    results = json.loads((record.folder / "results.json").read_text(encoding="utf-8"))["results"]
    return {
        name.removeprefix("lm_eval:").removesuffix(f"|{shots}"): {
            key: value for key, value in row.items() if "," in key and "_stderr" not in key
        }
        for name, row in results.items()
    }


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for task, row in theirs.items():
        assert ours[task] == pytest.approx(row, rel=1e-6, abs=1e-6), task


def test_every_metric_is_lm_evals_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = _run(folder, *TASKS)
    theirs = _theirs(folder, TASKS, 0, monkeypatch)
    _same(_ours(record, 0), theirs)
    assert theirs["counts"]["exact_match,strict-match"] != theirs["counts"]["exact_match,flexible-extract"]
    assert [metric.name for metric in record.cells[1].metrics[:2]] == [
        "exact_match,strict-match",
        "exact_match,flexible-extract",
    ]
    assert [cell.samples for cell in record.cells] == [9, 6, 6, 6]


def test_every_metric_is_lm_evals_own_after_the_exemplars_that_the_task_fixes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _run(folder, "colours", shots=2)
    _same(_ours(record, 2), _theirs(folder, ["colours"], 2, monkeypatch))
    first = next(record.samples(record.cells[0]))
    assert (
        first.exchanges[0].options[0].startswith("Name the colour.\n\nQuestion: What colour is colours_train number 0?")
    )
    assert record.cells[0].exemplar_seed is None


def test_metrics_of_all_samples_have_intervals_where_they_follow_from_sums(folder: Path) -> None:
    cells = {cell.task: {each.name: each for each in cell.metrics} for cell in _run(folder, *TASKS).cells}
    for task, name in (("pages", "byte_perplexity"), ("sums", "perplexity"), ("colours", "brier_score")):
        metric = cells[f"lm_eval:{task}"][name]
        assert metric.low is not None and metric.high is not None and not metric.unavailable, name  # noqa: PT018  one fact
    alone = cells["lm_eval:pages"]["spread"]
    assert alone.value is not None and alone.low is None and alone.count == 6  # noqa: PT018  one fact
    assert alone.unavailable == "lm-eval's spread is no function of how often each sample counts"
    assert not cells["lm_eval:pages"]["word_perplexity"].higher_is_better
    assert cells["lm_eval:colours"]["acc"].chance == 0.5


def test_exemplars_are_drawn_by_key_and_are_never_the_query(folder: Path) -> None:
    plan = _plan(folder, "lm_eval:counts", shots=[3])
    (cell,) = plan.cells
    for sample in cell.samples.values():
        drawn = cell.exemplars(sample)
        assert sample.key not in {each.key for each in drawn}
        request = next(cell.task.ask(sample, drawn))
        shown = [f"{each.doc['question']} It is a\n\n" for each in drawn]  # type: ignore[attr-defined]  # a document
        assert request.prompt.text() == "".join([*shown, f"{sample.doc['question']} It is"])  # type: ignore[attr-defined]  # as above


def test_an_answer_that_no_filter_can_read_is_unparsed(folder: Path) -> None:
    text = (folder / "counts.yaml").read_text(encoding="utf-8")
    (folder / "counts.yaml").write_text(text.replace("(red|blue|a)", "(zebra)"), encoding="utf-8")
    record = _run(folder, "counts")
    unread = [each for each in record.samples(record.cells[0]) if each.answer is None]
    assert record.cells[0].metrics[0].unparsed == len(unread) == 6
    assert all(each.values["exact_match,strict-match"] == 0 for each in unread)


def test_groups_and_tags_stand_for_their_tasks(folder: Path) -> None:
    plugins = Plugins([folder])
    config = parse_config({"tasks": ["lm_eval:all_of_them", "lm_eval:fruit", "lm_eval:co*"]}, "the test")
    parts, tasks = select(config, plugins)
    names = ["lm_eval:colours", "lm_eval:counts", "lm_eval:all_of_them::sums", "lm_eval:pages"]
    assert [part.name for part in parts] == names
    assert [task.name for task in tasks] == names
    changed = next(iter(tasks[2].samples("validation", None)))  # type: ignore[arg-type]  # the task brings its own data
    assert next(tasks[2].ask(changed, ())).prompt.text().startswith("Add. Question: ")


def test_its_data_are_its_own_whatever_data_says(folder: Path) -> None:
    for data in ("mini", str(folder)):
        (cell,) = _plan(folder, "lm_eval:sums", data=data).cells
        assert (cell.name, len(cell.samples), cell.total) == ("lm_eval:sums|0", 6, 6)


def test_a_changed_task_cannot_be_resumed(folder: Path) -> None:
    record = _run(folder, "counts")
    assert prepare_resumed(record.folder, {}).plan.config.tasks == ("lm_eval:counts",)
    text = (folder / "counts.yaml").read_text(encoding="utf-8")
    (folder / "counts.yaml").write_text(text.replace("ignore_case: true", "ignore_case: false"), encoding="utf-8")
    with pytest.raises(RunRefusedError, match=r"changed since the run began: the scorer of lm_eval:counts\|0; "):
        prepare_resumed(record.folder, {})


def test_code_that_scores_is_part_of_the_fingerprint(folder: Path) -> None:
    before = _plan(folder, "lm_eval:pages").fingerprints["lm_eval:pages|0"]
    (folder / "code.py").write_text(CODE.replace("max(totals) -", "2 * max(totals) -"), encoding="utf-8")
    after = _plan(folder, "lm_eval:pages").fingerprints["lm_eval:pages|0"]
    assert before["scorer"] != after["scorer"]
    assert (before["data"], before["prompts"]) == (after["data"], after["prompts"])


def test_processes_make_the_task_again_and_a_run_says_which_data_it_read(folder: Path) -> None:
    record = _run(folder, "colours", processes=2)
    assert record.cells[0].samples == 9
    assert record.cells[0].file_stem == "lm_eval.colours_0shot"
    told = record.run["provenance"]["lm_eval:colours"]
    assert told["lm-eval colours"].startswith("task version 2.0, lm-eval 0.")
    assert told[str(folder / "colours.jsonl")].startswith("sha256 ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("test_split: test", "test_split: test\nunsafe_code: true"), "scoring runs code that the model writes"),
        (("test_split: test", "test_split: test\nrepeats: 5"), "repeats is 5, and answers are not drawn"),
        (("test_split: test", "test_split: test\ndoc_to_image: [picture]"), "it shows pictures"),
        (("do_sample: false, temperature: 0.0", "do_sample: true, temperature: 0.7"), "as answers are not drawn"),
        (("max_gen_toks: 8", "best_of: 3"), "no setting of generation_kwargs named 'best_of'"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(folder: Path, change: tuple[str, str], said: str) -> None:
    text = (folder / "counts.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (folder / "counts.yaml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(UsageError, match=f"^lm_eval:counts: cannot be run: .*{said}"):
        Plugins([folder]).task("lm_eval:counts")


def test_a_class_that_asks_otherwise_is_refused(folder: Path) -> None:
    (folder / "own.yaml").write_text("task: own\nclass: !function own_code.Own\n", encoding="utf-8")
    code = "from lm_eval.api.task import ConfigurableTask\n"
    code += "class Own(ConfigurableTask):\n    def fewshot_context(self): ...\n"
    (folder / "own_code.py").write_text(code, encoding="utf-8")
    with pytest.raises(UsageError, match="its class Own has its own fewshot_context; run it with lm-eval itself"):
        Plugins([folder]).task("lm_eval:own")


def test_shots_are_refused_where_a_task_takes_none(folder: Path) -> None:
    text = (folder / "sums.yaml").read_text(encoding="utf-8")
    (folder / "sums.yaml").write_text(f"{text}num_fewshot: 0\n", encoding="utf-8")
    for task, why in (
        ("sums", "its YAML file fixes num_fewshot: 0"),
        ("pages", "a text that is scored whole has none"),
    ):
        plan = _plan(folder, f"lm_eval:{task}", shots=[1])
        with pytest.raises(UsageError, match=f"^lm_eval:{task} takes no exemplars: {why}; run it with --shots 0$"):
            plan.cells[0].first_requests  # noqa: B018  a cached property whose making builds prompts


def test_data_that_cannot_be_had_are_named_with_the_cure(folder: Path) -> None:
    (folder / "counts.jsonl").unlink()
    with pytest.raises(DataError, match=r"^lm_eval:counts: .*counts\.jsonl.*; mend .*counts\.yaml or its") as raised:
        Plugins([folder]).task("lm_eval:counts")
    assert "\n" not in str(raised.value)
    (folder / "counts.jsonl").touch()
    with pytest.raises(DataError, match=r"^lm_eval:counts: .* \(json\): there is no row; mend "):
        Plugins([folder]).task("lm_eval:counts")
    text = (folder / "counts.yaml").read_text(encoding="utf-8")
    (folder / "counts.yaml").write_text(text.replace("dataset_path: json", f"dataset_path: {folder}/x"), "utf-8")
    with pytest.raises(DataError, match=r"^lm_eval:counts: .*--include-path DIR\) with a copy of its YAML file"):
        Plugins([folder]).task("lm_eval:counts")


def test_there_are_no_settings(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="no setting of lm_eval:sums named 'split'; known: none"):
        _plan(folder, "lm_eval:sums", settings={"lm_eval:sums": {"split": "test"}})


def test_a_pools_first_items_leave_out_the_query(folder: Path) -> None:
    samples = list(_plan(folder, "lm_eval:sums").cells[0].task.samples("validation", None))  # type: ignore[arg-type]  # as above
    pool = ExemplarPool(samples)
    assert pool.first(samples[1], 2, task="sums") == (samples[0], samples[2])
    with pytest.raises(DataError, match="expected 6 exemplars"):
        pool.first(samples[1], 6, task="sums")


@pytest.fixture(autouse=True)
def _quiet_lm_eval() -> None:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
