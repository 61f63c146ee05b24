"""Models that know the truth and obey a script: with them a task is tried without weights.

Each answers the requests of a list of samples, numbered as `kosmos_eval.ask.ask_unit` numbers them.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Protocol

from kosmos_eval.errors import DataError
from kosmos_eval.request import Generate, Generated, LogLikelihood, Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.request import Request, Response, Score
    from kosmos_eval.task import Provable, Sample

_NOTHING = LogLikelihood((0,), (math.nan,), 1, greedy=False)
_WIDEST = 64.0
_LARGEST = 290.0


class Script(Protocol):
    """What a scripted model answers to one of a sample's requests."""

    def __call__(self, sample: Sample, request: Request, /) -> Response: ...  # noqa: D102  in the class docstring


class Scripted:
    """A model that answers each request of the given samples by a script."""

    def __init__(self, samples: Sequence[Sample], script: Script) -> None:
        """Know the samples, in the order in which they are asked."""
        self._samples = samples
        self._script = script

    @property
    def facts(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        """Yield each request's number with its answer."""
        for number, request in requests:
            yield number, self._script(self._samples[number], request)


class Perfect:
    """Answers as the task says that a perfect model does."""

    def __init__(self, task: Provable) -> None:
        """Ask the task."""
        self._task = task

    def __call__(self, sample: Sample, request: Request) -> Response:
        """Return the best answer.

        Raises:
            DataError: no model could give the answer that the task calls perfect.
        """
        if isinstance(request, Generate):
            return written(self.text(sample, request), request)
        return weighed(request, self.weights(sample, request))

    def text(self, sample: Sample, request: Generate) -> str:
        """Return what is written.

        Raises:
            DataError: no model could write what the task says.
        """
        gold = self._task.gold(sample, request)
        if not isinstance(gold, str):
            message = f"sample {sample.key}: expected gold to be a text, as it is asked for one, got {gold!r:.60}"
            raise DataError(message)
        if request.constraint is not None and gold.strip() not in {each.strip() for each in request.constraint}:
            message = f"sample {sample.key}: expected gold to be one of the allowed answers, got {gold!r}"
            raise DataError(message)
        return gold

    def weights(self, sample: Sample, request: Score) -> Sequence[float]:
        """Return how much each continuation is preferred, higher is better.

        Raises:
            DataError: what the task says does not fit the continuations.
        """
        gold, count = self._task.gold(sample, request), len(request.continuations)
        if isinstance(gold, int) and 0 <= gold < count:
            return [float(place == gold) for place in range(count)]
        if isinstance(gold, str | int) or len(gold) != count:
            message = (
                f"sample {sample.key}: expected gold to be an index below {count}, or {count} weights, got {gold!r:.60}"
            )
            raise DataError(message)
        return gold


class Wrong(Perfect):
    """Writes freely as a perfect model does, and among options takes one that is so many places from the best.

    Options are continuations, and the texts that alone may be written.
    """

    def __init__(self, task: Provable, shift: int) -> None:
        """Prefer the continuation so many places on, the first after the last."""
        super().__init__(task)
        self._shift = shift

    def text(self, sample: Sample, request: Generate) -> str:
        """Return the text of a model that errs where it chooses."""
        best = super().text(sample, request)
        if request.constraint is None:
            return best
        place = [each.strip() for each in request.constraint].index(best.strip())
        return request.constraint[(place + self._shift) % len(request.constraint)]

    def weights(self, sample: Sample, request: Score) -> Sequence[float]:
        """Return the weights of a model that errs."""
        best = super().weights(sample, request)
        wrong = (best.index(max(best)) + self._shift) % len(best)
        return [float(place == wrong) for place in range(len(best))]


class ByContent(Perfect):
    """Writes as a perfect model does, and likes a continuation for what it says and shows, wherever it stands."""

    def weights(self, sample: Sample, request: Score) -> Sequence[float]:  # noqa: ARG002  the continuations decide
        """Return weights drawn by hashing each continuation."""
        contents = (f"{each.lead.text(digests=True)}|{each.text}" for each in request.continuations)
        return [float(int.from_bytes(hashlib.sha256(content.encode()).digest()[:4])) for content in contents]


def empty(_sample: Sample, request: Request) -> Response:
    """Say nothing: no text, even where only some texts are allowed, and log-likelihoods that are no numbers."""
    return written("", request) if isinstance(request, Generate) else Scored((_NOTHING,) * len(request.continuations))


def written(text: str, request: Generate) -> Generated:
    """Return a text as an answer, cut where the request says that answers end; a word is taken for one token."""
    cuts = [text.index(stop) for stop in request.stop if stop in text]
    words = text[: min(cuts)].split(" ") if cuts else text.split(" ")
    kept = " ".join(words[: request.max_new_tokens])
    reason = "length" if len(words) > request.max_new_tokens else "stop" if cuts else "eos"
    return Generated(kept, (1,), (-0.5,), reason)  # type: ignore[arg-type]  # mypy widens what a condition chooses from


def weighed(request: Score, weights: Sequence[float]) -> Scored:
    """Return log-likelihoods that put the continuations in the order of their weights, equal ones level.

    The order is the same by sum, by token and by character: each rank is many times less likely than the one above.
    """
    ranks = {weight: rank for rank, weight in enumerate(sorted(set(weights), reverse=True))}
    ratio = min(_WIDEST, 10 ** (_LARGEST / len(ranks)))
    return Scored(
        tuple(
            LogLikelihood((1,), (-(ratio ** ranks[weight]) / _WIDEST,), len(each.text), greedy=ranks[weight] == 0)
            for each, weight in zip(request.continuations, weights, strict=True)
        )
    )
