"""Writes a run's results: `results.json`, the samples as JSONL and Parquet, thumbnails, submissions.

Every file is written beside its place and moved there when it is whole. Nothing here depends on time or on which
process did what: the same work gives the same bytes. (Timings are in `run.json`.)
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import contextmanager, suppress
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kosmos_eval.corpus_scoring import KeptSamples
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.record import SAMPLES_KEY, SAMPLES_VERSION, SCHEMA_VERSION, file_stem
from kosmos_eval.scoring import Showcase, Tally, group_by_cell, outermost, plain, score_cell, score_whole, summarise
from kosmos_eval.task import Submits
from kosmos_eval.trials import gather_trials
from kosmos_eval.watched import settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from kosmos_eval.corpus_scoring import CorpusResults
    from kosmos_eval.journal import JournalReader
    from kosmos_eval.plan import Cell, Plan, Unit
    from kosmos_eval.record import CellResult, SampleRecord
    from kosmos_eval.task import Sample, Score

_NOTHING_KEPT: Mapping[str, KeptSamples] = MappingProxyType({})
_ROW_GROUP = 1_000
_THUMBNAIL_SIDE = 192
_THUMBNAIL_QUALITY = 85


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a path beside the given one, and move it there when the block ends well; else leave nothing.

    Raises:
        UsageError: the path is no name of a file.
        DataError: it cannot be written: no such place, no leave, no room.
    """
    if not path.name:
        message = f"expected the name of a file to write, got {str(path)!r}"
        raise UsageError(message)
    draft = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(draft), *map(str, path.parents)):
            raise  # of something that the block reads
        message = f"{path}: cannot be written ({error.strerror})"
        raise DataError(message) from error
    finally:
        with suppress(OSError):  # nothing is there, or what is cannot be removed either
            draft.unlink()


def write_json(path: Path, values: object) -> None:
    """Write values as JSON, whole or not at all."""
    with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave an empty file, and a journal that nobody can use


def write_results(
    plan: Plan, units: Iterable[Unit], journal: JournalReader, folder: Path, weights: str
) -> tuple[CellResult, ...]:
    """Score everything that the journal holds and write the results into the run's folder.

    Args:
        plan: of the run.
        units: all of the plan's units; each must be in the journal, but for those after a cell was stopped.
        journal: with the responses.
        folder: of the run.
        weights: the model's fingerprint.

    Returns:
        One result a cell, in the plan's order.
    """
    by_cell = group_by_cell(units)
    results = tuple(_write_cell(cell, by_cell[cell.name], journal, folder) for cell in plan.cells)
    pictures = folder / "thumbnails"
    kept = {path for cell, result in zip(plan.cells, results, strict=True) for path in _keep(cell, result, pictures)}
    write_json(folder / "results.json", _results_json(plan, results, weights))
    for path in set(pictures.glob("*.jpg")) - kept:  # of samples that were shown before a run was resumed
        path.unlink(missing_ok=True)
    return results


def _write_cell(cell: Cell, units: Sequence[Unit], journal: JournalReader, folder: Path) -> CellResult:
    units, stopped = settle(cell, units, journal)
    corpus = score_whole(cell, units, journal)
    tally, showcase = Tally(cell.task.metrics), Showcase(corpus.guide(cell.task.metrics))
    unlabelled: list[tuple[Sample, Score]] = []
    sealed = True  # whether all of the unlabelled samples have an answer
    stem = file_stem(cell.label, cell.shots, cell.trial, cell.control)
    encode = json.JSONEncoder(ensure_ascii=False, default=outermost).encode
    with (
        whole_file(folder / "samples" / f"{stem}.jsonl") as jsonl,
        whole_file(folder / "samples" / f"{stem}.parquet") as parquet,
        jsonl.open("w", encoding="utf-8") as lines,
        ParquetRows(parquet, [metric.name for metric in cell.task.metrics], _kept(cell, corpus)) as rows,
    ):
        for scored in score_cell(cell, units, journal, corpus):
            tally.add(scored)
            showcase.add(scored)
            lines.write(encode(scored.record) + "\n")
            rows.add(scored.record)
            if not scored.sample.labelled:
                unlabelled.append((scored.sample, scored.score))
                sealed &= scored.record.failed is None
    if unlabelled and sealed and not stopped and not cell.control and isinstance(cell.task, Submits):
        cell.task.submission(unlabelled, folder / "submissions" / stem)
    return summarise(cell, tally, showcase.keys(), corpus, stopped)


def _kept(cell: Cell, corpus: CorpusResults) -> dict[str, KeptSamples]:
    return {each.name: corpus.kept.get(each.name, KeptSamples()) for each in cell.task.metrics if each.corpus}


def _keep(cell: Cell, result: CellResult, folder: Path) -> Iterator[Path]:
    """Make small pictures of what was read about the samples that a cell's report shows, and yield their paths."""
    for image in (image for key in result.shown for image in cell.pictures(cell.samples[key])):
        path = folder / f"{image.digest}.jpg"
        if not path.exists():
            picture = image.load()
            picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
            with whole_file(path) as draft:
                picture.save(draft, format="JPEG", quality=_THUMBNAIL_QUALITY)
        yield path


class ParquetRows:
    """Writes sample records as rows of a Parquet file, a row group at a time.

    The columns of corpus metrics hold what each sample adds, and their metadata the form that makes a metric of it, so
    that the metric can be had again over any of the samples (`kosmos_eval.measurements`).
    """

    def __init__(self, path: Path, metrics: Sequence[str], corpus: Mapping[str, KeptSamples] = _NOTHING_KEPT) -> None:
        """Set up the columns: one a field, one a metric, and one more a corpus metric."""
        import pyarrow as pa  # noqa: PLC0415  a second to import, and only runs that write results need it
        import pyarrow.parquet as pq  # noqa: PLC0415  as above

        texts = pa.list_(pa.string())
        columns: dict[str, Any] = dict.fromkeys(("key", "content", "cluster", "groups", "prompt"), pa.string())
        columns |= {"exemplars": texts, "images": texts, "options": texts}
        columns |= {"log_probabilities": pa.list_(pa.list_(pa.float64()))}
        columns |= dict.fromkeys(("raw", "answer", "target", "stop_reason", "explanation"), pa.string())
        columns |= {"margin": pa.float64(), "near_tie": pa.bool_(), "unparsed": pa.bool_(), "failed": pa.string()}
        columns |= {"asked": pa.string()}
        columns |= {f"metric.{name}": pa.float64() for name in metrics}
        kept = [
            pa.field(f"corpus.{name}", pa.list_(pa.float64()), metadata={"form": corpus[name].form}) for name in corpus
        ]
        self._schema = pa.schema([*columns.items(), *kept], metadata={SAMPLES_KEY: str(SAMPLES_VERSION)})
        self._corpus = corpus
        self._writer = pq.ParquetWriter(path, self._schema)
        self._table = pa.Table
        self._held: list[dict[str, Any]] = []

    def __enter__(self) -> ParquetRows:  # noqa: PYI034  typing.Self would say the same of a final class
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def add(self, record: SampleRecord) -> None:
        """Add a row."""
        added = {f"corpus.{name}": kept.statistics.get(record.key) for name, kept in self._corpus.items()}
        self._held.append({**_row(record), **added})
        if len(self._held) == _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(self._table.from_pylist(self._held, schema=self._schema))
        self._held = []


def _row(record: SampleRecord) -> dict[str, Any]:
    last = record.exchanges[-1]
    columns = ["key", "content", "cluster", "raw", "answer", "target", "stop_reason", "explanation", "margin"]
    columns += ["near_tie", "failed", "asked"]
    options = [] if record.failed else last.response.get("continuations", [last.response])
    return {
        **{name: getattr(record, name) for name in columns},
        "groups": json.dumps(plain(record.groups), ensure_ascii=False),
        "prompt": "\n".join(each.prompt for each in record.exchanges),
        "exemplars": list(record.exemplars),
        "images": [digest for each in record.exchanges for digest in (*each.images, *chain(*each.option_images))],
        "options": list(last.options),
        "log_probabilities": [list(each["logprobs"]) for each in options],
        "unparsed": record.answer is None and record.failed is None,
        **{f"metric.{name}": value for name, value in record.values.items()},
    }


def _results_json(plan: Plan, results: Sequence[CellResult], weights: str) -> dict[str, Any]:
    """Return `results.json`: lm-eval's keys, so that its readers work, then the cells whole."""
    config = plan.config
    return {
        "results": {cell.name: _lm_eval_row(cell) for cell in results},
        "group_subtasks": {cell.name: [] for cell in results},
        "configs": {
            cell.name: {"task": cell.name, "version": cell.version, "num_fewshot": cell.shots, **plain(cell.settings)}
            for cell in results
        },
        "versions": {cell.name: cell.version for cell in results},
        "n-shot": {cell.name: cell.shots for cell in results},
        "higher_is_better": {
            cell.name: {each.name: each.higher_is_better for each in cell.metrics} for cell in results
        },
        "n-samples": {cell.name: {"original": cell.total, "effective": cell.samples - cell.failed} for cell in results},
        "margins": {cell.name: plain(cell.margins) for cell in results},
        "config": {
            "model": config.model,
            "model_fingerprint": weights,
            "batch_size": config.batch_size,
            "device": config.device,
            "dtype": config.dtype,
            "limit": config.limit,
            "sample_order": config.sample_order,
            "exemplars": config.exemplars,
            "seed": config.seed,
            "trials": config.trials,
            "trial_seeds": plain(config.trial_seeds),
            **({"controls": plain(config.controls)} if config.controls else {}),
        },
        "trials": {each.name: plain(each) for each in gather_trials(results)},
        "schema": SCHEMA_VERSION,
        "cells": [_cell_json(cell) for cell in results],
    }


def _cell_json(cell: CellResult) -> dict[str, Any]:
    """Return a cell whole; a run without controls or a gate is written as it was before there were any."""
    values: dict[str, Any] = plain(cell)
    if not cell.control:
        del values["control"]
    if cell.stopped is None:
        del values["stopped"]
    return values


def _lm_eval_row(cell: CellResult) -> dict[str, Any]:
    row: dict[str, Any] = {"alias": cell.name}
    for metric in cell.metrics:
        name, comma, filtered = metric.name.partition(",")  # as lm-eval names what a filter lets through
        through = filtered if comma else "none"
        row[f"{name},{through}"] = metric.value
        row[f"{name}_stderr,{through}"] = "N/A" if metric.stderr is None else metric.stderr
    return row
