"""A paper's table as it is set: its own rows and columns, our numbers below the paper's, notes at the foot.

Below each row that holds numbers of the paper's own model stand three more: ours, its 95 % interval, and the verdict.
What every format shows is worked out and written as text here; the formats only set it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

from kosmos_eval.papers.standing import Verdict, judge_table
from kosmos_eval.table import NO_NUMBER, percent
from kosmos_eval.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.published import Number, Paper, PaperTable
    from kosmos_eval.papers.standing import Standing, Terms
    from kosmos_eval.record import RunRecord

LEGEND = (
    "reproduced: our score on the split that the paper asked lies within the margin of the published one; differs: it "
    "is surely another and not within the margin; inconclusive: the samples asked are too few to tell. Intervals are "
    "about all samples of the kind."
)
"""What the verdicts mean; below every comparison."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Judged:
    """A table with where each of its own numbers stands, by the place of the row and the id of the column."""

    table: PaperTable
    standings: Mapping[tuple[int, str], Standing]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many numbers have each verdict, those that none has left out."""
        counted = Counter(each.verdict for each in self.standings.values())
        return {verdict: counted[verdict] for verdict in Verdict if counted[verdict]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paper's tables beside the numbers of runs."""

    paper: Paper
    tables: tuple[Judged, ...]


def compare_with_paper(
    paper: Paper, tables: Sequence[PaperTable], records: Sequence[RunRecord], parts: Parts, terms: Terms
) -> Comparison:
    """Return tables of a paper with a verdict on each number of the paper's own model.

    Args:
        paper: whose tables they are.
        tables: of it.
        records: finished runs.
        parts: what the tasks that the paper's numbers need are.
        terms: of the comparison.
    """
    return Comparison(paper, tuple(Judged(table, judge_table(table, records, parts, terms)) for table in tables))


class Kind(StrEnum):
    """What a line of a table holds."""

    OTHERS = "others"
    PAPER = "paper"
    OURS = "ours"
    INTERVAL = "interval"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table: its text, and the numbers of the notes that it points to."""

    text: str
    marks: tuple[int, ...] = ()
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: what it holds, what stands at its head, and an entry or none for each column."""

    kind: Kind
    head: Entry
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above some neighbouring columns."""

    entry: Entry
    columns: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it is set.

    Attributes:
        name: of the table, `Table 3`.
        title: what it is about; points to what is to be known of all its numbers.
        source: where it is printed.
        headings: from the top, each over all columns.
        lines: in the paper's order.
        notes: numbered from 1.
        runs: where our numbers are from, one line a run.
        summary: how many numbers have each verdict, and the margins.
    """

    name: str
    title: Entry
    source: str
    headings: tuple[tuple[Heading, ...], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    runs: tuple[str, ...]
    summary: str


class Notes:
    """Numbers notes in the order in which they are first pointed to; the same words are one note."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def mark(self, *texts: str) -> tuple[int, ...]:
        """Return the numbers of these notes."""
        return tuple(self._places.setdefault(text, len(self._places) + 1) for text in texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The notes, by their numbers."""
        return tuple(self._places)


def lay_out(judged: Judged) -> Sheet:
    """Return a table as it is set."""
    return _Layout(judged).sheet()


def number_text(value: float | None, number: Number) -> str:
    """Return a value with as many decimals as the published number has, and at least one; `—` for none."""
    return NO_NUMBER if value is None else percent(value / 100, max(number.decimals, 1))


def interval_text(standing: Standing) -> str:
    """Return the 95 % interval of our number, `[49.1, 52.3]`; `—` where there is none."""
    if standing.low is None or standing.high is None:
        return NO_NUMBER
    return f"[{number_text(standing.low, standing.number)}, {number_text(standing.high, standing.number)}]"


def summary(counts: Mapping[Verdict, int]) -> str:
    """Return how many numbers have each verdict: `7 numbers: 5 reproduced, 2 not run`."""
    many = sum(counts.values())
    each = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{many} number{'' if many == 1 else 's'}: {each}"


class _Layout:
    """Sets one table; what several numbers share is noted once, at their row, their column or the title."""

    def __init__(self, judged: Judged) -> None:
        self.table, self.standings = judged.table, judged.standings
        self.counts = judged.counts
        self.notes = Notes()
        used = dict.fromkeys((each.run, each.model) for each in self.standings.values() if each.run)
        self.runs = {run: (_LETTERS[place % len(_LETTERS)], model) for place, (run, model) in enumerate(used)}
        self.everywhere = _shared(self.table.own) if len(self.table.own) > 1 else ()
        self.of_columns = {
            column.id: _besides(self._own_of(column.id), self.everywhere) for column in self.table.columns
        }

    def _own_of(self, column: str) -> list[Number]:
        numbers = (row.numbers.get(column) for row in self.table.rows)
        return [number for number in numbers if number is not None and number.own]

    def sheet(self) -> Sheet:
        """Return the table."""
        title = Entry(self.table.title, self.notes.mark(*self.everywhere))
        headings = tuple(self._headings())
        lines = tuple(line for place in range(len(self.table.rows)) for line in self._lines(place))
        runs = tuple(
            f"{letter + ': ' if len(self.runs) > 1 else ''}{visible_line(run)}, {visible_line(model)}"
            for run, (letter, model) in self.runs.items()
        )
        return Sheet(
            name=self.table.name,
            title=title,
            source=self.table.source,
            headings=headings,
            lines=lines,
            notes=self.notes.texts,
            runs=runs,
            summary=f"{summary(self.counts)}; margin {self._margins()}",
        )

    def _margins(self) -> str:
        """Return the margins: one, or by metric `CIDEr 2, SPICE 0.5`; where one metric has two, the data of each."""
        every = list(self.standings.values())
        if len({each.margin for each in every}) == 1:
            return f"{every[0].margin:g}"
        of_measure: dict[str, dict[float, list[str]]] = {}
        for each in every:
            data = each.number.protocol.dataset if each.number.protocol else "average"
            of_measure.setdefault(each.number.measure, {}).setdefault(each.margin, []).append(data)
        told = []
        for measure, margins in of_measure.items():
            usual, *others = sorted(margins, key=lambda margin: -len(margins[margin]))
            told.append(f"{measure} {usual:g}")
            told += [f"{data} {margin:g}" for margin in others for data in dict.fromkeys(margins[margin])]
        return ", ".join(told)

    def _headings(self) -> Iterable[tuple[Heading, ...]]:
        columns = self.table.columns
        last = max(len(column.heading) for column in columns) - 1
        for level in range(last + 1):
            row = []
            outer = groupby(columns, lambda column, level=level: column.heading[: level + 1])  # type: ignore[misc]  # mypy cannot type a default of a lambda
            for heading, together in outer:
                of = list(together)
                marks = self.notes.mark(*self.of_columns[of[0].id]) if level == last and len(of) == 1 else ()
                row.append(Heading(Entry(heading[-1], marks), len(of)))
            yield tuple(row)

    def _lines(self, place: int) -> Iterable[Line]:
        row = self.table.rows[place]
        own = [number for number in row.numbers.values() if number.own]
        noted = {*self.everywhere}
        if not own:
            yield Line(Kind.OTHERS, self._head(row.label, _shared(row.numbers.values())), self._published(place, noted))
            return
        of_row = () if len(self.table.columns) == 1 and len(self.table.rows) == 1 else _besides(own, self.everywhere)
        yield Line(Kind.PAPER, self._head(row.label, of_row), self._published(place, noted | {*of_row}))
        standings = [self.standings.get((place, column.id)) for column in self.table.columns]
        if any(each is not None and each.value is not None for each in standings):
            yield Line(Kind.OURS, Entry("ours"), _each(self._ours, standings))
            yield Line(Kind.INTERVAL, Entry("95 % interval"), _each(_interval, standings))
        yield Line(Kind.VERDICT, Entry("verdict"), _each(self._verdict, standings))

    def _head(self, label: str, notes: Iterable[str]) -> Entry:
        return Entry(label, self.notes.mark(*notes))

    def _published(self, place: int, noted: set[str]) -> tuple[Entry | None, ...]:
        entries: list[Entry | None] = []
        for column in self.table.columns:
            number = self.table.rows[place].numbers.get(column.id)
            if number is None:
                entries.append(None)
                continue
            here = noted | {*self.of_columns[column.id]} | {*_shared(self.table.rows[place].numbers.values())}
            left = [each for each in number.caveats if each not in here] if number.own else []
            entries.append(Entry(number.text, self.notes.mark(*left)))
        return tuple(entries)

    def _ours(self, standing: Standing) -> Entry:
        if standing.value is None:
            return Entry(NO_NUMBER)
        letter = f" {self.runs[standing.run][0]}" if len(self.runs) > 1 and standing.run else ""
        marks = self.notes.mark(*map(visible_line, standing.notes))
        return Entry(f"{number_text(standing.value, standing.number)}{letter}", marks)

    def _verdict(self, standing: Standing) -> Entry:
        if standing.verdict in {Verdict.REPRODUCED, Verdict.DIFFERS}:
            assert standing.difference is not None
            by = f"{standing.difference:+.{max(standing.number.decimals, 1)}f}"
            return Entry(f"{standing.verdict} ({by})", verdict=standing.verdict)
        return Entry(standing.verdict, self.notes.mark(visible_line(standing.reason)), standing.verdict)


def _each(make: Callable[[Standing], Entry], standings: Iterable[Standing | None]) -> tuple[Entry | None, ...]:
    """Return an entry for each standing that there is."""
    return tuple(None if each is None else make(each) for each in standings)


def _interval(standing: Standing) -> Entry:
    return Entry(interval_text(standing))


def _shared(numbers: Iterable[Number]) -> tuple[str, ...]:
    """Return the caveats that all of the numbers have."""
    every = list(numbers)
    return tuple(each for each in every[0].caveats if all(each in other.caveats for other in every)) if every else ()


def _besides(numbers: Sequence[Number], noted: Iterable[str]) -> tuple[str, ...]:
    """Return the caveats that all of the numbers have, without those that are noted already."""
    without = set(noted)
    return tuple(each for each in _shared(numbers) if each not in without)
