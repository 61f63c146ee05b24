"""Planted truth: how often tests, intervals, the gate and the sequential bounds are right about runs that are drawn.

    python benchmarks/planted.py [--trials 2000] [--only TEXT] [--out FOLDER]

Pairs of runs are drawn whose true difference is known: right and wrong answers of two models to the same samples, of
which some share (samples on one picture, whose answers and changes go together). Each row is a rate over such pairs
with its standard error and what it is meant to be: false alarms of what says that something changed, the power on a
drop that is planted at the size which the power calculation calls detectable, and how often an interval covers. Rates
are held to their bars within two standard errors. Costly rows take a part of the trials. All draws are seeded.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kosmos_eval.baseline import MeasuredCell, MeasuredRun, answers_digest
from kosmos_eval.corpus import Summed
from kosmos_eval.gate import judge
from kosmos_eval.gate_policy import Policy
from kosmos_eval.measurements import Measurements, Origin
from kosmos_eval.record import CellResult, MetricResult
from kosmos_eval.statistics.bootstrap import bootstrap_interval
from kosmos_eval.statistics.intervals import mean_interval
from kosmos_eval.statistics.multiple import holm
from kosmos_eval.statistics.paired import paired_difference
from kosmos_eval.statistics.power import detectable_difference
from kosmos_eval.statistics.sequential import ConfidenceSequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kosmos_eval.corpus import Floats

RESULTS = Path(__file__).parents[1] / "build" / "bench"
ALPHA, POWER, CONFIDENCE = 0.05, 0.8, 0.95
FOUND = POWER - 0.03
"""The calculation is for a continuous test; an exact one has steps, and takes the safe side of them."""
_PERCENT, _TASKS = 0.01, 10
_CELLS, _DEVIATIONS = 5, 2
_CLEAR = 5
"""Standard errors of the whole split's difference. Of a drop of 3.5, no bounds that may be looked at all along can be
certain after less than a third: log(1 / 0.05) is more than the bets on so many samples can win."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure over many pairs of runs.

    Attributes:
        what: was asked of which runs.
        value: a share, or how many times fewer samples.
        stderr: of the value, from the number of trials.
        trials: pairs of runs.
        at_least, at_most: bars; `None` is none.
        unit: `%` or `x`.
    """

    what: str
    value: float
    stderr: float
    trials: int
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "%"

    @property
    def met(self) -> bool:
        """Whether the value agrees with its bars, but for what so few trials leave open."""
        room = _DEVIATIONS * self.stderr
        above = self.at_least is None or self.value + room >= self.at_least
        return above and (self.at_most is None or self.value - room <= self.at_most)


class Pair(NamedTuple):
    """Two runs' values of the same samples, and the samples' clusters."""

    base: Floats
    other: Floats
    clusters: list[str]


@dataclass(frozen=True, slots=True)
class World:
    """Where pairs of runs are drawn from.

    Attributes:
        clusters: how many.
        size: samples of each.
        right: probability that the base is right.
        discordant: that the two runs differ on a sample.
        drop: probability that the base is right, less that the other is.
        spread: correlation of the base's answers within a cluster.
        shared: share of the samples that change as their cluster does.
    """

    clusters: int
    size: int = 1
    right: float = 0.7
    discordant: float = 0.1
    drop: float = 0.0
    spread: float = 0.0
    shared: float = 0.0

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.clusters * self.size

    def __str__(self) -> str:
        grouped = f"{self.clusters:,} clusters of {self.size}" if self.size > 1 else f"{self.clusters:,} samples"
        return f"{grouped}, {self.right:.0%} right, {self.discordant:.0%} differ"

    def draw(self, rng: np.random.Generator) -> Pair:
        """Return a pair of runs."""
        shape = (self.clusters, self.size)
        chances = np.full(shape, self.right)
        if self.spread:
            weight = (1 - self.spread) / self.spread
            chances[:] = rng.beta(self.right * weight, (1 - self.right) * weight, (self.clusters, 1))
        base = rng.random(shape) < chances
        luck = np.where(rng.random(shape) < self.shared, rng.random((self.clusters, 1)), rng.random(shape))
        lost = (self.discordant + self.drop) / 2 / self.right if self.right else 0.0
        won = (self.discordant - self.drop) / 2 / (1 - self.right) if self.right < 1 else 0.0
        changed = luck < np.where(base, lost, won)
        names = [str(place // self.size) for place in range(self.count)]
        return Pair(base.ravel().astype(np.float64), (base ^ changed).ravel().astype(np.float64), names)


ALONE = World(300)
CLUSTERED = World(60, 5, spread=0.4, shared=0.5)


class Trials(NamedTuple):
    """How many pairs a row is made of, and where they come from."""

    number: int
    seed: int

    def rate(self, hit: Callable[[np.random.Generator], bool]) -> tuple[float, float, int]:
        """Return the share of trials that hit, its standard error, and their number."""
        rng = np.random.default_rng(self.seed)
        share = sum(hit(rng) for _ in range(self.number)) / self.number
        return share, math.sqrt(max(share * (1 - share), 1 / self.number) / self.number), self.number


def finds(pair: Pair) -> bool:
    """Return whether the test calls two runs different."""
    p_value = paired_difference(pair.base.tolist(), pair.other.tolist(), pair.clusters).p_value
    return p_value is not None and p_value <= ALPHA


def false_alarms(trials: Callable[[str, int], Trials]) -> Iterator[Row]:
    """Yield how often the tests find a difference where there is none."""
    worlds = [World(20, discordant=0.3), World(100), World(1000), World(100, right=0.99, discordant=0.01)]
    for world in [*worlds, CLUSTERED, World(10, 10, spread=0.4, shared=0.8)]:
        what = f"false alarms, paired test: {world}"
        yield Row(what, *trials(what, 1).rate(lambda rng, world=world: finds(world.draw(rng))), at_most=ALPHA)

    def any_of_tasks(rng: np.random.Generator) -> bool:
        drawn = [ALONE.draw(rng) for _ in range(_TASKS)]
        found = holm(
            [paired_difference(each.base.tolist(), each.other.tolist(), each.clusters).p_value for each in drawn]
        )
        return any(each is not None and each <= ALPHA for each in found)

    what = f"false alarms, Holm over {_TASKS} tasks: {ALONE}"
    yield Row(what, *trials(what, 4).rate(any_of_tasks), at_most=ALPHA)


def deviation(world: World, seed: int = 0) -> float:
    """Return the true standard error of the paired difference, from 4,000 draws."""
    rng = np.random.default_rng(seed)
    pairs = (world.draw(rng) for _ in range(4000))
    return float(np.std([(pair.other - pair.base).mean() for pair in pairs]))


def with_detectable_drop(world: World, sides: int = 2) -> World:
    """Return the world with the drop that the power calculation calls detectable in it."""
    stderr = deviation(world)
    clusters = None if world.size == 1 else world.clusters
    drop = detectable_difference(stderr, alpha=ALPHA, power=POWER, sides=2 if sides == 2 else 1, clusters=clusters)  # noqa: PLR2004  one of two
    return replace(world, drop=drop)


def powers(trials: Callable[[str, int], Trials]) -> Iterator[Row]:
    """Yield how often a drop is found that is as large as is called detectable."""
    for world in (World(300, discordant=0.2), World(2000), World(200, 5, discordant=0.2, spread=0.4, shared=0.5)):
        dropped = with_detectable_drop(world)
        what = f"power, paired test, a drop of {dropped.drop * 100:.1f} points: {dropped}"
        yield Row(what, *trials(what, 1).rate(lambda rng, world=dropped: finds(world.draw(rng))), at_least=FOUND)


def measured(values: Floats, clusters: list[str], name: str) -> MeasuredCell:
    """Return a cell as a gate reads it."""
    metric = MetricResult("accuracy", float(values.mean()), None, None, None, len(values), len(values), 0, 0)
    prints = {"data": "d", "prompts": "p", "scorer": "1:s"}
    cell = CellResult(name, 0, 1, "val", (metric,), {}, len(values), len(values), 0, {}, prints)
    keys = tuple(map(str, range(len(values))))
    column = tuple(values.tolist())
    found = Measurements(
        cell=cell,
        keys=keys,
        contents=keys,
        clusters=tuple(clusters),
        answers=tuple(map(str, column)),
        values={"accuracy": column},
        measured=tuple(range(len(values))),
        asked=keys,
    )
    return MeasuredCell(found, answers_digest(found))


def verdict(worlds: list[World], rng: np.random.Generator, policy: Policy) -> str:
    """Return the gate's verdict on a pair of runs with a cell a world."""
    pairs = [world.draw(rng) for world in worlds]
    sides = [
        MeasuredRun(
            Path(side),
            Origin(),
            tuple(measured(getattr(pair, side), pair.clusters, f"task{place}") for place, pair in enumerate(pairs)),
        )
        for side in ("base", "other")
    ]
    return judge(*sides, policy).verdict


def gates(trials: Callable[[str, int], Trials]) -> Iterator[Row]:
    """Yield how often the gate fails without a change, passes a drop of the tolerance, and finds a drop."""
    for world in (ALONE, CLUSTERED):
        policy, worlds = Policy(error=ALPHA), [world] * _CELLS
        what = f"false alarms, gate over {_CELLS} tasks: {world}"
        hits = trials(what, 4).rate(lambda rng, w=worlds, p=policy: verdict(w, rng, p) == "regression")
        yield Row(what, *hits, at_most=ALPHA)
        policy, worlds = Policy(error=ALPHA, tolerance=5), [replace(world, drop=0.05)]
        what = f"wrong passes, gate, a drop of the tolerance, 5 points: {world}"
        hits = trials(what, 2).rate(lambda rng, w=worlds, p=policy: verdict(w, rng, p) == "pass")
        yield Row(what, *hits, at_most=ALPHA)
        dropped = with_detectable_drop(replace(world, discordant=0.2), sides=1)
        policy, worlds = Policy(error=ALPHA, tolerance=1), [dropped]
        what = f"power, gate, a drop of {dropped.drop * 100:.1f} points: {dropped}"
        hits = trials(what, 2).rate(lambda rng, w=worlds, p=policy: verdict(w, rng, p) == "regression")
        yield Row(what, *hits, at_least=FOUND)


def coverages(trials: Callable[[str, int], Trials]) -> Iterator[Row]:
    """Yield how often intervals cover the truth."""

    def mean_covers(rng: np.random.Generator, world: World) -> bool:
        pair = world.draw(rng)
        found = mean_interval(pair.base.tolist(), pair.clusters)
        return found.low is not None and found.high is not None and found.low <= world.right <= found.high

    def difference_covers(rng: np.random.Generator, world: World) -> bool:
        pair = world.draw(rng)
        found = paired_difference(pair.base.tolist(), pair.other.tolist(), pair.clusters)
        return found.low is not None and found.high is not None and found.low <= -world.drop <= found.high

    bars = {"at_least": CONFIDENCE - _PERCENT, "at_most": CONFIDENCE + _PERCENT}
    few = World(10, 10, spread=0.3, shared=0.8)
    alone = [replace(World(count), right=right) for count, right in ((20, 0.5), (20, 0.9), (100, 0.97), (1000, 0.7))]
    for world in [*alone, World(100, right=0.0), World(100, right=1.0), CLUSTERED, few]:
        what = f"coverage, mean: {world}".rpartition(",")[0]
        hits = trials(what, 1).rate(lambda rng, world=world: mean_covers(rng, world))
        sure = world.right in {0.0, 1.0}  # all are 0, or all are 1: an interval either always covers or never
        yield Row(what, *hits, at_least=bars["at_least"], at_most=None if sure else bars["at_most"])
    pairs = [World(30, discordant=0.2), World(100), World(1000, discordant=0.02), World(1000, drop=0.03), CLUSTERED]
    for world in [*pairs, replace(CLUSTERED, drop=0.05), few, World(100, discordant=0.0)]:
        what = f"coverage, paired difference, a drop of {world.drop:.0%}: {world}"
        hits = trials(what, 1).rate(lambda rng, world=world: difference_covers(rng, world))
        sure = world.discordant == 0
        yield Row(what, *hits, at_least=bars["at_least"], at_most=None if sure else bars["at_most"])
    for clusters in (30, 100, 300):
        what = f"coverage, bootstrap of a ratio of sums: {clusters} clusters of 5"
        yield Row(what, *trials(what, 8).rate(lambda rng, clusters=clusters: ratio_covers(rng, clusters)), **bars)


def ratio_covers(rng: np.random.Generator, clusters: int) -> bool:
    """Return whether the bootstrap interval of a ratio of skewed sums covers it."""
    worth = np.repeat(rng.exponential(0.1, clusters), 5) + rng.uniform(0, 0.1, 5 * clusters)
    sizes = np.repeat(rng.integers(1, 5, clusters), 5).astype(np.float64)
    ratio = Summed(np.stack([worth * sizes, sizes], axis=1), lambda sums: np.asarray(sums[:, 0] / sums[:, 1]))
    names = [str(place // 5) for place in range(5 * clusters)]
    found = bootstrap_interval(ratio, names, upper=10, resamples=1000, seed=int(rng.integers(1 << 31)))
    return found.low is not None and found.high is not None and found.low <= 0.15 <= found.high  # noqa: PLR2004  0.1 + 0.1 / 2


def blocks(pair: Pair, rng: np.random.Generator) -> list[list[float]]:
    """Return the clusters' differences in random order."""
    sums: dict[str, list[float]] = {}
    for name, change in zip(pair.clusters, (pair.other - pair.base).tolist(), strict=True):
        sums.setdefault(name, []).append(change)
    names = list(sums)
    return [sums[names[place]] for place in rng.permutation(len(names))]


def sequences(trials: Callable[[str, int], Trials]) -> Iterator[Row]:
    """Yield how often the bounds ever leave out the full split's difference, and how soon a regression is certain."""

    def leaves_out(rng: np.random.Generator, world: World) -> bool:
        pair = world.draw(rng)
        truth = float((pair.other - pair.base).mean())
        sequence = ConfidenceSequence([world.size] * world.clusters, confidence=CONFIDENCE)
        found = [sequence.add(block) for block in blocks(pair, rng)]
        return any(not low <= truth <= high for low, high in found[:-1])

    for world in (ALONE, CLUSTERED, replace(ALONE, discordant=0.2, drop=0.05)):
        what = f"bounds ever wrong, looked at all along, a drop of {world.drop:.0%}: {world}"
        hits = trials(what, 4).rate(lambda rng, world=world: leaves_out(rng, world))
        yield Row(what, *hits, at_most=1 - CONFIDENCE)
    for count, discordant, drop in (
        (1000, 0.1, 0.05), (1000, 0.2, 0.05), (1000, 0.2, 0.1), (2000, 0.2, 0.05), (5000, 0.1, 0.05), (5000, 0.2, 0.1),
    ):  # fmt: skip
        world = World(count, discordant=discordant, drop=drop)
        what = f"samples saved, certain of a drop of {drop:.0%}: {world}"
        yield saved(what, world, trials(what, 40))


def saved(what: str, world: World, trials: Trials) -> Row:
    """Return how many times fewer samples it takes, on average, to be certain of a regression."""
    rng = np.random.default_rng(trials.seed)
    shares = []
    for _ in range(trials.number):
        sequence = ConfidenceSequence([world.size] * world.clusters, confidence=CONFIDENCE, sides=1)
        asked = next((sequence.samples for block in blocks(world.draw(rng), rng) if sequence.add(block).high < 0), None)
        shares.append((asked or world.count) / world.count)
    mean = float(np.mean(shares))
    clear = world.drop >= _CLEAR * math.sqrt((world.discordant - world.drop**2) / world.count)
    stderr = float(np.std(shares)) / math.sqrt(len(shares)) / mean**2
    return Row(what, 1 / mean, stderr, len(shares), at_least=3.0 if clear else None, unit="x")


TOPICS = {
    "alarms": false_alarms,
    "power": powers,
    "gate": gates,
    "coverage": coverages,
    "sequential": sequences,
}


def rows(trials: int, topics: list[str]) -> Iterator[Row]:
    """Yield the rows of some topics.

    Args:
        trials: pairs of runs for a row that costs little; others take a part.
        topics: keys of `TOPICS`.
    """

    def for_row(what: str, part: int) -> Trials:
        return Trials(max(2, trials // part), zlib.crc32(what.encode()))

    for topic in topics:
        yield from TOPICS[topic](for_row)


def line(row: Row) -> str:
    """Return a row as a line of a Markdown table."""
    if row.unit == "x":
        value, bar = f"{row.value:.1f}x ± {row.stderr:.1f}", f"at least {row.at_least:g}x" if row.at_least else "none"
    else:
        bounds = {"at least": row.at_least, "at most": row.at_most}
        value = f"{row.value:.1%} ± {row.stderr:.1%}"
        bar = ", ".join(f"{name} {bound:.0%}" for name, bound in bounds.items() if bound is not None)
    return f"| {row.what} | {value} | {bar} | {'met' if row.met else '**missed**'} | {row.trials:,} |"


def show(topic: str, rows: Iterator[Row], trials: int, out: Path) -> int:
    """Print rows as they come, write them to `TOPIC.json` in a folder, and return 1 if one missed its bar, else 0."""
    print("| what | found | bar | | trials |\n| --- | --- | --- | --- | --- |", flush=True)
    found = []
    for row in rows:
        print(line(row), flush=True)
        found.append(row)
    out.mkdir(parents=True, exist_ok=True)
    values = {"topic": topic, "trials": trials, "rows": [{**asdict(row), "met": row.met} for row in found]}
    (out / f"{topic}.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return int(not all(row.met for row in found))


def main() -> int:
    """Show the rows; return 1 where a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="pairs of runs a row")
    parser.add_argument("--only", choices=sorted(TOPICS), action="append", help="this topic; may be given again")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result file")
    given = parser.parse_args()
    return show("planted", rows(given.trials, given.only or list(TOPICS)), given.trials, given.out)


if __name__ == "__main__":
    sys.exit(main())
