"""How a comparison of two runs is written: a table for people, Markdown, and JSON.

Names, answers and reasons come from files and models, and may hold anything: no letter of them is a mark here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from kosmos_eval.scoring import plain
from kosmos_eval.statistics.power import ALPHA, POWER
from kosmos_eval.table import (
    NO_NUMBER,
    STAND_IN_NOTE,
    STAND_IN_SUFFIX,
    aligned,
    as_is,
    p_text,
    percent,
    points,
    points_interval,
    spread_texts,
)
from kosmos_eval.visible import literal, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kosmos_eval.comparison import CellComparison, Comparison, Flip, MetricComparison
    from kosmos_eval.measurements import Origin

SCHEMA_VERSION = 1
_HEADINGS = (
    "task|shots",
    "metric",
    "n",
    "base",
    "other",
    "change",
    "95 % interval",
    "p (Holm)",
    "detectable",
    "better",
    "worse",
    "note",
)
_LEFT_ALIGNED = ("task|shots", "metric", "note")
_WEIGHTS_DIGITS = 12
_LONGEST = 200
"""Characters of an answer or a truth that a line shows."""


@runtime_checkable
class ComparisonWriter(Protocol):
    """A report writer (`kosmos_eval.record.ReportWriter`) that writes comparisons as well."""

    def write_comparison(self, comparison: Comparison, path: Path, flips: int) -> None:
        """Write the report to a path, with at most so many flipped samples either way; whole or not at all."""
        ...


class ComparedRow(NamedTuple):
    """A metric of a pair of cells, as text."""

    cell: str
    metric: str
    samples: str
    base: str
    other: str
    change: str
    interval: str
    p: str
    detectable: str
    better: str
    worse: str
    note: str


def as_text(comparison: Comparison, flips: int) -> str:
    """Return a comparison as plain text: a line for each metric, then what was refused and why, and the flips.

    Args:
        comparison: of two runs.
        flips: at most so many samples of each cell are shown that gained, and as many that lost.
    """
    rows = [tuple(map(visible_line, row)) for cell in comparison.cells for row in compared_rows(cell)]
    parts = ["\n".join(f"{name}: {visible_line(text)}" for name, text in sides(comparison))]
    if rows:
        parts.append(aligned([_HEADINGS, *rows], set(_HEADINGS) - {*_LEFT_ALIGNED}))
    parts += ["\n".join(f"{visible_line(head)}: {visible_line(text)}" for head, text in remarks(comparison))]
    for cell in comparison.cells:
        if shown := [*_flip_lines("+", cell.gained[:flips]), *_flip_lines("-", cell.lost[:flips])]:
            parts.append("\n".join([visible_line(flips_heading(cell)), *shown]))
    return "\n\n".join(part for part in parts if part)


def as_markdown(comparison: Comparison, flips: int) -> str:
    """Return the same as Markdown."""
    rows = [row for cell in comparison.cells for row in compared_rows(cell)]
    lines = ["# Comparison", "", *(f"- {name}: {literal(text)}" for name, text in sides(comparison)), ""]
    if rows:
        rules = ("---" if heading in _LEFT_ALIGNED else "--:" for heading in _HEADINGS)
        table = [map(literal, _HEADINGS), rules, *(map(literal, row) for row in rows)]
        lines += [*(f"| {' | '.join(columns)} |" for columns in table), ""]
    lines += [f"- {literal(head)}: {literal(text)}" for head, text in remarks(comparison)]
    for cell in comparison.cells:
        if cell.gained[:flips] or cell.lost[:flips]:
            lines += ["", f"## {literal(flips_heading(cell))}", "", "| sample | base | other | truth | change |"]
            lines += ["| --- | --- | --- | --- | --: |"]
            for flip in (*cell.gained[:flips], *cell.lost[:flips]):
                columns = (flip.key, said(flip.before), said(flip.after), said(flip.target), values_of(flip))
                lines += [f"| {' | '.join(map(literal, columns))} |"]
    return "\n".join([*lines, ""])


def as_json(comparison: Comparison, flips: int) -> dict[str, Any]:
    """Return a comparison as plain JSON values; `gained` and `lost` begin with what `n_gained` and `n_lost` count."""
    cells = [
        {
            **plain(replace(cell, gained=cell.gained[:flips], lost=cell.lost[:flips])),
            "n_gained": len(cell.gained),
            "n_lost": len(cell.lost),
        }
        for cell in comparison.cells
    ]
    whole = plain(replace(comparison, cells=(), point=frozenset()))
    return {"schema": SCHEMA_VERSION, **whole, "point": sorted(comparison.point), "cells": cells}


def sides(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield which runs were compared: `base` and `other`, each with its run and model."""
    for name, origin in (("base", comparison.base), ("other", comparison.other)):
        if origin is not None:
            yield name, _run(origin)
    if comparison.point:
        yield "the point", ", ".join(sorted(comparison.point))


def _run(origin: Origin) -> str:
    return f"{origin.run} ({origin.model}, weights {origin.weights[:_WEIGHTS_DIGITS]})"


def compared_rows(cell: CellComparison) -> Iterator[ComparedRow]:
    """Yield a row for each metric of a pair of cells; one without numbers where nothing could be compared."""
    name = cell_heading(cell)
    for metric in cell.metrics:
        yield ComparedRow._make([name, metric.name, *_numbers(metric), *_turned(cell, metric), _note(metric)])
    if not cell.metrics:
        why = f"not comparable: {', '.join(cell.refused)}" if cell.refused else "nothing to compare"
        yield ComparedRow._make([name, cell.headline, *[NO_NUMBER] * 9, why])


def cell_heading(cell: CellComparison) -> str:
    """Return the name of a pair of cells: one where they have the same."""
    return cell.base if cell.base == cell.other else f"{cell.base} → {cell.other}"


def _numbers(metric: MetricComparison) -> tuple[str, ...]:
    write = percent if metric.percent else as_is
    return (
        f"{metric.difference.count:,}",
        write(metric.base),
        write(metric.other),
        points(metric.difference.value, metric),
        points_interval(metric),
        p_text(metric.adjusted),
        points(metric.detectable, metric).removeprefix("+"),
    )


def _turned(cell: CellComparison, metric: MetricComparison) -> tuple[str, str]:
    """Return how many samples got better, and worse, by a metric; `—` where samples have no values of it."""
    found = metric.difference
    if metric.name == cell.flipped:
        return f"{len(cell.gained):,}", f"{len(cell.lost):,}"
    if not found.better + found.worse + found.same:
        return NO_NUMBER, NO_NUMBER
    turned = (found.better, found.worse) if metric.higher_is_better else (found.worse, found.better)
    return f"{turned[0]:,}", f"{turned[1]:,}"


def _note(metric: MetricComparison) -> str:
    direction = "" if metric.higher_is_better else "lower is better"
    return "; ".join(filter(None, (direction, "mean of the samples' own values" if metric.own_values else "")))


def remarks(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield what is to be known beside the table: what of, and what."""
    for cell in comparison.cells:
        name = cell_heading(cell)
        yield from ((name, f"not comparable: {reason}") for reason in cell.reasons)
        yield from ((name, f"{metric} is not compared: {reason}") for metric, reason in cell.missing.items())
        if left_out := _left_out(cell):
            yield name, left_out
        yield from ((name, note) for note in cell.notes)
    for name, spread in comparison.trials.items():
        _, mean, deviation, count, values = spread_texts(spread)
        yield name, f"change of {spread.name} over {count} trials: mean {mean}, std. dev. {deviation}, each {values}"
    for side, names in (("base", comparison.only_base), ("other", comparison.only_other)):
        if names:
            yield f"only in the {side} run", ", ".join(names)
    yield from _of_all(comparison)


def _left_out(cell: CellComparison) -> str:
    counts = (
        (cell.only_base, "only in the base run"),
        (cell.only_other, "only in the other run"),
        (cell.failed, "failed in one or both"),
        (cell.unlabelled, "without a known truth"),
    )
    said_of = [f"{count:,} {what}" for count, what in counts if count]
    return f"{cell.common:,} samples are compared; left out: {', '.join(said_of)}" if said_of else ""


def _of_all(comparison: Comparison) -> Iterator[tuple[str, str]]:
    metrics = [metric for cell in comparison.cells for metric in cell.metrics]
    tested = sum(cell.main is not None and cell.main.adjusted is not None for cell in comparison.cells)
    if metrics:
        yield "change", "other minus base over the same samples, in points of the metric"
    if tested:
        yield "p (Holm)", f"of the headline metrics, for {tested} test{'s' * (tested > 1)} together"
    if any(metric.detectable is not None for metric in metrics):
        yield "detectable", f"the true change that is found {POWER:.0%} of the time at a level of {ALPHA:.0%}, alone"
    if any(STAND_IN_SUFFIX in cell.base for cell in comparison.cells):
        yield "note", STAND_IN_NOTE


def flips_heading(cell: CellComparison) -> str:
    """Return what a list of a cell's flips is headed by."""
    return f"{cell_heading(cell)}, by {cell.flipped}: {len(cell.gained):,} better, {len(cell.lost):,} worse"


def _flip_lines(mark: str, flips: tuple[Flip, ...]) -> Iterator[str]:
    for flip in flips:
        answers = f"{said(flip.before)} → {said(flip.after)}"
        yield f"  {visible_line(f'{mark} {flip.key}: {answers}; truth: {said(flip.target)}; {values_of(flip)}')}"


def said(text: str | None) -> str:
    """Return an answer or a truth, cut where it is long; what could not be read is named so."""
    if text is None:
        return "(unparsed)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def values_of(flip: Flip) -> str:
    """Return a flip's values, as they are: `0 → 0.6`."""
    return f"{flip.base:.3g} → {flip.other:.3g}"
