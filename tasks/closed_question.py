"""A picture, one question, and a few words to choose from: what Rendered SST-2 and Hateful Memes have in common.

Source: KOSMOS-1 (arXiv 2302.14045), tables 7 and 9: prompt "Question: {question} Answer: {answer}" with the answer out
of a closed set, zero-shot. The paper says neither how candidates of unequal length are compared nor how exemplars would
be shown: these are settings here, and their defaults are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, get_args

from kosmos_eval.choice import By, choose, weights_of
from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import UsageError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response

CHOSEN = (
    "How candidates are compared (`by`) is not in the paper.",
    "The paper gives zero-shot numbers only; exemplars are shown as picture, question and answer, one after the other.",
)
_UNITS: dict[By, str] = {"total": "nats", "per_token": "nats a token", "per_character": "nats a character"}


@dataclass(frozen=True, kw_only=True)
class ClosedSample(Sample):
    """A picture that is asked about.

    Attributes:
        image: the picture.
        question: what is asked about it.
        answer: the right one of the task's choices; empty when unlabelled.
    """

    image: Image
    question: str
    answer: str = ""


class Weighed(NamedTuple):
    """What came back about a sample.

    Attributes:
        weights: what the choices are compared by, one for each, in nats.
        rationale: what was written before the choice; `None` where the model was not asked to write.
    """

    weights: tuple[float, ...]
    rationale: str | None = None


def score_choice(weights: Sequence[float], choices: Sequence[str], by: By, target: str) -> Score:
    """Return whether the choice that weighs most is right, as `accuracy`.

    Choices that tie exactly share the point. Where a log-probability is not finite, nothing can be compared: the
    answer is unparsed and earns nothing.

    Args:
        weights: of each choice, in nats.
        choices: as they were asked.
        by: what the weights are.
        target: the right choice; empty when that is not known, and nothing is earned.
    """
    choice = choose(weights)
    if choice.spoilt is not None:
        said = f"the log-probability of {choices[choice.spoilt]!r} is {weights[choice.spoilt]}"
        return Score({"accuracy": 0.0} if target else {}, None, target, said)
    chosen = " or ".join(choices[place] for place in choice.best)
    said = (
        f"{chosen} tie exactly" if len(choice.best) > 1 else f"{chosen} is likelier by {choice.margin:.3g} {_UNITS[by]}"
    )
    values = {"accuracy": choice.share(choices.index(target))} if target else {}
    return Score(values, chosen, target, said, choice.margin)


@dataclass(frozen=True)
class ClosedQuestion(HubSettings):
    """The protocol; a benchmark adds its choices, splits and readers.

    Attributes:
        by: log-likelihood that the choices are compared by: total, per_token or per_character.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
    """

    name: ClassVar[str]
    choices: ClassVar[tuple[str, ...]]
    asked_in: ClassVar[tuple[str, ...]] = ("question",)
    answered_in: ClassVar[tuple[str, ...]] = ("answer",)

    by: By = "per_token"
    separator: str = ""

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            message = f"{self.name}: expected by to be one of {', '.join(get_args(By))}, got {self.by!r}"
            raise UsageError(message)

    def ask(self, sample: ClosedSample, exemplars: Sequence[ClosedSample]) -> Generator[Request, Response, Weighed]:
        """Ask how likely each choice is, the exemplars with their answers in front; return what each weighs."""
        return (yield from self.weigh(sample, exemplars))

    def weigh(
        self, sample: ClosedSample, exemplars: Sequence[ClosedSample], rationale: str | None = None
    ) -> Generator[Request, Response, Weighed]:
        """Ask how likely each choice is, with a rationale between the picture and the question if there is one."""
        solved = [
            Prompt.of(each.image, f"Question: {each.question} Answer: {each.answer}{self.separator}")
            for each in exemplars
        ]
        told = f"{rationale} " if rationale else ""
        prompt = Prompt.of(*solved, sample.image, f"{told}Question: {sample.question} Answer:")
        response = yield ScoreRequest(prompt, tuple(map(Continuation, self.choices)))
        assert isinstance(response, Scored)
        return Weighed(weights_of(response.continuations, self.by), rationale)

    def score(self, sample: ClosedSample, answer: Weighed) -> Score:
        """Return whether the choice that weighs most is right; see `score_choice`."""
        return score_choice(answer.weights, self.choices, self.by, sample.answer if sample.labelled else "")

    def gold(self, sample: ClosedSample, request: Request) -> str | int:
        """Return what a perfect model would answer: the right choice, or any text where it writes freely."""
        return self.choices.index(sample.answer) if isinstance(request, ScoreRequest) else "A picture."
