"""How a paper's table is set: its rows and columns, our numbers below the paper's, notes said once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.papers.sheet import Entry, Judged, Kind, Notes, compare_with_paper, lay_out, number_text, summary
from kosmos_eval.papers.standing import Standing, Terms, Verdict, judge_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.published import Paper
    from kosmos_eval.papers.sheet import Line, Sheet
    from kosmos_eval.record import RunRecord
    from tests.papers.conftest import MakeCell, Plant

    Set = Callable[..., Sheet]


@pytest.fixture
def laid_out(parts_of: dict[str, Parts], kosmos_1: Paper) -> Set:
    def laid_out(table: str, *records: RunRecord) -> Sheet:
        found = kosmos_1.table(table)
        return lay_out(Judged(found, judge_table(found, records, parts_of["kosmos-1"], Terms())))

    return laid_out


def texts(line: Line) -> list[str | None]:
    return [None if entry is None else entry.text for entry in line.entries]


def test_our_numbers_stand_below_the_paper_s(laid_out: Set, plant: Plant, make_cell: MakeCell) -> None:
    captions = make_cell("flickr30k_caption", "cider", 0.75, 1000, shots=4)
    sheet = laid_out("3", plant(make_cell("coco_caption", "cider", 0.9, 5000, shots=2), captions))
    assert [line.kind for line in sheet.lines] == [
        Kind.OTHERS,
        Kind.OTHERS,
        Kind.PAPER,
        Kind.OURS,
        Kind.INTERVAL,
        Kind.VERDICT,
    ]
    assert texts(sheet.lines[0]) == [None, "85.0", "90.6", None, "72.0", "71.7"]
    assert texts(sheet.lines[2]) == ["99.6", "101.7", "96.7", "70.0", "75.3", "68.0"]
    assert texts(sheet.lines[3]) == ["90.0", "—", "—", "—", "75.0", "—"]
    interval = sheet.lines[4].entries[0]
    assert interval is not None
    assert interval.text.startswith("[89.")
    differs, *_, reproduced, not_run = texts(sheet.lines[5])
    assert (differs, reproduced, not_run) == ("differs (-9.6)", "reproduced (-0.3)", "not run")
    assert sheet.summary == "6 numbers: 1 reproduced, 1 differs, 4 not run; margin 2"


def test_headings_stand_above_their_columns(laid_out: Set) -> None:
    levels = laid_out("3").headings
    assert [(heading.entry.text, heading.columns) for heading in levels[0]] == [("COCO", 3), ("Flickr30k", 3)]
    assert [heading.entry.text for heading in levels[1]] == ["k = 2", "k = 4", "k = 8"] * 2
    assert [heading.columns for heading in laid_out("13").headings[0]] == [2, 2, 2]
    assert len(laid_out("4").headings) == 1


def test_where_nothing_was_run_only_the_verdict_is_added(laid_out: Set) -> None:
    sheet = laid_out("4")
    assert [line.kind for line in sheet.lines][-2:] == [Kind.PAPER, Kind.VERDICT]
    assert texts(sheet.lines[-1]) == ["not run", "not run"]
    assert sheet.runs == ()


def test_what_numbers_share_is_noted_once(laid_out: Set) -> None:
    captions = laid_out("2")
    assert captions.notes[0].startswith("Beam width 5")
    assert captions.title.marks == (1,)
    flamingo = next(line for line in captions.lines if line.head.text == "Flamingo-3B")
    assert captions.notes[flamingo.head.marks[0] - 1].startswith("Flamingo's zero-shot prompts")
    assert all(entry is None or not entry.marks for entry in flamingo.entries)
    tasks = laid_out("13")
    schemas = next(line for line in tasks.lines if line.head.text == "Winograd")
    assert "285 schemas" in tasks.notes[schemas.head.marks[0] - 1]
    assert len(set(tasks.notes)) == len(tasks.notes)
    tuning = laid_out("14").headings[0][0]
    assert len(tuning.entry.marks) == 2


def test_every_caveat_of_an_own_number_is_on_the_sheet(kosmos_1: Paper, kosmos_2: Paper) -> None:
    for paper in (kosmos_1, kosmos_2):
        for table in paper.tables:
            standings = {
                (place, column): Standing(number, Verdict.NOT_RUN, "x", 1.0)
                for place, row in enumerate(table.rows)
                for column, number in row.numbers.items()
                if number.own
            }
            sheet = lay_out(Judged(table, standings))
            assert {caveat for number in table.own for caveat in number.caveats} <= set(sheet.notes)
            pointed = {
                mark for line in sheet.lines for entry in (line.head, *line.entries) if entry for mark in entry.marks
            }
            pointed |= {mark for level in sheet.headings for heading in level for mark in heading.entry.marks}
            assert pointed | {*sheet.title.marks} == {*range(1, len(sheet.notes) + 1)}


def test_several_runs_are_told_apart_by_letters(laid_out: Set, plant: Plant, make_cell: MakeCell) -> None:
    first = plant(make_cell("coco_caption", "cider", 0.9, 5000, shots=2))
    second = plant(make_cell("coco_caption", "cider", 0.9, 5000, shots=4))
    sheet = laid_out("3", first, second)
    assert texts(sheet.lines[3])[:2] == ["90.0 A", "90.0 B"]
    assert sheet.runs == (f"A: {first.folder}, planted", f"B: {second.folder}, planted")
    assert laid_out("3", first).runs == (f"{first.folder}, planted",)


def test_a_subset_is_noted_at_our_number(laid_out: Set, plant: Plant, make_cell: MakeCell) -> None:
    sheet = laid_out("3", plant(make_cell("coco_caption", "cider", 0.9, 500, 5000, shots=2)))
    ours = sheet.lines[3].entries[0]
    assert ours is not None
    assert [sheet.notes[mark - 1] for mark in ours.marks] == ["subset: 500 of 5,000 samples"]


def test_our_numbers_have_the_printed_decimals(kosmos_1: Paper, kosmos_2: Paper) -> None:
    matrices, expressions = kosmos_1.table("6").own[0], kosmos_2.table("3").own[0]
    assert number_text(22.0, matrices) == "22.0"
    assert number_text(52.3213, expressions) == "52.32"
    assert number_text(99.999, expressions) == "> 99.99"
    assert number_text(101.74, replace(matrices, text="1.0")) == "101.7"
    assert number_text(None, matrices) == "—"


def test_the_margins_are_said(laid_out: Set) -> None:
    assert laid_out("2").summary.endswith("; margin CIDEr 2, SPICE 0.5")
    assert laid_out("4").summary.endswith("; margin 1")
    assert laid_out("13").summary.endswith("; margin accuracy 1, CB 2")


def test_the_verdicts_are_counted() -> None:
    assert summary({Verdict.REPRODUCED: 1}) == "1 number: 1 reproduced"
    assert summary({Verdict.DIFFERS: 2, Verdict.NOT_RUN: 3}) == "5 numbers: 2 differs, 3 not run"


def test_the_same_words_are_one_note() -> None:
    notes = Notes()
    assert (notes.mark("a", "b"), notes.mark("b", "c"), notes.texts) == ((1, 2), (2, 3), ("a", "b", "c"))


def test_a_comparison_has_the_tables_that_were_asked_for(kosmos_1: Paper, parts_of: dict[str, Parts]) -> None:
    comparison = compare_with_paper(kosmos_1, kosmos_1.only(["6", "4"]), [], parts_of["kosmos-1"], Terms())
    assert [judged.table.number for judged in comparison.tables] == ["4", "6"]
    assert comparison.tables[1].counts == {Verdict.NOT_RUN: 2}
    assert Entry("x").marks == ()
