"""Where the questions come from: the official files, the hub, or the embedded microworld."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.folder import find_path, read_field, read_json
from kosmos_eval.data.hub import hub_rows
from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.microworld.mini import vqa_items
from kosmos_eval.prompt import Image

from .sample import VQASample, groups_of, question_key, read_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


_SPLITS = (
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
    for split in _SPLITS:
        if name in {split.name, split.subtype, split.hub}:
            return split
    kind = "split of vqav2"
    raise UnknownNameError(kind, name, [split.name for split in _SPLITS])


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
    if split.labelled:
        path = find_path(folder, f"v2_mscoco_{split.subtype}_annotations.json", within=_UNPACKED, cure=cure)
        annotations = _records(path, "annotations", "annotation of question")
        _check_pairs(questions_file, questions, path, annotations)
    pictures = find_path(folder, split.images, within=_UNPACKED, cure=f"unpack {split.images}.zip there ({cure[7:]})")
    images = _images(questions_file, questions, pictures, split)
    return [
        read_sample(record, annotations.get(key), images[record["image_id"]], _where(questions_file, key))
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
        if key in seen:
            message = f"{where}: expected question {key} once, got it again; name an intact copy"
            raise DataError(message)
        seen.add(key)
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


def _images(questions_file: Path, questions: dict[str, Any], pictures: Path, split: Split) -> dict[int, Image]:
    """Return the picture of each image id, one for all its questions, so that it is digested once."""
    present = {entry.name for entry in pictures.iterdir()}
    images: dict[int, Image] = {}
    missing: dict[int, str] = {}
    for key, record in questions.items():
        number = read_field(record, "image_id", int, _where(questions_file, key))
        if number in images or number in missing:
            continue
        name = f"COCO_{split.images}_{number:012d}.jpg"
        if name in present:
            images[number] = Image.from_file(pictures / name)
        else:
            missing[number] = f"{_where(questions_file, key)}: expected its picture {name} in {pictures}, found none"
    if missing:
        message = (
            f"{next(iter(missing.values()))} ({len(missing)} pictures are missing); unpack {split.images}.zip again"
        )
        raise DataError(message)
    return images
