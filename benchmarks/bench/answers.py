"""Ask a model, and hold its answers to another's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.measure import TOLERANCE

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generated, Scored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.peers import Option, Place

    from kosmos_eval.language_model import Model
    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Generate, Score


class AnswersDifferError(Exception):
    """Two ways through the same weights gave different answers, so their times cannot be compared."""


class Renewed:
    """An engine that can be taken anew; `model` has seen no picture since, and would not encode one again.

    Attributes:
        model: that is asked.
    """

    def __init__(self, weights: Kosmos, tokenizer: SegmentTokenizer) -> None:
        self._weights, self._tokenizer = weights, tokenizer
        self.model = KosmosModel(weights, tokenizer)

    def renew(self) -> None:
        """Take a new one, behind the same weights."""
        self.model = KosmosModel(self._weights, self._tokenizer)


class _Unrecognised(Image):
    """A picture that is taken for another one than those with the same pixels."""

    __slots__ = ("_own",)

    def __init__(self, image: Image, own: str) -> None:
        super().__init__(image.load, image.name)
        self._own = own

    @property
    def digest(self) -> str:
        return self._own

    @property
    def known_digest(self) -> str:
        return self._own


def unrecognised(requests: Sequence[Generate]) -> list[Generate]:
    """Return the same requests with every picture, wherever it comes, as one that comes nowhere else."""
    found = []
    for number, request in enumerate(requests):
        parts = (
            _Unrecognised(part, f"{number}|{place}") if isinstance(part, Image) else part
            for place, part in enumerate(request.prompt.parts)
        )
        found.append(replace(request, prompt=Prompt.of(*parts)))
    return found


def totals(model: Model, requests: Sequence[Score]) -> dict[Place, float]:
    """Return each option's log-likelihood, in nats, by its request's number and its own."""
    found: dict[Place, float] = {}
    for number, answer in model.answer(enumerate(requests)):
        if not isinstance(answer, Scored):
            message = f"expected request {number} to be answered, got {answer!r:.200}"
            raise AnswersDifferError(message)
        found |= {(number, at): each.total for at, each in enumerate(answer.continuations)}
    return found


def written(model: Model, requests: Sequence[Generate]) -> list[Generated]:
    """Return the answers in the order of the requests."""
    found = dict(model.answer(enumerate(requests)))
    answers = [found[number] for number in range(len(requests))]
    kept = [answer for answer in answers if isinstance(answer, Generated)]
    if len(kept) < len(answers):
        message = f"expected {len(answers)} answers, got {len(kept)}"
        raise AnswersDifferError(message)
    return kept


def check(ours: Mapping[Place, float], theirs: Mapping[Place, float], options: Sequence[Option]) -> float:
    """Return the largest difference in nats a token between scores that both have.

    Raises:
        AnswersDifferError: it is above the tolerance, or there is nothing to compare.
    """
    scored = {option.place: option.scored for option in options}
    apart = max((abs(ours[place] - score) / scored[place] for place, score in theirs.items()), default=float("nan"))
    if not apart <= TOLERANCE:
        message = f"expected scores to be within {TOLERANCE} nats a token, got {apart:.1e}"
        raise AnswersDifferError(message)
    return apart


def check_tokens(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> None:
    """Hold written tokens to another way's.

    Raises:
        AnswersDifferError: an answer differs.
    """
    wrong = [number for number, (a, b) in enumerate(zip(ours, theirs, strict=True)) if list(a) != list(b)]
    if wrong:
        at = wrong[0]
        message = (
            f"expected equal tokens, got {len(wrong)} of {len(ours)} answers that differ; {at}: {ours[at]} {theirs[at]}"
        )
        raise AnswersDifferError(message)
