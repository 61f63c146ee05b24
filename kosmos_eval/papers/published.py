"""The papers' tables as values: what was printed, of which model, on what, and by which part of a task it is measured.

The data are TOML files beside this one; docs/paper-tables.md says how they are laid out. A number belongs to a row and
a column of its table, and what is known of it is gathered from the table, its column and its row.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PAPERS = ("kosmos-1", "kosmos-2")

TUNINGS = {"tuned": "tuned on instructions", "untuned": "not tuned on instructions"}
"""The models that the papers tell apart, and how a table names them."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a number is measured here.

    Attributes:
        dataset: that it was published for.
        part: what `--tasks` runs for it: a task, or a split or variant of it.
        split: that it was published for.
        samples: how many that split holds; `None` where nobody says.
        served: that split's answers are not public: what `part` asks instead is never compared.
        exemplars: policies of drawing exemplars that agree with what the paper says.
        margin: of equivalence, in the unit printed; `None` takes that of the metric.
    """

    dataset: str
    part: str
    split: str
    samples: int | None
    served: bool
    exemplars: tuple[str, ...]
    margin: float | None


@dataclass(frozen=True, slots=True)
class Number:
    """A published number.

    Attributes:
        text: as it is printed, every digit of it.
        system: whose it is.
        own: it is of the paper's own model, and so to be compared.
        tuning: a key of `TUNINGS`; empty where the paper does not say.
        variant: what else tells the row apart, for people; may be empty.
        measure: the metric by its printed name.
        metric: by the task's name.
        shots: exemplars; `None` for a model that was fine-tuned on the task.
        protocol: how it is measured here; `None` for an average of its column.
        margin: within which a value is the same, in the unit printed.
        caveats: what to know about it, in whole sentences.
        source: where it is printed.
    """

    text: str
    system: str
    own: bool
    tuning: str
    variant: str
    measure: str
    metric: str
    shots: int | None
    protocol: Protocol | None
    margin: float
    caveats: tuple[str, ...]
    source: str

    @property
    def value(self) -> float:
        """The number itself, in the unit printed (percent)."""
        return float(self.text)

    @property
    def decimals(self) -> int:
        """How many places behind the point are printed."""
        return len(self.text.partition(".")[2])

    @property
    def rounding(self) -> float:
        """Half of the last printed digit: how far what was rounded may lie from what is printed."""
        return 0.5 * 10.0**-self.decimals

    def within(self, margin: float | None) -> float:
        """Return the margin that holds: the given one or else its own, and never one that rounding alone exceeds."""
        return max(self.margin if margin is None else margin, 2 * self.rounding)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: what stands at its head, and its numbers by the columns' ids."""

    label: str
    numbers: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its id, and what stands above it, the outermost first."""

    id: str
    heading: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of a paper.

    Attributes:
        number: as the paper counts, `3`; a name for what is printed elsewhere, `readme`.
        title: what it is about.
        source: where it is printed.
        columns, rows: in the paper's order.
    """

    number: str
    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Its name for people: `Table 3`, `readme`."""
        return f"Table {self.number}" if self.number.isdigit() else self.number

    @property
    def own(self) -> tuple[Number, ...]:
        """The numbers of the paper's own model, row by row."""
        numbers = (row.numbers.get(column.id) for row in self.rows for column in self.columns)
        return tuple(number for number in numbers if number is not None and number.own)


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper: its name on the command line, its title, where it is, and its tables."""

    name: str
    title: str
    source: str
    tables: tuple[PaperTable, ...]

    def table(self, number: str) -> PaperTable:
        """Return the table of that number.

        Raises:
            UnknownNameError: there is none, or none that a task here measures.
        """
        for table in self.tables:
            if table.number == number.lower().removeprefix("table").strip():
                return table
        kind = f"table of {self.name}"
        raise UnknownNameError(kind, number, (table.number for table in self.tables))

    def only(self, numbers: Iterable[str]) -> tuple[PaperTable, ...]:
        """Return the tables of these numbers in the paper's order; all of them for none.

        Raises:
            UnknownNameError: there is no such table.
        """
        wanted = [self.table(number) for number in numbers]
        return tuple(table for table in self.tables if not wanted or table in wanted)


def load_paper(name: str) -> Paper:
    """Return a paper by its name.

    Raises:
        UnknownNameError: there are no tables of a paper of that name.
    """
    if name not in PAPERS:
        kind = "paper"
        raise UnknownNameError(kind, name, PAPERS)
    data = tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return Paper(name, data["title"], data["source"], tuple(_table(each, data) for each in data["tables"]))


def _table(table: Mapping[str, Any], paper: Mapping[str, Any]) -> PaperTable:
    columns = tuple(Column(each["id"], tuple(each["heading"])) for each in table["columns"])
    rows = []
    for row in table["rows"]:
        numbers = {
            column["id"]: _number(row["published"][column["id"]], (table, column, row), paper)
            for column in table["columns"]
            if column["id"] in row["published"]
        }
        rows.append(Row(_label(row), numbers))
    return PaperTable(table["number"], table["title"], table.get("source", paper["source"]), columns, tuple(rows))


def _label(row: Mapping[str, Any]) -> str:
    """Return what stands at a row's head: `KOSMOS-1, tuned on instructions`."""
    kind = "fine-tuned" if row.get("finetuned") else row.get("variant", "")
    tuning = TUNINGS.get(row.get("tuning", ""), "")
    return ", ".join(each for each in (row.get("label") or row["system"], kind, tuning) if each)


def _number(text: str, places: tuple[Mapping[str, Any], ...], paper: Mapping[str, Any]) -> Number:
    table, column, row = places
    known = {**table, **column, **row}
    protocol = None if known.get("average") else _protocol(paper["protocols"][known["protocol"]], paper)
    spoken = [name for place in places for name in place.get("caveats", ())]
    spoken += row.get("number_caveats", {}).get(column["id"], ())
    own = known["system"] in paper["own"]
    if own and protocol is not None:  # the others' protocols are their own
        spoken += paper["protocols"][known["protocol"]].get("caveats", ())
    margins = paper["margins"]
    margin = None if protocol is None else protocol.margin
    return Number(
        text=text,
        system=known["system"],
        own=own,
        tuning=known.get("tuning", ""),
        variant=known.get("variant", ""),
        measure=known["measure"],
        metric=known["metric"],
        shots=None if known.get("finetuned") else known.get("shots", 0),
        protocol=protocol,
        margin=margins.get(known["metric"], margins["default"]) if margin is None else margin,
        caveats=tuple(paper["caveats"][name] for name in dict.fromkeys(spoken)),
        source=f"{table.get('source', paper['source'])}"
        + (f", Table {table['number']}" if table["number"].isdigit() else ""),
    )


def _protocol(protocol: Mapping[str, Any], paper: Mapping[str, Any]) -> Protocol:
    return Protocol(
        dataset=protocol["dataset"],
        part=protocol["part"],
        split=protocol["split"],
        samples=protocol.get("samples"),
        served=protocol.get("served", False),
        exemplars=tuple(protocol.get("exemplars", paper["exemplars"])),
        margin=protocol.get("margin"),
    )
