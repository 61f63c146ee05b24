"""Where the dialogues come from: the official files, or the embedded microworld."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.data.folder import (
    find_if_there,
    find_path,
    find_pictures,
    list_folder,
    read_field,
    read_json,
    unnested,
)
from kosmos_eval.errors import DataError
from kosmos_eval.microworld.dialogues import dialogues

from .sample import Turn, make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.prompt import Image

    from .sample import VisDialSample

MOST_CANDIDATES = 100
_MOST_RELEVANT = 1_000

_CURE = "get it from visualdialog.org/data"
_PICTURES = {
    "train": ("train2014/COCO_train2014_{:012d}.jpg", "val2014/COCO_val2014_{:012d}.jpg"),
    "val": ("VisualDialog_val2018/VisualDialog_val2018_{:012d}.jpg",),
    "test": ("VisualDialog_test2018/VisualDialog_test2018_{:012d}.jpg",),
}
_DENSE = ("dense_annotations", "dense_sample")  # of val, and, as it is downloaded, of train
_RELEVANCE = ("gt_relevance", "relevance")  # in the annotations of val, and of train
_WITHIN = ("Images", "images", "Images/mscoco", "images/mscoco")


class _File(NamedTuple):
    """The dialogues of a split, and what their numbers stand for."""

    path: Path
    dialogues: Mapping[int, Any]
    questions: Sequence[str]
    answers: Sequence[str]


def read_mini(split: str, *, whole: bool) -> Iterator[VisDialSample]:
    """Yield the rounds of the embedded microworld; see `read_folder`.

    Raises:
        UsageError: the microworld has no such split.
    """
    for dialogue in dialogues(split):
        turns = [Turn(each.question, each.answer) for each in dialogue.rounds]
        if whole:
            yield make_sample(dialogue.image, dialogue.image_id, dialogue.caption, turns)
            continue
        for number, each in enumerate(dialogue.rounds, start=1):
            yield make_sample(
                dialogue.image,
                dialogue.image_id,
                dialogue.caption,
                turns[:number],
                candidates=each.candidates,
                target=each.target,
                relevance=each.relevance,
            )


def read_folder(folder: Path, split: str, *, whole: bool) -> list[VisDialSample]:
    """Return the rounds of the official files, in their order, pictures unopened.

    The files are `visdial_1.0_{split}.json`, `visdial_1.0_{split}_dense_annotations.json`, which may be missing, and
    the pictures in the folders of their names, all in the folder or in a sub-folder of it. COCO's pictures, which the
    dialogues of train are about, are in `train2014/` and `val2014/`.

    Args:
        folder: that the user named.
        split: train, val or test.
        whole: take the last round of each dialogue only, without candidates, to serve as an exemplar.

    Raises:
        DataError: something is missing, unreadable or inconsistent; all is checked before the first sample is returned.
    """
    file = _read(find_path(folder, f"visdial_1.0_{split}.json", cure=_CURE), whole=whole)
    relevances = {} if whole else _relevances(folder, split, file)
    images = _images(folder, split, file)
    samples: list[VisDialSample] = []
    for image_id, dialogue in file.dialogues.items():
        samples += _samples(file, dialogue, images[image_id], relevances, split=split, whole=whole)
    if not samples:
        message = f'{file.path}: expected rounds with "answer_options", got none; unpack or download it again'
        raise DataError(message)
    return samples


def _read(path: Path, *, whole: bool) -> _File:
    data = read_field(read_json(path, partial(_lean, whole=whole)), "data", dict, str(path))
    found: dict[int, Any] = {}
    for number, dialogue in enumerate(read_field(data, "dialogs", list, str(path))):
        image_id = read_field(dialogue, "image_id", int, f"{path.name}: entry {number} of dialogs")
        if image_id in found:
            message = f"{path}: expected each image_id once, got {image_id} twice; unpack or download it again"
            raise DataError(message)
        found[image_id] = dialogue
    if not found:
        message = f'{path}: expected "dialogs" to have entries, got none'
        raise DataError(message)
    texts = [read_field(data, name, list, str(path)) for name in ("questions", "answers")]
    return _File(path, found, *texts)


def _lean(record: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return a round with its hundred numbers in an array, a tenth of a list's size, or without them.

    Train has 1.2 million rounds. What is no list of numbers stays as it is, and is refused when the round is read.
    """
    options = record.get("answer_options")
    if whole:
        record.pop("answer_options", None)
    elif isinstance(options, list) and all(type(each) is int and 0 <= each < 1 << 31 for each in options):
        record["answer_options"] = array("i", options)
    return record


def _samples(
    file: _File,
    dialogue: Any,  # noqa: ANN401  unread JSON
    image: Image,
    relevances: Mapping[tuple[int, int], tuple[float, ...]],
    *,
    split: str,
    whole: bool,
) -> Iterator[VisDialSample]:
    """Yield a dialogue's rounds that have candidates, or its last one."""
    image_id: int = dialogue["image_id"]
    here = f"{file.path.name}: dialogue of image {image_id}"
    caption = read_field(dialogue, "caption", str, here)
    turns: list[Turn] = []
    rounds = read_field(dialogue, "dialog", list, here)
    if not rounds:
        message = f'{here}: expected "dialog" to have rounds, got none'
        raise DataError(message)
    for number, record in enumerate(rounds, start=1):
        where = f"{here}, round {number}"
        last = number == len(rounds)
        asked = split == "test" and last
        turns.append(_turn(file, record, where, answered=not asked or "answer" in record))
        if whole and last:
            yield make_sample(image, image_id, caption, turns)
        if whole or (split == "test" and not last):
            continue
        candidates = tuple(_text(file.answers, each, "answer", where) for each in _options(record, where))
        target = _target(record, candidates, turns[-1], where) if turns[-1].answer else None
        relevance = relevances.get((image_id, number), ())
        if relevance and len(relevance) != len(candidates):
            message = (
                f"{where}: expected a relevance for each of {len(candidates)} candidates in the dense annotations, "
                f"got {len(relevance)}; take both files from one release"
            )
            raise DataError(message)
        yield make_sample(image, image_id, caption, turns, candidates=candidates, target=target, relevance=relevance)


def _turn(file: _File, record: object, where: str, *, answered: bool) -> Turn:
    question = _text(file.questions, read_field(record, "question", int, where), "question", where)
    answer = _text(file.answers, read_field(record, "answer", int, where), "answer", where) if answered else ""
    return Turn(question, answer)


def _text(texts: Sequence[object], number: int, noun: str, where: str) -> str:
    """Return the text that a number stands for; a text is kept once, whatever number of rounds refers to it."""
    text = texts[number] if 0 <= number < len(texts) else None
    if not isinstance(text, str) or not text.strip():
        message = (
            f"{where}: expected {noun} {number} to be a text, of the file's {len(texts)}, got {text!r:.40}; {_CURE}"
        )
        raise DataError(message)
    return text


def _options(record: object, where: str) -> array[int]:
    options = record.get("answer_options") if isinstance(record, dict) else None
    if isinstance(options, array) and 2 <= len(options) <= MOST_CANDIDATES:  # noqa: PLR2004  one alone is no choice
        return options
    got = f"{len(options)} of them" if isinstance(options, array) else f"{options!r:.40}"
    message = f'{where}: expected "answer_options" to list the numbers of 2 to {MOST_CANDIDATES} answers, got {got}'
    raise DataError(message)


def _target(record: object, candidates: Sequence[str], turn: Turn, where: str) -> int:
    target = read_field(record, "gt_index", int, where)
    if 0 <= target < len(candidates) and candidates[target] == turn.answer:
        return target
    message = (
        f'{where}: expected "gt_index", counted from 0, to be the place of the answer {turn.answer!r:.40} among '
        f"{len(candidates)} candidates, got {target}"
    )
    raise DataError(message)


def _relevances(folder: Path, split: str, file: _File) -> dict[tuple[int, int], tuple[float, ...]]:
    """Return picture and round, from 1, to the relevances of its candidates; nothing where the file is missing."""
    named = (f"visdial_1.0_{split}_{kind}.json" for kind in _DENSE)
    path = next((there for name in named if (there := find_if_there(folder, name))), None)
    if path is None:
        return {}
    records = read_json(path)
    if not isinstance(records, list):
        message = f"{path}: expected a list of annotations, got {type(records).__name__}; {_CURE}"
        raise DataError(message)
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    for number, record in enumerate(records):
        where = f"{path.name}: entry {number}"
        place = (read_field(record, "image_id", int, where), read_field(record, "round_id", int, where))
        rounds = len(read_field(file.dialogues.get(place[0], {"dialog": []}), "dialog", list, where))
        if place in found or not 1 <= place[1] <= rounds:
            fault = "annotated twice" if place in found else f"not in {file.path.name}, whose rounds count from 1"
            message = f"{where}: image {place[0]}, round {place[1]} is {fault}; take both files from one release"
            raise DataError(message)
        key = next((each for each in _RELEVANCE if isinstance(record, dict) and each in record), _RELEVANCE[0])
        found[place] = tuple(_relevance(each, where) for each in read_field(record, key, list, where))
    return found


def _relevance(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_RELEVANT:
        return float(value)
    message = f"{where}: expected relevances to be numbers from 0 to {_MOST_RELEVANT}, got {value!r:.40}; {_CURE}"
    raise DataError(message)


def _images(folder: Path, split: str, file: _File) -> dict[int, Image]:
    """Return the picture of each dialogue; where a split's pictures are in two folders, from the one that has it."""
    where = {number: f"{file.path.name}: dialogue of image {number}" for number in file.dialogues}
    found: dict[int, Image] = {}
    for pattern in _PICTURES[split]:
        place, _, name = pattern.partition("/")
        pictures = unnested(find_path(folder, place, within=_WITHIN, cure=f"unpack its archive there ({_CURE[7:]})"))
        names = {number: name.format(number) for number in where if number not in found}
        if pattern != _PICTURES[split][-1]:
            present = {each.name for each in list_folder(pictures)}
            names = {number: each for number, each in names.items() if each in present}
        images = find_pictures(pictures, ((where[number], each) for number, each in names.items()))
        found |= {number: images[each] for number, each in names.items()}
    return found
