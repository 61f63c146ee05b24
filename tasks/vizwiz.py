"""VizWiz VQA: questions that blind people asked about their own photographs, many of which cannot be answered.

The protocol is in `open_vqa.py`. Two scripts score the dataset, so both numbers are given: that of the VQA challenge,
whose normalisation KOSMOS-1 names (arXiv 2302.14045, section 4.2), and that of the VizWiz challenge's own evaluation.

Test has no public answers: its accuracy comes from the server that takes the submission file. KOSMOS-1 reports
test-dev, a part of test that the server chooses; scores on val, the default split, are not the published split's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.data.folder import INTACT, find_if_there, find_path, find_pictures, read_field, read_json, unnested
from kosmos_eval.data.hub import check_once, hub_rows
from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.metrics.vqa_accuracy import vizwiz_accuracy
from kosmos_eval.microworld.vizwiz import UNANSWERABLE, vizwiz_items
from kosmos_eval.task import About, Metric

from .open_vqa import DEVIATIONS, EXEMPT, VQA_ACCURACY, OpenVQA, VQASample, read_answers, read_question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.data.source import Source
    from kosmos_eval.prompt import Image
    from kosmos_eval.task import Sample, Task

_PICTURES = ("Images", "images")
_CURE = "get it from vizwiz.org/tasks-and-datasets/vqa"


@dataclass(frozen=True)
class VizWiz(OpenVQA):
    """VizWiz VQA.

    Attributes:
        split: train, val or test. KOSMOS-1's is test-dev, whose answers only the server has; val is the nearest with
            public answers, and not the published split.
        exemplar_split: likewise. An exemplar that nobody could answer shows "unanswerable", as annotators wrote.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/VizWiz-VQA: question_id, image,
            question, answers, category.
        hub_revision: commit, branch or tag. No commit is known to be the right one, so by default it is the dataset's
            present state, whose commit is written into `run.json`.
        exemplar_hub_id: the same for the exemplar split, as `lmms-lab/VizWiz-VQA` has no train split. None is known.
        exemplar_hub_revision: likewise.
    """

    name: ClassVar[str] = "vizwiz"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Blind people's questions about their photographs, as in KOSMOS-1 tables 4 and 5."
    metrics: ClassVar[tuple[Metric, ...]] = (
        VQA_ACCURACY,
        Metric("vizwiz_accuracy", "the same share, compared as by the VizWiz VQA API's own script (vqaEval.py)"),
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("",), "vqa": ("",)}
    hub_lacks: ClassVar[tuple[str, ...]] = ("train",)
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), section 4.2, tables 4 (zero-shot), 5 (few-shot) and 14, on test-dev, which "
        "the challenge's server scores.",
        files="- `val.json` (and `train.json`, `test.json`), in the folder or `Annotations/`: "
        "vizwiz.org/tasks-and-datasets/vqa\n"
        "- `val/VizWiz_val_00000000.jpg` (and `train/`, `test/`), in the folder or a sub-folder: the same page",
        licence="CC BY 4.0.",
        deviations=(
            *DEVIATIONS,
            "The default split is val: test-dev's answers are not public.",
            "The headline is by the VQA challenge's script, which KOSMOS-1 names; `vizwiz_accuracy` by VizWiz's own.",
            "The hub's copy does not say what is answerable: there, whatever is not of category `unanswerable`.",
        ),
        exempt=EXEMPT,
    )

    hub_id: str = "lmms-lab/VizWiz-VQA"

    def samples(self, split: str, source: Source) -> Iterable[VQASample]:
        """Return the split's samples in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dataset, question, answer or picture is missing or unreadable.
            UsageError: there is no such split, or the source has none of it.
        """
        if split not in self.splits:
            kind = "split of vizwiz"
            raise UnknownNameError(kind, split, self.splits)
        if source.kind == "mini":
            return _read_mini(split)
        if source.kind == "folder":
            return _read_folder(source.folder, split)
        dataset, revision = self.hub_dataset(split, exemplars=split != self.split)
        return _read_hub(dataset, revision, split)

    def values(self, text: str, answers: Sequence[str]) -> Mapping[str, float]:
        """Return what an answer is worth by both scripts."""
        return {**super().values(text, answers), "vizwiz_accuracy": vizwiz_accuracy(text, answers)}

    def submission_name(self) -> str:
        """Return the submission file's name."""
        return f"vizwiz_{self.split}_kosmos-eval_results.json"

    def submitted(self, sample: Sample, answer: str) -> Mapping[str, Any]:
        """Return `{"image": "VizWiz_test_00000000.jpg", "answer": "net"}`."""
        return {"image": sample.key, "answer": answer}


@cache
def _groups_of(answer_type: str, answerable: bool) -> Mapping[str, str]:  # noqa: FBT001  as the files say it
    """Return a sample's groups, one mapping for all samples of the same kinds."""
    return {"answer_type": answer_type, "answerable": "yes" if answerable else "no"}


def _sample(key: str, image: Image, question: str, answers: tuple[str, ...], groups: Mapping[str, str]) -> VQASample:
    """Return a sample; of answers that are as frequent, the one that was given first is the most frequent.

    An answer without words is one only where there is no other.
    """
    shown = [each for each in answers if each.strip()] or answers
    return VQASample(
        key=key,
        cluster=key,
        groups=groups,
        labelled=bool(answers),
        image=image,
        question=question,
        answers=answers,
        multiple_choice_answer=Counter(shown).most_common(1)[0][0] if answers else "",
    )


def _read_mini(split: str) -> Iterator[VQASample]:
    """Return the samples of the embedded microworld, where every split has its answers."""
    return (
        _sample(
            item.key,
            item.image,
            item.question.text,
            item.question.answers,
            {**_groups_of(item.question.answer_type, item.answerable), "picture": item.quality},
        )
        for item in vizwiz_items(split)
    )


def _read_folder(folder: Path, split: str) -> list[VQASample]:
    """Return the samples of `{split}.json` in its order, with the pictures of `{split}/`.

    Raises:
        DataError: something is missing, unreadable or inconsistent; all is checked before the first sample is returned.
    """
    path = find_path(folder, f"{split}.json", within=("Annotations",), cure=_CURE)
    records = read_json(path)
    if not isinstance(records, list) or not records:
        got = "an empty one" if isinstance(records, list) else "no list"
        message = f"{path}: expected a list of questions, got {got}; {_CURE}"
        raise DataError(message)
    named: dict[str, Any] = {}
    for number, record in enumerate(records):
        name = read_field(record, "image", str, f"{path.name}: entry {number}")
        if name in named:
            message = f"{path}: expected one question for each picture, got {name} twice; unpack or download it again"
            raise DataError(message)
        named[name] = record
    wanted = ((f"{path.name}: question on {name}", name) for name in named)
    images = find_pictures(_pictures_folder(folder, split, next(iter(named))), wanted, f"unpack {split}.zip again")
    return [
        _read_record(record, name, images[name], split, f"{path.name}: question on {name}")
        for name, record in named.items()
    ]


def _pictures_folder(folder: Path, split: str, name: str) -> Path:
    """Return the folder of a split's pictures: that of its name, or, as in the first release, one of all splits."""
    found = find_if_there(folder, split, within=_PICTURES)
    if found is None and (together := find_if_there(folder, name, within=_PICTURES)) is not None:
        return together.parent
    if found is None:
        found = find_path(folder, split, cure=f"unpack {split}.zip there ({_CURE[7:]})")
    return unnested(found)


def _read_record(record: object, name: str, image: Image, split: str, where: str) -> VQASample:
    """Return the sample of an official record: its answers, if its split has any, with their kind."""
    question = read_question(record, where)
    if split == "test":
        return _sample(name, image, question, (), {})
    answerable = read_field(record, "answerable", int, where)
    if answerable not in {0, 1}:
        message = f'{where}: expected "answerable" to be 0 or 1, got {answerable}; {INTACT}'
        raise DataError(message)
    groups = _groups_of(read_field(record, "answer_type", str, where), bool(answerable))
    return _sample(name, image, question, read_answers(record, where), groups)


def _read_hub(repository: str, revision: str | None, split: str) -> Iterator[VQASample]:
    """Yield the samples of a dataset with the columns of lmms-lab/VizWiz-VQA, pictures unopened.

    Raises:
        DataError: the dataset cannot be read, lacks columns, or a row is inconsistent.
    """
    labels = () if split == "test" else ("answers", "category")
    columns = ("question_id", "question", *labels)
    seen: set[str] = set()
    rows = hub_rows(repository, split, revision=revision, columns=columns, image_columns=("image",))
    for number, row in enumerate(rows):
        where = f"dataset {repository}, split {split}, row {number}"
        name = f"{read_field(row, 'question_id', str, where).removesuffix('.jpg')}.jpg"
        check_once(name, seen, where, "question")
        question = read_question(row, where)
        if not labels:
            yield _sample(name, row["image"], question, (), {})
            continue
        entries = [{"answer": each} for each in read_field(row, "answers", list, where)]
        category = read_field(row, "category", str, where)
        groups = _groups_of(category, category != UNANSWERABLE)
        yield _sample(name, row["image"], question, read_answers({"answers": entries}, where), groups)


if TYPE_CHECKING:
    _CHECKED: type[Task[VQASample, str]] = VizWiz
