"""The benchmark: KOSMOS-1's prompt, greedy answers, and the accuracy of the VQA challenge.

Source: KOSMOS-1 (arXiv 2302.14045), section 4.2 and tables 4 and 5: prompt "Question: {question} Answer: {answer}",
greedy, open-ended, up to the end token, zero- and few-shot, on test-dev. The paper does not say which of the ten
answers its exemplars show, how exemplars are separated, or how long an answer may be: these are settings here, and
their defaults are our choice.

Test-dev and test have no public answers: their accuracy comes from the server that takes the submission file. Scores
on val, the default split, are not the published split's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.data.hub import resolve_commit
from kosmos_eval.errors import UsageError
from kosmos_eval.metrics.vqa_accuracy import matching_annotators, vqa_accuracy
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Metric, Sample, Score

from .sources import find_split, read_folder, read_hub, read_mini

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

    from .sample import VQASample

_HUB_ID = "lmms-lab/VQAv2"


@dataclass(frozen=True)
class VQAv2:
    """VQA v2.0.

    Attributes:
        split: train, val, test-dev or test.
        exemplar_split: likewise.
        max_new_tokens: most tokens of an answer. A choice: annotators seldom write more than three words.
        stop: texts that end an answer besides the model's end token. A choice: a line break, and "Question:", where a
            model goes on with the pattern of the exemplars.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/VQAv2.
        hub_revision: commit, branch or tag. No commit is known to be the right one, so by default it is the dataset's
            present state, whose commit is written into `run.json`.
        exemplar_hub_id: the same for the exemplar split, as `lmms-lab/VQAv2` has no train split. There is none by
            default: pminervini/VQAv2 has one, but its columns have not been seen.
        exemplar_hub_revision: likewise.
    """

    name: ClassVar[str] = "vqav2"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Open-ended questions about photographs (VQA v2.0), as in KOSMOS-1 tables 4 and 5."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "vqa_accuracy",
            "min(1, matching annotators / 3), leaving one out (GT-Vision-Lab/VQA, vqaEval.py, commit a013f004)",
        ),
    )

    split: str = "val"
    exemplar_split: str = "train"
    max_new_tokens: int = 10
    stop: tuple[str, ...] = ("\n", "Question:")
    separator: str = ""
    hub_id: str = _HUB_ID
    hub_revision: str | None = None
    exemplar_hub_id: str | None = None
    exemplar_hub_revision: str | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            message = f"vqav2: expected max_new_tokens to be at least 1, got {self.max_new_tokens}"
            raise UsageError(message)
        if "" in self.stop:
            message = "vqav2: expected every stop text to have characters, got ''"
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[VQASample]:
        """Return the split's samples in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dataset, question, annotation or picture is missing or unreadable.
            UsageError: there is no such split, or the source has none of it.
        """
        found = find_split(split)
        match source.kind:
            case "mini":
                return read_mini(found)
            case "folder":
                return read_folder(source.folder, found)
            case "hub":
                if self.exemplar_hub_id is not None and found != find_split(self.split):
                    return read_hub(self.exemplar_hub_id, self.exemplar_hub_revision, found)
                if found.name == "train" and self.hub_id == _HUB_ID:
                    message = (
                        f"vqav2: {_HUB_ID} has no train split; set exemplar_hub_id to a dataset that has one, "
                        f"or exemplar_split to val, or name a folder of the official files (--data DIR)"
                    )
                    raise UsageError(message)
                return read_hub(self.hub_id, self.hub_revision, found)

    def provenance(self, source: Source) -> dict[str, str | None]:
        """Return the commits of the hub's datasets; nothing for other sources, which have none."""
        if source.kind != "hub":
            return {}
        read = {self.hub_id: self.hub_revision}
        if self.exemplar_hub_id is not None:
            read[self.exemplar_hub_id] = self.exemplar_hub_revision
        return {dataset: resolve_commit(dataset, revision) for dataset, revision in read.items()}

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
        """Return the answer's VQA accuracy; an empty answer is unparsed, and earns what the script gives it."""
        text = answer.strip()
        if not sample.labelled:
            return Score({}, text or None, explanation="the answers of this split are not public")
        matching = matching_annotators(text, sample.answers)
        said = f"given by {matching} of {len(sample.answers)} annotators"
        return Score(
            {"vqa_accuracy": vqa_accuracy(text, sample.answers)},
            text or None,
            target=sample.multiple_choice_answer,
            explanation=said if text else f"empty; {said}",
        )

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write the file that the challenge's server takes, `[{"question_id": 1, "answer": "net"}, ...]`.

        An unparsed answer is submitted as an empty one. The file is named as the challenge names results,
        `vqa_OpenEnded_mscoco_{subtype}_{algorithm}_results.json`, and is never half-written.
        """
        rows = [{"question_id": int(sample.key), "answer": score.answer or ""} for sample, score in answers]
        path = folder / f"vqa_OpenEnded_mscoco_{find_split(self.split).subtype}_kosmos-eval_results.json"
        from kosmos_eval.writing import whole_file  # noqa: PLC0415  brings the statistics, which listing tasks needs not

        with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
            json.dump(rows, file)
        return path


if TYPE_CHECKING:
    _CHECKED: type[Task[VQASample, str]] = VQAv2
