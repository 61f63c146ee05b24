"""Whether two cells measured the same thing: what differs between them besides the model, by name and with the reason.

Data and prompts are told by each common sample's own digests, so that a subset is like the whole that it was taken
from; a cell's fingerprints stand in only where a record is too old to have a digest of each prompt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.measurements import Measurements

POINTS = ("model", "control", "exemplars", "prompts", "data", "scorer", "shots", "settings")
"""What may be said to be the point of a comparison. The model may always differ."""

DATA, EXEMPLARS, PROMPTS, SCORER = "the data", "the exemplars", "the prompts", "the scorer"
SHOTS, SETTINGS, CONTROL, TASK = "the shots", "the settings", "the control", "the task"

_LIFTED: Mapping[str, frozenset[str]] = {
    "model": frozenset(),
    "control": frozenset({CONTROL, EXEMPLARS, PROMPTS}),
    "exemplars": frozenset({EXEMPLARS, PROMPTS}),
    "prompts": frozenset({PROMPTS}),
    "data": frozenset({DATA, PROMPTS}),
    "scorer": frozenset({SCORER}),
    "shots": frozenset({SHOTS, EXEMPLARS, PROMPTS}),
    "settings": frozenset({SETTINGS, PROMPTS}),
}
"""What a point allows to differ: itself, and what follows from it."""


class Unlike(NamedTuple):
    """Something that differs, and is not the point.

    Attributes:
        name: such as "the prompts".
        reason: how it differs and what can be done, one line.
    """

    name: str
    reason: str


def check_point(point: Iterable[str]) -> None:
    """Raise `UnknownNameError` unless all that may differ is of `POINTS`."""
    for name in point:
        if name not in POINTS:
            kind = "point of a comparison"
            raise UnknownNameError(kind, name, POINTS)


def unlike(
    base: Measurements, other: Measurements, pairs: Sequence[tuple[int, int]], point: frozenset[str]
) -> list[Unlike]:
    """Return what differs between two cells and is not the point.

    Args:
        base: of the comparison.
        other: that is compared with it.
        pairs: places of the samples that both have, by key.
        point: what may differ, of `POINTS`.
    """
    lifted = frozenset[str]().union(*(_LIFTED[name] for name in point))
    found: dict[str, list[str]] = {}
    for name, reason in (*_of_cells(base, other), *_of_samples(base, other, pairs)):
        if name not in lifted:
            found.setdefault(name, []).append(reason)
    return [Unlike(name, f"{name}: {'; '.join(reasons)}{_cure(name)}") for name, reasons in found.items()]


def _cure(name: str) -> str:
    points = [point for point, lifted in _LIFTED.items() if name == f"the {point}" and name in lifted]
    return f" (kosmos-eval compare --point {points[0]} compares them all the same)" if points else ""


def _of_cells(base: Measurements, other: Measurements) -> Iterator[tuple[str, str]]:
    before, after = base.cell, other.cell
    (task, _, stand_in), (other_task, _, other_stand_in) = (each.task.partition("@") for each in (before, after))
    if task != other_task:
        yield TASK, _two(task, other_task)
    if stand_in != other_stand_in:
        yield DATA, _two(before.task, after.task)
    if before.split != after.split:
        yield DATA, f"split {_two(before.split, after.split)}"
    if before.shots != after.shots:
        yield SHOTS, _two(before.shots, after.shots)
    if before.control != after.control:
        yield CONTROL, _two(before.control or "none", after.control or "none")
    if differing := _differing(before.settings, after.settings):
        yield SETTINGS, "; ".join(differing)
    if before.shots and after.shots:
        yield from _of_exemplars(base, other)
    if before.version != after.version:
        yield SCORER, f"version {_two(before.version, after.version)} of the task"
    elif before.fingerprints.get("scorer") != after.fingerprints.get("scorer"):
        yield SCORER, "scored by other code; score the older run again with kosmos-eval rescore"


def _of_exemplars(base: Measurements, other: Measurements) -> Iterator[tuple[str, str]]:
    policies = base.origin.exemplars, other.origin.exemplars
    seeds = base.cell.exemplar_seed, other.cell.exemplar_seed
    if policies[0] != policies[1]:
        yield EXEMPLARS, f"chosen {_two(*policies)}"
    elif None not in seeds and seeds[0] != seeds[1]:
        yield EXEMPLARS, f"drawn with seed {_two(*seeds)}"


def _of_samples(base: Measurements, other: Measurements, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    if not pairs:
        yield DATA, "no sample of the one is in the other"
        return
    changed = [left for left, right in pairs if base.contents[left] != other.contents[right]]
    if changed:
        where = f"{len(changed):,} of {len(pairs):,} common samples have another content"
        yield DATA, f"{where}, the first is {base.keys[changed[0]]!r:.60}"
    if not base.asked or not other.asked:
        if base.cell.fingerprints.get("prompts") != other.cell.fingerprints.get("prompts"):
            yield PROMPTS, "not the same, and a record does not say of which samples; see kosmos-eval rescore"
        return
    asked = [left for left, right in pairs if base.asked[left] != other.asked[right]]
    if asked:
        where = f"{len(asked):,} of {len(pairs):,} common samples were asked something else"
        yield PROMPTS, f"{where}, the first is {base.keys[asked[0]]!r:.60}"


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    def written(settings: Mapping[str, object], name: str) -> str:
        if name not in settings:
            return "not there"
        return json.dumps(settings[name], sort_keys=True, ensure_ascii=False, default=str)

    names = dict.fromkeys((*before, *after))
    pairs = {name: (written(before, name), written(after, name)) for name in names}
    return [f"{name} {_two(*pair)}" for name, pair in pairs.items() if pair[0] != pair[1]]


def _two(before: object, after: object) -> str:
    return f"{before!s:.80} and {after!s:.80}"
