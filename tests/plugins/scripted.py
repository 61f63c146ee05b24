"""A task and a model with known answers, so that the harness can be tested without weights.

The task `letters` asks in two stages (a hint, then the answer), some of its samples share an image and some answers
cannot be read. The model `scripted` computes its answers from the prompt alone. Environment variables make it slow,
make it fail, make single requests too big for it (`SCRIPTED_TOO_BIG="Generate letter 4?,Score letter 7?"`), or make
its weights differ. It embeds pictures so that each shade of a split is like the same one of the other, and shades are
the less alike the farther apart they are; each load and each picture is a line in the file of `SCRIPTED_EMBED_LOG`.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import PIL.Image

from kosmos_eval.errors import DataError
from kosmos_eval.language_model import ModelOptions, ModelSpec
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Score, Scored, request_digest
from kosmos_eval.task import Metric, Sample
from kosmos_eval.task import Score as SampleScore

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response


@dataclass(frozen=True, kw_only=True)
class Letter(Sample):
    image: Image
    question: str
    answer: str


def _square(shade: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (8, 8), (shade % 256, shade // 256, 7))


@dataclass(frozen=True)
class Letters:
    name: ClassVar[str] = "letters"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Two-stage questions with scripted answers."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of right answers"),)
    split: str = "val"
    exemplar_split: str = "train"
    size: int = 40

    def samples(self, split: str, source: Source) -> Iterator[Letter]:  # noqa: ARG002  only mini
        offset = {"val": 0, "train": 10_000}[split]
        for number in range(self.size):
            shade = offset + number // 3
            yield Letter(
                key=str(offset + number),
                cluster=str(shade),
                groups={"parity": "even" if number % 2 == 0 else "odd"},
                image=Image(partial(_square, shade), f"square {shade}"),
                question=f"letter {number}?",
                answer="abc"[number % 3],
                chance=1 / 3,
            )

    def ask(self, sample: Letter, exemplars: Sequence[Letter]) -> Generator[Request, Response, str]:
        before = Prompt.of(*(part for each in exemplars for part in (each.image, f"{each.question} {each.answer}")))
        prompt = Prompt.of(before, sample.image, sample.question)
        hint = yield Generate(prompt, max_new_tokens=4)
        assert isinstance(hint, Generated)
        options = tuple(Continuation(text, lead=Prompt.of(hint.text)) for text in "abc")
        weighed = yield Score(prompt, options)
        assert isinstance(weighed, Scored)
        totals = [each.total for each in weighed.continuations]
        return "" if hint.text == "eeee" else "abc"[totals.index(max(totals))]

    def score(self, sample: Letter, answer: str) -> SampleScore:
        return SampleScore({"accuracy": float(answer == sample.answer)}, answer or None, sample.answer)


class ScriptedModel:
    def __init__(self) -> None:
        self.delay = float(os.environ.get("SCRIPTED_DELAY", "0"))
        self.fail_after = int(os.environ.get("SCRIPTED_FAIL_AFTER", "1000000"))
        self.log = os.environ.get("SCRIPTED_LOG")
        self.too_big = os.environ.get("SCRIPTED_TOO_BIG", "").split(",")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"parameters": 0}

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        for number, request in reversed(list(requests)):
            time.sleep(self.delay)
            self.fail_after -= 1
            if self.fail_after < 0:
                message = "the scripted model was told to fail"
                raise DataError(message)
            digest = request_digest(request)
            if self.log is not None:
                with open(self.log, "a", encoding="utf-8") as log:  # noqa: PTH123  one short line, appended whole
                    log.write(f"{digest}\n")
            yield number, self._failed(request) or _answer(request, digest)

    def embed(self, images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
        for image in images:
            _note(f"embed {image.name}")
            red, green, *_ = image.load().tobytes()
            angle = (red - 16 * (green > 0)) / 64
            yield np.array([math.cos(angle), math.sin(angle)], np.float32)

    def _failed(self, request: Request) -> Failed | None:
        last = f"{type(request).__name__} {request.prompt.parts[-1]}"
        return Failed("expected a smaller one, got this;\nshrink it") if last in self.too_big else None


def _answer(request: Request, digest: str) -> Response:
    if isinstance(request, Generate):
        letter = "cde"[int(digest[0], 16) % 3]
        margins = (0.75, int(digest[1], 16) / 4_000)
        return Generated(letter * 4, (5, 6), (-0.5, -0.25), "length" if letter == "d" else "eos", margins)
    rows = []
    for each in request.continuations:
        word = hashlib.sha256(f"{digest}{each.text}".encode()).digest()
        rows.append(LogLikelihood((ord(each.text[0]),), (-1 - word[0] / 64,), len(each.text), greedy=False))
    return Scored(tuple(rows))


def _note(line: str) -> None:
    if (log := os.environ.get("SCRIPTED_EMBED_LOG")) is not None:
        with open(log, "a", encoding="utf-8") as file:  # noqa: PTH123  one short line, appended whole
            file.write(f"{line}\n")


def _load(_options: ModelOptions) -> ScriptedModel:
    _note("load")
    return ScriptedModel()


def _fingerprint(_options: ModelOptions) -> str:
    return hashlib.sha256(os.environ.get("SCRIPTED_WEIGHTS", "weights").encode()).hexdigest()


TASKS = (Letters,)
MODELS = (ModelSpec("scripted", "answers by rule", _load, _fingerprint, embedded=True),)
