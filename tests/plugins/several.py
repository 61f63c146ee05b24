"""A model that computes in two ways and can tell what requests amount to; environment variables make one way wrong.

It answers whatever is asked by a rule of the request alone: texts of three words, and options by their length.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kosmos_eval.language_model import ModelOptions, ModelSpec, Survey
from kosmos_eval.request import Failed, Generate, Generated, LogLikelihood, Scored, request_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kosmos_eval.request import Request, Response


@dataclass(frozen=True)
class Several:
    """Adds `shift` nats to the log-probability of the first option; takes `seconds` for each request."""

    shift: float = 0.0
    seconds: float = 0.0
    fails: str = ""

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"parameters": 0, "device": "cpu"}

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        for number, request in list(requests):
            time.sleep(self.seconds)
            prompt = request.prompt.text()
            yield number, Failed("too long") if self.fails and self.fails in prompt else self.respond(request)

    def respond(self, request: Request) -> Response:
        if isinstance(request, Generate):
            return Generated("one of three", (1, 2, 3), (-0.1, -0.2, -0.3), "eos", (1.0, 0.5, 1.0))
        word = hashlib.sha256(request_digest(request).encode()).digest()
        return Scored(
            tuple(
                LogLikelihood((1,), (-1 - (word[place] + 1) / 64 + self.shift * (place == 0),), 1, greedy=False)
                for place in range(len(request.continuations))
            )
        )

    def ways(self) -> Mapping[str, Several]:
        shift = float(os.environ.get("SEVERAL_SHIFT", "0"))
        return {"alone": replace(self, fails=""), "batched": replace(self, shift=shift)}

    def survey(self, requests: Iterable[Request]) -> Survey:
        held = list(requests)
        words = sum(len(each.prompt.text().split()) for each in held)
        images = {image.digest for each in held for image in each.prompt.images}
        new = sum(each.max_new_tokens for each in held if isinstance(each, Generate))
        return Survey(len(images), 10 * len(held) + words, 10 * len(images) + words, new, 1_000_000 * len(held))


def _load(_options: ModelOptions) -> Several:
    return Several(seconds=float(os.environ.get("SEVERAL_SECONDS", "0")), fails=os.environ.get("SEVERAL_FAILS", ""))


MODELS = (ModelSpec("several", "answers in two ways", _load, lambda _: "0" * 64, embedded=True),)
