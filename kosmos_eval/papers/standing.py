"""Where a model's own numbers stand beside the published ones: a verdict on each, and the reason for it.

The question is whether a run reproduces the score on the split that the paper asked. When the whole split was asked
that score is known: it lies within the margin of the published one, or not. When a random subset was asked it lies in
an interval, which is narrower than the one that results show: that one is about all samples of the kind, and this one
about those of the split that were not asked, so it shrinks by the root of their share (finite population correction).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from kosmos_eval.papers.matching import Candidate, find_candidates, obstacles
from kosmos_eval.statistics.equivalence import ALPHA, equivalence
from kosmos_eval.table import missing_reason, subset_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kosmos_eval.papers.matching import Parts
    from kosmos_eval.papers.published import Number, PaperTable
    from kosmos_eval.record import RunRecord

NO_RUN = "no run of it"
"""The reason where no run was given that asked what a number is of."""


class Verdict(StrEnum):
    """What is said of a published number."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms numbers are compared.

    Attributes:
        margin: within which a value is the same, in the unit printed; `None` takes each number's own.
        tuning: which of the papers' models ours is, `tuned` or `untuned`; empty where that is not said.
        missing: part and shot count to why there is no run of it, where that is known.
    """

    margin: float | None = None
    tuning: str = ""
    missing: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """Our number beside a published one, in the unit printed.

    Attributes:
        number: that was published.
        verdict: on it.
        reason: for the verdict, one line.
        margin: within which a value is the same.
        value: ours; `None` where there is none.
        low, high: its 95 % interval, as results show it; `None` where there is none.
        whole: in what interval our score on the whole split lies, 95 %; `None` where that is not known.
        count: samples that were scored.
        notes: on our number: that it is of a subset, what computed it.
        run: folder of the run that it is of; empty where there is none.
        cell: of the run.
        model: that was asked.
    """

    number: Number
    verdict: Verdict
    reason: str
    margin: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    whole: tuple[float, float] | None = None
    count: int = 0
    notes: tuple[str, ...] = ()
    run: str = ""
    cell: str = ""
    model: str = ""

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return None if self.value is None else self.value - self.number.value


def judge_table(
    table: PaperTable, records: Sequence[RunRecord], parts: Parts, terms: Terms
) -> Mapping[tuple[int, str], Standing]:
    """Return where each of the own numbers of a table stands, by the place of its row and the id of its column.

    Args:
        table: of a paper.
        records: finished runs; the best-fitting cell of them is taken for each number.
        parts: what the tasks of the papers fix and have by default.
        terms: of the comparison.
    """
    standings: dict[tuple[int, str], Standing] = {}
    averages: list[tuple[int, str, Number]] = []
    for place, row in enumerate(table.rows):
        for column, number in row.numbers.items():
            if not number.own:
                continue
            if number.protocol is None:
                averages.append((place, column, number))
            else:
                standings[place, column] = judge(number, records, parts, terms)
    for place, column, number in averages:
        of_column = [each for (_, other), each in standings.items() if other == column]
        standings[place, column] = _judge_average(number, of_column, terms)
    return standings


def judge(number: Number, records: Sequence[RunRecord], parts: Parts, terms: Terms) -> Standing:
    """Return where a published number stands, beside the best-fitting cell of the runs."""
    margin = number.within(terms.margin)
    candidates = find_candidates(number, records, parts, terms.tuning)
    if not candidates:
        assert number.protocol is not None  # an average is judged elsewhere
        assert number.shots is not None  # the papers' own models are never fine-tuned
        part, shots = number.protocol.part, number.shots
        reason = terms.missing.get((part, shots), NO_RUN)
        return Standing(number, Verdict.NOT_RUN, reason, margin)
    best = candidates[0]
    shown = _shown(number, best, margin)
    if best.metric is None or best.metric.value is None:
        reason = missing_reason(best.cell, best.metric) if best.metric is not None else f"no metric {number.metric}"
        return replace(shown, verdict=Verdict.NOT_RUN, reason=reason)
    if found := obstacles(number, best, parts, terms.tuning):
        return replace(shown, verdict=Verdict.NOT_COMPARABLE, reason="; ".join(found))
    return _weighed(shown, best.cell.total)


def _shown(number: Number, candidate: Candidate, margin: float) -> Standing:
    """Return what is said of a candidate whatever the verdict."""
    record, cell, metric = candidate.record, candidate.cell, candidate.metric
    if metric is None:
        where, model = str(record.folder), model_name(record.run)
        return Standing(number, Verdict.NOT_RUN, "", margin, run=where, cell=cell.name, model=model)
    unit = 100 if metric.percent else 1
    ends = (metric.value, metric.low, metric.high, metric.split_low, metric.split_high)
    value, low, high, *split = (None if each is None else each * unit for each in ends)
    whole = _whole(value, low, high, metric.count, cell.total if cell.subset else metric.count)
    if split[0] is not None and split[1] is not None:
        whole = (split[0], split[1])
    notes = (subset_note(cell), f"made with {metric.made_with}" if metric.made_with else "", _trials(candidate))
    return Standing(
        number=number,
        verdict=Verdict.NOT_RUN,
        reason="",
        margin=margin,
        value=value,
        low=low,
        high=high,
        whole=whole,
        count=metric.count,
        notes=tuple(note for note in notes if note),
        run=str(record.folder),
        cell=cell.name,
        model=model_name(record.run),
    )


def _trials(candidate: Candidate) -> str:
    trials = sum(
        (each.task, each.shots, each.control) == (candidate.cell.task, candidate.cell.shots, candidate.cell.control)
        for each in candidate.record.cells
    )
    return f"the first of {trials} trials" if trials > 1 else ""


def model_name(run: Mapping[str, Any]) -> str:
    """Return a run's model for people: its name, or the checkpoint that it was read from."""
    checkpoint = run.get("config", {}).get("model_args", {}).get("pretrained")
    return str(checkpoint or run.get("model", {}).get("name", "unnamed model"))


def _whole(
    value: float | None, low: float | None, high: float | None, count: int, total: int
) -> tuple[float, float] | None:
    """Return the 95 % interval of the score on the whole split; `None` where too little is known.

    Records say it of means (`MetricResult.split_low`); for metrics of the whole corpus it follows from their interval.

    Args:
        value: the score.
        low: lower end of its interval for all samples of the kind.
        high: upper end.
        count: samples that were scored.
        total: samples in the split.
    """
    if value is None:
        return None
    if count >= total:
        return value, value
    if low is None or high is None:
        return None
    share = math.sqrt(1 - count / total)
    return value - (value - low) * share, value + (high - value) * share


def _weighed(standing: Standing, total: int | None) -> Standing:
    """Return the verdict on a number that can be compared.

    A score that is surely another and yet nearer than the margin is inconclusive: so it cannot differ from a subset
    and be reproduced from the whole.

    Args:
        standing: with our number.
        total: samples in the split; `None` where several splits are one number.
    """
    number, margin, whole = standing.number, standing.margin, standing.whole
    assert standing.value is not None
    if whole is None:
        return replace(standing, verdict=Verdict.INCONCLUSIVE, reason="a subset, and there is no interval of it")
    found = equivalence(standing.value, *whole, number.value, margin=margin, rounding=number.rounding)
    gap, places = standing.value - number.value, max(number.decimals, 1)
    far = f"{gap:+.{places}f}"
    if whole[0] < whole[1]:
        far += f", and the whole split's score lies in [{whole[0]:.{places}f}, {whole[1]:.{places}f}]"
    if found.verdict == "equivalent":
        return replace(standing, verdict=Verdict.REPRODUCED, reason=f"{far}: within {margin:g}")
    if found.verdict == "different" and abs(gap) >= margin - number.rounding:
        return replace(standing, verdict=Verdict.DIFFERS, reason=f"{far}: not within {margin:g}")
    enough = "" if total is None else f"; about {_enough(standing, total):,} of {total:,} samples would tell"
    return replace(standing, verdict=Verdict.INCONCLUSIVE, reason=f"{far}{enough}")


def _enough(standing: Standing, total: int) -> int:
    """Return how many samples of the split would tell, if they came out like those that were asked.

    The standard error of the whole split's score from n of N samples is s sqrt(1/n - 1/N), and s follows from the
    present one. It has to let the two one-sided tests succeed, or, beyond the margin, the test of a difference.
    """
    assert standing.whole is not None
    assert standing.value is not None
    number, normal = standing.number, NormalDist()
    gap = abs(standing.value - number.value)
    within = standing.margin - number.rounding - gap
    needed = (
        within / normal.inv_cdf(1 - ALPHA) if within > 0 else (gap - number.rounding) / normal.inv_cdf(1 - ALPHA / 2)
    )
    arm = max(abs(end - standing.value) for end in standing.whole) / normal.inv_cdf(1 - ALPHA / 2)
    spread = arm / math.sqrt(1 / standing.count - 1 / total)
    return min(total, math.ceil(1 / (1 / total + (needed / spread) ** 2)))


def _judge_average(number: Number, of_column: Iterable[Standing], terms: Terms) -> Standing:
    """Return where the average of a column stands: like the worst of what it is made of, or by its own value."""
    made_of = list(of_column)
    margin = number.within(terms.margin)
    for verdict in (Verdict.NOT_RUN, Verdict.NOT_COMPARABLE):
        lacking = [each for each in made_of if each.verdict is verdict]
        if lacking or not made_of:
            names = ", ".join(each.number.protocol.dataset for each in lacking if each.number.protocol is not None)
            return Standing(number, verdict, f"{verdict}: {names}", margin)
    values = [each.value for each in made_of if each.value is not None]
    value = math.fsum(values) / len(values)
    averaged = Standing(number, Verdict.NOT_RUN, "", margin, value, count=sum(each.count for each in made_of))
    shown = _averaged(value, made_of, [(each.low, each.high) for each in made_of])
    whole = _averaged(value, made_of, [each.whole or (None, None) for each in made_of])
    low, high = shown or (None, None)
    return _weighed(replace(averaged, low=low, high=high, whole=whole), None)


def _averaged(
    value: float, made_of: Sequence[Standing], intervals: Sequence[tuple[float | None, float | None]]
) -> tuple[float, float] | None:
    """Return the interval of a mean of independent numbers: half-widths add up as squares; `None` if one is missing."""
    downs, ups = [], []
    for each, (low, high) in zip(made_of, intervals, strict=True):
        if each.value is None or low is None or high is None:
            return None
        downs.append(each.value - low)
        ups.append(high - each.value)
    count = len(made_of)
    return value - math.hypot(*downs) / count, value + math.hypot(*ups) / count
