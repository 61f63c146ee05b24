"""What the classes are called: the files of class names that people have.

    LOC_synset_mapping.txt      n01440764 tench, Tinca tinca      (Kaggle; synset_words.txt and classnames.txt alike)
    imagenet_class_index.json   {"0": ["n01440764", "tench"]}
    imagenet_classes.txt        tench                             (a name a line, in the order of the sorted ids)
    any.json                    ["tench", ...], {"0": "tench"} or {"n01440764": "tench"}
    meta.mat                    of the official development kit

A class is known by its WordNet id where the file gives one, else by its place: the order of the sorted ids, which is
the order of the labels everywhere but in the development kit.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kosmos_eval.data.folder import read_json, read_lines
from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Synonyms = Literal["first", "all"]
SYNONYMS: tuple[Synonyms, ...] = ("first", "all")

_WNID = re.compile(r"n\d{8}")
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, NotImplementedError, OverflowError, MemoryError, zlib.error)
_KEYED = re.compile(r"(n\d{8})[\s:]+(.*\S)")


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes in the order of their labels.

    Attributes:
        names: one a class.
        ids: WordNet id of each class; empty when they are not known.
        origin: where the names come from, for messages.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    origin: str

    def index(self) -> Mapping[str, int]:
        """Return WordNet id to index of the class."""
        return {wnid: place for place, wnid in enumerate(self.ids)}


def read_class_names(path: Path, synonyms: Synonyms) -> ClassNames:
    """Return the class names of a file.

    Args:
        path: of the file.
        synonyms: the first of a class's names, up to the first comma, or all of them as one text.

    Raises:
        DataError: the file is missing, of no known form, or a class is there twice or has no name.
    """
    if path.suffix == ".mat":
        kit = read_kit(path)
        pairs: list[tuple[str, str]] = sorted((each.wnid, each.words) for each in kit.values())
    elif path.suffix == ".json":
        pairs = _json_pairs(path)
    else:
        pairs = _line_pairs(path)
    return make_class_names(pairs, str(path), synonyms)


def make_class_names(pairs: Iterable[tuple[str, str]], origin: str, synonyms: Synonyms) -> ClassNames:
    """Return the classes that pairs of id and names describe, in the order of the labels; no id is an empty text.

    Raises:
        DataError: some have an id and some have none, a class is there twice, or one has no name.
    """
    listed = list(pairs)
    ids = [wnid for wnid, _ in listed if wnid]
    if ids and len(ids) < len(listed):
        name = next(name for wnid, name in listed if not wnid)
        message = f"{origin}: expected an id such as n01440764 before every name or none, got {name!r:.60} without one"
        raise DataError(message)
    seen: set[str] = set()
    for wnid in ids:
        if wnid in seen:
            message = f"{origin}: expected each class once, got {wnid} twice; remove one"
            raise DataError(message)
        seen.add(wnid)
    if ids:
        listed.sort()
    names = []
    for place, (wnid, text) in enumerate(listed):
        # Keras writes great_white_shark.
        words = " ".join((text.partition(",")[0] if synonyms == "first" else text).replace("_", " ").split())
        if not words:
            message = f"{origin}: expected a name for class {wnid or place}, got {text!r}"
            raise DataError(message)
        names.append(words)
    return ClassNames(tuple(names), tuple(wnid for wnid, _ in listed if wnid), origin)


def _line_pairs(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for where, line in read_lines(path):
        if line.startswith(("{", "[")):
            message = f"{path}: expected a name on each line, got {line!r:.40}; give it as JSON, in a file named .json"
            raise DataError(message)
        keyed = _KEYED.fullmatch(line)
        if keyed is None and _WNID.fullmatch(line):
            message = f"{path}: {where.rpartition(': ')[2]}: expected a name behind {line}, got none"
            raise DataError(message)
        pairs.append((keyed[1], keyed[2]) if keyed else ("", line))
    return pairs


def _json_pairs(path: Path) -> list[tuple[str, str]]:
    value = read_json(path)
    if isinstance(value, list):
        return [_entry(path, str(place), each) for place, each in enumerate(value)]
    if isinstance(value, dict) and value and all(_WNID.fullmatch(key) for key in value):
        return [(key, _entry(path, key, each)[1]) for key, each in value.items()]
    if isinstance(value, dict) and value and set(value) == {str(place) for place in range(len(value))}:
        return [_entry(path, str(place), value[str(place)]) for place in range(len(value))]
    message = f'{path}: expected a list of names, or an object by number ("0", "1", ...) or by id (n01440764)'
    raise DataError(message)


def _entry(path: Path, key: str, value: object) -> tuple[str, str]:
    """Return id and name of what stands for a class: `"tench"`, `["tench", ...]` or `["n01440764", "tench"]`."""
    match value:
        case str():
            return "", value
        case [str() as wnid, str() as name] if _WNID.fullmatch(wnid):
            return wnid, name
        case [str(), *_]:
            texts = [each for each in value if isinstance(each, str)]
            if len(texts) == len(value):
                return "", ", ".join(texts)
    message = f"{path}: expected class {key} to have a name, got {value!r:.60}"
    raise DataError(message)


@dataclass(frozen=True, slots=True)
class KitClass:
    """A class as the development kit describes it: its WordNet id, and its names with commas between."""

    wnid: str
    words: str


def read_kit(path: Path) -> dict[int, KitClass]:
    """Return the development kit's own number of each class, `ILSVRC2012_ID`, to the class.

    These numbers begin with 1 and do not follow the order of the WordNet ids.

    Raises:
        DataError: the file is missing, or not the development kit's.
    """
    from scipy.io import loadmat  # noqa: PLC0415  takes a quarter of a second to import, and only this file needs it
    from scipy.io.matlab import MatReadError  # noqa: PLC0415  as above

    try:
        rows: Any = loadmat(path, squeeze_me=True)["synsets"]
        return {
            int(row["ILSVRC2012_ID"]): KitClass(str(row["WNID"]), str(row["words"]))
            for row in rows.ravel()
            if int(row["num_children"]) == 0  # inner nodes of WordNet are no classes
        }
    except (OSError, *_UNREADABLE, MatReadError) as error:
        message = f"{path}: expected the synsets of ILSVRC2012's development kit ({error}); unpack it again"
        raise DataError(message) from error
