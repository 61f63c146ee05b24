"""A comparison with a paper as text, Markdown, LaTeX or CSV; whatever names hold is text wherever it lands."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from kosmos_eval.errors import UsageError
from kosmos_eval.papers.sheet import LEGEND, Kind, Notes, interval_text, lay_out, number_text, summary
from kosmos_eval.papers.standing import NO_RUN
from kosmos_eval.table import NO_NUMBER, aligned
from kosmos_eval.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kosmos_eval.papers.sheet import Comparison, Entry, Heading, Judged, Sheet
    from kosmos_eval.papers.standing import Standing
    from kosmos_eval.plugins import Plugins

_TEXT_HEADINGS = ("row", "column", "published", "ours", "95 % interval", "margin", "n", "verdict", "why")
_RIGHT = frozenset(_TEXT_HEADINGS[2:7])
_LONGEST_REASON = 110
_MARKDOWN_ACTIVE = re.compile(r"([\\`*_{}\[\]()#+!|~$^])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "—": "---",
}
_BREAKS = frozenset("/\\_|=<>{}$%&#~^")
"""Where LaTeX may break what has no spaces, such as a path."""

_LATIN = 0x180
_ASCII_END = 0x7F
_FORMULA = frozenset("=+-@\t\r")


def text(comparison: Comparison) -> str:
    """Return the comparison for a terminal: a line for each number of the paper's own model."""
    return "\n".join(["\n\n".join(map(_text_table, comparison.tables)), "", LEGEND])


def _text_table(judged: Judged) -> str:
    notes = Notes()
    rows: list[tuple[str, ...]] = [_TEXT_HEADINGS]
    for (place, column), standing in sorted(judged.standings.items(), key=lambda each: _place(each[0], judged)):
        heading = next(each.heading for each in judged.table.columns if each.id == column)
        rows.append(_text_row(judged.table.rows[place].label, ", ".join(heading), standing, notes))
    lines = [f"{judged.table.name}: {judged.table.title} ({judged.table.source})", aligned(rows, _RIGHT)]
    lines += [f"[{number}] {note}" for number, note in enumerate(notes.texts, start=1)]
    ours = dict.fromkeys((each.run, each.model) for each in judged.standings.values() if each.run)
    lines += [f"ours: {visible_line(run)}, {visible_line(model)}" for run, model in ours]
    return "\n".join([*lines, summary(judged.counts)])


def _place(place: tuple[int, str], judged: Judged) -> tuple[int, int]:
    return place[0], [column.id for column in judged.table.columns].index(place[1])


def _text_row(label: str, heading: str, standing: Standing, notes: Notes) -> tuple[str, ...]:
    number, why = standing.number, visible_line(standing.reason)
    if why == NO_RUN and number.protocol is not None:
        why = f"no run of {number.protocol.part} at {number.shots} shots"
    return (
        label,
        heading,
        number.text + _marked(notes, *number.caveats),
        number_text(standing.value, number) + _marked(notes, *map(visible_line, standing.notes)),
        interval_text(standing),
        f"{standing.margin:g}",
        f"{standing.count:,}" if standing.count else NO_NUMBER,
        standing.verdict,
        why if len(why) <= _LONGEST_REASON else f"see{_marked(notes, why)}",
    )


def _marked(notes: Notes, *texts: str) -> str:
    """Return the numbers of notes as text has them: ` [1,3]`, or nothing for none."""
    marks = notes.mark(*texts)
    return f" [{','.join(map(str, marks))}]" if marks else ""


def csv_text(comparison: Comparison) -> str:
    """Return the comparison as CSV: a line for each published number, those of other models without a verdict."""
    file = io.StringIO()
    names = (
        "paper,table,row,column,system,own,tuning,dataset,split,shots,metric,published,source,caveats,part,value,low,"
        "high,margin,samples,verdict,reason,notes,model,run,cell"
    )
    writer = csv.DictWriter(file, names.split(","), lineterminator="\n")
    writer.writeheader()
    for judged in comparison.tables:
        for place, row in enumerate(judged.table.rows):
            for column in judged.table.columns:
                if column.id in row.numbers:
                    writer.writerow(_csv_row(comparison, judged, place, column.id))
    return file.getvalue()


def _csv_row(comparison: Comparison, judged: Judged, place: int, column: str) -> Mapping[str, object]:
    row = judged.table.rows[place]
    number, standing = row.numbers[column], judged.standings.get((place, column))
    protocol = number.protocol
    known: dict[str, object] = {
        "paper": comparison.paper.name,
        "table": judged.table.number,
        "row": row.label,
        "column": column,
        "system": number.system,
        "own": "yes" if number.own else "no",
        "tuning": number.tuning,
        "dataset": protocol.dataset if protocol else "",
        "split": protocol.split if protocol else "",
        "shots": "" if number.shots is None else number.shots,
        "metric": number.measure,
        "published": number.text,
        "source": number.source,
        "caveats": " ".join(number.caveats),
        "part": protocol.part if protocol and number.own else "",
    }
    if standing is None:
        return known
    names = ("value", "low", "high", "margin", "verdict", "reason", "model", "run", "cell")
    ours = {name: getattr(standing, name) for name in names}
    texts = {**ours, "samples": standing.count, "notes": "; ".join(standing.notes)}
    return known | {name: _no_formula(value) if isinstance(value, str) else value for name, value in texts.items()}


def _no_formula(value: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    line = visible_line(value)
    return f"'{line}" if line[:1] in _FORMULA else line


def markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown, a table for each of the paper's."""
    sheets = (_markdown_sheet(lay_out(judged)) for judged in comparison.tables)
    return "\n".join([f"# {_markdown(comparison.paper.title)}\n", *sheets, f"{_markdown(LEGEND)}\n"])


def _markdown_sheet(sheet: Sheet) -> str:
    heads = (", ".join(dict.fromkeys(entry.text for entry in column)) for column in _columns(sheet.headings))
    marks = [_sup(column[-1].marks) for column in _columns(sheet.headings)]
    lines = [
        f"## {sheet.name}: {_markdown_entry(sheet.title)}\n",
        f"{_markdown(sheet.source)}. {_markdown(sheet.summary)}.\n",
    ]
    lines.append(_markdown_row("", [_markdown(head) + mark for head, mark in zip(heads, marks, strict=True)]))
    lines.append("| --- |" + " ---: |" * len(marks))
    for line in sheet.lines:
        strong = "**" if line.kind in {Kind.OURS, Kind.VERDICT} else ""
        entries = ["" if each is None else _markdown_entry(each, strong) for each in line.entries]
        lines.append(_markdown_row(_markdown_entry(line.head), entries))
    notes = [f"{_sup((number,))} {_markdown(note)}" for number, note in enumerate(sheet.notes, start=1)]
    ours = [f"ours: {_markdown(run)}" for run in sheet.runs]
    return "\n".join([*lines, "", *(f"{each}  " for each in [*notes, *ours]), ""])


def _columns(headings: Sequence[Sequence[Heading]]) -> list[list[Entry]]:
    """Return for each column what stands above it, from the top."""
    levels = [[each.entry for each in row for _ in range(each.columns)] for row in headings]
    return [list(column) for column in zip(*levels, strict=True)]


def _markdown_row(head: str, entries: Sequence[str]) -> str:
    return f"| {' | '.join([head, *entries])} |"


def _markdown_entry(entry: Entry, strong: str = "") -> str:
    return f"{strong}{_markdown(entry.text)}{strong}{_sup(entry.marks)}" if entry.text else ""


def _sup(marks: Sequence[int]) -> str:
    return f"<sup>{','.join(map(str, marks))}</sup>" if marks else ""


def _markdown(value: str) -> str:
    """Return text as Markdown that shows just it."""
    plain = visible_line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_ACTIVE.sub(r"\\\1", plain)


def latex(comparison: Comparison) -> str:
    """Return the comparison as LaTeX: a float for each table, with the rules of booktabs."""
    preamble = f"% {comparison.paper.source}; needs \\usepackage{{booktabs,graphicx,textcomp}}\n"
    return preamble + "\n".join("\n".join(_latex_sheet(lay_out(judged))) for judged in comparison.tables)


def _latex_sheet(sheet: Sheet) -> Iterator[str]:
    columns = sum(heading.columns for heading in sheet.headings[0])
    yield "\\begin{table}[htbp]"
    yield "\\centering"
    yield f"\\caption{{{_latex_entry(sheet.title)} ({_latex(sheet.source)}, {_latex(sheet.name)})}}"
    yield "\\footnotesize\\setlength{\\tabcolsep}{4pt}"
    yield "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
    yield f"\\begin{{tabular}}{{l{'r' * columns}}}"
    yield "\\toprule"
    for level, row in enumerate(sheet.headings):
        yield " & ".join(["", *map(_latex_heading, row)]).strip() + r" \\"
        if level < len(sheet.headings) - 1:
            yield " ".join(_rules(row))
    yield "\\midrule"
    for place, line in enumerate(sheet.lines):
        if place and line.kind is Kind.PAPER and sheet.lines[place - 1].kind is not Kind.PAPER:
            yield "\\addlinespace"
        entries = ("" if each is None else _latex_styled(each, line.kind) for each in line.entries)
        yield " & ".join([_latex_styled(line.head, line.kind, head=True), *entries]) + r" \\"
    yield "\\bottomrule"
    yield "\\end{tabular}}"
    yield "\\par\\smallskip"
    yield "\\begin{minipage}{\\linewidth}\\scriptsize\\raggedright"
    for number, note in enumerate(sheet.notes, start=1):
        yield f"\\textsuperscript{{{number}}} {_latex(note, breaks=True)}\\par"
    yield from (f"ours: {_latex(run, breaks=True)}\\par" for run in sheet.runs)
    yield f"{_latex(sheet.summary)}. {_latex(LEGEND)}"
    yield "\\end{minipage}"
    yield "\\end{table}"


def _latex_heading(heading: Heading) -> str:
    inner = _latex_entry(heading.entry)
    return f"\\multicolumn{{{heading.columns}}}{{c}}{{{inner}}}" if heading.columns > 1 else inner


def _rules(row: Sequence[Heading]) -> Iterator[str]:
    """Yield the rules below headings that stand above several columns."""
    first = 2
    for heading in row:
        if heading.columns > 1:
            yield f"\\cmidrule(lr){{{first}-{first + heading.columns - 1}}}"
        first += heading.columns


def _latex_styled(entry: Entry, kind: Kind, *, head: bool = False) -> str:
    inner = _latex_entry(entry)
    if kind is Kind.OURS and not head:
        return f"\\textbf{{{inner}}}"
    if kind in {Kind.INTERVAL, Kind.VERDICT}:
        return f"{{\\scriptsize {inner}}}" if inner else ""
    return inner


def _latex_entry(entry: Entry) -> str:
    marks = f"\\textsuperscript{{{','.join(map(str, entry.marks))}}}" if entry.marks else ""
    return f"{_latex(entry.text)}{marks}"


def _latex(value: str, *, breaks: bool = False) -> str:
    """Return text as LaTeX that shows just it: letters of other scripts as their numbers.

    Args:
        value: the text.
        breaks: lines may be broken within paths and the like.
    """
    line = visible_line(value)
    return "".join(_latex_character(each) + ("\\allowbreak{}" if breaks and each in _BREAKS else "") for each in line)


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    code = ord(character)
    if code < _ASCII_END or (code < _LATIN and unicodedata.category(character).startswith("L")):
        return character
    return f"U+{code:04X}"


FORMATS: Mapping[str, Callable[[Comparison], str]] = {"text": text, "md": markdown, "latex": latex, "csv": csv_text}
"""Formats that are plain text; a page is made by the report writer of its name."""

KINDS = (*FORMATS, "html")
"""What `--format` takes."""


@runtime_checkable
class PaperWriter(Protocol):
    """A report writer (`kosmos_eval.record.ReportWriter`) that writes comparisons with papers as well."""

    def paper_tables(self, comparison: Comparison) -> str:
        """Return the comparison as a page."""
        ...


def written(comparison: Comparison, kind: str, plugins: Plugins) -> str:
    """Return a comparison in one of `KINDS`.

    Raises:
        UsageError: the report writer of that name writes no such page.
    """
    if kind in FORMATS:
        return FORMATS[kind](comparison)
    writer = plugins.report(kind)
    if not isinstance(writer, PaperWriter):
        message = f"expected the report {kind} to write tables of papers, got one that writes runs only"
        raise UsageError(message)
    return writer.paper_tables(comparison)
