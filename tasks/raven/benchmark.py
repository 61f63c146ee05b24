"""The benchmark: KOSMOS-1's protocol for matrices, in which every candidate is asked about.

Source: KOSMOS-1 (arXiv 2302.14045), the nonverbal reasoning test and table 6. The prompt is "Here are
three/four/eight images:", the panels one by one, "The following image is:", a candidate, "Is it correct?"; the
candidate with the highest probability of "Yes" is the answer.

The paper has no few-shot numbers here. An exemplar is a solved matrix before the query: the same prompt with the
right candidate, followed by "Yes". What separates exemplars is a choice of ours, and so is that candidates which tie
for the best share the point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.choice import choose, weights_of
from kosmos_eval.data.hub import HubSettings
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import About, Metric, Score

from .sources import HubColumns, read_folder, read_hub, read_mini

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

    from .sample import RavenSample

_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
)


@dataclass(frozen=True)
class Raven(HubSettings):
    """Raven's Progressive Matrices.

    Attributes:
        split: train, val or test, or another that the index of a folder names. The hub's dataset has test alone.
        exemplar_split: likewise. It may be the same as `split`: exemplars then come from the other matrices.
        separator: text after each exemplar.
        hub_id: dataset on the hub, or a local copy of one. `lmms-lab/IQ50` is KOSMOS-1's fifty matrices by its name and
            count; its columns have not been seen, so the settings that name them are guesses.
        hub_revision: commit, branch or tag; by default the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: another dataset for the exemplars; empty is that of `hub_id`.
        exemplar_hub_revision: likewise.
        hub_id_column: the matrix's own id.
        hub_context_column: list of the panels that are seen.
        hub_candidates_column: list of the candidates.
        hub_target_column: which candidate is right, as a number or a letter.
        hub_first_candidate: the number that stands for the first candidate.
    """

    name: ClassVar[str] = "raven"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Choose the missing panel of Raven's Progressive Matrices, as in KOSMOS-1 table 6."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("",), "reasoning": ("",)}
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "accuracy",
            'share of matrices whose right candidate has the highest P("Yes") (KOSMOS-1, arXiv 2302.14045, table 6)',
        ),
    )

    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), table 6: 22 % tuned on instructions, 26 % untuned, of 50 matrices.",
        files="""\
`RAVEN_42_test.npz` with its `.xml`, in any sub-folder: github.com/WellyZhang/RAVEN
or `index.jsonl` beside pictures of panels: docs/data.md""",
        licence="RAVEN: as its repository says. No licence of the fifty matrices of KOSMOS-1 is known.",
        deviations=(
            "candidates that tie exactly for the best share the point; the paper does not say",
            "few-shot: solved matrices in front; the paper has no few-shot numbers",
        ),
        exempt={
            "splits": "a panel is one of a few figures, so matrices may have one in common; "
            "exemplars that share one with the query are never drawn"
        },
    )

    split: str = "val"
    exemplar_split: str = "train"
    separator: str = " "
    hub_id: str = "lmms-lab/IQ50"
    hub_id_column: str = "id"
    hub_context_column: str = "context"
    hub_candidates_column: str = "candidates"
    hub_target_column: str = "target"
    hub_first_candidate: int = 0

    def samples(self, split: str, source: Source) -> Iterable[RavenSample]:
        """Return the split's matrices in the dataset's order, panels unopened.

        Raises:
            DataError: a file is missing, corrupt or inconsistent.
            UsageError: there is no such split.
        """
        match source.kind:
            case "mini":
                return read_mini(split)
            case "folder":
                return read_folder(source.folder, split)
            case "hub":
                repository, revision = self.hub_place(exemplars=split != self.split)
                columns = HubColumns(
                    self.hub_id_column, self.hub_context_column, self.hub_candidates_column, self.hub_target_column
                )
                return read_hub(repository, revision, split, columns, self.hub_first_candidate)

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
        return weights_of(response.continuations)

    def gold(self, sample: RavenSample, request: Request) -> int:  # noqa: ARG002  of the contract
        """Return the index of the candidate that is right."""
        assert sample.target is not None  # a perfect answer is asked for where the truth is known
        return sample.target

    def shuffled(self, sample: RavenSample, order: Sequence[int]) -> RavenSample:
        """Return the matrix with its candidates in another order."""
        target = None if sample.target is None else order.index(sample.target)
        return replace(sample, candidates=tuple(sample.candidates[place] for place in order), target=target)

    def score(self, sample: RavenSample, answer: tuple[float, ...]) -> Score:
        """Return whether the likeliest candidate is the right one; candidates are counted from 1.

        Those that tie exactly for the best share the point. Where a log-probability is not finite, nothing can be
        compared: the answer is unparsed and earns nothing.
        """
        target = "" if sample.target is None else str(sample.target + 1)
        choice = choose(answer)
        if choice.spoilt is not None:
            explanation = f"the log-probability of candidate {choice.spoilt + 1} is {answer[choice.spoilt]}"
            return Score({"accuracy": 0.0} if sample.labelled else {}, None, target, explanation)
        tied = [str(place + 1) for place in choice.best]
        chosen = " or ".join(tied)
        said = f"candidates {chosen} tie exactly" if len(tied) > 1 else f"candidate {chosen} is the likeliest"
        if sample.target is None:
            return Score({}, chosen, target, f"{said}; the right one is not known", choice.margin)
        value = choice.share(sample.target)
        return Score({"accuracy": value}, chosen, target, f"{said}, candidate {target} is right", choice.margin)


def _panels(sample: RavenSample) -> Prompt:
    """Return the prompt up to where a candidate comes: what all candidates share."""
    count = len(sample.context)
    word = _NUMBER_WORDS[count] if count < len(_NUMBER_WORDS) else str(count)
    opening = "Here is one image:" if count == 1 else f"Here are {word} images:"
    return Prompt.of(opening, *sample.context, " The following image is:")


if TYPE_CHECKING:
    _CHECKED: type[Task[RavenSample, tuple[float, ...]]] = Raven
