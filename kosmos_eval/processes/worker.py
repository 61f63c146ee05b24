"""The processes that ask: each takes whole bundles of units, asks the model, and commits them to a journal of its own.

A run of one process asks in that process. A run of several starts them through torch's launcher, as
`python -m kosmos_eval.processes.worker RUN LAUNCH`, or joins those that `torchrun` or `accelerate launch` started.
Bundles (a unit, and the units of its controls) are taken one at a time, by whoever is free, by making a file that only
one process can make; so nothing needs a collective operation, and nobody hangs when another process dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.ask import ask_together
from kosmos_eval.errors import DataError, KosmosEvalError
from kosmos_eval.journal import Journal, UnitTiming
from kosmos_eval.language_model import Anticipating, ModelOptions
from kosmos_eval.memory import measure
from kosmos_eval.plan import Unit, bundles_of
from kosmos_eval.processes.heartbeat import Heart, Watch, died
from kosmos_eval.processes.joined import joined_size, neighbours
from kosmos_eval.processes.lock import attend
from kosmos_eval.record import read_run
from kosmos_eval.run_folder import read_units, reopen
from kosmos_eval.watched import Ledger
from kosmos_eval.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

    from kosmos_eval.config import RunConfig
    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Plan
    from kosmos_eval.prompt import Image

Bundle = tuple[Unit, ...]
"""Units that are asked together and committed together: see `kosmos_eval.plan.bundles_of`."""

_MKL_REPRODUCIBLE = "AVX2,STRICT"
_INTERRUPTED = 130
_KEEP_FREED_MEMORY = ((-3, 1 << 25), (-1, 1 << 30))
"""M_MMAP_THRESHOLD at the most that glibc takes, and M_TRIM_THRESHOLD, in bytes (malloc.h)."""


def prepare_process(processes: int) -> None:
    """Set what must be set before torch is imported: thread count must not move a result, nor memory slow it down.

    MKL chooses its summation order by thread count unless told not to; its conditional numerical reproducibility
    (strict mode) keeps one order for any number of threads. Costs nothing measurable at the sizes in use here.

    glibc gives freed memory of more than 128 KiB back to the system at once, and a model's next layer asks for it
    again, page by page. Kept instead, it took a third off the time of scoring 1,000 names on a CPU.

    Args:
        processes: how many share the machine; each gets its part of the cores.
    """
    os.environ.setdefault("MKL_CBWR", _MKL_REPRODUCIBLE)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait by spinning starve the others' work
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:  # other C libraries have none
        for option, value in _KEEP_FREED_MEMORY:
            mallopt(option, value)


def model_options(config: RunConfig) -> ModelOptions:
    """Return how a run's model is to be loaded in this process; a process among several takes the GPU of its rank."""
    device = config.device
    if device in {"auto", "cuda"} and "LOCAL_RANK" in os.environ:
        import torch  # noqa: PLC0415  only processes that load a model need it

        if torch.cuda.is_available():
            device = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return ModelOptions(device, config.dtype, config.batch_size, config.model_args)


def work(
    plan: Plan,
    bundles: Iterable[tuple[Bundle, Bundle | None]],
    model: Model,
    journal: Journal,
    heart: Heart,
    *,
    ledger: Ledger | None = None,
) -> None:
    """Ask bundle after bundle, each committed before the next.

    Args:
        plan: of the run.
        bundles: to be done, each taken when the one before it is committed, and beside it a guess at the next one.
        model: that is asked.
        journal: of this process.
        heart: of this process.
        ledger: in which the values of watched cells are put down.
    """
    for bundle, later in bundles:
        heart.say(unit=bundle[0].id)
        if later is not None and isinstance(model, Anticipating):
            model.expect(_images(plan, later))
        started, clock = time.time(), time.perf_counter()
        answered = ask_together([(unit, plan.cell(unit.cell)) for unit in bundle], model)
        seconds = time.perf_counter() - clock
        requests = [sum(map(len, answers.values())) for answers in answered]
        journal.commit_together(
            (unit.id, answers, UnitTiming(len(answers), asked, started, seconds * asked / sum(requests)))
            for unit, answers, asked in zip(bundle, answered, requests, strict=True)
        )
        for unit, answers in zip(bundle, answered, strict=True):
            if ledger is not None:
                ledger.note(unit, answers)
            heart.say(done=len(unit.keys))


def _images(plan: Plan, bundle: Bundle) -> Iterator[Image]:
    """Yield the images that are read about a bundle's samples, each sample's exemplars first."""
    for unit in bundle:
        cell = plan.cell(unit.cell)
        for key in unit.keys:
            yield from cell.pictures(cell.samples[key])


def claims(bundles: Iterable[Bundle], folder: Path, check: Callable[[], None]) -> Iterator[Bundle]:
    """Yield the bundles that no other process of this launch has taken, one at a time, taking them.

    Args:
        bundles: all that are left to do, in the plan's order.
        folder: of this launch's claims, shared by its processes.
        check: is called before each bundle, and raises when no more is to be taken.
    """
    for bundle in bundles:
        check()
        claim = folder / bundle[0].id.replace("/", "~")
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            continue
        yield bundle


def _needed(bundles: Iterable[Bundle], ledger: Ledger, heart: Heart) -> Iterator[Bundle]:
    """Yield the bundles but those of cells whose verdict is certain; these count as done."""
    for bundle in bundles:
        if ledger.over(bundle[0].cell):
            heart.say(done=len(bundle[0].keys))
        else:
            yield bundle


def set_out(claims_folder: Path, left: Sequence[str]) -> None:
    """Put down which units a launch is to do, so that no process need look into another's journal."""
    write_json(claims_folder / "left.json", left)


def run_rank(folder: Path, launch: str, heart: Heart, plan: Plan, check: Callable[[], None] = lambda: None) -> None:
    """Do this process's share of a launch.

    Args:
        folder: of the run.
        launch: id of the launch.
        heart: of this process; is told how far it is.
        plan: of the run; its model is loaded only if there is a unit left to take.
        check: is called before each unit, and raises when the launch cannot go on.
    """
    claimed = folder / "claims" / launch
    left = frozenset(json.loads((claimed / "left.json").read_text(encoding="utf-8")))
    units = read_units(folder)
    ledger = Ledger(claimed, plan, units)
    bundles = bundles_of(unit for unit in units if unit.id in left)
    # While this process is at one, each of the others takes one of those that follow.
    later = {bundle[0].id: other for bundle, other in zip(bundles, bundles[joined_size() :], strict=False)}
    needed = _needed(claims(bundles, claimed, check), ledger, heart)
    taken = ((bundle, later.get(bundle[0].id)) for bundle in needed)
    first = next(taken, None)
    if first is None:
        return
    model = plan.model.load(model_options(plan.config))
    journal = Journal(folder / "journal" / f"{launch[:8]}-{heart.rank:04d}.sqlite")  # nobody ever writes another's
    try:
        write_json(folder / "model.json", dict(model.facts))
        work(plan, chain([first], taken), model, journal, heart, ledger=ledger)
        facts = model.facts  # passes may have had to become smaller
        peak = measure(str(facts.get("device", "cpu"))).peak
        write_json(folder / "model.json", {**facts, "peak_memory": peak})
    finally:
        journal.close()


def join(folder: Path, launch: str, rank: int, *, owner: int | None = None) -> None:
    """Do a share of a launch that another process owns, in this process.

    Args:
        folder: of the run.
        launch: id of the launch.
        rank: of this process.
        owner: rank of the process that owns the run, if it is one of those that ask.

    Raises:
        KosmosEvalError: asking failed, or a process beside this one died; the owner can read it in this one's sign.
    """
    claimed = folder / "claims" / launch
    if not (folder / "run.json").exists():
        message = (
            f"rank {rank} on {platform.node()}: expected to find the run in {folder}; put it on a file system that "
        )
        message += "all machines share, under one path (--output_path)"
        raise DataError(message)
    first = None if owner is None else Watch(claimed, [owner], neighbours())
    try:
        heart = Heart(claimed, rank)
    except FileNotFoundError:
        return  # the others have done it all, and tidied up
    with heart:
        try:
            here = owner is None or owner in neighbours()
            if not attend(folder, launch, here=here, owner=first):
                return
            plan = reopen(folder)
            if not here:
                _compare_weights(folder, plan)
            run_rank(folder, launch, heart, plan)
        except KeyboardInterrupt:  # a launcher ends all of its processes when one is dead: say which
            if fault := next(filter(None, (died(claimed, each) for each in neighbours() if each != rank)), None):
                raise fault from None
            raise


def _compare_weights(folder: Path, plan: Plan) -> None:
    """Raise `DataError` if this machine's weights are not those that the owner of the run has."""
    known = read_run(folder)["model"]["fingerprint"]
    if plan.model.fingerprint(model_options(plan.config)) != known:
        message = f"{platform.node()}: the model's weights ({plan.model.name}) are not those of the run in {folder}"
        raise DataError(message)


def main(arguments: list[str]) -> int:
    """Be a worker that the owner of a run started; return the process's exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    prepare_process(int(os.environ["LOCAL_WORLD_SIZE"]))
    try:
        join(Path(arguments[0]), arguments[1], int(os.environ["RANK"]))
    except KosmosEvalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
