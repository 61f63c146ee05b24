"""VisDial v1.0: at each round of a dialogue about a picture, rank a hundred candidate answers.

The KOSMOS papers talk in dialogues and have no row for this benchmark. The protocol is that of Flamingo (arXiv
2204.14198, which reports NDCG on val): the picture, the dialogue so far and the question are read, and the candidates
are ranked by their log-likelihoods. The words around them are KOSMOS-1's for questions, a turn after the other as in
its dialogues.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from kosmos_eval.choice import By, weights_of
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.metrics.retrieval import (
    expected_rank,
    ndcg,
    possible_ranks,
    recall_at,
    reciprocal_rank,
    whole_ranks,
)
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import About, Metric, Sample, Score

from .sample import VisDialSample
from .sources import MOST_CANDIDATES, read_folder, read_mini

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

_SOURCE = "batra-mlp-lab/visdial-challenge-starter-pytorch, visdialch/metrics.py"
_CUTS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class RankedScore(Score):
    """A score that knows the whole order.

    Attributes:
        ranks: of each candidate, from 1, each once.
        ndcg: where the round has relevances, of which one is not 0; else `None`.
    """

    ranks: tuple[int, ...] = ()
    ndcg: float | None = None


@dataclass(frozen=True)
class VisDial:
    """VisDial v1.0.

    Attributes:
        split: train, val or test. Flamingo reports val; test has no public answers, and its ranks go to the
            challenge's server.
        exemplar_split: likewise. Where it is another than `split`, an exemplar is a whole dialogue, else a round with
            the rounds before it.
        by: what candidates are ranked by: `total`, the sum of a candidate's log-probabilities, `per_token` or
            `per_character`, their mean. A choice: `total`, the log-likelihood as it is.
        caption: how the picture's caption is shown; empty shows none. A choice: after KOSMOS-1's words for captions.
        question_mark: whether a question without one is asked with a question mark: the dataset's have none. A choice.
        exemplar_rounds: most rounds of an exemplar that are shown, the last ones.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
    """

    name: ClassVar[str] = "visdial"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Rank a hundred answers at each round of a dialogue about a picture (VisDial v1.0)."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "folder")
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"no-caption": {"caption": ""}}
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"dialogue": ("",)}
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("ndcg", f"mean over the rounds with judged relevances ({_SOURCE}: NDCG)", corpus=True),
        Metric("mrr", f"mean of 1 / rank of the right answer ({_SOURCE}: SparseGTMetrics)"),
        *(Metric(f"recall@{k}", f"share of right answers among the best {k} (as above)") for k in _CUTS),
        Metric(
            "mean_rank",
            "mean rank of the right answer (as above)",
            higher_is_better=False,
            lower=1.0,
            upper=float(MOST_CANDIDATES),
            percent=False,
        ),
    )
    asked_in: ClassVar[tuple[str, ...]] = ("turn.question",)
    about: ClassVar[About] = About(
        paper="No row in the KOSMOS papers; candidates ranked by log-likelihood as in Flamingo (arXiv 2204.14198).",
        files="""\
`visdial_1.0_val.json`, also for train and test: visualdialog.org/data
`visdial_1.0_val_dense_annotations.json`, also for train: without it there is no NDCG
`VisualDialog_val2018/VisualDialog_val2018_000000185565.jpg`, also for test
`train2014/`, `val2014/`: COCO's pictures, for the dialogues of train""",
        licence="Dialogues CC BY 4.0; pictures from Flickr and COCO, under their owners' terms.",
        deviations=(
            "candidates of equal log-likelihood share their ranks: every metric is its expectation over their orders",
            "a round all of whose relevances are 0 has no NDCG, where the script divides zero by zero",
            "the prompt's words are our choice, as no paper gives them",
        ),
        exempt={"leak": "an earlier answer or the caption may have the words of the right answer"},
    )

    split: str = "val"
    exemplar_split: str = "train"
    by: By = "total"
    caption: str = "An image of {caption}. "
    question_mark: bool = True
    exemplar_rounds: int = 10
    separator: str = ""

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            kind = "way to rank the candidates of visdial"
            raise UnknownNameError(kind, str(self.by), get_args(By))
        if self.exemplar_rounds < 1:
            message = f"visdial: expected exemplar_rounds to be at least 1, got {self.exemplar_rounds}"
            raise UsageError(message)
        if self.caption and self.caption.count("{caption}") != 1:
            message = f'visdial: expected caption to have "{{caption}}" once, or to be empty, got {self.caption!r}'
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[VisDialSample]:
        """Return the split's rounds in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dialogue or picture is missing or inconsistent.
            UsageError: there is no such split, or the source has none of it.
        """
        if split not in self.splits:
            kind = "split of visdial"
            raise UnknownNameError(kind, split, self.splits)
        whole = split != self.split  # exemplars are whole dialogues, and a million lists of candidates are not kept
        match source.kind:
            case "mini":
                return read_mini(split, whole=whole)
            case "folder":
                return read_folder(source.folder, split, whole=whole)
            case "hub":
                message = "visdial: expected --data mini or a folder of the official files, got hub; no copy is known"
                raise UsageError(message)

    def ask(
        self, sample: VisDialSample, exemplars: Sequence[VisDialSample]
    ) -> Generator[Request, Response, tuple[float, ...]]:
        """Ask for the likelihood of every candidate, solved dialogues in front; return what they are ranked by."""
        solved = []
        for each in exemplars:
            shown = (*each.history, each.turn)[-self.exemplar_rounds :]
            said = " ".join(self._question(turn.question) + f" {turn.answer}" for turn in shown)
            solved.append(Prompt.of(each.image, self._opening(each) + said + self.separator))
        before = "".join(self._question(turn.question) + f" {turn.answer} " for turn in sample.history)
        prompt = Prompt.of(*solved, sample.image, self._opening(sample) + before + self._question(sample.turn.question))
        response = yield ScoreRequest(prompt, tuple(map(Continuation, sample.candidates)))
        assert isinstance(response, Scored)
        return weights_of(response.continuations, self.by)

    def _opening(self, sample: VisDialSample) -> str:
        return self.caption.replace("{caption}", sample.caption.strip().rstrip("."))

    def _question(self, question: str) -> str:
        text = question.strip()
        return f"Question: {text}{'?' if self.question_mark and not text.endswith('?') else ''} Answer:"

    def gold(self, sample: VisDialSample, request: Request) -> Sequence[float]:  # noqa: ARG002  of the contract
        """Return weights that put the right answer first and the others in the order of their relevance."""
        relevance = sample.relevance or (0.0,) * len(sample.candidates)
        return [each + 2 * (place == sample.target) for place, each in enumerate(relevance)]

    def shuffled(self, sample: VisDialSample, order: Sequence[int]) -> VisDialSample:
        """Return the round with its candidates, and what was judged of them, in another order."""
        return replace(
            sample,
            candidates=tuple(sample.candidates[place] for place in order),
            relevance=tuple(sample.relevance[place] for place in order if sample.relevance),
            target=None if sample.target is None else order.index(sample.target),
        )

    def score(self, sample: VisDialSample, answer: tuple[float, ...]) -> RankedScore:
        """Return how high the right answer is ranked, and the NDCG where relevances were judged.

        Where a log-likelihood is not finite nothing can be ranked: the answer is unparsed, and the right one is taken
        to be the last.
        """
        right, count = sample.turn.answer, len(sample.candidates)
        if not all(map(math.isfinite, answer)):
            values = _values(range(count, count + 1)) if sample.target is not None else {}
            worst = 0.0 if any(sample.relevance) else None
            return RankedScore(values, None, right, "a log-likelihood is not finite", ndcg=worst)
        best, second = sorted(answer, reverse=True)[:2]
        chosen = sample.candidates[answer.index(best)]
        ranks = whole_ranks(answer)
        if sample.target is None:
            return RankedScore({}, chosen, right, "the right answer is not public", best - second, ranks)
        possible = possible_ranks(answer, sample.target)
        gain = ndcg(answer, sample.relevance) if sample.relevance else None
        said = f"the right answer is number {expected_rank(possible):g} of {count}"
        if gain is not None:
            said += f"; NDCG {gain:.4f}"
        return RankedScore(_values(possible), chosen, right, said, best - second, ranks, gain)

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return the mean NDCG over the rounds that have one."""
        import numpy as np  # noqa: PLC0415  listing tasks needs no numbers

        from kosmos_eval.corpus import CorpusScore, Summed  # noqa: PLC0415  brings numpy

        gains = [score.ndcg if isinstance(score, RankedScore) else None for _, score in scored]
        own = np.array([np.nan if gain is None else gain for gain in gains])
        judged = ~np.isnan(own)
        if not judged.any():
            reason = "none of the rounds has judged relevances; ask more of them, or add the dense annotations"
            return {"ndcg": CorpusScore(None, unavailable=f"NDCG: {reason} (kosmos-eval describe visdial)")}
        statistics = np.stack([np.where(judged, own, 0.0), judged], axis=1).astype(np.float64)
        return {"ndcg": CorpusScore(Summed(statistics, "ratio"), own)}

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write what the challenge's server takes, `[{"image_id": 1, "round_id": 3, "ranks": [17, ...]}, ...]`.

        Of equally likely candidates the first is ranked first; where nothing could be ranked, all are in their order.
        """
        rows = []
        for sample, score in answers:
            assert isinstance(sample, VisDialSample)
            assert isinstance(score, RankedScore)
            ranks = score.ranks or range(1, len(sample.candidates) + 1)
            rows.append({"image_id": sample.image_id, "round_id": sample.round_id, "ranks": list(ranks)})
        from kosmos_eval.writing import whole_file  # noqa: PLC0415  brings the statistics, which listing tasks needs not

        path = folder / f"visdial_1.0_{self.split}_ranks.json"
        with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
            json.dump(rows, file)
        return path


def _values(ranks: range) -> dict[str, float]:
    """Return the metrics of an answer that can have these ranks."""
    values = {"mrr": reciprocal_rank(ranks), "mean_rank": expected_rank(ranks)}
    return values | {f"recall@{k}": recall_at(k, ranks) for k in _CUTS}


if TYPE_CHECKING:
    _CHECKED: type[Task[VisDialSample, tuple[float, ...]]] = VisDial
