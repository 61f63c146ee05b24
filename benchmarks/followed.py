"""Planted truth of runs that a gate follows: how often it is wrong about them, and how many samples it saves.

    python benchmarks/followed.py [--trials 400] [--out FOLDER]

Pairs of runs are drawn as in `planted.py`. Each is asked in random order and looked at after every unit, by the code
that a run is stopped with; what is not certain by its end is left to the fixed gate, with what is left of the error.
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from planted import ALPHA, CLUSTERED, RESULTS, Row, Trials, World, blocks, measured, show

from kosmos_eval.baseline import MeasuredRun
from kosmos_eval.cutting import UNIT_SAMPLES
from kosmos_eval.gate import judge
from kosmos_eval.gate_policy import MIN_SAMPLES, TOLERANCE, Policy
from kosmos_eval.measurements import Origin
from kosmos_eval.statistics.certainty import Certainty, Levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planted import Pair


def first_certain(pair: Pair, rng: np.random.Generator, tolerance: float, levels: Levels) -> tuple[str, int]:
    """Return the verdict that a followed run is stopped with, empty if it is not, and the samples that it asked."""
    found = blocks(pair, rng)
    certainty = Certainty(
        [len(block) for block in found], width=1.0, tolerance=tolerance, levels=levels, min_samples=MIN_SAMPLES
    )
    asked = looked = 0
    for block in found:
        certainty.add(block)
        asked += len(block)
        if asked - looked >= UNIT_SAMPLES:
            looked = asked
            if certain := certainty.verdict:
                return certain, asked
    return "", asked


def followed(worlds: list[World], rng: np.random.Generator, policy: Policy) -> str:
    """Return the verdict on a run that a gate follows, with a cell a world."""
    levels = Levels.of(policy.error, gated=len(worlds), watched=len(worlds))
    rest = policy.model_copy(update={"error": levels.fixed})
    found = []
    for world in worlds:
        pair = world.draw(rng)
        certain, _ = first_certain(pair, rng, TOLERANCE / 100, levels)
        if not certain:
            sides = [
                MeasuredRun(Path(side), Origin(), (measured(getattr(pair, side), pair.clusters, "task"),))
                for side in ("base", "other")
            ]
            strict = rest.model_copy(update={"error": levels.strictest})
            verdicts = [judge(*sides, each).verdict for each in (rest, strict)]
            certain = "regression" if verdicts[1] == "regression" else verdicts[0] if verdicts[0] == "pass" else ""
        found.append(certain)
    return "regression" if "regression" in found else "pass" if "" not in found else "inconclusive"


def runs_followed(number: int) -> Iterator[Row]:
    """Yield how often a run that the gate follows is called wrong, and how many samples a regression costs it."""

    def trials(what: str) -> Trials:
        return Trials(max(2, number), zlib.crc32(what.encode()))

    def few(what: str) -> Trials:
        return trials(what)._replace(number=max(2, number // 10))

    for world in (World(500), CLUSTERED):
        worlds, policy = [world] * 2, Policy(error=ALPHA)
        what = f"false alarms, gate that follows {len(worlds)} tasks: {world}"
        hits = trials(what).rate(lambda rng, w=worlds, p=policy: followed(w, rng, p) == "regression")
        yield Row(what, *hits, at_most=ALPHA)
    dropped = [World(1000, drop=TOLERANCE / 100)]
    what = f"wrong passes, gate that follows, a drop of the tolerance, {TOLERANCE:g} points: {dropped[0]}"
    hits = trials(what).rate(lambda rng: followed(dropped, rng, Policy(error=ALPHA)) == "pass")
    yield Row(what, *hits, at_most=ALPHA)
    for world in (World(1000, discordant=0.2, drop=0.1), World(5000, drop=0.05), World(5000, discordant=0.2, drop=0.1)):
        what = f"samples saved, stopped by the gate, a drop of {world.drop:.0%}: {world}"
        rng = np.random.default_rng(few(what).seed)
        levels = Levels.of(ALPHA, gated=1, watched=1)
        found = [first_certain(world.draw(rng), rng, TOLERANCE / 100, levels) for _ in range(few(what).number)]
        shares = [asked / world.count for _, asked in found]
        mean = float(np.mean(shares))
        stderr = float(np.std(shares)) / math.sqrt(len(shares)) / mean**2
        yield Row(what, 1 / mean, stderr, len(shares), at_least=3.0, unit="x")


def main() -> int:
    """Print the rows as they come, and write them down; return 1 where a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400, help="pairs of runs a row; a tenth where samples are saved")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result file")
    options = parser.parse_args()
    return show("followed", runs_followed(options.trials), options.trials, options.out)


if __name__ == "__main__":
    sys.exit(main())
