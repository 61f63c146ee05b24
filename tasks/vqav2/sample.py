"""One question, and how it is read from a dataset's records."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.folder import read_field
from kosmos_eval.errors import DataError
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.prompt import Image


@dataclass(frozen=True, kw_only=True)
class VQASample(Sample):
    """A question about a picture. Its key is the question's id, its cluster the picture's.

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


def read_sample(question: Any, annotation: Any, image: Image, where: str) -> VQASample:  # noqa: ANN401  unread JSON
    """Return the sample that a question and its annotation describe; one record may hold both.

    Args:
        question: with `question_id`, `image_id` and `question`.
        annotation: with `answers`, `multiple_choice_answer`, `answer_type` and `question_type`; `None` is unlabelled.
        image: the picture.
        where: file and item, for messages.

    Raises:
        DataError: a field is missing or of the wrong kind, or nobody answered the question.
    """
    text = read_field(question, "question", str, where)
    if not text.strip():
        message = f'{where}: expected "question" to have words, got {text!r}'
        raise DataError(message)
    key, cluster = question_key(question, where), str(read_field(question, "image_id", int, where))
    if annotation is None:
        return VQASample(key=key, cluster=cluster, labelled=False, image=image, question=text)
    entries = read_field(annotation, "answers", list, where)
    if not entries:
        message = f'{where}: expected "answers" to have an answer, got none'
        raise DataError(message)
    # Four million answers are made of few different texts, which are kept once; so are the groups.
    answers = tuple(sys.intern(read_field(entry, "answer", str, where)) for entry in entries)
    kinds = [read_field(annotation, name, str, where) for name in ("answer_type", "question_type")]
    return VQASample(
        key=key,
        cluster=cluster,
        groups=groups_of(*kinds),
        image=image,
        question=text,
        answers=answers,
        multiple_choice_answer=sys.intern(read_field(annotation, "multiple_choice_answer", str, where)),
    )
