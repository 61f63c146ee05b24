"""A run of a benchmark whose metrics belong to all samples together, from the answers to the files and the report."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from kosmos_eval.errors import PluginError
from kosmos_eval.measurements import read_measurements
from kosmos_eval.record import load
from kosmos_eval.run import evaluate, rescore
from kosmos_eval.table import results_table

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.record import RunRecord

STEM = "samples/rhymes@mini_0shot"
TASK = """
    from dataclasses import dataclass
    import numpy as np
    from kosmos_eval.corpus import CorpusScore, mean_of
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Generate
    from kosmos_eval.task import Metric, Sample, Score

    @dataclass(frozen=True)
    class Rhymes:
        name = "rhymes"
        version = 1
        description = "A metric of all samples with values of their own, one that is missing, a mean, and a rank."
        sources = ("mini",)
        metrics = (
            Metric("ease", "of the corpus", upper=10.0, corpus=True),
            Metric("meteor", "needs what is not there", corpus=True),
            Metric("accuracy", "a mean"),
            Metric("rank", "a mean rank", higher_is_better=False, lower=1.0, upper=100.0, percent=False),
        )
        split: str = "val"
        exemplar_split: str = "train"

        def samples(self, split, source):
            for number in range(70):
                halves = {"half": "first" if number < 35 else "last"}
                yield Sample(key=f"{number:02d}", groups=halves, labelled=number != 5)

        def ask(self, sample, exemplars):
            response = yield Generate(Prompt.of(sample.key), max_new_tokens=4)
            return response.text

        def score(self, sample, answer):
            number = int(sample.key)
            values = {"accuracy": float(number % 2), "rank": 1.0 + number}
            return Score(values if sample.labelled else {}, answer)

        def score_corpus(self, scored):
            own = np.array([int(sample.key) / 10 for sample, _ in scored])
            return {
                "ease": CorpusScore(mean_of(own), own, made_with="a tokenizer"),
                "meteor": CorpusScore(None, unavailable="METEOR needs Java: install one"),
            }

    TASKS = (Rhymes,)
"""


@pytest.fixture(scope="module")
def rhymes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> RunRecord:
    folder = tmp_path_factory.mktemp("rhymes")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "rhymes.py").write_text(dedent(TASK), encoding="utf-8")
    scripted = request.path.parent / "plugins"
    paths = [str(scripted), str(folder / "plugins")]
    return evaluate(tasks="rhymes", model="scripted", include_path=paths, output_path=folder / "run")


def rows(record: RunRecord) -> list[dict[str, Any]]:
    return list(map(json.loads, (record.folder / f"{STEM}.jsonl").read_text(encoding="utf-8").splitlines()))


def test_results_hold_the_corpus_value_its_interval_and_why_another_is_missing(rhymes: RunRecord) -> None:
    ease, meteor, accuracy, rank = rhymes.cells[0].metrics
    assert ease.value == pytest.approx((69 * 35 - 5) / 69 / 10)
    assert ease.low is not None
    assert ease.high is not None
    assert 0 < ease.low < 3.5 < ease.high < 10
    assert (ease.interval, ease.made_with, ease.count, ease.upper) == ("bca-bootstrap", "a tokenizer", 69, 10.0)
    assert (meteor.value, meteor.count, meteor.unavailable) == (None, 0, "METEOR needs Java: install one")
    assert (accuracy.interval, rank.interval, rank.percent) == ("wilson-clustered", "wilson-clustered", False)
    results = json.loads((rhymes.folder / "results.json").read_text(encoding="utf-8"))
    row = results["results"]["rhymes@mini|0"]
    assert row["ease,none"] == ease.value
    assert (row["meteor,none"], row["meteor_stderr,none"]) == (None, "N/A")
    assert results["cells"][0]["metrics"][1]["unavailable"] == "METEOR needs Java: install one"


def test_categories_show_the_headline_of_the_corpus(rhymes: RunRecord) -> None:
    halves = rhymes.cells[0].groups["half"]
    assert halves["last"].value == pytest.approx((35 + 69) / 20)
    assert (halves["first"].count, halves["last"].count) == (34, 35)
    assert {each.interval for each in halves.values()} == {"bca-bootstrap"}


def test_samples_have_the_values_of_their_own_in_both_files(rhymes: RunRecord) -> None:
    values = {row["key"]: row["values"] for row in rows(rhymes)}
    assert values["07"] == {"ease": 0.7, "accuracy": 1.0, "rank": 8.0}
    assert list(values["07"]) == ["ease", "accuracy", "rank"]
    assert values["05"] == {}
    table = pq.read_table(rhymes.folder / f"{STEM}.parquet").to_pylist()
    assert {row["key"]: row["metric.ease"] for row in table} == {key: each.get("ease") for key, each in values.items()}
    assert {row["metric.meteor"] for row in table} == {None}


def test_the_worst_samples_by_their_own_values_are_shown(rhymes: RunRecord) -> None:
    worst = [f"{number:02d}" for number in range(31) if number != 5]
    assert list(rhymes.cells[0].shown[:30]) == worst


def test_scoring_again_gives_the_same_bytes(rhymes: RunRecord) -> None:
    files = [rhymes.folder / "results.json", rhymes.folder / f"{STEM}.jsonl", rhymes.folder / f"{STEM}.parquet"]
    before = [path.read_bytes() for path in files]
    rescore(rhymes.folder)
    assert [path.read_bytes() for path in files] == before
    assert load(rhymes.folder).cells == rhymes.cells


def test_the_table_says_what_is_missing_made_with_and_no_share(rhymes: RunRecord) -> None:
    table = results_table(rhymes.cells)
    (ease,) = [line for line in table.splitlines() if line.startswith("rhymes@mini") and " ease " in line]
    (rank,) = [line for line in table.splitlines() if line.startswith("rhymes@mini") and " rank " in line]
    (meteor,) = [line for line in table.splitlines() if line.startswith("rhymes@mini") and " meteor " in line]
    assert "349.3" in ease
    assert f"{rhymes.cells[0].metrics[3].value:.2f}" in rank
    assert meteor.endswith("not available")
    assert "meteor: not available: METEOR needs Java: install one" in table.splitlines()
    assert "rank: shown as it is, not in %" in table.splitlines()
    assert "ease: made with a tokenizer" in table.splitlines()


def test_the_report_says_so_too(rhymes: RunRecord) -> None:
    page = (rhymes.folder / "report.html").read_text(encoding="utf-8")
    assert "not available: METEOR needs Java: install one" in page
    assert '<span class="tag">not in %</span>' in page
    assert '<span class="made-with">a tokenizer</span>' in page


def test_a_run_ends_well_when_its_headline_is_not_available(tmp_path: Path, plugins_folder: Path) -> None:
    given = 'CorpusScore(mean_of(own), own, made_with="a tokenizer")'
    assert given in TASK
    (tmp_path / "plugins").mkdir()
    code = dedent(TASK).replace(given, 'CorpusScore(None, unavailable="no ease")')
    (tmp_path / "plugins" / "rhymes.py").write_text(code, encoding="utf-8")
    paths = [str(plugins_folder), str(tmp_path / "plugins")]
    record = evaluate(tasks="rhymes", model="scripted", include_path=paths, output_path=tmp_path / "run")
    (cell,) = record.cells
    assert (cell.metrics[0].value, cell.metrics[0].unavailable) == (None, "no ease")
    assert {each.unavailable for each in cell.groups["half"].values()} == {"no ease"}
    assert cell.shown[:2] == ("00", "02")  # the worst by accuracy
    assert "not available: no ease" in (record.folder / "report.html").read_text(encoding="utf-8")
    assert {"accuracy", "rank"} == set(rows(record)[0]["values"])


def test_a_task_without_the_method_for_its_metrics_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "rhymes.py").write_text(dedent(TASK).replace("score_corpus", "score_together"), encoding="utf-8")
    with pytest.raises(PluginError, match="expected a method score_corpus, as ease, meteor belong to all samples"):
        evaluate(tasks="rhymes", include_path=[str(tmp_path)], output_path=tmp_path / "run")


def test_what_the_metrics_are_made_of_is_in_the_record(rhymes: RunRecord) -> None:
    found = read_measurements(rhymes, rhymes.cells[0])
    assert {*found.corpus} == {"ease"}
    weights = np.zeros((1, 69))
    weights[0, :3] = 1
    assert found.corpus["ease"].values(weights) == pytest.approx([0.1])
    assert (len(found.measured), found.keys[5] in {found.keys[place] for place in found.measured}) == (69, False)
    assert found.unkept == {"meteor": "METEOR needs Java: install one"}
    assert all(len(digest) == 64 for digest in found.asked)
    assert len({*found.asked}) == 70
