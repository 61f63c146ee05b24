"""How an ablation is written for people: as aligned text, and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.table import (
    STAND_IN_NOTE,
    STAND_IN_SUFFIX,
    aligned,
    p_text,
    points,
    points_interval,
    shown,
    shown_interval,
)
from kosmos_eval.trials import trial_name
from kosmos_eval.visible import literal, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.ablation.result import Ablation, ArmOutcome, Row

NOT_APPLICABLE = "not applicable"
REFERENCE = "reference"

_HEADINGS = (
    "task",
    "shots",
    "samples",
    "arm",
    "metric",
    "%",
    "95 % interval",
    "chance",
    "n",
    "difference",
    "its 95 % interval",
    "p",
    "p, Holm",
    "note",
)
_RIGHT_ALIGNED = frozenset(_HEADINGS) - {"task", "samples", "arm", "metric", "note"}


def as_text(ablation: Ablation) -> str:
    """Return the results as aligned plain text, a line for each arm of each row, notes below."""
    rows = [tuple(map(visible_line, cells)) for cells in _cells(ablation)]
    return "\n".join([aligned([_HEADINGS, *rows], _RIGHT_ALIGNED), "", *map(visible_line, notes(ablation))])


def as_markdown(ablation: Ablation) -> str:
    """Return the same as a Markdown table."""
    rules = ["--:" if heading in _RIGHT_ALIGNED else "---" for heading in _HEADINGS]
    rows = [_HEADINGS, rules, *([literal(text) for text in cells] for cells in _cells(ablation))]
    table = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"## {literal(ablation.title)}", "", *table, "", *(f"- {literal(n)}" for n in notes(ablation))])


def notes(ablation: Ablation) -> Iterator[str]:
    """Yield what is to be known of all the numbers, one sentence each."""
    yield f"Differences are arm minus {ablation.spec.reference}, paired over the same samples, in points of the metric."
    yield ablation.family
    unmeasured = {row.metric for row in ablation.rows for each in row.arms if _is_scaled(each)}
    if unmeasured:
        yield f"{', '.join(sorted(unmeasured))}: shown as it is, not in %."
    yield from dict.fromkeys(f"{row.task}: {row.note}" for row in ablation.rows if row.note)
    if any(row.task.endswith(STAND_IN_SUFFIX) for row in ablation.rows):
        yield STAND_IN_NOTE


def samples_name(row: Row) -> str:
    """Return which samples a row is over: `all`, or `stated: no`."""
    return f"{row.breakdown}: {row.category}" if row.breakdown else "all"


def _is_scaled(outcome: ArmOutcome) -> bool:
    return outcome.difference is not None and not outcome.difference.percent


def _cells(ablation: Ablation) -> Iterator[tuple[str, ...]]:
    for row in ablation.rows:
        for number, outcome in enumerate(row.arms):
            named = (row.task, trial_name(row.shots, row.trial), samples_name(row)) if number == 0 else ("", "", "")
            is_reference = outcome.arm == ablation.spec.reference
            yield (*named, outcome.arm, row.metric if outcome.applies else "", *_numbers(outcome, is_reference))


def _numbers(outcome: ArmOutcome, is_reference: bool) -> tuple[str, ...]:  # noqa: FBT001  private, and named above
    result, compared = outcome.result, outcome.difference
    note = outcome.reason if outcome.applies else f"{NOT_APPLICABLE}: {outcome.reason}"
    if is_reference:
        note = "; ".join(filter(None, (REFERENCE, note)))
    values = ("",) * 4
    if result is not None:
        values = (
            shown(result.value, result),
            shown_interval(result),
            shown(result.chance, result),
            f"{result.count:,}",
        )
    differences = ("",) * 4
    if compared is not None:
        found = compared.difference
        differences = (
            points(found.value, compared),
            points_interval(compared),
            p_text(found.p_value),
            p_text(compared.adjusted),
        )
    return (*values, *differences, note)
