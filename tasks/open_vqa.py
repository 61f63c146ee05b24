"""Questions about pictures with free answers, as KOSMOS-1 asks and scores them: what VQAv2 and VizWiz have in common.

Source: KOSMOS-1 (arXiv 2302.14045), section 4.2 and tables 4 and 5: prompt "Question: {question} Answer: {answer}",
greedy, open-ended, up to the end token, zero- and few-shot. The paper does not say which of the ten answers its
exemplars show, how exemplars are separated, or how long an answer may be: these are settings here, and their defaults
are our choice.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.data.folder import INTACT, read_field
from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.metrics.vqa_accuracy import matching_annotators, vqa_accuracy
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response

VQA_ACCURACY = Metric(
    "vqa_accuracy",
    "min(1, matching annotators / 3), leaving one out (GT-Vision-Lab/VQA, vqaEval.py, commit a013f004)",
)

DEVIATIONS = (
    "An exemplar shows the answer that most annotators gave: a choice, as the paper does not say.",
    "What separates exemplars, what ends an answer besides the end token, and its greatest length are choices too.",
)

_DISAGREE = "people disagree, and the answer that most of them give need not be that of three others"
EXEMPT = {
    "leak": "some questions name the choices, as people's do: is it above or below?",
    "gold.vqa_accuracy": _DISAGREE,
    "gold.vizwiz_accuracy": _DISAGREE,
}


@dataclass(frozen=True, kw_only=True)
class VQASample(Sample):
    """A question about a picture; its cluster is the picture's id.

    Attributes:
        image: the picture.
        question: as it was asked.
        answers: what the annotators said, one each; empty when unlabelled.
        multiple_choice_answer: the most frequent answer; empty when unlabelled.
    """

    image: Image
    question: str
    answers: tuple[str, ...] = ()
    multiple_choice_answer: str = ""


@dataclass(frozen=True)
class OpenVQA(HubSettings):
    """The protocol; a benchmark adds its splits, its readers and its server's file.

    Attributes:
        split: split that is evaluated.
        exemplar_split: split that exemplars are drawn from.
        max_new_tokens: most tokens of an answer. A choice: annotators seldom write more than three words.
        stop: texts that end an answer besides the model's end token. A choice: a line break, and "Question:", where a
            model goes on with the pattern of the exemplars.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (VQA_ACCURACY,)
    asked_in: ClassVar[tuple[str, ...]] = ("question",)
    answered_in: ClassVar[tuple[str, ...]] = ("answers", "multiple_choice_answer")
    hub_lacks: ClassVar[tuple[str, ...]] = ()
    """Splits that the default dataset on the hub does not have."""

    split: str = "val"
    exemplar_split: str = "train"
    max_new_tokens: int = 10
    stop: tuple[str, ...] = ("\n", "Question:")
    separator: str = ""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            message = f"{self.name}: expected max_new_tokens to be at least 1, got {self.max_new_tokens}"
            raise UsageError(message)
        if "" in self.stop:
            message = f"{self.name}: expected every stop text to have characters, got ''"
            raise UsageError(message)

    def hub_dataset(self, split: str, *, exemplars: bool) -> tuple[str, str | None]:
        """Return id and revision of the dataset that a split comes from.

        Raises:
            UsageError: that is the default one, which is known to lack the split.
        """
        dataset, revision = self.hub_place(exemplars=exemplars)
        if split in self.hub_lacks and dataset == type(self).hub_id:
            message = (
                f"{self.name}: {dataset} has no {split} split; set exemplar_hub_id to a dataset that has one, "
                f"or exemplar_split to val, or name a folder of the official files (--data DIR)"
            )
            raise UsageError(message)
        return dataset, revision

    def ask(self, sample: VQASample, exemplars: Sequence[VQASample]) -> Generator[Request, Response, str]:
        """Ask for the answer, the exemplars with theirs in front; return what was written."""
        shown = [
            Prompt.of(each.image, f"Question: {each.question} Answer: {each.multiple_choice_answer}{self.separator}")
            for each in exemplars
        ]
        prompt = Prompt.of(*shown, sample.image, f"Question: {sample.question} Answer:")
        response = yield Generate(prompt, max_new_tokens=self.max_new_tokens, stop=self.stop)
        assert isinstance(response, Generated)
        return response.text

    def score(self, sample: VQASample, answer: str) -> Score:
        """Return the answer's accuracy; an empty answer is unparsed, and earns what the script gives it."""
        text = answer.strip()
        if not sample.labelled:
            return Score({}, text or None, explanation="the answers of this split are not public")
        matching = matching_annotators(text, sample.answers)
        said = f"given by {matching} of {len(sample.answers)} annotators"
        return Score(
            self.values(text, sample.answers),
            text or None,
            target=sample.multiple_choice_answer,
            explanation=said if text else f"empty; {said}",
        )

    def values(self, text: str, answers: Sequence[str]) -> Mapping[str, float]:
        """Return what an answer is worth by each metric, given the annotators' answers."""
        return {"vqa_accuracy": vqa_accuracy(text, answers)}

    def gold(self, sample: VQASample, _request: Request) -> str:
        """Return the answer that is worth most, the most frequent of those that are."""
        ranked = sorted(set(sample.answers), key=lambda each: (-sample.answers.count(each), each))
        return max(ranked, key=lambda each: vqa_accuracy(each, sample.answers))

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write the file that the benchmark's server takes, an unparsed answer as an empty one; never half-written."""
        rows = [self.submitted(sample, score.answer or "") for sample, score in answers]
        path = folder / self.submission_name()
        from kosmos_eval.writing import whole_file  # noqa: PLC0415  brings the statistics, which listing tasks needs not

        with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
            json.dump(rows, file)
        return path

    def submission_name(self) -> str:
        """Return the submission file's name."""
        raise NotImplementedError

    def submitted(self, sample: Sample, answer: str) -> Mapping[str, Any]:
        """Return a sample's entry in the submission file."""
        raise NotImplementedError


def read_question(record: object, where: str) -> str:
    """Return a record's question as it was asked.

    Raises:
        DataError: the record has none, or one without words.
    """
    text = read_field(record, "question", str, where)
    if not text.strip():
        message = f'{where}: expected "question" to have words, got {text!r}; {INTACT}'
        raise DataError(message)
    return text


def read_answers(record: object, where: str) -> tuple[str, ...]:
    """Return the annotators' answers of a record, `"answers": [{"answer": "net"}, ...]`.

    Raises:
        DataError: the record has none, or one is no text.
    """
    entries = read_field(record, "answers", list, where)
    if not entries:
        message = f'{where}: expected "answers" to have an answer, got none; {INTACT}'
        raise DataError(message)
    # Four million answers are made of few different texts, which are kept once.
    return tuple(sys.intern(read_field(entry, "answer", str, where)) for entry in entries)
