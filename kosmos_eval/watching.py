"""Which cells of a run a gate follows while they are asked, and what it holds them against."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.baseline import alike, gate_digest, read_measured
from kosmos_eval.errors import UsageError
from kosmos_eval.fingerprint import scorer_fingerprint
from kosmos_eval.gate_policy import gated_metrics, read_policy
from kosmos_eval.likeness import unlike
from kosmos_eval.measurements import Measurements, Origin
from kosmos_eval.record import CellResult
from kosmos_eval.request import request_digest
from kosmos_eval.scoring import plain
from kosmos_eval.statistics.certainty import Levels
from kosmos_eval.watched import Watched, WatchedMetric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.config import RunConfig
    from kosmos_eval.gate_policy import Policy
    from kosmos_eval.plan import Cell

_LOOKED_AT = 8
"""Samples whose contents and prompts are held against the baseline's before anything is asked; the gate, at the end,
looks at all of them."""


def watch(cells: Sequence[Cell], config: RunConfig) -> tuple[Cell, ...]:
    """Return the cells of a run, those watched whose verdict may be certain before all of their samples were asked.

    That are those whose gated metrics are means of the samples' own, bounded values, and that the baseline has.

    Raises:
        UsageError: the policy cannot be read, or there is no such cell.
        DataError: the baseline cannot be read.
    """
    policy, base = read_policy(Path(str(config.gate))), read_measured(Path(str(config.baseline)))
    held = {each.measurements.cell.name: each.measurements for each in base.cells}
    policy.check_names([*(each.cell for each in held.values()), *map(_result, cells)])
    obstacles = {cell.name: _obstacle(cell, held.get(cell.name), policy) for cell in cells}
    followed = [name for name, reason in obstacles.items() if not reason]
    if not followed:
        why = "; ".join(f"{name}: {reason}" for name, reason in obstacles.items())
        message = f"expected a task that the baseline {config.baseline} can be held against while it is asked, "
        message += f"got none ({why}); gate the whole run: kosmos-eval gate RUN --baseline {config.baseline}"
        raise UsageError(message)
    counts = {name: len(gated_metrics(policy, each.cell)) for name, each in held.items() if name in obstacles}
    levels = Levels.of(policy.error, gated=sum(counts.values()), watched=sum(counts[name] for name in followed))
    digest = gate_digest(base, policy)
    return tuple(
        replace(cell, watched=_watched(held[cell.name], policy, levels, digest)) if cell.name in followed else cell
        for cell in cells
    )


def _watched(base: Measurements, policy: Policy, levels: Levels, digest: str) -> Watched:
    rules = policy.of(base.cell)
    metrics = []
    for metric in gated_metrics(policy, base.cell):
        assert metric.lower is not None
        assert metric.upper is not None
        column = zip(base.keys, base.values[metric.name], strict=True)
        metrics.append(
            WatchedMetric(
                name=metric.name,
                base={key: value for key, value in column if value is not None},
                tolerance=rules.tolerance_of(metric),
                width=metric.upper - metric.lower,
                higher_is_better=metric.higher_is_better,
            )
        )
    contents = dict(zip(base.keys, base.contents, strict=True))
    return Watched(digest, tuple(metrics), contents, levels, rules.min_samples)


def _obstacle(cell: Cell, base: Measurements | None, policy: Policy) -> str:
    """Return why a cell is asked to its end, whatever its answers; empty if it may be stopped."""
    if base is None:
        return "the baseline has no such cell"
    means = {metric.name: metric for metric in cell.task.metrics if not metric.corpus}
    for metric in gated_metrics(policy, base.cell):
        if metric.name not in means or metric.name not in base.values:
            return f"{metric.name} is no mean of the samples"
        bounds = means[metric.name].lower, means[metric.name].upper
        if bounds != (metric.lower, metric.upper) or not all(map(math.isfinite, bounds)):
            return f"{metric.name} has no bounds"
        known = dict(zip(base.keys, base.values[metric.name], strict=True))
        if all(known.get(key) is None for key in cell.samples):
            return "no sample was scored in the baseline"
    return _unlike(cell, base)


def _unlike(cell: Cell, base: Measurements) -> str:
    """Return how a cell differs from the baseline's, as far as its settings and some of its samples tell."""
    places = {key: place for place, key in enumerate(base.keys)}
    known = list(islice((key for key in cell.samples if key in places), _LOOKED_AT))
    similar = cell.shots and cell.config.exemplars == "rices"  # which are chosen later
    asked = () if similar else tuple(_first_request(cell, key) for key in known)
    prompts = base.cell.fingerprints.get("prompts", "") if not asked or not base.asked else ""
    run = Measurements(
        cell=_result(cell, prompts),
        keys=tuple(known),
        contents=tuple(cell.samples[key].content for key in known),
        clusters=("",) * len(known),
        answers=(None,) * len(known),
        values={},
        asked=asked,
        origin=Origin(exemplars=cell.config.exemplars),
    )
    pairs = [(places[key], number) for number, key in enumerate(known)]
    return "; ".join(each.reason for each in unlike(*alike(base, run), pairs, frozenset()))


def _first_request(cell: Cell, key: str) -> str:
    sample = cell.samples[key]
    return request_digest(next(cell.ask(sample, cell.exemplars(sample))))


def _result(cell: Cell, prompts: str = "") -> CellResult:
    """Return the results of a cell of which nothing was asked: its name and settings."""
    settings: Mapping[str, object] = asdict(cell.task)  # type: ignore[call-overload]  # a task is a dataclass: plugins.py checks it
    return CellResult(
        task=cell.label,
        shots=cell.shots,
        version=cell.task.version,
        split=cell.task.split,
        metrics=(),
        groups={},
        samples=0,
        total=cell.total,
        unlabelled=0,
        settings=plain(settings),
        fingerprints={"scorer": scorer_fingerprint(type(cell.task)), "prompts": prompts},
        trial=cell.trial,
        exemplar_seed=cell.exemplar_seed,
        control=cell.control,
    )
