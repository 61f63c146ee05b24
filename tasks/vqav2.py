"""VQA v2.0: open-ended questions about photographs, answered by ten people each; the protocol is in `open_vqa.py`.

Test-dev and test have no public answers: their accuracy comes from the server that takes the submission file. Scores
on val, the default split, are not the published split's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.data.folder import find_path, find_pictures, read_field, read_json
from kosmos_eval.data.hub import check_once, hub_rows
from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.microworld.mini import vqa_items
from kosmos_eval.task import About

from .open_vqa import DEVIATIONS, EXEMPT, OpenVQA, VQASample, read_answers, read_question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.data.source import Source
    from kosmos_eval.prompt import Image
    from kosmos_eval.task import Sample, Task

__all__ = ["VQASample", "VQAv2"]

_UNPACKED = ("Questions", "Annotations", "Images", "Images/mscoco")
_LABELS = ("answers", "multiple_choice_answer", "answer_type", "question_type")


@dataclass(frozen=True, slots=True)
class Split:
    """A split of VQA v2.0 and what it is called where.

    Attributes:
        name: as users write it.
        subtype: in the official names of questions and annotations.
        images: in the official names of pictures.
        hub: in the dataset on the hub.
        labelled: whether its annotations are published.
    """

    name: str
    subtype: str
    images: str
    hub: str
    labelled: bool


SPLITS = (
    Split("train", "train2014", "train2014", "train", labelled=True),
    Split("val", "val2014", "val2014", "validation", labelled=True),
    Split("test-dev", "test-dev2015", "test2015", "testdev", labelled=False),
    Split("test", "test2015", "test2015", "test", labelled=False),
)


def find_split(name: str) -> Split:
    """Return the split of that name: its own, its official subtype (`val2014`), or the hub's (`validation`).

    Raises:
        UnknownNameError: there is no such split.
    """
    for split in SPLITS:
        if name in {split.name, split.subtype, split.hub}:
            return split
    kind = "split of vqav2"
    raise UnknownNameError(kind, name, [split.name for split in SPLITS])


@dataclass(frozen=True)
class VQAv2(OpenVQA):
    """VQA v2.0.

    Attributes:
        split: train, val, test-dev or test. KOSMOS-1's is test-dev, whose answers only the server has; val is the
            nearest with public answers, and not the published split.
        exemplar_split: likewise.
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
    splits: ClassVar[tuple[str, ...]] = tuple(split.name for split in SPLITS)
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("",), "kosmos2": ("",), "vqa": ("",)}
    hub_lacks: ClassVar[tuple[str, ...]] = ("train",)
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), section 4.2, tables 4 (zero-shot), 5 (few-shot) and 14; KOSMOS-2 (arXiv "
        "2306.14824), table 5. Both papers report test-dev, which the challenge's server scores.",
        files="- `v2_OpenEnded_mscoco_val2014_questions.json` (and `train2014`, `test-dev2015`, `test2015`), in the "
        "folder or `Questions/`: visualqa.org/download.html\n"
        "- `v2_mscoco_val2014_annotations.json` (and `train2014`), in the folder or `Annotations/`: the same page\n"
        "- `val2014/COCO_val2014_000000000042.jpg` (and `train2014/`, `test2015/`), in the folder or `Images/mscoco/`: "
        "cocodataset.org",
        licence="Questions and answers: CC BY 4.0. Pictures: COCO's, under their Flickr licences.",
        deviations=(*DEVIATIONS, "The default split is val: test-dev's answers are not public."),
        exempt=EXEMPT,
    )

    hub_id: str = "lmms-lab/VQAv2"

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
                return read_hub(*self.hub_dataset(found.name, exemplars=found != find_split(self.split)), found)

    def submission_name(self) -> str:
        """Return a name as the challenge wants it, `vqa_OpenEnded_mscoco_{subtype}_{who}_results.json`."""
        return f"vqa_OpenEnded_mscoco_{find_split(self.split).subtype}_kosmos-eval_results.json"

    def submitted(self, sample: Sample, answer: str) -> Mapping[str, Any]:
        """Return `{"question_id": 1, "answer": "net"}`."""
        return {"question_id": int(sample.key), "answer": answer}


@cache
def groups_of(answer_type: str, question_type: str) -> Mapping[str, str]:
    """Return a sample's groups, one mapping for all samples of the same kinds."""
    return {"answer_type": answer_type, "question_type": question_type}


def question_key(record: object, where: str) -> str:
    """Return a record's question id as a key.

    Raises:
        DataError: the record has none.
    """
    return str(read_field(record, "question_id", int, where))


def read_sample(
    question: Any,  # noqa: ANN401  unread JSON
    annotation: Any,  # noqa: ANN401  as above
    image: Image,
    where: str,
    annotated: str = "",
) -> VQASample:
    """Return the sample that a question and its annotation describe; one record may hold both.

    Args:
        question: with `question_id`, `image_id` and `question`.
        annotation: with `answers`, `multiple_choice_answer`, `answer_type` and `question_type`; `None` is unlabelled.
        image: the picture.
        where: file and item, for messages.
        annotated: the same of the annotation, where it is another's.

    Raises:
        DataError: a field is missing or of the wrong kind, or nobody answered the question.
    """
    text = read_question(question, where)
    key, cluster = question_key(question, where), str(read_field(question, "image_id", int, where))
    if annotation is None:
        return VQASample(key=key, cluster=cluster, labelled=False, image=image, question=text)
    annotated = annotated or where
    answers = read_answers(annotation, annotated)
    kinds = [read_field(annotation, name, str, annotated) for name in ("answer_type", "question_type")]
    return VQASample(
        key=key,
        cluster=cluster,
        groups=groups_of(*kinds),
        image=image,
        question=text,
        answers=answers,
        multiple_choice_answer=sys.intern(read_field(annotation, "multiple_choice_answer", str, annotated)),
    )


def read_folder(folder: Path, split: Split) -> list[VQASample]:
    """Return the samples of the official files, in the order of the questions, pictures unopened.

    The files are `v2_OpenEnded_mscoco_{subtype}_questions.json`, `v2_mscoco_{subtype}_annotations.json` and the
    pictures `{images}/COCO_{images}_{image_id:012d}.jpg`, in the folder or in sub-folders as people unpack the archives
    (`Questions/`, `Annotations/`, `Images/mscoco/`, or any other folder one level down).

    Raises:
        DataError: something is missing, unreadable or inconsistent; all is checked before the first sample is returned.
    """
    cure = "get it from visualqa.org/download.html"
    questions_file = find_path(
        folder, f"v2_OpenEnded_mscoco_{split.subtype}_questions.json", within=_UNPACKED, cure=cure
    )
    questions = _records(questions_file, "questions", "question")
    annotations: dict[str, Any] = {}
    annotated = ""
    if split.labelled:
        path = find_path(folder, f"v2_mscoco_{split.subtype}_annotations.json", within=_UNPACKED, cure=cure)
        annotations = _records(path, "annotations", "annotation of question")
        _check_pairs(questions_file, questions, path, annotations)
        annotated = f"{path.name}: annotation of question"
    pictures = find_path(folder, split.images, within=_UNPACKED, cure=f"unpack {split.images}.zip there ({cure[7:]})")
    names = {key: _picture(record, split, _where(questions_file, key)) for key, record in questions.items()}
    wanted = ((_where(questions_file, key), name) for key, name in names.items())
    images = find_pictures(pictures, wanted, f"unpack {split.images}.zip again")
    return [
        read_sample(
            record,
            annotations.get(key),
            images[names[key]],
            _where(questions_file, key),
            f"{annotated} {key}" if annotated else "",
        )
        for key, record in questions.items()
    ]


def read_hub(repository: str, revision: str | None, split: Split) -> Iterator[VQASample]:
    """Yield the samples of a dataset with the columns of lmms-lab/VQAv2, pictures unopened.

    Raises:
        DataError: the dataset cannot be read, lacks columns, or a row is inconsistent.
    """
    columns = ("question_id", "image_id", "question") + (_LABELS if split.labelled else ())
    seen: set[str] = set()
    images: dict[int, Image] = {}  # the rows of one picture repeat it; the first one's is taken, and digested once
    rows = hub_rows(repository, split.hub, revision=revision, columns=columns, image_columns=("image",))
    for number, row in enumerate(rows):
        where = f"dataset {repository}, split {split.hub}, row {number}"
        key = question_key(row, where)
        check_once(key, seen, where, "question")
        image = images.setdefault(read_field(row, "image_id", int, where), row["image"])
        yield read_sample(row, row if split.labelled else None, image, where)


def read_mini(split: Split) -> Iterator[VQASample]:
    """Yield the samples of the embedded microworld, where every split has its answers.

    Raises:
        UsageError: the microworld has no such split.
    """
    for item in vqa_items(split.name):
        question = item.question
        yield VQASample(
            key=item.key,
            cluster=item.image_key,
            groups=groups_of(question.answer_type, question.question_type),
            image=item.image,
            question=question.text,
            answers=question.answers,
            multiple_choice_answer=question.answer,
        )


def _lean(record: dict[str, Any]) -> dict[str, Any]:
    """Return one of ten annotators' answers as a record that all who gave it share, and other records as they are.

    The official files hold two million answers, of a few words each and often the same.
    """
    text = record.get("answer")
    return _answer(text) if isinstance(text, str) and "answer_id" in record else record


@lru_cache(maxsize=65_536)
def _answer(text: str) -> dict[str, Any]:
    return {"answer": text}


def _picture(question: Any, split: Split, where: str) -> str:  # noqa: ANN401  unread JSON
    return f"COCO_{split.images}_{read_field(question, 'image_id', int, where):012d}.jpg"


def _where(path: Path, key: str) -> str:
    return f"{path.name}: question {key}"


def _records(path: Path, name: str, noun: str) -> dict[str, Any]:
    """Return a file's list of records by their question ids, in order."""
    found: dict[str, Any] = {}
    for number, record in enumerate(read_field(read_json(path, _lean), name, list, str(path))):
        key = question_key(record, f"{path.name}: entry {number} of {name}")
        if key in found:
            message = f"{path}: expected each question id once, got {noun} {key} twice; unpack or download it again"
            raise DataError(message)
        found[key] = record
    if not found:
        message = f'{path}: expected "{name}" to have entries, got none'
        raise DataError(message)
    return found


def _check_pairs(
    questions_file: Path, questions: dict[str, Any], annotations_file: Path, annotations: dict[str, Any]
) -> None:
    """Do nothing if questions and annotations belong together."""
    cure = "take both files from one release"
    for key in questions:
        if key not in annotations:
            message = f"{_where(questions_file, key)} has no annotation in {annotations_file.name}; {cure}"
            raise DataError(message)
    for key, annotation in annotations.items():
        where = f"{annotations_file.name}: annotation of question {key}"
        if key not in questions:
            message = f"{where} has no question in {questions_file.name}; {cure}"
            raise DataError(message)
        image = read_field(questions[key], "image_id", int, _where(questions_file, key))
        if read_field(annotation, "image_id", int, where) != image:
            message = f"{where}: expected image_id {image} as in {questions_file.name}, got another; {cure}"
            raise DataError(message)


if TYPE_CHECKING:
    _CHECKED: type[Task[VQASample, str]] = VQAv2
