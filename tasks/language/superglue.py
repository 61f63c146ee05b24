"""BoolQ, CB and COPA: the language tasks of KOSMOS-1, table 13, that SuperGLUE brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.lm_eval_tasks.task import LmEvalSample
from kosmos_eval.task import About, Metric

from .base import ACC, DEVIATIONS, PAPER, Language
from .files import label_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import kosmos_eval.task as contract
    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.lm_eval_tasks.task import Likelihoods
    from kosmos_eval.task import Sample, Score, Task

    from .files import Row


def _superglue(name: str, *others: str) -> dict[str, tuple[str, ...]]:
    """Return split to where SuperGLUE's files of a task lie, those that it took them from last."""
    files = {"train": ("train.jsonl",), "validation": ("val.jsonl", *others)}
    return {
        split: tuple(f"{place}/{file}" for file in names for place in (name, name.lower(), "."))
        for split, names in files.items()
    }


@dataclass(frozen=True)
class _SuperGLUE(Language):
    """What the three share."""

    cure: ClassVar[str] = "get it at super.gluebenchmark.com"

    hub_id: str = "aps/super_glue"

    def key_of(self, row: Row) -> str:
        """Return the row's number in the dataset."""
        return str(row.get("idx", ""))


@dataclass(frozen=True)
class BoolQ(_SuperGLUE):
    """Yes or no, by a passage."""

    name: ClassVar[str] = "boolq"
    description: ClassVar[str] = "Questions to answer with yes or no by a passage (BoolQ), through lm-eval's task code."
    yaml: ClassVar[str] = "super_glue/boolq/default.yaml"
    mini: ClassVar[str] = "boolq"
    hub_config: ClassVar[str | None] = "boolq"
    columns: ClassVar[Mapping[str, type]] = {"passage": str, "question": str, "label": int}
    files: ClassVar[Mapping[str, tuple[str, ...]]] = _superglue("BoolQ", "dev.jsonl")
    about: ClassVar[About] = About(
        paper=PAPER,
        files="- `BoolQ/val.jsonl` and, for exemplars, `BoolQ/train.jsonl`: super.gluebenchmark.com",
        licence="CC BY-SA 3.0.",
        deviations=DEVIATIONS,
        exempt={"leak": "passages and questions hold the words yes and no"},
    )

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with its label as a number; before SuperGLUE it was called `answer`."""
        column = "label" if "label" in row else "answer"
        return {**row, "label": label_of(row, column, {"false": 0, "true": 1, "0": 0, "1": 1}, where)}


@dataclass(frozen=True)
class CB(_SuperGLUE):
    """Whether a hypothesis follows."""

    name: ClassVar[str] = "cb"
    description: ClassVar[str] = "Whether a sentence follows from a text (CommitmentBank), through lm-eval's task code."
    metrics: ClassVar[tuple[Metric, ...]] = (
        ACC,
        Metric("f1", "mean over the three labels of F1, as lm-eval and SuperGLUE have it", corpus=True),
    )
    yaml: ClassVar[str] = "super_glue/cb/default.yaml"
    mini: ClassVar[str] = "cb"
    hub_config: ClassVar[str | None] = "cb"
    columns: ClassVar[Mapping[str, type]] = {"premise": str, "hypothesis": str, "label": int}
    files: ClassVar[Mapping[str, tuple[str, ...]]] = _superglue("CB")
    about: ClassVar[About] = About(
        paper=f"{PAPER} Their percentages fit the 56 items of the validation split.",
        files="- `CB/val.jsonl` and, for exemplars, `CB/train.jsonl`: super.gluebenchmark.com",
        licence="SuperGLUE's; the CommitmentBank names none.",
        deviations=DEVIATIONS,
        exempt={
            "leak": "the question names the candidates",
            "gold.f1": "counts 0 for a label that no sample has",
        },
    )

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with its label as a number, as on the hub."""
        names = {"entailment": 0, "contradiction": 1, "neutral": 2, "0": 0, "1": 1, "2": 2}
        return {**row, "label": label_of(row, "label", names, where)}

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return F1, averaged over the labels."""
        from kosmos_eval.metrics.macro_f1 import macro_f1  # noqa: PLC0415  takes numpy, which listing tasks does not

        pairs = []
        for sample, score in scored:
            assert isinstance(sample, LmEvalSample)
            names = [each.strip() for each in sample.choices]
            pairs.append((sample.target, names.index(score.answer) if score.answer is not None else None))
        return {"f1": macro_f1(pairs, labels=3)}


@dataclass(frozen=True)
class COPA(_SuperGLUE):
    """Which of two is the cause or the effect."""

    name: ClassVar[str] = "copa"
    description: ClassVar[str] = "Which of two is the cause or the effect (COPA), through lm-eval's task code."
    yaml: ClassVar[str] = "super_glue/copa/default.yaml"
    mini: ClassVar[str] = "copa"
    hub_config: ClassVar[str | None] = "copa"
    columns: ClassVar[Mapping[str, type]] = {
        "premise": str,
        "choice1": str,
        "choice2": str,
        "question": str,
        "label": int,
    }
    files: ClassVar[Mapping[str, tuple[str, ...]]] = _superglue("COPA")
    about: ClassVar[About] = About(
        paper=f"{PAPER} Their percentages are whole, as of the 100 items of the validation split.",
        files="- `COPA/val.jsonl` and, for exemplars, `COPA/train.jsonl`: super.gluebenchmark.com",
        licence="BSD 2-clause.",
        deviations=DEVIATIONS,
    )

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with its label as a number."""
        return {**row, "label": label_of(row, "label", {"0": 0, "1": 1}, where)}


if TYPE_CHECKING:
    _CHECKED: tuple[type[Task[LmEvalSample, Likelihoods]], ...] = (BoolQ, CB, COPA)
    _SCORED: contract.CorpusScored = CB()
