"""What a comparison needs is read from a run's folder alone, and only if it fits together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.corpus_scoring import KeptSamples
from kosmos_eval.errors import DataError
from kosmos_eval.measurements import Measurements, read_measurements
from kosmos_eval.metrics.forms import kept
from kosmos_eval.record import SAMPLES_KEY, CellResult, Exchange, MetricResult, RunRecord, SampleRecord
from kosmos_eval.writing import ParquetRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXCHANGE = Exchange("Generate", "?", (), (), (), {"kind": "Generated", "text": "x", "logprobs": [-1.0]})
RUN = {"config": {"model": "m", "dtype": "float32", "exemplars": "fixed"}, "model": {"name": "m", "fingerprint": "ab"}}


def metric(name: str, value: float | None, count: int = 4, **more: Any) -> MetricResult:  # noqa: ANN401  passed on
    return MetricResult(name, value, None, None, None, count, count, 0, 0, **more)


def sample(key: str, *, failed: bool = False, **values: float) -> SampleRecord:
    return SampleRecord(
        key=key,
        content=f"content of {key}",
        cluster=f"picture {key[0]}",
        groups={"kind": "colour"},
        exemplars=(),
        exchanges=(EXCHANGE,),
        raw="x",
        answer=None if failed else f"answer {key}",
        target="truth",
        values=values,
        margin=None,
        stop_reason="eos",
        explanation="",
        failed="too long" if failed else None,
        asked=f"prompt of {key}",
    )


SAMPLES = [
    sample("a1", accuracy=1.0, ease=2.0),
    sample("a2", accuracy=0.0, ease=3.0),
    sample("b1", failed=True),
    sample("b2"),  # unlabelled
    sample("c1", accuracy=1.0),
    sample("c2", accuracy=1.0, ease=1.0),
]
SCORED = ("a1", "a2", "c1", "c2")
KEPT = {
    "bleu": KeptSamples("ratio", dict(zip(SCORED, [[1.0, 2.0], [0.0, 1.0], [3.0, 4.0], [1.0, 1.0]], strict=True))),
    "area": KeptSamples(
        "roc-auc", dict(zip(SCORED, [[0.5, 1.0], [0.1, 0.0], [float("inf"), 1.0], [0.7, 0.0]], strict=True))
    ),
    "ease": KeptSamples(),
    "meteor": KeptSamples(),
}
METRICS = (
    metric("accuracy", 0.75),
    metric("bleu", 5 / 8),
    metric("area", 0.75),
    metric("ease", 0.4, upper=10.0),
    metric("meteor", None, 0, unavailable="needs Java"),
)
CELL = CellResult("toy@mini", 0, 1, "val", METRICS, {}, 6, 6, 1, {}, {}, failed=1)


def write(folder: Path, samples: list[SampleRecord], kept_samples: dict[str, KeptSamples] | None = None) -> Path:
    path = folder / "samples" / "toy@mini_0shot.parquet"
    path.parent.mkdir(exist_ok=True)
    with ParquetRows(path, [each.name for each in METRICS], KEPT if kept_samples is None else kept_samples) as rows:
        for each in samples:
            rows.add(each)
    return path


def read(folder: Path, cell: CellResult = CELL) -> Measurements:
    return read_measurements(RunRecord(folder, RUN, (cell,)), cell)


def test_samples_come_back_by_key_with_their_values(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    found = read(tmp_path)
    assert found.keys == ("a1", "a2", "b1", "b2", "c1", "c2")
    assert found.contents[2] == "content of b1"
    assert found.asked[0] == "prompt of a1"
    assert found.clusters == ("picture a",) * 2 + ("picture b",) * 2 + ("picture c",) * 2
    assert found.answers == ("answer a1", "answer a2", None, "answer b2", "answer c1", "answer c2")
    assert found.targets[0] == "truth"
    assert found.groups[0] == {"kind": "colour"}
    assert found.values == {
        "accuracy": (1.0, 0.0, None, None, 1.0, 1.0),
        "ease": (2.0, 3.0, None, None, None, 1.0),
    }
    assert (found.measured, found.failed) == ((0, 1, 4, 5), frozenset({"b1"}))
    assert (found.origin.model, found.origin.weights, found.origin.exemplars) == ("m", "ab", "fixed")


def test_corpus_metrics_come_back_as_functions_of_the_weights(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    found = read(tmp_path)
    assert {*found.corpus} == {"bleu", "area"}
    assert found.corpus["bleu"].values(np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 1.0]])) == pytest.approx(
        [5 / 8, 3 / 5]
    )
    assert found.corpus["area"].values(np.array([[1.0, 1.0, 0.0, 0.0]])) == pytest.approx([1.0])


def test_what_no_record_can_hold_says_why(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    assert read(tmp_path).unkept == {
        "ease": "the task makes it in a way of its own, which a record cannot hold",
        "meteor": "needs Java",
    }


def test_some_of_the_samples_are_taken_whole(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    part = read(tmp_path).take([5, 0])
    assert (part.keys, part.clusters, part.measured) == (("c2", "a1"), ("picture c", "picture a"), (0, 1))
    assert part.values["accuracy"] == (1.0, 1.0)
    assert part.corpus["bleu"].values(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx([2 / 3, 1 / 2])
    with pytest.raises(ValueError, match="expected samples that were scored, got the one at place 2"):
        read(tmp_path).take([2])


def test_a_run_of_before_such_columns_has_its_means_and_names_the_cure(tmp_path: Path) -> None:
    path = write(tmp_path, SAMPLES, {})
    table = pq.read_table(path).drop_columns(["asked"])
    pq.write_table(table.replace_schema_metadata({}), path)
    found = read(tmp_path)
    assert (found.asked, dict(found.corpus)) == ((), {})
    assert found.values["accuracy"] == (1.0, 0.0, None, None, 1.0, 1.0)
    cure = f"the run was scored before its parts were kept; make them with: kosmos-eval rescore {tmp_path}"
    assert found.unkept == {"bleu": cure, "area": cure, "ease": cure, "meteor": "needs Java"}


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path, SAMPLES).read_bytes()
    assert write(tmp_path, SAMPLES).read_bytes() == first


def test_the_file_names_the_form_of_each_corpus_metric(tmp_path: Path) -> None:
    schema = pq.read_schema(write(tmp_path, SAMPLES))
    forms = {name: schema.field(f"corpus.{name}").metadata[b"form"] for name in KEPT}
    assert forms == {"bleu": b"ratio", "area": b"roc-auc", "ease": b"", "meteor": b""}


def altered(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[Path], None]:
    """Return what writes a column of a file anew."""

    def alter(path: Path) -> None:
        table = pq.read_table(path)
        place = table.schema.get_field_index(name)
        column = pa.array(change(table.column(name).to_pylist()), table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), column), path)

    return alter


def with_metadata(values: dict[str, str]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata(values), path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "expected a whole Parquet file"),
        (lambda path: path.write_text("no table", encoding="utf-8"), "expected a whole Parquet file"),
        (with_metadata({SAMPLES_KEY: "2"}), "expected version 1 of the samples' columns, got b'2'"),
        (lambda path: pq.write_table(pq.read_table(path).drop_columns(["content"]), path), "found no content"),
        (lambda path: pq.write_table(pq.read_table(path).slice(0, 5), path), "expected the 6 samples .* found 5"),
        (altered("key", lambda keys: [*keys[:5], "a1"]), "expected each sample once, found 'a1' 2 times"),
        (altered("key", lambda keys: [*keys[:5], None]), "expected each sample to have a key"),
        (altered("groups", lambda groups: ["[]", *groups[1:]]), "expected groups to be a JSON object"),
        (altered("metric.accuracy", lambda v: [float("nan"), *v[1:]]), "values of accuracy from 0.0 to 1.0, found nan"),
        (altered("metric.accuracy", lambda v: [1.5, *v[1:]]), "values of accuracy from 0.0 to 1.0, found 1.5"),
        (altered("metric.accuracy", lambda v: [0.0, *v[1:]]), "make up the accuracy that results.json has, 0.75 of 4"),
        (altered("metric.accuracy", lambda v: [None, *v[1:]]), "make up the accuracy .* found 0.66.* of 3"),
        (altered("corpus.bleu", lambda v: [[2.0, 2.0], *v[1:]]), "make up the bleu that results.json has"),
        (altered("corpus.bleu", lambda v: [[1.0], *v[1:]]), r"equally many statistics of each sample, got \[1, 2\]"),
        (altered("corpus.bleu", lambda v: [[float("nan"), 1.0], *v[1:]]), "statistics of ratio to be numbers"),
        (altered("corpus.bleu", lambda v: [None, *v[1:]]), "make up the bleu .* of 3"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(
    tmp_path: Path, harm: Callable[[Path], object], message: str
) -> None:
    harm(write(tmp_path, SAMPLES))
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f"make it again with: kosmos-eval rescore {tmp_path}")


def test_a_result_that_is_no_number_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    cell = replace(CELL, metrics=(replace(METRICS[0], value=float("nan")), *METRICS[1:]))
    with pytest.raises(DataError, match=r"expected accuracy in results\.json to be a number, got nan"):
        read(tmp_path, cell)


def test_a_cell_without_samples_is_read_as_such(tmp_path: Path) -> None:
    write(tmp_path, [])
    empty = tuple(replace(each, value=None, count=0) for each in METRICS)
    found = read(tmp_path, replace(CELL, metrics=empty, samples=0, total=0, unlabelled=0, failed=0))
    assert (found.keys, found.measured) == ((), ())
    assert found.unkept["bleu"] == "nothing was scored"


def test_what_is_read_can_be_kept_again(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES)
    held = kept(read(tmp_path).corpus["area"])
    assert held is not None
    assert held.statistics.tolist() == list(KEPT["area"].statistics.values())
