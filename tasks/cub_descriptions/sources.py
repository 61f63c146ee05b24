"""Where the pictures of birds come from: CUB-200-2011, any folder of pictures, the hub, or the microworld."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.data.folder import find_if_there, find_path, find_pictures, list_folder, read_field, read_lines
from kosmos_eval.data.hub import hub_class_names, hub_rows
from kosmos_eval.errors import DataError
from kosmos_eval.prompt import Image
from kosmos_eval.task import Sample

from .pairs import Bird, Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kosmos_eval.microworld.birds import Species

SPLITS = ("test", "train")

Order = Callable[["Iterable[str]"], list[str]]
"""Puts names of pictures into the order in which they are taken."""

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_UNPACKED = ("images", "CUB_200_2011/images")
_FLAGS = {"0": "test", "1": "train"}


@dataclass(frozen=True, kw_only=True)
class CubSample(Sample):
    """A picture of one of two species.

    Attributes:
        image: the picture.
        pair: the two species.
        target: which of them it shows, 0 or 1.
    """

    image: Image
    pair: Pair
    target: int


def make_sample(key: str, image: Image, pair: Pair, target: int) -> CubSample:
    """Return the sample; a random choice between two names is right half the time."""
    return CubSample(key=key, groups={"pair": pair.category}, chance=0.5, image=image, pair=pair, target=target)


def read_folder(folder: Path, split: str, pairs: Iterable[Pair], count: int, order: Order) -> list[CubSample]:
    """Return the pictures of every species, pair by pair, unopened.

    Args:
        folder: what the user named.
        split: as CUB divides its pictures. Of any other folder, the first `count` in order are test, the next train.
        pairs: the species.
        count: most pictures of a species.
        order: in which they are taken.

    Raises:
        DataError: CUB's files do not fit, or a species or a picture is missing.
    """
    listing = find_if_there(folder, "images.txt", within=("CUB_200_2011",))
    cub = _read_cub(listing.parent) if listing else {}
    if not listing and (part := find_if_there(folder, "train_test_split.txt", within=("CUB_200_2011",))):
        message = f"{part.parent}: expected images.txt beside {part.name}, found none; unpack CUB_200_2011.tgz again"
        raise DataError(message)
    found = []
    for pair in pairs:
        for target, bird in enumerate(pair.birds):
            known = cub.get(_plain(bird.folder))
            if known is not None and listing is not None:
                names = order(name for name, part in known.items() if part == split)[:count]
                wanted = [(f"{listing.name}: {bird.name}", name) for name in names]
                pictures = find_pictures(listing.parent / "images", wanted, "unpack CUB_200_2011.tgz again")
            else:
                place = _own_folder(folder, bird, cub=bool(cub))
                names = order(each.name for each in list_folder(place) if _is_picture(place / each.name))
                names = names[:count] if split == "test" else names[count : 2 * count]
                pictures = {name: Image.from_file(place / name) for name in names}
            found += [make_sample(_key(pair, bird, name), image, pair, target) for name, image in pictures.items()]
    return found


def _key(pair: Pair, bird: Bird, name: str) -> str:
    return f"{pair.key}/{bird.name.replace(' ', '_')}/{name.rpartition('/')[2]}"


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _plain(name: str) -> str:
    """Return what names of classes are compared by: 187.American_Three_toed_Woodpecker without number and marks."""
    return " ".join(re.findall(r"[a-z]+", name.casefold()))


def _own_folder(folder: Path, bird: Bird, *, cub: bool) -> Path:
    cure = (
        f"put pictures of the {bird.name} there ({'CUB has none' if cub else 'or unpack CUB_200_2011.tgz'}), or "
        f"leave its pair out: --set cub_descriptions.pairs=cub, or a file of pairs of your own (see describe)"
    )
    place = find_path(folder, bird.folder, within=_UNPACKED, cure=cure)
    if not place.is_dir():
        message = f"{place}: expected a folder of pictures of the {bird.name}, got a file; {cure}"
        raise DataError(message)
    return place


def _read_cub(folder: Path) -> dict[str, dict[str, str]]:
    """Return each class's plain name to the names of its pictures, each with its split.

    Raises:
        DataError: a file is missing, or two do not fit.
    """
    cure = "unpack CUB_200_2011.tgz again"
    images, labels, classes, parts = (
        _columns(find_path(folder, f"{name}.txt", cure=cure))
        for name in ("images", "image_class_labels", "classes", "train_test_split")
    )
    for name, other in (("image_class_labels.txt", labels), ("train_test_split.txt", parts)):
        if odd := sorted(images.keys() ^ other.keys()):
            where, missing = ("images.txt", name) if odd[0] in images else (name, "images.txt")
            message = (
                f"{folder / missing}: expected picture {odd[0]} of {where}, found none ({len(odd)} differ); {cure}"
            )
            raise DataError(message)
    found: dict[str, dict[str, str]] = {_plain(name): {} for name in classes.values()}
    for number, name in images.items():
        label, part = labels[number], _FLAGS.get(parts[number])
        if label not in classes:
            path = folder / "image_class_labels.txt"
            message = f"{path}: expected a class of classes.txt for {name}, got {label!r}; {cure}"
            raise DataError(message)
        if part is None:
            message = f"{folder / 'train_test_split.txt'}: expected 0 or 1 for {name}, got {parts[number]!r}; {cure}"
            raise DataError(message)
        found[_plain(classes[label])][name] = part
    return found


def _columns(path: Path) -> dict[str, str]:
    """Return the first to the second of two columns that a blank separates."""
    found: dict[str, str] = {}
    for where, line in read_lines(path):
        key, *rest = line.split(maxsplit=1)
        if not rest:
            message = (
                f"{path}: {where.rpartition(': ')[2]}: expected a number and a value, got {line!r:.60}; unpack it again"
            )
            raise DataError(message)
        if key in found:
            message = f"{path}: expected each number once, got {key} twice; unpack CUB_200_2011.tgz again"
            raise DataError(message)
        found[key] = rest[0]
    return found


class HubPlace(NamedTuple):
    """A dataset on the hub and its revision."""

    dataset: str
    revision: str | None


def read_hub(place: HubPlace, split: str, pairs: Iterable[Pair], count: int, order: Order) -> list[CubSample]:
    """Return the pictures of every species, pair by pair, unopened; rows have no ids but their numbers.

    Raises:
        DataError: the dataset, a column or a species is missing.
    """
    names = hub_class_names(place.dataset, split, "label", revision=place.revision)
    if names is None:
        message = f"dataset {place.dataset}: expected names with column label, got plain numbers; name another copy"
        raise DataError(message)
    known = {_plain(name): number for number, name in enumerate(names)}
    rows: dict[int, dict[str, Image]] = {number: {} for number in known.values()}
    read = hub_rows(place.dataset, split, revision=place.revision, columns=["label"], image_columns=["image"])
    for number, row in enumerate(read):
        label = read_field(row, "label", int, f"dataset {place.dataset}, split {split}, row {number}")
        rows.setdefault(label, {})[f"{split}_{number:06d}"] = row["image"]
    found = []
    for pair in pairs:
        for target, bird in enumerate(pair.birds):
            if _plain(bird.folder) not in known:
                message = (
                    f"dataset {place.dataset}: expected a class {bird.folder}, got none of that name; leave its pair "
                    f"out: --set cub_descriptions.pairs=cub, or a file of pairs of your own"
                )
                raise DataError(message)
            pictures = rows[known[_plain(bird.folder)]]
            found += [
                make_sample(_key(pair, bird, name), pictures[name], pair, target) for name in order(pictures)[:count]
            ]
    return found


def read_mini(split: str, count: int) -> Iterator[CubSample]:
    """Yield pictures of the microworld's birds, drawn from what their descriptions say."""
    from kosmos_eval.microworld.birds import PAIRS, bird_items  # noqa: PLC0415  only the stand-in needs it

    pairs = {
        each: Pair(str(number), each.category, (_described(each.species[0]), _described(each.species[1])))
        for number, each in enumerate(PAIRS, start=1)
    }
    taken: dict[str, int] = {}
    for item in bird_items(split):
        name = item.pair.species[item.target].name
        taken[name] = taken.get(name, 0) + 1
        if taken[name] <= count:
            yield make_sample(item.key, item.image, pairs[item.pair], item.target)


def _described(species: Species) -> Bird:
    return Bird("", species.name, species.short, species.description)
