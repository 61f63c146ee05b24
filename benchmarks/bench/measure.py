"""What every script here shares: timing side by side, a row a comparison, a table, and a file of results.

A topic is a script of this folder. It takes the flags of `arguments`, makes a `Row` a comparison and hands them to
`finish`, which prints them and writes `build/bench/TOPIC.json`:

    options = arguments(__doc__)
    timed = in_turns({"ours": ..., "theirs": ...}, options.repeats)
    return finish(options, [Row("what", "against whom", timed["ours"].seconds, timed["theirs"].seconds, at_least=3)])

`page.py` runs every script of this folder but itself, and makes docs/performance.md of what they wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kosmos_eval.processes.worker import prepare_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "bench"

TOLERANCE = 1e-4
"""Nats a token by which answers of two ways may differ."""

_LONG = 10.0
_VERSIONS = ("torch", "transformers", "lm_eval")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A comparison.

    Attributes:
        what: the work.
        against: the other way of doing it.
        ours: what our way took.
        theirs: what the other way took.
        unit: of both.
        at_least: bar for theirs / ours.
        at_most: bar for ours / theirs; at most one of the two is given.
        floor: what our way would take if it did nothing but what cannot be spared.
        apart: by how much the answers differ at most, in nats a token; `None` where tokens are compared, and are equal.
        note: what a reader of the figures has to know.
    """

    what: str
    against: str
    ours: float
    theirs: float
    unit: str = "s"
    at_least: float | None = None
    at_most: float | None = None
    floor: float | None = None
    apart: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Theirs / ours where more is better, else ours / theirs."""
        return self.theirs / self.ours if self.at_most is None else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached, `None` where there is none."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.ratio <= self.at_most

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """Return the row that `asdict` made the values of."""
        return cls(**{each.name: values[each.name] for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """How long a way took, the median of its repeats in seconds, and what it returned the last time."""

    seconds: float
    answer: T


def in_turns(
    ways: Mapping[str, Callable[[], T]], repeats: int, before: Callable[[], object] = lambda: None
) -> dict[str, Timed[T]]:
    """Return the median time of each way, all taken in turns, so that a machine that slows down slows all of them.

    Args:
        ways: by name; the first is run once more beforehand, which nobody times.
        repeats: of each way; of one that takes longer than 10 seconds, the first has to do.
        before: called before each, outside the time.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, T] = {}
    before()
    next(iter(ways.values()))()
    for turn in range(repeats):
        for name, way in ways.items():
            if turn and times[name][0] > _LONG:
                continue
            before()
            clock = time.perf_counter()
            answers[name] = way()
            times[name].append(time.perf_counter() - clock)
    return {name: Timed(statistics.median(taken), answers[name]) for name, taken in times.items()}


def shortest(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the least seconds that a piece of work took, after a first run that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return min(times)


def arguments(documentation: str, repeats: int = 3) -> argparse.Namespace:
    """Return the flags that every topic takes, and set the process up as a run of the harness is.

    The environment is read when torch is imported, so where it is not set yet, the script starts once more with it.
    """
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="smallest sizes, for seconds: a check, and no figures")
    parser.add_argument("--repeats", type=int, default=repeats, help="of each way; the median counts")
    parser.add_argument("--only", default="", help="only the rows whose name holds this text")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result file")
    options = parser.parse_args()
    restarted = "OMP_WAIT_POLICY" in os.environ
    prepare_process(1)
    if not restarted:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  the same command, no shell
    if options.quick:
        options.repeats = 1
    return options


def finish(options: argparse.Namespace, rows: Sequence[Row]) -> int:
    """Print the rows and write the topic's file; return the exit status."""
    topic = Path(sys.argv[0]).stem
    options.out.mkdir(parents=True, exist_ok=True)
    found = {
        "topic": topic,
        "quick": options.quick,
        "repeats": options.repeats,
        "environment": environment(),
        "rows": [asdict(row) for row in rows],
    }
    (options.out / f"{topic}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(rows))
    return 0


def environment() -> dict[str, str]:
    """Return what the figures depend on: processor, threads, versions, date and commit."""
    import torch  # noqa: PLC0415  the page and --help need none

    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603  our own words
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": ".".join(map(str, sys.version_info[:3])),
        **{name: version(name) for name in _VERSIONS},
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit or "unknown",
    }


def _processor() -> str:
    """Return what the processor calls itself, with its family and model where its name says little."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    said = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    wide = [name for name in ("avx512f", "avx2") if name in said.get("flags", "").split()]
    known = [said.get("model name", "unknown"), f"family {said.get('cpu family')} model {said.get('model')}", *wide[:1]]
    return ", ".join(known)


HEADER = ("what", "against", "ours", "theirs", "ratio", "bar", "floor", "answers", "note")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEADER, tuple("---" for _ in HEADER), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(row: Row) -> tuple[str, ...]:
    bar = "-"
    if row.met is not None:
        sign, value = (">=", row.at_least) if row.at_most is None else ("<=", row.at_most)
        bar = f"{sign} {value:g}x {'met' if row.met else '**missed**'}"
    floor = "-"
    if row.floor is not None:
        floor = f"{_amount(row.floor, row.unit)} ({row.ours / row.floor:.2g}x)"
    same = "equal" if row.apart is None else f"within {row.apart:.0e}"
    ratio = f"{row.ratio:.3g}x"
    amounts = _amount(row.ours, row.unit), _amount(row.theirs, row.unit)
    return (row.what, row.against, *amounts, ratio, bar, floor, same if row.unit == "s" else "-", row.note)


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}"
