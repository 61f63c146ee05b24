"""Asks the same questions in every way that a model can compute, and compares the answers with the reference's.

A model may read one sequence at a time, or many in a batch, padded, with shared beginnings, or packed. All ways have
the same weights, so log-probabilities may differ by float rounding and answers only where rounding decides: at near
ties. Anything more is a defect of the model's code. Each way is asked on its own from the first request on, so a
second request is made of that way's own first answer.

How far is too far is the threshold of a near tie (`kosmos_eval.margins`): were log-probabilities moved by more, then
choices could turn that no result warns of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from kosmos_eval.ask import about, ask_unit, replay
from kosmos_eval.errors import UsageError
from kosmos_eval.language_model import Auditable
from kosmos_eval.margins import NEAR_TIE_NATS, is_near_tie, sample_margin
from kosmos_eval.request import Generate, Generated, Scored
from kosmos_eval.scoring import plain
from kosmos_eval.table import NO_NUMBER, aligned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.ask import Replayed
    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Cell, Plan
    from kosmos_eval.request import Request
    from kosmos_eval.task import Sample
    from kosmos_eval.task import Score as SampleScore

_HEADINGS = (
    "way",
    "task",
    "shots",
    "n",
    "tokens",
    "largest difference",
    "flipped",
    "no near tie",
    "scores changed",
    "near ties",
    "failed",
)
_SHOWN_CHARACTERS = 40
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that came out otherwise than in the reference.

    Attributes:
        sample: its key.
        before, after: what was written or preferred, in the reference and in the other way.
        margin: by how many nats the reference decided it; `None` where the model does not tell.
        near_tie: whether rounding may turn it; a margin that is not known is none.
    """

    sample: str
    before: str
    after: str
    margin: float | None
    near_tie: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """How one way answered a cell, beside the reference.

    Attributes:
        way: its name.
        task: the cell's, as results show it.
        shots: the cell's.
        samples: that both answered.
        tokens: whose log-probabilities were compared: all that were scored, and those that were written before the
            first difference.
        largest: difference of log-probabilities, in nats; `None` where none could be compared.
        flips: samples that came out otherwise.
        changed: samples whose score is another.
        near_ties: samples that the reference decided by less than rounding may move.
        failed: key to reason, of samples that this way could not take.
    """

    way: str
    task: str
    shots: int
    samples: int
    tokens: int
    largest: float | None
    flips: tuple[Flip, ...]
    changed: int
    near_ties: int
    failed: Mapping[str, str]

    @property
    def defects(self) -> tuple[Flip, ...]:
        """Flips that are no near ties."""
        return tuple(flip for flip in self.flips if not flip.near_tie)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes:
        reference: name of the way that the others are compared with.
        tolerance: the largest difference that rounding explains, in nats.
        rows: the reference first, then each other way: one for each cell.
    """

    reference: str
    tolerance: float
    rows: tuple[Compared, ...]

    @property
    def defects(self) -> list[str]:
        """What is wrong, a clause each; empty when all ways agree but for rounding."""
        clauses = []
        if turned := [(row, flip) for row in self.rows for flip in row.defects]:
            row, flip = turned[0]
            at = "an unknown margin" if flip.margin is None else f"a margin of {flip.margin:.3g} nats"
            clauses.append(
                f"{len(turned)} answers flipped that are no near ties (first: {row.task}|{row.shots}, sample "
                f"{flip.sample}, {row.way}: {flip.before!r} became {flip.after!r} at {at})"
            )
        if moved := [row for row in self.rows if (row.largest or 0.0) > self.tolerance]:
            worst = max(moved, key=lambda row: row.largest or 0.0)
            clauses.append(
                f"log-probabilities differ by up to {worst.largest:.3g} nats ({worst.way}, {worst.task}|{worst.shots}),"
                f" more than {self.tolerance:g}"
            )
        if mute := [row for row in self.rows if not row.samples]:
            clauses.append(f"nothing could be compared of {mute[0].way}, {mute[0].task}|{mute[0].shots}")
        return clauses

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values; a difference that is infinite is null, and so is one of nothing."""
        rows: list[dict[str, Any]] = [plain(row) for row in self.rows]
        for row in rows:
            row["largest"] = row["largest"] if math.isfinite(row["largest"] or 0.0) else None
        return {"reference": self.reference, "tolerance": self.tolerance, "defects": self.defects, "rows": rows}


def audit(plan: Plan, model: Model, *, tolerance: float | None = None) -> Audit:
    """Return how the answers of a model's ways differ on all samples of a plan.

    Args:
        plan: what is asked.
        model: loaded.
        tolerance: in nats; by default the threshold of a near tie for the plan's type.

    Raises:
        UsageError: the model has but one way.
    """
    ways = model.ways() if isinstance(model, Auditable) else {}
    if len(ways) < 2:  # noqa: PLR2004  a reference and another
        name = plan.model.name
        message = f"expected a model that computes in several ways (Auditable.ways), got {name}, which computes in one"
        raise UsageError(message)
    dtype = plan.config.dtype
    rows: dict[str, list[Compared]] = {way: [] for way in ways}
    for cell in plan.cells:
        known: dict[str, _Outcome] = {}
        for way, each in ways.items():
            outcomes = _outcomes(cell, each)
            known = known or outcomes
            rows[way].append(_compare(way, cell, known, outcomes, dtype))
    everything = tuple(row for of_way in rows.values() for row in of_way)
    return Audit(next(iter(ways)), NEAR_TIE_NATS[dtype] if tolerance is None else tolerance, everything)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a sample asked and was answered, and what that is worth; `None` where it failed."""

    replayed: Replayed
    score: SampleScore | None


def _outcomes(cell: Cell, model: Model) -> dict[str, _Outcome]:
    """Return sample key to what came of it, asked of one way."""
    return {
        key: _outcome(cell, cell.samples[key], replay(cell, cell.samples[key], exemplars, recorded))
        for unit in cell.units()
        for key, recorded in ask_unit(unit, cell, model).items()
        for exemplars in [cell.exemplars(cell.samples[key])]
    }


def _outcome(cell: Cell, sample: Sample, replayed: Replayed) -> _Outcome:
    if replayed.failed is not None:
        return _Outcome(replayed, None)
    with about(f"{cell.name}, sample {sample.key}"):
        return _Outcome(replayed, cell.task.score(sample, replayed.answer))


@dataclass(slots=True)
class _Differences:
    """Log-probabilities side by side, as they come."""

    tokens: int = 0
    largest: float = 0.0
    flips: list[Flip] = field(default_factory=list)

    def add(self, pair: tuple[float, float]) -> None:
        before, after = pair
        same = before == after or (math.isnan(before) and math.isnan(after))
        gap = 0.0 if same else abs(before - after)
        self.tokens += 1
        self.largest = max(self.largest, math.inf if math.isnan(gap) else gap)


def _compare(
    way: str, cell: Cell, known: Mapping[str, _Outcome], others: Mapping[str, _Outcome], dtype: str
) -> Compared:
    seen, changed, near, samples = _Differences(), 0, 0, 0
    for key, before in known.items():
        after = others[key]
        if before.score is None or after.score is None:
            continue
        samples += 1
        changed += dict(before.score.values) != dict(after.score.values)
        near += is_near_tie(_margin(before.replayed, before.score), dtype) is True
        for pair in _logprobs(before.replayed, after.replayed):
            seen.add(pair)
        if (flip := _flip(key, before, after, dtype)) is not None:
            seen.flips.append(flip)
    failed = {key: each.replayed.failed.reason for key, each in others.items() if each.replayed.failed is not None}
    largest = seen.largest if seen.tokens else None
    return Compared(
        way, cell.label, cell.shots, samples, seen.tokens, largest, tuple(seen.flips), changed, near, failed
    )


def _logprobs(before: Replayed, after: Replayed) -> Iterator[tuple[float, float]]:
    """Yield the log-probabilities of the same token behind the same text, in both ways."""
    for one, two, first, second in zip(
        before.requests, after.requests, before.responses, after.responses, strict=False
    ):  # they may differ in number: what is asked later depends on what was answered
        if one != two:
            return
        if isinstance(first, Scored) and isinstance(second, Scored):
            for known, other in zip(first.continuations, second.continuations, strict=True):
                if known.tokens != other.tokens:
                    yield math.nan, 0.0  # another text was weighed
                yield from zip(known.logprobs, other.logprobs, strict=False)
        elif isinstance(first, Generated) and isinstance(second, Generated):
            same = _first_difference(first.tokens, second.tokens)
            yield from zip(first.logprobs[:same], second.logprobs[:same], strict=True)


def _first_difference(before: Sequence[int], after: Sequence[int]) -> int:
    """Return the first place where two sequences differ, or where the shorter one ends."""
    pairs = zip(count(), before, after, strict=False)
    return next((place for place, one, two in pairs if one != two), min(len(before), len(after)))


def _flip(key: str, before: _Outcome, after: _Outcome, dtype: str) -> Flip | None:
    """Return how a sample came out otherwise, if it did: by what was written, else by its answer."""
    assert before.score is not None
    assert after.score is not None
    for request, first, second in zip(
        before.replayed.requests, before.replayed.responses, after.replayed.responses, strict=False
    ):  # up to the first difference they are equally many
        if isinstance(first, Generated) and isinstance(second, Generated) and first.text != second.text:
            return _flipped(key, first.text, second.text, _written_margin(request, first, second), dtype)
    if before.score.answer == after.score.answer:
        return None
    pairs = zip(before.replayed.requests, before.replayed.responses, strict=True)
    weighed = [(request, response) for request, response in pairs if isinstance(response, Scored)]
    margin = sample_margin([asked for asked, _ in weighed], [got for _, got in weighed], before.score.margin)
    return _flipped(key, str(before.score.answer), str(after.score.answer), margin, dtype)


def _flipped(key: str, before: str, after: str, margin: float | None, dtype: str) -> Flip:
    shown = (before[:_SHOWN_CHARACTERS], after[:_SHOWN_CHARACTERS])
    return Flip(key, *shown, margin, is_near_tie(margin, dtype) is True)


def _written_margin(request: Request, before: Generated, after: Generated) -> float | None:
    """Return by how much the reference chose the first token that was written otherwise; of beams, the whole text."""
    if isinstance(request, Generate) and request.num_beams > 1:
        return abs(_beam_score(request, before) - _beam_score(request, after))
    place = _first_difference(before.tokens, after.tokens)
    for each in (before, after):  # the shorter one ended where the longer one went on
        if place < len(each.margins):
            return each.margins[place]
    return None


def _beam_score(request: Generate, written: Generated) -> float:
    return math.fsum(written.logprobs) / math.pow(max(len(written.logprobs), 1), request.length_penalty)


def _margin(replayed: Replayed, score: SampleScore) -> float | None:
    return sample_margin(replayed.requests, replayed.responses, score.margin)


def audit_table(found: Audit) -> str:
    """Return what was found as aligned plain text: a line for each way and cell, then each flip and failure."""
    lines = [_HEADINGS, *(_row(row, found.reference) for row in found.rows)]
    text = aligned(lines, frozenset(_HEADINGS) - {"way", "task"})
    note = f"differences from {found.reference!r} of one token's log-probability, in nats; up to {found.tolerance:g}"
    return "\n".join([text, "", f"{note} is float rounding", *_details(found.rows)])


def _row(row: Compared, reference: str) -> tuple[str, ...]:
    compared = row.way != reference
    return (
        row.way,
        row.task,
        str(row.shots),
        f"{row.samples:,}",
        f"{row.tokens:,}",
        f"{row.largest:.2g}" if compared and row.largest is not None else NO_NUMBER,
        f"{len(row.flips):,}" if compared else NO_NUMBER,
        f"{len(row.defects):,}" if compared else NO_NUMBER,
        f"{row.changed:,}" if compared else NO_NUMBER,
        f"{row.near_ties:,}",
        f"{len(row.failed):,}",
    )


def _details(rows: Sequence[Compared]) -> Iterator[str]:
    for row in rows:
        place = f"{row.way}, {row.task}|{row.shots}"
        for flip in row.flips[:_NAMED]:
            margin = "unknown" if flip.margin is None else f"{flip.margin:.2g} nats"
            yield f"flipped: {place}, sample {flip.sample}: {flip.before!r} became {flip.after!r}, margin {margin}"
        yield from _more("flipped", place, len(row.flips))
        for key, reason in list(row.failed.items())[:_NAMED]:
            yield f"failed: {place}, sample {key}: {' '.join(reason.split())}"
        yield from _more("failed", place, len(row.failed))


def _more(what: str, place: str, number: int) -> Iterator[str]:
    if number > _NAMED:
        yield f"{what}: {place}: {number - _NAMED:,} more"
