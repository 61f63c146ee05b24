"""How a gate's verdict is written: a table for people, Markdown for a CI's summary, JUnit XML, and JSON.

Names of cells and reasons come from files, and may hold anything: no letter of them is a mark in what is written here.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from kosmos_eval.scoring import plain
from kosmos_eval.table import NO_NUMBER, aligned, as_is, p_text, percent, points, points_between
from kosmos_eval.verdicts import EXIT_CODES
from kosmos_eval.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kosmos_eval.verdicts import CellVerdict, GateResult, MetricVerdict, Verdict

SCHEMA_VERSION = 1
_RIGHT_ALIGNED = ("baseline", "run", "change", "tolerance", "p", "n")
_NO_MARKS = " ,;%()"
_MARKS: dict[Verdict, str] = {"pass": "✅", "regression": "❌", "inconclusive": "❔", "not comparable": "⛔"}


def as_text(result: GateResult) -> str:
    """Return a gate's verdict as plain text: a line for each metric, then why, then the verdict on all."""
    notes = [f"{visible_line(cell.name)}: {visible_line(reason)}" for cell in result.cells for reason in cell.reasons]
    lines = [aligned([_headings(result), *_rows(result)], _RIGHT_ALIGNED), *([""] if notes else []), *notes]
    return "\n".join([*lines, "", *map(visible_line, _last_lines(result))])


def as_markdown(result: GateResult) -> str:
    """Return a gate's verdict as Markdown, for the summary of a CI's step."""
    headings = _headings(result)
    rules = ("--:" if heading in _RIGHT_ALIGNED else "---" for heading in headings)
    lines = [f"## {_MARKS[result.verdict]} kosmos-eval gate: {result.verdict}", ""]
    lines += [_markdown_row(headings), _markdown_row(rules)]
    for name, metric, *numbers in _rows(result):
        lines.append(_markdown_row([f"<code>{_literal(name)}</code>", _literal(metric), *numbers]))
    if notes := [(cell.name, reason) for cell in result.cells for reason in cell.reasons]:
        lines += ["", *(f"- <code>{_literal(name)}</code>: {_literal(reason)}" for name, reason in notes)]
    return "\n".join([*lines, "", *(f"{_literal(line)}  " for line in _last_lines(result)), ""])


def as_junit(result: GateResult) -> str:
    """Return a gate's verdict as JUnit XML: a test case for each cell.

    A regression is a failure, what is not comparable an error; what is inconclusive is skipped, unless the policy has
    it fail.
    """
    kinds = {"regression": "failure", "not comparable": "error", "inconclusive": "skipped"}
    if result.verdict == "inconclusive" and result.exit_code == EXIT_CODES["regression"]:
        kinds["inconclusive"] = "failure"
    cells = [(cell.name, cell.verdict, cell.reasons) for cell in result.cells]
    if result.memory is not None:
        cells.append(("memory", result.memory.verdict, (result.memory.reason,)))
    found = [kinds.get(verdict, "") for _, verdict, _ in cells]
    counts = {"tests": len(cells), "failures": found.count("failure"), "errors": found.count("error")}
    numbers = {name: str(count) for name, count in {**counts, "skipped": found.count("skipped")}.items()}
    suite = ET.Element("testsuite", {"name": "kosmos-eval gate", **numbers})
    for (name, verdict, reasons), kind in zip(cells, found, strict=True):
        case = ET.SubElement(suite, "testcase", {"classname": "kosmos-eval.gate", "name": visible_line(name)})
        if kind:
            ET.SubElement(case, kind, {"message": visible_line("; ".join((verdict, *reasons)))})
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_json(result: GateResult) -> dict[str, Any]:
    """Return a gate's verdict as plain JSON values."""
    return {"schema": SCHEMA_VERSION, **plain(result)}


def _headings(result: GateResult) -> tuple[str, ...]:
    bounds = f"{1 - 2 * result.error:.0%}".replace("%", " % interval")
    return ("cell", "metric", "baseline", "run", "change", bounds, "tolerance", "p", "n", "verdict")


def _rows(result: GateResult) -> Iterator[tuple[str, ...]]:
    for cell in result.cells:
        for metric in cell.metrics:
            yield (visible_line(cell.name), visible_line(metric.name), *_numbers(metric), metric.verdict)
        yield from _limit_rows(cell)
        if not cell.metrics:
            yield (visible_line(cell.name), *[NO_NUMBER] * 8, cell.verdict)
    if result.memory is not None:
        limit = result.memory
        yield ("", limit.name, "", _limit_value(limit.measured), "", "", f"{limit.allowed:g} %", "", "", limit.verdict)


def _limit_rows(cell: CellVerdict) -> Iterator[tuple[str, ...]]:
    """Yield the limits that are crossed, or cannot be known: the others are no news."""
    for limit in cell.limits:
        if limit.verdict != "pass":
            allowed = f"{limit.allowed:g} %"
            measured = _limit_value(limit.measured)
            yield (visible_line(cell.name), limit.name, "", measured, "", "", allowed, "", "", limit.verdict)


def _limit_value(measured: float | None) -> str:
    return NO_NUMBER if measured is None else f"{measured:.1f} %"


def _numbers(metric: MetricVerdict) -> tuple[str, ...]:
    write = percent if metric.percent else as_is
    return (
        write(metric.base),
        write(metric.run),
        points(metric.change, metric),
        points_between(metric.low, metric.high, metric),
        _tolerance(metric),
        p_text(metric.p_value),
        f"{metric.count:,}",
    )


def _tolerance(metric: MetricVerdict) -> str:
    """Return what may be lost as the policy says it: `2.0`, `0.25`."""
    said = metric.tolerance * 100 if metric.percent else metric.tolerance
    rounded = f"{said:.1f}"
    return rounded if math.isclose(float(rounded), said, abs_tol=1e-9) else f"{said:g}"


def _last_lines(result: GateResult) -> Iterator[str]:
    """Yield what a reader needs beside the table, the verdict last."""
    yield f"run {result.run}, baseline {result.base}"
    if result.left_out:
        yield f"in one of them only, and not required: {', '.join(result.left_out)}"
    found = [
        f"{points(metric.detectable, metric).removeprefix('+')} of {cell.name}{'' if one else f' {metric.name}'}"
        for cell in result.cells
        for one in [len(cell.metrics) == 1]
        for metric in cell.metrics
        if metric.detectable is not None
    ]
    if found:
        yield f"smallest loss that is found {result.power:.0%} of the time, in points: {', '.join(found)}"
    taken = {0: "pass", EXIT_CODES["regression"]: "fail"}.get(result.exit_code, "")
    policy = f", which the policy lets {taken}" if result.verdict == "inconclusive" and taken else ""
    yield f"verdict: {result.verdict}{policy} (exit code {result.exit_code})"


def _literal(text: str) -> str:
    """Return a text as Markdown and HTML that shows just that, whatever letters are in it."""
    return "".join(
        letter if letter.isalnum() or letter in _NO_MARKS else f"&#{ord(letter)};" for letter in visible_line(text)
    )


def _markdown_row(columns: Iterable[str]) -> str:
    return f"| {' | '.join(columns)} |"
