"""The processes that ask: each takes whole units, asks the model, and commits them to a journal of its own.

A run of one process asks in that process. A run of several starts them through torch's launcher, as
`python -m kosmos_eval.worker RUN LAUNCH`, or joins those that `torchrun` or `accelerate launch` started. Units are
taken one at a time, by whoever is free, by making a file that only one process can make; so nothing needs a
collective operation, and nobody hangs when another process dies.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.ask import ask_unit
from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.journal import Journal, JournalReader, UnitTiming
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.lock import attend
from kosmos_eval.run_folder import read_units, reopen
from kosmos_eval.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kosmos_eval.config import RunConfig
    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Plan, Unit

_MKL_REPRODUCIBLE = "AVX2,STRICT"


def prepare_process(processes: int) -> None:
    """Set what must be set before torch is imported, so that thread count cannot move a result.

    MKL chooses its summation order by thread count unless told not to; its conditional numerical reproducibility
    (strict mode) keeps one order for any number of threads. Costs nothing measurable at the sizes in use here.

    Args:
        processes: how many share the machine; each gets its part of the cores.
    """
    os.environ.setdefault("MKL_CBWR", _MKL_REPRODUCIBLE)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait by spinning starve the others' work
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def model_options(config: RunConfig) -> ModelOptions:
    """Return how a run's model is to be loaded in this process; a process among several takes the GPU of its rank."""
    device = config.device
    if device in {"auto", "cuda"} and "LOCAL_RANK" in os.environ:
        import torch  # noqa: PLC0415  only processes that load a model need it

        if torch.cuda.is_available():
            device = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"
    return ModelOptions(device, config.dtype, config.batch_size, config.model_args)


def work(plan: Plan, units: Iterable[Unit], model: Model, journal: Journal) -> None:
    """Ask unit after unit, each committed before the next."""
    for unit in units:
        started, clock = time.time(), time.perf_counter()
        answers = ask_unit(unit, plan.cell(unit.cell), model)
        requests = sum(len(exchanges) for exchanges in answers.values())
        timing = UnitTiming(len(answers), requests, started, time.perf_counter() - clock)
        journal.commit(unit.id, answers, timing)


def claims(units: Iterable[Unit], folder: Path) -> Iterator[Unit]:
    """Yield the units that no other process of this launch has taken, one at a time, taking them.

    Args:
        units: all that are left to do, in the plan's order.
        folder: of this launch's claims, shared by its processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for unit in units:
        try:
            os.close(os.open(folder / unit.id.replace("/", "~"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            continue
        yield unit


def run_rank(folder: Path, launch: str, rank: int, plan: Plan, units: Iterable[Unit]) -> None:
    """Do this process's share of a launch.

    Args:
        folder: of the run.
        launch: id of the launch.
        rank: of this process; names its journal.
        plan: of the run; its model is loaded only if there is a unit left to take.
        units: of the whole run, in the plan's order.
    """
    done = JournalReader(folder / "journal").timings()
    taken = claims((unit for unit in units if unit.id not in done), folder / "claims" / launch)
    first = next(taken, None)
    if first is None:
        return
    model = plan.model.load(model_options(plan.config))
    journal = Journal(folder / "journal" / f"{rank:04d}.sqlite")
    try:
        write_json(folder / "model.json", dict(model.facts))
        work(plan, chain([first], taken), model, journal)
    finally:
        journal.close()


def join(folder: Path, launch: str, rank: int) -> None:
    """Do a share of a launch that another process owns, in this process.

    Args:
        folder: of the run.
        launch: id of the launch.
        rank: of this process.

    Raises:
        KosmosEvalError: asking failed; a notice for the owner is left in the run's folder.
    """
    try:
        attend(folder, launch)
        run_rank(folder, launch, rank, reopen(folder), read_units(folder))
    except KosmosEvalError as error:
        notice = {"message": str(error), "exit_code": error.exit_code}
        write_json(folder / "claims" / launch / f"failure-{rank}.json", notice)
        raise


def main(arguments: list[str]) -> int:
    """Be a worker that the owner of a run started; return the process's exit code."""
    prepare_process(int(os.environ["LOCAL_WORLD_SIZE"]))
    try:
        join(Path(arguments[0]), arguments[1], int(os.environ["RANK"]))
    except KosmosEvalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
