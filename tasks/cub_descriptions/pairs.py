"""Pairs of species, the file that names them, and which words tell the two of a pair apart.

A file of pairs is CSV, or a JSON list of objects, with two rows a pair:

    pair,category,folder,name,short,description
    1,woodpecker,192.Downy_Woodpecker,downy woodpecker,downy,"It has white spots on its black wings and ..."

`folder` is a class of CUB-200-2011, with or without its number, or any folder of pictures; `short` is what tells a
species from the other of its pair, as the question without descriptions names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.data.folder import find_if_there, read_field, read_json, read_table
from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS = ("pair", "category", "folder", "name", "short", "description")


class Bird(NamedTuple):
    """A species: where its pictures are, what it is called, what tells it from the other of its pair, and its looks."""

    folder: str
    name: str
    short: str
    description: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two species of a general category."""

    key: str
    category: str
    birds: tuple[Bird, Bird]

    def words(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the words that only the one and only the other is called by."""
        for first, second in ((bird.short for bird in self.birds), (bird.name for bird in self.birds)):
            one, other = stems(first), stems(second)
            if one - other and other - one:
                return one - other, other - one
        return frozenset(), frozenset()


PAPER = (
    Pair(
        "1",
        "woodpecker",
        (
            Bird(
                "187.American_Three_toed_Woodpecker",
                "three toed woodpecker",
                "three toed",
                "It has black and white stripes throughout the body and a yellow crown.",
            ),
            Bird(
                "192.Downy_Woodpecker",
                "downy woodpecker",
                "downy",
                "It has white spots on its black wings and some red on its crown.",
            ),
        ),
    ),
    Pair(
        "2",
        "penguin",
        (
            Bird("Gentoo_penguin", "Gentoo penguin", "Gentoo", "It has a black head and white patch above its eyes."),
            Bird("royal_penguin", "royal penguin", "royal", "It has a white face and a yellow crown."),
        ),
    ),
    Pair(
        "3",
        "sparrow",
        (
            Bird(
                "114.Black_throated_Sparrow",
                "black throated sparrow",
                "black throated",
                "It has white underparts and a distinctive black bib on the throat.",
            ),
            Bird(
                "120.Fox_Sparrow",
                "fox sparrow",
                "fox",
                "It has a reddish-brown plumage and a streaked breast.",
            ),
        ),
    ),
)
"""The paper's pairs (table 11). The folders are our assignment; the paper took the first pair from CUB alone."""

IN_CUB = tuple(pair for pair in PAPER if pair.category != "penguin")


def stems(text: str) -> frozenset[str]:
    """Return a text's words without their endings: toe, toes, toed and three-toed share a stem."""
    return frozenset(map(_stem, re.findall(r"[a-z0-9]+", text.casefold().replace("'", ""))))


def _stem(word: str) -> str:
    shortest = 3
    if word.endswith("s") and not word.endswith("ss") and len(word) > shortest:
        word = word[:-1]
    if word.endswith("ed") and len(word) > shortest:
        word = word[:-2]
    elif word.endswith("e"):
        word = word[:-1]
    return word[:-1] if len(word) > shortest and word[-1] == word[-2] else word


def find_pairs(folder: Path | None, named: str) -> tuple[Pair, ...]:
    """Return the pairs to be told apart.

    Args:
        folder: of the pictures; `None` is the hub.
        named: the setting `pairs`.

    Raises:
        DataError: the file is missing, or a pair has other than two species that can be told apart.
    """
    if named in {"paper", "cub"} or (folder is None and not named):
        return PAPER if named == "paper" else IN_CUB
    if named:
        path: Path | None = (folder or Path()) / Path(named).expanduser()
    else:
        assert folder is not None
        path = find_if_there(folder, "pairs.csv") or find_if_there(folder, "pairs.json")
    if path is None:
        return PAPER
    if path.suffix == ".json":
        records = read_json(path)
        if not isinstance(records, list):
            message = f"{path}: expected a list of objects with {', '.join(_COLUMNS)}, got {records!r:.40}"
            raise DataError(message)
        return make_pairs([(f"{path.name}: record {place}", each) for place, each in enumerate(records, start=1)])
    return make_pairs(read_table(path, _COLUMNS))


def make_pairs(rows: Iterable[tuple[str, Any]]) -> tuple[Pair, ...]:
    """Return the pairs that rows describe, in their order.

    Raises:
        DataError: a field is missing or blank, or a pair has other than two species that can be told apart.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for where, record in rows:
        row = {name: read_field(record, name, str, where).strip() for name in _COLUMNS}
        if blank := [name for name in _COLUMNS if not row[name]]:
            message = f'{where}: expected "{blank[0]}" to have words, got none'
            raise DataError(message)
        found.setdefault(row["pair"], []).append(row)
        if len(found[row["pair"]]) > 2 or row["category"] != found[row["pair"]][0]["category"]:  # noqa: PLR2004  a pair
            message = f"{where}: expected two rows of one category for pair {row['pair']}, got another; mend the file"
            raise DataError(message)
    pairs = []
    for key, members in found.items():
        if len(members) == 1:
            message = f"pair {key}: expected two rows, got only that of {members[0]['name']!r}; add the other"
            raise DataError(message)
        first, second = (Bird(*(row[name] for name in _COLUMNS[2:])) for row in members)
        pairs.append(Pair(key, members[0]["category"], (first, second)))
        if first.folder == second.folder or not all(pairs[-1].words()):
            message = (
                f"pair {key}: expected two folders, and words of {first.short!r} and {second.short!r} that the other "
                f"has not; mend folder or short"
            )
            raise DataError(message)
    if not pairs:
        message = "expected pairs of species, got none; add rows to the file of pairs"
        raise DataError(message)
    return tuple(pairs)
