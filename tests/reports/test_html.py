from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.plugins import Plugins
from kosmos_eval.record import MarginSummary
from kosmos_eval.reports.html import HTML, render
from kosmos_eval.table import STAND_IN_NOTE

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.record import RunRecord
    from tests.reports.conftest import Make

HOSTILE = (
    "<script>alert(1)</script>\"'{{ 7 * 7 }}{% x %}</style></svg><!-- "
    "\u202e \x00 \ud800 ]]> <img src=x onerror=a()> &lt;"
)
VOID = {"meta", "input", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """Holds the page's tags and text, and fails on tags that do not pair up."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


@pytest.fixture
def full(make: Make) -> RunRecord:
    """A record with every kind of thing that a page shows."""
    scene, example = make.picture("scene", (192, 144)), make.picture("example", (192, 144))
    given = [make.picture(f"given-{index}") for index in range(8)]
    candidates = [make.picture(f"candidate-{index}") for index in range(3)]
    mark = "<image:{:.12}>".format
    options = {f"{mark(digest)} Is it correct? Yes": -1.0 - index for index, digest in enumerate(candidates)}
    samples = [
        make.sample(
            "shown",
            make.generate(f"{mark(example)} it is red {mark(scene)} it is", " blue", [example, scene]),
            exemplars=("e1",),
            groups={"kind": "scene"},
        ),
        make.sample(
            "puzzle",
            make.score(
                "Here are eight images:" + "".join(map(mark, given)),
                options,
                given,
                [[digest] for digest in candidates],
            ),
            answer="1",
            target="2",
            values={"accuracy": 0.0},
            margin=1.0,
        ),
        make.sample(
            "choice", make.score("Yes or no?", {" yes": -0.5, " no": -0.5}), answer="yes", target="yes", margin=0.0
        ),
        make.sample("mute", answer=None, values={"accuracy": 0.0}),
    ]
    shown = tuple(sample.key for sample in samples)
    groups = {"kind": {"scene": make.metric, "other": replace(make.metric, value=None, low=None, high=None, count=0)}}
    cells = [make.cell("puzzle@mini", shots, shown=shown, groups=groups, samples=50) for shots in (4, 0)]
    return make.record(*cells, make.cell("words", shown=shown), samples=samples)


def test_page_is_well_formed_and_self_contained(full: RunRecord) -> None:
    page = Page(render(full))
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "img"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}]
        assert (attributes.get("href") or "#").startswith(("#", "data:image/jpeg;base64,"))


def test_policy_forbids_all_but_the_pages_own_style(full: RunRecord) -> None:
    html = render(full)
    style = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(each["content"] for tag, each in Page(html).tags if "http-equiv" in each and tag == "meta")
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "<" not in style
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_and_every_reference_has_its_target(full: RunRecord) -> None:
    page = Page(render(full))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    targets = {
        attributes[name] for _, attributes in page.tags for name in ("for", "aria-labelledby") if name in attributes
    }
    targets |= {(each["href"] or "")[1:] for _, each in page.tags if (each.get("href") or "").startswith("#")}
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)


def test_hostile_text_stays_text_wherever_it_comes_from(make: Make) -> None:
    options = {HOSTILE: -1.0, HOSTILE + "2": -2.0}
    sample = make.sample(
        HOSTILE,
        make.generate(HOSTILE, HOSTILE),
        make.score(HOSTILE, options),
        **dict.fromkeys(("content", "cluster", "raw", "answer", "target", "stop_reason", "explanation"), HOSTILE),
        groups={HOSTILE: HOSTILE},
        exemplars=(HOSTILE,),
        values={HOSTILE: 0.5, "accuracy": 0.0},
    )
    metric = replace(make.metric, name=HOSTILE)
    cell = make.cell(
        HOSTILE,
        split=HOSTILE,
        metrics=(metric,),
        groups={HOSTILE: {HOSTILE: metric}},
        settings={HOSTILE: [HOSTILE]},
        fingerprints={HOSTILE: HOSTILE},
        shown=(HOSTILE,),
    )
    run = {
        "config": {"model": HOSTILE, "tasks": [HOSTILE], "settings": {HOSTILE: {HOSTILE: HOSTILE}}},
        HOSTILE: HOSTILE,
    }
    tame, wild = (
        Page(render(make.record(*cells, samples=[sample], run=run))) for cells in ([], [cell, replace(cell, shots=4)])
    )
    for page in (tame, wild):
        assert not {"script", "img"} & {tag for tag, _ in page.tags}
        assert "{{ 7 * 7 }}" in page.text
        assert "⟨U+202E⟩ ␀ ⟨U+D800⟩" in page.text
        assert not re.search("[\x00\u202e\ud800]", page.text)


def test_stand_in_and_subset_warnings_stand_beside_every_score_they_hold_for(full: RunRecord) -> None:
    page = Page(render(full))
    # A banner, the task's heading, and each of its two cells.
    assert len(page.with_class("stand-in")) == page.text.count(STAND_IN_NOTE) == 4
    # A banner, two rows of the overview, and two cells.
    assert len(page.with_class("subset")) == page.text.count("subset: 50 of 100 samples") == 5


def test_failures_and_near_ties_are_on_the_page(make: Make) -> None:
    samples = [make.failed("f", "too big for this machine"), make.sample("n", margin=0.0, near_tie=True)]
    cell = make.cell(
        failed=1,
        metrics=(replace(make.metric, failed=1),),
        shown=("f", "n"),
        margins=MarginSummary(1, 1, 1.0, 1, 0.0, 1e-3),
        groups={"kind": {"some": replace(make.metric, failed=1)}},
    )
    html = render(make.record(cell, replace(cell, shots=4, failed=0), samples=samples))
    page = Page(html)
    assert "1 of 100 samples failed and are in no score" in page.text
    assert "too big for this machine" in page.text
    assert "1 (100.0 %)" in page.text
    assert len(page.with_class("only-failed")) == len(page.with_class("only-near-tie")) == 2
    assert len(page.with_class("near-tie")) == len(page.with_class("near")) == 2
    assert html.count('<th scope="col" class="number">failed</th>') == 2  # the first cell's table and its breakdown
    for kind in ("failed", "near-tie"):  # what the filters hide, the style sheet names
        assert f".only-{kind}:checked ~ .list > .sample:not(.{kind})" in html


def test_the_rows_of_a_table_are_as_long_as_its_head(make: Make) -> None:
    cell = make.cell(failed=1, samples=50, groups={"kind": {"some": make.metric}})
    html = render(make.record(cell, make.cell("whole")))
    tables = re.findall(r'<table class="results">.*?</table>', html, re.DOTALL)
    assert len(tables) == 5
    for table in tables:
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        widths = {
            sum(
                int((re.search(r'colspan="(\d+)"', each) or ["", "1"])[1])
                for each in re.findall(r"<t[hd][ >][^>]*", row)
            )
            for row in rows
        }
        assert len(widths) == 1, table


def test_each_picture_is_stored_once(full: RunRecord) -> None:
    page = Page(render(full))
    stored = [attributes["href"] for tag, attributes in page.tags if tag == "image"]
    used = [attributes["href"] for tag, attributes in page.tags if tag == "use"]
    assert len(stored) == len(set(stored)) == len(set(used)) == 13
    assert len(used) > 2 * len(stored)


def test_head_says_what_ran(full: RunRecord) -> None:
    text = Page(render(full)).text
    for expected in ("kosmos-tiny", "5e5e5e5e5e5e5e5e", "2025-10-09 08:53 UTC", "0.1.0", "cpu", "float32"):
        assert expected in text
    assert "kosmos-eval run --tasks puzzle --shots 0" in text


def test_same_record_gives_the_same_bytes(full: RunRecord) -> None:
    assert render(full) == render(full)


def test_report_writer_is_found_by_its_name() -> None:
    writer: object = Plugins().report("html")
    assert writer is HTML


def test_writing_returns_the_path_and_leaves_nothing_else(full: RunRecord, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    path = HTML.write(full, folder)
    assert path == folder / "report.html"
    assert list(folder.iterdir()) == [path]
    assert path.read_text(encoding="utf-8") == render(full)


def test_failure_leaves_an_older_report_as_it_was(full: RunRecord, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("older")
    next((tmp_path / "thumbnails").iterdir()).write_bytes(b"no picture")
    with pytest.raises(DataError, match="expected a JPEG picture"):
        HTML.write(full, folder)
    assert [path.read_text() for path in folder.iterdir()] == ["older"]
