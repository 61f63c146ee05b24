"""Where the photographs come from: a folder tree, a flat folder with a file of labels, the hub, or the microworld."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.data.folder import find_if_there, find_path, list_folder, read_field, read_lines, read_table
from kosmos_eval.data.hub import hub_class_names, hub_rows
from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image

from .class_names import ClassNames, make_class_names, read_class_names, read_kit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from .class_names import Synonyms

FOLDERS = {
    "val": ("val", "validation", "ILSVRC2012_img_val", "ILSVRC2012_val"),
    "train": ("train", "ILSVRC2012_img_train", "ILSVRC2012_train"),
}
HUB_SPLITS = {"val": "validation", "train": "train"}

_WITHIN = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "ILSVRC2012_devkit_t12/data", "data")
_NAMES = (
    "LOC_synset_mapping.txt",
    "synset_words.txt",
    "imagenet_class_index.json",
    "classnames.txt",
    "imagenet_classes.txt",
    "meta.mat",
)
_UNPACKED = "ILSVRC2012_val_"
_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".webp"})
_KIT = "ILSVRC2012_validation_ground_truth.txt"
_NUMBERED = re.compile(r"(\d+)$")


class Picture(NamedTuple):
    """A labelled photograph; the class is an index, `None` where it is not known."""

    key: str
    image: Image
    target: int | None


def find_class_names(folder: Path, named: str, synonyms: Synonyms) -> ClassNames:
    """Return the class names of a folder: of the file that is named, or of the first known one that lies there.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    cure = (
        "put LOC_synset_mapping.txt (kaggle.com/c/imagenet-object-localization-challenge), imagenet_class_index.json, "
        "synset_words.txt or a list of names there, unpack ILSVRC2012_devkit_t12.tar.gz there for its meta.mat, or "
        "name a file: --set imagenet.class_names=FILE"
    )
    return read_class_names(_find(folder, (named,) if named else _NAMES, cure), synonyms)


def read_folder(folder: Path, split: str, classes: ClassNames, *, labels: str, per_class: int | None) -> list[Picture]:
    """Return the photographs of a split, ordered by their keys, unopened.

    Args:
        folder: what the user named.
        split: `val` or `train`.
        classes: what the sub-folders or the labels refer to.
        labels: file of labels for photographs that lie beside each other; empty is the first known one.
        per_class: most photographs of a class, the first by name; `None` is all.

    Raises:
        DataError: something is missing or does not fit; all is checked before the first photograph is returned.
    """
    place = _find_photographs(folder, split)
    there = [each for each in list_folder(place) if not each.name.startswith(".")]
    trees = [name for name, is_folder in there if is_folder]
    loose = [name for name, is_folder in there if not is_folder and _is_picture(name)]
    if place == folder:  # the archive was unpacked here, beside the development kit and what else there may be
        trees = []
        loose = [name for name in loose if name.startswith(_UNPACKED)]
    if not trees and not loose:
        message = f"{place}: expected photographs ({', '.join(sorted(_SUFFIXES))}), found none; unpack them there"
        raise DataError(message)
    if trees and loose:
        message = (
            f"{place}: expected photographs beside each other or in a sub-folder a class, got both "
            f"({loose[0]}, {trees[0]}/); move one kind elsewhere"
        )
        raise DataError(message)
    return _keyed(_tree(place, trees, classes, per_class) if trees else _flat(folder, place, loose, classes, labels))


def _find_photographs(folder: Path, split: str) -> Path:
    """Return the folder of a split's photographs: by its name, or the user's own, where val was unpacked as it is."""
    if split == "val" and not any(find_if_there(folder, name, within=_WITHIN) for name in FOLDERS[split]):
        for name, is_folder in list_folder(folder):
            if name.startswith(_UNPACKED) and _is_picture(name) and not is_folder:
                return folder
    return _find(folder, FOLDERS[split], "unpack ILSVRC2012's photographs there, as they are or a sub-folder a class")


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and _parted(name)[1].lower() in _SUFFIXES


def _parted(name: str) -> tuple[str, str]:
    """Return a file's name without its ending, and the ending with its dot."""
    stem, dot, suffix = name.rpartition(".")
    return stem, dot + suffix


def _find(folder: Path, names: Sequence[str], cure: str) -> Path:
    """Return where the first of these files or folders that exists lies; the message names the first."""
    for name in names:
        if found := find_if_there(folder, name, within=_WITHIN):
            return found
    return find_path(folder, names[0], within=_WITHIN, cure=cure)


class _File(NamedTuple):
    """A photograph's folder, its name there, and its class."""

    folder: Path
    name: str
    target: int


def _keyed(found: list[_File]) -> list[Picture]:
    """Return the photographs by file name without suffix, or, where names repeat, with their folder's in front."""
    stems = [_parted(file.name)[0] for file in found]
    if len(set(stems)) < len(stems):
        stems = [f"{file.folder.name}/{stem}" for file, stem in zip(found, stems, strict=True)]
    twice = [key for key, count in Counter(stems).items() if count > 1]
    if twice:
        message = f"{found[0].folder}: expected each photograph once, got {twice[0]} twice; remove one"
        raise DataError(message)
    pairs = sorted(zip(stems, found, strict=True))
    return [Picture(key, Image.from_file(file.folder / file.name), file.target) for key, file in pairs]


def _tree(place: Path, trees: list[str], classes: ClassNames, per_class: int | None) -> list[_File]:
    index = classes.index()
    if not index:  # names in the order of the sorted ids: then there must be a folder for each
        if len(trees) != len(classes.names):
            message = (
                f"{place}: expected {len(classes.names)} sub-folders, one for each name of {classes.origin}, "
                f"got {len(trees)}; use a file of names with ids, such as LOC_synset_mapping.txt"
            )
            raise DataError(message)
        index = {name: number for number, name in enumerate(trees)}
    found = []
    for name in trees:
        if name not in index:
            message = (
                f"{place}: expected a sub-folder for each id of {classes.origin}, got {name}; "
                f"rename it to its class's id (n01440764) or move it elsewhere"
            )
            raise DataError(message)
        tree = place / name
        files = [each.name for each in list_folder(tree) if _is_picture(each.name)]
        if not files:
            message = f"{tree}: expected photographs ({', '.join(sorted(_SUFFIXES))}), found none; unpack them again"
            raise DataError(message)
        found += [_File(tree, file, index[name]) for file in files[:per_class]]
    return found


def _flat(folder: Path, place: Path, files: list[str], classes: ClassNames, labels: str) -> list[_File]:
    cure = (
        f"put LOC_val_solution.csv or {_KIT} with meta.mat there, name a file of labels (--set imagenet.labels=FILE), "
        f"or sort the photographs into a sub-folder a class"
    )
    path = _find(folder, (labels,) if labels else tuple(_READERS), cure)
    read = _Labels(classes)
    _READERS.get(path.name, _by_line)(path, read)
    given = read.given
    known: dict[str, str] = {}
    for file in files:
        stem = _parted(file)[0]
        key = _number(stem) if path.name in _POSITIONAL else stem
        if key in known:
            message = f"{place}: expected one photograph {key}, got {known[key]} and {file}; remove one"
            raise DataError(message)
        known[key] = file
    unlabelled = sorted(file for key, file in known.items() if key not in given)
    if unlabelled:
        message = f"{path}: expected a label of {unlabelled[0]}, got none ({len(unlabelled)} have none); get it again"
        raise DataError(message)
    missing = [key for key in given if key not in known]
    if missing:
        message = (
            f"{path}: expected photograph {missing[0]} in {place}, found none ({len(missing)} missing); unpack it again"
        )
        raise DataError(message)
    return [_File(place, file, given[key]) for key, file in known.items()]


def _number(stem: str) -> str:
    """Return the number that a photograph's name ends in: ILSVRC2012_val_00000293 is the 293rd."""
    match = _NUMBERED.search(stem)
    return str(int(match[1])) if match else stem


class _Labels:
    """Labels as a file gives them, each checked as it is put in."""

    def __init__(self, classes: ClassNames) -> None:
        self.classes = classes
        self.index = classes.index()
        self.given: dict[str, int] = {}

    def put(self, key: str, target: int | None, where: str, said: str) -> None:
        """Keep a photograph's label.

        Raises:
            DataError: there is no such class, or the photograph has a label already.
        """
        if target is None or not 0 <= target < len(self.classes.names):
            cure = "its names have no ids: use LOC_synset_mapping.txt"
            if self.index:
                cure = "take both files from one release"
            message = f"{where}: expected the label of a class of {self.classes.origin}, got {said!r:.60}; {cure}"
            raise DataError(message)
        if key in self.given:
            message = f"{where}: expected each photograph once, got {key} twice; remove one"
            raise DataError(message)
        self.given[key] = target


def _by_kaggle(path: Path, labels: _Labels) -> None:
    """Read rows of `ILSVRC2012_val_00048981,n03995372 85 1 499 272`: the class is what stands before the first box."""
    for where, row in read_table(path, ["ImageId", "PredictionString"]):
        wnid = (row["PredictionString"].split() or [""])[0]
        labels.put(row["ImageId"].strip(), labels.index.get(wnid), where, wnid)


def _by_line(path: Path, labels: _Labels) -> None:
    """Read lines of `ILSVRC2012_val_00000001.JPEG 65`: a number from 0 in the order of the ids, or an id."""
    for where, line in read_lines(path):
        name, *said = line.replace(",", " ").split()
        stem = name.rpartition("/")[2].rpartition(".")[0] or name
        known = None
        if said:
            known = int(said[0]) if said[0].isdecimal() else labels.index.get(said[0])
        labels.put(stem, known, where, line)


def _by_place(path: Path, labels: _Labels) -> None:
    """Read ids, one a line, in the order of the photographs' numbers."""
    for place, (where, line) in enumerate(read_lines(path), start=1):
        labels.put(str(place), labels.index.get(line), where, line)


def _by_kit(path: Path, labels: _Labels) -> None:
    """Read the development kit's own numbers, one a line, which only its `meta.mat` explains."""
    meta = path.with_name("meta.mat")
    if not meta.exists():
        message = (
            f"{path}: expected meta.mat beside it, found none; its numbers are the development kit's own and not the "
            f"order of the ids: unpack ILSVRC2012_devkit_t12.tar.gz"
        )
        raise DataError(message)
    kit = read_kit(meta)
    index = labels.index or {wnid: place for place, wnid in enumerate(sorted(each.wnid for each in kit.values()))}
    for place, (where, line) in enumerate(read_lines(path), start=1):
        known = kit.get(int(line)) if line.isdecimal() else None
        labels.put(str(place), index.get(known.wnid) if known else None, where, line)


_POSITIONAL = ("imagenet_2012_validation_synset_labels.txt", "synset_labels.txt", _KIT)
_READERS: Mapping[str, Callable[[Path, _Labels], None]] = {
    "LOC_val_solution.csv": _by_kaggle,
    "imagenet_2012_validation_synset_labels.txt": _by_place,
    "synset_labels.txt": _by_place,
    _KIT: _by_kit,
    "val_map.txt": _by_line,
    "val.txt": _by_line,
    "val_labels.txt": _by_line,
}


def find_hub_names(repository: str, split: str, revision: str | None, synonyms: Synonyms) -> ClassNames:
    """Return the class names that a dataset on the hub gives with its labels.

    Raises:
        DataError: it gives none, or cannot be read.
    """
    names = hub_class_names(repository, HUB_SPLITS[split], "label", revision=revision)
    if names is None:
        message = (
            f"dataset {repository}: expected names of the classes with column label, got plain numbers; "
            f"name a file of them: --set imagenet.class_names=FILE"
        )
        raise DataError(message)
    return make_class_names((("", name) for name in names), f"dataset {repository}", synonyms)


def read_hub(
    repository: str, split: str, revision: str | None, classes: ClassNames, *, per_class: int | None
) -> Iterator[Picture]:
    """Yield the photographs of a split in the dataset's order; -1 as a label is no label.

    Raises:
        DataError: the dataset, a column or a label is not as expected.
    """
    rows = hub_rows(repository, HUB_SPLITS[split], revision=revision, columns=["label"], image_columns=["image"])
    counts: Counter[int] = Counter()
    for number, row in enumerate(rows):
        where = f"dataset {repository}, split {HUB_SPLITS[split]}, row {number}"
        label = read_field(row, "label", int, where)
        if not -1 <= label < len(classes.names):
            message = f"{where}: expected a label from 0 to {len(classes.names) - 1}, got {label}"
            raise DataError(message)
        counts[label] += 1
        if per_class is None or counts[label] <= per_class:
            # The dataset gives its photographs no ids of their own.
            yield Picture(f"{HUB_SPLITS[split]}_{number:08d}", row["image"], None if label < 0 else label)
        elif len(counts) == len(classes.names) and min(counts.values()) >= per_class:
            return
