"""What the pipeline itself takes: memory as the dataset grows, and time beside a bare forward loop.

    python benchmarks/pipeline.py [--quick] [--repeats 3] [--only TEXT] [--out FOLDER]

Memory is the largest resident size of `kosmos-eval run` and its workers, each run in a process of its own, on folders
in the official layout of VQA v2.0 that hold ten times as many questions and pictures. Time is that of a whole run, from
reading the data to the report, beside answering the same requests in the same units; the model is loaded in both, and
has seen none of the pictures.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import PIL.ImageDraw
from bench.answers import AnswersDifferError
from bench.measure import Row, arguments, finish
from bench.shapes import TINY, Shape

from kosmos_eval.config import RunConfig
from kosmos_eval.language_model import ModelSpec
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Generated
from kosmos_eval.run import execute, prepare

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from kosmos_eval.language_model import Model

_MEMORY_BAR, _TIME_BAR = 1.1, 1.05
_QUESTIONS_A_PICTURE = 5
_ANSWERS = ("yes", "no", "2", "red", "white", "tennis", "on the table", "black and white")
_WORDS = ("what", "color", "is", "the", "how", "many", "kind", "of", "are", "on", "there", "in", "a", "man")
_MIB = 1024  # KiB
_BASE = Shape(768, 12, 12)
_BIG = "100 million random weights"

LOADED: list[ModelSpec] = []
"""What the plugin file that a timed run includes brings: the model that is loaded already."""


def write_dataset(folder: Path, questions: int) -> Path:
    """Write official files of VQA v2.0 with so many questions in val and in train, and return their folder."""
    for split in ("val2014", "train2014"):
        draw = random.Random(split)  # noqa: S311  pictures, no secrets
        (folder / split).mkdir(parents=True)
        for number in range(1, questions // _QUESTIONS_A_PICTURE + 1):
            _write_picture(folder / split / f"COCO_{split}_{number:012d}.jpg", draw)
        asked, answered = [], []
        for number in range(questions):
            image = number // _QUESTIONS_A_PICTURE + 1
            names = {"image_id": image, "question_id": 1000 * image + number % _QUESTIONS_A_PICTURE}
            asked.append({**names, "question": f"{' '.join(draw.choices(_WORDS, k=7))} {number}?"})
            said = [
                {"answer": draw.choice(_ANSWERS), "answer_confidence": "yes", "answer_id": 1 + k} for k in range(10)
            ]
            kinds = {"question_type": "what is", "answer_type": "other", "multiple_choice_answer": said[0]["answer"]}
            answered.append({**names, **kinds, "answers": said})
        for name, rows in (
            (f"v2_OpenEnded_mscoco_{split}_questions", asked),
            (f"v2_mscoco_{split}_annotations", answered),
        ):
            (folder / f"{name}.json").write_text(json.dumps({name.rpartition("_")[2]: rows}), encoding="utf-8")
    return folder


def _write_picture(path: Path, draw: random.Random) -> None:
    picture = PIL.Image.new("RGB", (128, 96), tuple(draw.randrange(256) for _ in range(3)))
    for _ in range(4):
        x, y = draw.randrange(128), draw.randrange(96)
        PIL.ImageDraw.Draw(picture).ellipse((x, y, x + 40, y + 30), fill=tuple(draw.randrange(256) for _ in range(3)))
    picture.save(path, quality=85)


def peak(data: Path, shots: int, processes: int) -> float:
    """Return the largest resident size in MiB of a run's processes.

    Raises:
        CalledProcessError: the run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kosmos_eval.cli", "run", "--quiet", "--tasks", "vqav2", "--data", str(data)]
        command += ["--shots", str(shots), "--processes", str(processes), "--output_path", f"{folder}/run"]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  our own interpreter and module
        _, status, usage = os.wait4(run.pid, 0)  # the largest of the process and those it waited for
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command)
    return usage.ru_maxrss / _MIB


def memory_rows(options: argparse.Namespace) -> list[Row]:
    """Return a row for each kind of run, at ten times the questions beside one time."""
    few = 20 if options.quick else 1_000
    found = []
    with tempfile.TemporaryDirectory() as place:
        made: dict[int, Path] = {}
        for shots, processes in ((0, 1),) if options.quick else ((0, 1), (4, 1), (0, 2)):
            what = f"peak memory of a run, {10 * few:,} VQA questions, {shots}-shot, processes: {processes}"
            if options.only not in what:
                continue
            for count in (few, 10 * few):
                made.setdefault(count, Path(place) / str(count))
                if not made[count].exists():
                    write_dataset(made[count], count)
            small, large = (peak(made[count], shots, processes) for count in (few, 10 * few))
            found.append(Row(what, f"the same with {few:,}", large, small, unit="MiB", at_most=_MEMORY_BAR))
    return found


@dataclass(frozen=True)
class Timing:
    """A whole run, and the bare loop over its requests.

    Attributes:
        config: of the run; its model is the one in `LOADED`.
        load: makes the model anew, so that neither way finds what the other has kept.
    """

    config: RunConfig
    load: Callable[[], Model]

    def bare(self) -> tuple[float, dict[str, str]]:
        """Return the seconds of answering every unit's requests, and what was written of each sample."""
        model = self._loaded()
        plan = make_plan(self.config, Plugins(map(Path, self.config.include_path)))
        units = [
            {key: next(cell.ask(cell.samples[key], cell.exemplars(cell.samples[key]))) for key in unit.keys}
            for unit in plan.units
            for cell in [plan.cell(unit.cell)]
        ]
        clock = time.perf_counter()
        answers = [dict(model.answer(enumerate(requests.values()))) for requests in units]
        seconds = time.perf_counter() - clock
        pairs = (
            (key, of_unit[number])
            for requests, of_unit in zip(units, answers, strict=True)
            for number, key in enumerate(requests)
        )
        return seconds, {key: answer.text for key, answer in pairs if isinstance(answer, Generated)}

    def whole(self) -> tuple[float, dict[str, str]]:
        """Return the seconds of a run from reading the data to the report, and what was written of each sample."""
        self._loaded()
        with tempfile.TemporaryDirectory() as folder:
            clock = time.perf_counter()
            record = execute(prepare(self.config, Path(folder) / "run"))
            seconds = time.perf_counter() - clock
            return seconds, {sample.key: sample.raw for cell in record.cells for sample in record.samples(cell)}

    def _loaded(self) -> Model:
        model = self.load()
        LOADED[:] = [ModelSpec("loaded", "loaded already", lambda _: model, lambda _: "0" * 64, embedded=True)]
        return model

    def row(self, what: str, repeats: int) -> Row:
        """Return the medians of both, taken in turns, after a run that nobody times.

        Raises:
            AnswersDifferError: the two wrote different answers.
        """
        self.whole()
        times = []
        for _ in range(repeats):
            (whole, ours), (bare, theirs) = self.whole(), self.bare()
            if ours != theirs:
                message = f"expected the run to write what the bare loop writes, got other answers: {what}"
                raise AnswersDifferError(message)
            times.append((whole, bare))
        whole, bare = (statistics.median(each) for each in zip(*times, strict=True))
        return Row(what, "the bare loop over its requests", whole, bare, at_most=_TIME_BAR)


def time_rows(options: argparse.Namespace) -> list[Row]:
    """Return a row for each model and shot count."""
    tiny, tokenizer = load_kosmos(TINY)
    found = []
    with tempfile.TemporaryDirectory() as place:
        plugin = f"import sys\n\nMODELS = tuple(sys.modules[{__name__!r}].LOADED)\n"
        (Path(place) / "loaded.py").write_text(plugin, encoding="utf-8")
        for name, samples in (("kosmos-tiny", 1_000), *(() if options.quick else ((_BIG, 100),))):
            count = 10 if options.quick else samples
            wanted = {
                what: shots
                for shots in (0, 4)
                if options.only in (what := f"a run's wall time, {count:,} VQA questions, {shots}-shot, {name}")
            }
            if not wanted:
                continue
            weights = _BASE.model(tokenizer.vocabulary_size) if name == _BIG else tiny
            for what, shots in wanted.items():
                config = RunConfig(
                    tasks=("vqav2",), shots=(shots,), model="loaded", limit=count, data="mini", include_path=(place,)
                )
                found.append(Timing(config, partial(KosmosModel, weights, tokenizer)).row(what, options.repeats))
    return found


def rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows whose name the flags ask for."""
    return [*memory_rows(options), *time_rows(options)]


def main() -> int:
    """Measure and print."""
    options = arguments(__doc__ or "")
    return finish(options, rows(options))


if __name__ == "__main__":
    sys.exit(main())
