"""The benchmark: KOSMOS-1's protocol for matrices, in which every candidate is asked about.

Source: KOSMOS-1 (arXiv 2302.14045), the nonverbal reasoning test and table 6. The prompt is "Here are
three/four/eight images:", the panels one by one, "The following image is:", a candidate, "Is it correct?"; the
candidate with the highest probability of "Yes" is the answer.

The paper has no few-shot numbers here. An exemplar is a solved matrix before the query: the same prompt with the
right candidate, followed by "Yes". What separates exemplars is a choice of ours, and so is that candidates which tie
for the best share the point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Metric, Score

from .sources import read_folder, read_mini, refuse_hub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import LogLikelihood, Request, Response
    from kosmos_eval.task import Task

    from .sample import RavenSample

_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
)


@dataclass(frozen=True)
class Raven:
    """Raven's Progressive Matrices.

    Attributes:
        split: train, val or test, or another that the index of a folder names.
        exemplar_split: likewise. It may be the same as `split`: exemplars then come from the other matrices.
        separator: text after each exemplar.
    """

    name: ClassVar[str] = "raven"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Choose the missing panel of Raven's Progressive Matrices, as in KOSMOS-1 table 6."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "accuracy",
            'share of matrices whose right candidate has the highest P("Yes") (KOSMOS-1, arXiv 2302.14045, table 6)',
        ),
    )

    split: str = "val"
    exemplar_split: str = "train"
    separator: str = " "

    def samples(self, split: str, source: Source) -> Iterable[RavenSample]:
        """Return the split's matrices in the dataset's order, panels unopened.

        Raises:
            DataError: a file is missing, corrupt or inconsistent.
            UsageError: there is no such split, or the source is the hub.
        """
        match source.kind:
            case "mini":
                return read_mini(split)
            case "folder":
                return read_folder(source.folder, split)
            case "hub":
                return refuse_hub()

    def ask(
        self, sample: RavenSample, exemplars: Sequence[RavenSample]
    ) -> Generator[Request, Response, tuple[float, ...]]:
        """Ask of every candidate whether it is correct; return the log-probability of "Yes" for each, in nats."""
        solved = [
            Prompt.of(_panels(each), each.candidates[each.target], f" Is it correct? Yes{self.separator}")
            for each in exemplars
            if each.target is not None  # exemplars are always labelled
        ]
        asked = tuple(Continuation("Yes", Prompt.of(image, " Is it correct?")) for image in sample.candidates)
        response = yield ScoreRequest(Prompt.of(*solved, _panels(sample)), asked)
        assert isinstance(response, Scored)
        return tuple(map(_total, response.continuations))

    def score(self, sample: RavenSample, answer: tuple[float, ...]) -> Score:
        """Return whether the likeliest candidate is the right one; candidates are counted from 1.

        Those that tie exactly for the best share the point. Where a log-probability is not finite, nothing can be
        compared: the answer is unparsed and earns nothing.
        """
        target = "" if sample.target is None else str(sample.target + 1)
        spoilt = [place for place, total in enumerate(answer, start=1) if not math.isfinite(total)]
        if spoilt:
            explanation = f"the log-probability of candidate {spoilt[0]} is {answer[spoilt[0] - 1]}"
            return Score({"accuracy": 0.0} if sample.labelled else {}, None, target, explanation)
        best, second = sorted(answer, reverse=True)[:2]
        tied = [str(place) for place, total in enumerate(answer, start=1) if total == best]
        chosen = " or ".join(tied)
        said = f"candidates {chosen} tie exactly" if len(tied) > 1 else f"candidate {chosen} is the likeliest"
        if sample.target is None:
            return Score({}, chosen, target, f"{said}; the right one is not known", best - second)
        value = (target in tied) / len(tied)
        return Score({"accuracy": value}, chosen, target, f"{said}, candidate {target} is right", best - second)


def _panels(sample: RavenSample) -> Prompt:
    """Return the prompt up to where a candidate comes: what all candidates share."""
    count = len(sample.context)
    word = _NUMBER_WORDS[count] if count < len(_NUMBER_WORDS) else str(count)
    opening = "Here is one image:" if count == 1 else f"Here are {word} images:"
    return Prompt.of(opening, *sample.context, " The following image is:")


def _total(likelihood: LogLikelihood) -> float:
    """Return the sum of the log-probabilities, or the first of them that is not finite."""
    for each in likelihood.logprobs:
        if not math.isfinite(each):
            return each
    return likelihood.total


if TYPE_CHECKING:
    _CHECKED: type[Task[RavenSample, tuple[float, ...]]] = Raven
