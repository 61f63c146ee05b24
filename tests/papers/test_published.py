"""What the papers printed, digit by digit, and where each number is measured here."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import UnknownNameError
from kosmos_eval.papers.published import PAPERS, TUNINGS, load_paper
from kosmos_eval.plugins import Plugins
from kosmos_eval.selection import make_task, splits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.papers.published import Number, Paper, PaperTable

FACTS = Path(__file__).parents[3] / "shared" / "facts" / "paper_tables.json"
READMES = {"unilm kosmos-2/README.md": "readme", "unilm evaluation/flickr_entities/README.md": "readme-entities"}


def every_number() -> Iterator[tuple[Paper, PaperTable, Number]]:
    for name in PAPERS:
        paper = load_paper(name)
        for table in paper.tables:
            for row in table.rows:
                for number in row.numbers.values():
                    yield paper, table, number


def tuning_of(variant: str) -> str:
    if re.search(r"w/o (language-only )?instruction", variant):
        return "untuned"
    return "tuned" if re.match(r"with (language-only )?instruction", variant) else ""


@pytest.mark.skipif(not FACTS.exists(), reason="the facts that the tables were typed from are not here")
def test_every_number_is_the_one_that_was_read_in_the_papers() -> None:
    read = Counter(
        (
            f"kosmos-{each['paper'].removeprefix('KOSMOS-')[0]}",
            READMES.get(each["table"], each["table"].removeprefix("Table ")),
            each["row"],
            each["system"],
            each["shots"],
            each["metric"],
            float(each["value"]),
            tuning_of(each["variant"]),
        )
        for each in json.loads(FACTS.read_text(encoding="utf-8"))
    )
    kept = Counter(
        (
            paper.name,
            table.number,
            "Average" if number.protocol is None else number.protocol.dataset,
            number.system,
            number.shots,
            number.measure,
            number.value,
            number.tuning,
        )
        for paper, table, number in every_number()
    )
    assert kept - read == Counter()
    assert read - kept == Counter()
    assert sum(kept.values()) == 293


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "text"),
    [
        ("kosmos-1", "2", 6, "coco-cider", "84.7"),
        ("kosmos-1", "2", 6, "flickr-spice", "14.5"),
        ("kosmos-1", "3", 2, "coco-4", "101.7"),
        ("kosmos-1", "5", 4, "vizwiz-8", "39.0"),
        ("kosmos-1", "6", 1, "accuracy", "22"),
        ("kosmos-1", "6", 2, "accuracy", "26"),
        ("kosmos-1", "7", 5, "memes", "63.9"),
        ("kosmos-1", "8", 2, "exact", "3.8"),
        ("kosmos-1", "9", 4, "accuracy", "72.9"),
        ("kosmos-1", "10", 1, "names", "38.1"),
        ("kosmos-1", "12", 1, "accuracy", "90.0"),
        ("kosmos-1", "13", 6, "own-4", "53.6"),
        ("kosmos-1", "14", 1, "coco", "87.6"),
        ("kosmos-1", "16", 2, "terms", "73.1"),
        ("kosmos-2", "2", 5, "test-1", "78.7"),
        ("kosmos-2", "3", 6, "plus-testB", "42.24"),
        ("kosmos-2", "4", 4, "cider", "62.3"),
        ("kosmos-2", "6", 2, "cb", "30.4"),
        ("kosmos-2", "readme", 3, "flickr", "80.5"),
        ("kosmos-2", "readme-entities", 0, "val-1", "77.835516"),
    ],
)
def test_numbers_stand_where_the_papers_have_them(paper: str, table: str, row: int, column: str, text: str) -> None:
    number = load_paper(paper).table(table).rows[row].numbers[column]
    assert number.text == text
    assert number.own


def test_numbers_are_printed_with_plain_digits_and_have_a_source() -> None:
    for paper, table, number in every_number():
        assert re.fullmatch(r"\d{1,3}(\.\d{1,6})?", number.text), (paper.name, table.number, number.text)
        assert number.source.startswith(("arXiv 23", "microsoft/unilm@"))
        assert number.tuning in {"", *TUNINGS}
        assert 0 < number.margin < 5


def test_the_printed_averages_are_those_of_their_columns() -> None:
    for paper, table, number in every_number():
        if number.protocol is not None:
            continue
        column = next(
            column.id
            for column in table.columns
            for row in table.rows
            if row.numbers.get(column.id) is number or row.numbers.get(column.id) == number
        )
        parts = [row.numbers[column].value for row in table.rows if row.numbers[column].protocol is not None]
        assert len(parts) == 8
        assert number.value == pytest.approx(sum(parts) / len(parts), abs=0.0501), (paper.name, column)


def test_every_own_number_is_measured_by_a_part_metric_and_split_that_there_are() -> None:
    plugins = Plugins()
    looked = 0
    for paper, table, number in every_number():
        protocol = number.protocol
        if not number.own or protocol is None:
            continue
        place = (paper.name, table.number, protocol.part)
        task = make_task(protocol.part, {}, plugins)
        assert number.metric in {metric.name for metric in task.metrics}, place
        assert number.shots is not None, place
        assert set(protocol.exemplars) <= {"per-sample", "fixed", "rices"}, place
        if protocol.served:
            assert task.split in splits_of(task), place
            assert task.split != protocol.split, place
        else:
            assert task.split == protocol.split, place
        assert all(metric.percent for metric in task.metrics if metric.name == number.metric), place
        looked += 1
    assert looked > 100


def test_a_protocol_s_size_is_where_the_percentages_say() -> None:
    for _, table, number in every_number():
        protocol = number.protocol
        if number.own and protocol is not None and protocol.samples in {50, 56, 100, 120, 285}:
            share = number.value / 100 * protocol.samples
            assert abs(share - round(share)) < 0.5 * 10**-number.decimals / 100 * protocol.samples + 1e-9, table.number


def test_a_margin_is_never_less_than_rounding_hides() -> None:
    number = load_paper("kosmos-2").table("3").rows[-1].numbers["val"]
    matrices = load_paper("kosmos-1").table("6").own[0]
    assert (number.decimals, matrices.decimals) == (2, 0)
    assert (number.rounding, matrices.rounding) == (0.005, 0.5)
    assert (number.within(None), number.within(3.0), number.within(0)) == (1.0, 3.0, 0.01)


def test_own_rows_are_told_from_others() -> None:
    table = load_paper("kosmos-1").table("13")
    assert {number.system for number in table.own} == {"KOSMOS-1"}
    assert len(table.own) == 27
    assert load_paper("kosmos-2").table("5").own[0].text == "66.7"
    labels = [row.label for row in load_paper("kosmos-1").table("14").rows]
    assert labels == ["KOSMOS-1, tuned on instructions", "KOSMOS-1, not tuned on instructions"]


def test_tables_are_found_by_number() -> None:
    paper = load_paper("kosmos-1")
    assert paper.table("Table 3") is paper.table("3")
    assert [table.number for table in paper.only(["14", "3"])] == ["3", "14"]
    assert paper.only([]) == paper.tables
    assert (paper.table("3").name, load_paper("kosmos-2").table("readme").name) == ("Table 3", "readme")
    with pytest.raises(UnknownNameError, match="no table of kosmos-1 named '15'"):
        paper.table("15")
    with pytest.raises(UnknownNameError, match="no paper named 'kosmos1'; did you mean 'kosmos-1'"):
        load_paper("kosmos1")
