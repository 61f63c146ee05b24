"""Proofs of data: items are told apart, splits share nothing, and what is read and written stays the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kosmos_eval.ask import ask_unit
from kosmos_eval.errors import UsageError
from kosmos_eval.journal import Journal, JournalReader, UnitTiming
from kosmos_eval.plan import Unit, make_plan
from kosmos_eval.record import SCHEMA_VERSION, load
from kosmos_eval.rices import rank_exemplars
from kosmos_eval.scoring import plain, score_cell, score_whole
from kosmos_eval.selection import splits_of
from kosmos_eval.writing import write_json, write_results

from .oracle import Perfect, Scripted
from .subject import FaultError, NotProvable

if TYPE_CHECKING:
    from kosmos_eval.task import Sample

    from .subject import Subject

COMPARED = 200
"""How many samples of the exemplar split are compared with those that are asked, pixel by pixel."""


def prove_contents(subject: Subject) -> str:
    """Prove that no two samples are the same under two keys."""
    seen: dict[str, str] = {}
    for sample in subject.samples:
        twin = seen.setdefault(_unnamed(sample), sample.key)
        if twin != sample.key:
            place = f"samples {twin} and {sample.key}"
            raise FaultError(place, "expected two keys to be two items, and all but the key is the same")
    return f"{len(seen)} samples of {subject.cell.total:,}: each key once, each content once"


def _unnamed(sample: Sample) -> str:
    """Return the digest of a sample's content without what names it."""
    return replace(sample, key="", cluster="").content


def prove_splits(subject: Subject) -> str:
    """Prove that what is asked is not among what exemplars are drawn from, and that every split can be read."""
    task, source = subject.task, subject.cell.source
    lacking = _unreadable(subject) if source.kind == "mini" else []
    note = f"; the embedded data has no {', '.join(lacking)}" if lacking else ""
    if task.exemplar_split == task.split:
        message = f"exemplars are drawn from the split that is asked{note}"
        raise NotProvable(message)
    try:
        others = list(islice(task.samples(task.exemplar_split, source), COMPARED))
    except UsageError as error:
        raise NotProvable(str(error)) from error
    pictures = {image.digest: sample.key for sample in subject.samples for image in sample.images}
    contents = {_unnamed(sample): sample.key for sample in subject.samples}
    for other in others:
        shown = [pictures.get(image.digest) for image in other.images]
        same = contents.get(_unnamed(other)) or (shown[0] if shown and all(shown) else None)
        if same is not None:
            place = f"sample {same} of {task.split}"
            raise FaultError(place, f"expected it not to be in {task.exemplar_split}, got {other.key} with its picture")
    compared = f"{len(subject.samples)} of {task.split} and {len(others)} of {task.exemplar_split}"
    return f"{compared}: no item and no picture is in both{note}"


def _unreadable(subject: Subject) -> list[str]:
    """Return the splits that a task names and its embedded data lacks."""
    lacking = []
    for split in splits_of(subject.task):
        try:
            next(iter(replace(subject.task, split=split).samples(split, subject.cell.source)), None)
        except UsageError:
            lacking.append(split)
    return lacking


def prove_determinism(subject: Subject) -> str:
    """Prove that reading and asking once more gives the same samples and the same requests."""
    again = rank_exemplars(make_plan(subject.plan.config, subject.plugins))
    for before, after in zip(subject.cells, again.cells, strict=True):
        if list(before.samples) != list(after.samples):
            raise FaultError(before.name, "expected the same samples when they are read twice, got others")
        for key, sample in before.samples.items():
            if sample.content != after.samples[key].content:
                place = f"sample {key}"
                raise FaultError(place, "expected the same content when it is read twice, got another")
        if before.first_requests != after.first_requests:
            raise FaultError(before.name, "expected the same requests when they are made twice, got others")
    return f"{len(subject.samples)} samples read twice ask the same"


def prove_record(subject: Subject) -> str:
    """Prove that what is written of a run is read back the same: the answers, the samples and the results."""
    cell = subject.cell
    held = replace(cell, samples={sample.key: sample for sample in subject.labelled})
    unit = Unit(f"{cell.name}/00000", cell.name, tuple(held.samples))
    answers = ask_unit(unit, held, Scripted(subject.labelled, Perfect(subject.provable)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "journal").mkdir()
        journal = Journal(folder / "journal" / "0.sqlite")
        journal.commit(unit.id, answers, UnitTiming(len(answers), len(answers), 0.0, 0.0))
        journal.close()
        reader = JournalReader(folder / "journal")
        written = write_results(replace(subject.plan, cells=(held,)), [unit], reader, folder, "no weights")
        write_json(folder / "run.json", {"schema": SCHEMA_VERSION})
        read = load(folder)
        if plain(read.cells) != plain(written):
            raise FaultError(cell.name, "expected results.json to read as it was written, got other results")
        corpus = score_whole(held, [unit], reader)
        records = {each.record.key: each.record for each in score_cell(held, [unit], reader, corpus)}
        for record in read.samples(read.cells[0]):
            if plain(record) != plain(records.pop(record.key)):
                place = f"sample {record.key}"
                raise FaultError(place, "expected its record to read as it was written, got another")
        if records:
            raise FaultError(cell.name, f"expected a record of every sample, {next(iter(records))} has none")
    return f"{len(held.samples)} records and the results read as they were written"
