"""Every format has every published number as it is printed, and takes no name for anything but text."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.papers import formats
from kosmos_eval.papers.formats import FORMATS, KINDS
from kosmos_eval.papers.sheet import compare_with_paper
from kosmos_eval.papers.standing import Terms
from kosmos_eval.plugins import Plugins
from kosmos_eval.reports.html import HTML

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.published import Paper
    from kosmos_eval.papers.sheet import Comparison
    from kosmos_eval.record import RunRecord
    from tests.papers.conftest import MakeCell, Plant

    Compare = Callable[..., Comparison]

HOSTILE = "<script>alert(1)</script>{{7*7}}|`x`$\\input{/etc/passwd}%&_#~^\u202e\x1b[31m\n*b*=cmd|'中é—\""


@pytest.fixture
def compare(parts_of: dict[str, Parts], kosmos_1: Paper, kosmos_2: Paper) -> Compare:
    def compare(paper: str, tables: list[str], *records: RunRecord) -> Comparison:
        found = kosmos_1 if paper == "kosmos-1" else kosmos_2
        return compare_with_paper(found, found.only(tables), records, parts_of[paper], Terms())

    return compare


@pytest.fixture
def hostile(plant: Plant, make_cell: MakeCell) -> RunRecord:
    """A run whose model, folder, settings and tokenizer have names that no format would like."""
    cell = make_cell("coco_caption", "cider", 0.9, 500, 5000, shots=2, settings={"stop": [HOSTILE]})
    metric = replace(cell.metrics[0], made_with=HOSTILE)
    well = make_cell("coco_caption", "cider", 0.84, 5000)
    record = plant(replace(cell, metrics=(metric,)), well, config={"model_args": {"pretrained": f"={HOSTILE}"}})
    return replace(record, folder=record.folder / HOSTILE.replace("/", "_"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paper", ["kosmos-1", "kosmos-2"])
def test_every_published_number_is_there_digit_by_digit(compare: Compare, kind: str, paper: str) -> None:
    comparison = compare(paper, [])
    written = formats.written(comparison, kind, Plugins())
    found = set(re.findall(r"(?<![\d.])\d+(?:\.\d+)?(?![\d.]*\d)", written))
    for judged in comparison.tables:
        for row in judged.table.rows:
            for number in row.numbers.values():
                if number.own or kind != "text":
                    assert number.text in found, (judged.table.number, number.text)


class Cells(HTMLParser):
    """The text of each body cell, row by row, and the page's tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  of the base
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        self._open = self._open or tag in {"td", "th"}
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag == "sup":
            self._open = False

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open and self.rows:
            self.rows[-1][-1] += data


def test_each_format_has_the_numbers_in_their_rows_and_columns(compare: Compare) -> None:
    comparison = compare("kosmos-1", ["3"])
    row = ["KOSMOS-1 (1.6B)", "99.6", "101.7", "96.7", "70.0", "75.3", "68.0"]
    assert row in Cells(HTML.paper_tables(comparison)).rows
    assert " & ".join(row) in FORMATS["latex"](comparison)
    cells = [re.sub("<sup>.*?</sup>", "", line).split(" | ") for line in FORMATS["md"](comparison).splitlines()]
    assert ["| KOSMOS-1 \\(1.6B\\)", *row[1:-1], "68.0 |"] in cells
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](comparison))))
    assert [each["published"] for each in rows if each["own"] == "yes"] == row[1:]
    assert {each["verdict"] for each in rows if each["own"] == "no"} == {""}


def test_csv_has_all_that_is_known_of_a_number(compare: Compare, plant: Plant, make_cell: MakeCell) -> None:
    record = plant(make_cell("raven:test", "accuracy", 0.22, 50))
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](compare("kosmos-1", ["6"], record)))))
    own = rows[1]
    assert len(rows) == 3
    known = {"paper": "kosmos-1", "table": "6", "published": "22", "value": "22.0", "margin": "2.0", "samples": "50"}
    known |= {"verdict": "reproduced", "part": "raven:test", "shots": "0", "tuning": "tuned", "model": "planted"}
    assert {name: own[name] for name in known} == known
    assert (own["run"], own["cell"], own["split"]) == (str(record.folder), "raven:test|0", "test")
    assert float(own["low"]) < 22 < float(own["high"])


def test_text_gives_the_reason_for_each_verdict(compare: Compare, plant: Plant, make_cell: MakeCell) -> None:
    text = FORMATS["text"](compare("kosmos-1", ["6", "7"], plant(make_cell("raven:test", "accuracy", 0.22, 50))))
    lines = text.splitlines()
    assert any(line.endswith("reproduced  +0.0: within 2") for line in lines)
    assert any("differs     -4.0: not within 2" in line for line in lines)
    assert any("no run of hateful_memes at 0 shots" in line for line in lines)
    assert "2 numbers: 1 reproduced, 1 differs" in lines


def test_the_page_loads_and_runs_nothing_whatever_names_hold(compare: Compare, hostile: RunRecord) -> None:
    page = HTML.paper_tables(compare("kosmos-1", ["2", "3"], hostile))
    cells = Cells(page)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "img"} & cells.tags
    assert "default-src 'none'" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page
    assert not re.search("[\x1b\u202e]", page)
    assert not re.search(r"https?://", page)
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    assert "<" not in style


def test_markdown_shows_names_as_they_are(compare: Compare, hostile: RunRecord) -> None:
    written = FORMATS["md"](compare("kosmos-1", ["3"], hostile))
    assert "<script>" not in written
    assert r"&lt;script&gt;alert\(1\)&lt;/script&gt;\{\{7\*7\}\}\|\`x\`\$\\input\{" in written
    assert not re.search("[\x1b\u202e]", written)
    tables = [line for line in written.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in tables}) == 1


def test_no_spreadsheet_takes_a_name_for_a_formula(compare: Compare, hostile: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](compare("kosmos-1", ["3"], hostile)))))
    models = {row["model"] for row in rows if row["model"]}
    assert models
    assert all(model.startswith("'=<script>") for model in models)
    assert all(row["cell"] in {"", "coco_caption|2", None} for row in rows)


def test_text_shows_names_as_they_are_on_one_line(compare: Compare, hostile: RunRecord) -> None:
    written = FORMATS["text"](compare("kosmos-1", ["3"], hostile))
    assert not re.search("[\x1b\u202e]", written)
    assert "␛[31m *b*=cmd" in written
    assert max(map(len, (line for line in written.splitlines() if line.startswith("KOSMOS-1")))) < 250


def test_latex_escapes_all_that_means_something(compare: Compare, hostile: RunRecord) -> None:
    written = FORMATS["latex"](compare("kosmos-1", ["3"], hostile))
    written = written.replace(r"\allowbreak{}", "")
    assert r"\textless{}script\textgreater{}" in written
    assert r"\textbackslash{}input\{" in written
    assert "\\input{" not in written
    assert "中" not in written
    assert "U+4E2Dé---" in written


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("paper", ["kosmos-1", "kosmos-2"])
def test_latex_compiles_and_stays_on_the_page(compare: Compare, hostile: RunRecord, tmp_path: Path, paper: str) -> None:
    body = FORMATS["latex"](compare(paper, [], hostile))
    packages = re.search(r"\\usepackage\{.*\}", body)
    assert packages is not None
    document = (
        "\\documentclass{{article}}\n\\usepackage[T1]{{fontenc}}\n{}\n\\begin{{document}}\n{}\n\\end{{document}}\n"
    )
    (tmp_path / "tables.tex").write_text(document.format(packages[0], body), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.search(r"Overfull \\hbox \(\d{2,}", done.stdout)
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
