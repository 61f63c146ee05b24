"""MemoryColor and ColorTerms: which colour does a thing usually have? Without a picture.

Source: KOSMOS-1 (arXiv 2302.14045), table 16: prompt "The color of {Object} is? {Answer}", multiple choice over 11
colour labels, zero-shot. MemoryColor is of Norlund et al. (2021, arXiv 2109.11321), ColorTerms of Bruni et al. (2012);
both are read as VaLM's repository ships them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from kosmos_eval.data.folder import INTACT
from kosmos_eval.errors import DataError
from kosmos_eval.microworld.commonsense import colour_items
from kosmos_eval.microworld.scene import COLOURS
from kosmos_eval.task import About, Metric

from .commonsense import CHOSEN, EXEMPT, FILES, LICENCE, MINI, Asked, TextQuestion, TextSample, find_file, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kosmos_eval.data.source import Source
    from kosmos_eval.task import Task

    from .commonsense import Weights

Labels = Literal["paper", "file"]
Grey = Literal["grey", "gray"]

LABELS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
"""The eleven colours of MemoryColor; the paper has 11 labels and does not name them."""

_COLOURS = (
    *CHOSEN,
    "The paper's 11 labels are not named: they are taken for the eleven of MemoryColor's file.",
    'Both files spell "grey", which stands beside the US "color" of the question; `grey` chooses the spelling.',
)


@dataclass(frozen=True)
class ObjectColor(TextQuestion):
    """The protocol; a benchmark adds its file.

    Attributes:
        labels: colours to choose from: paper, the eleven of the paper; or file, those that the file names. A choice:
            paper. The embedded data always has the microworld's eight.
        grey: how the choice is spelled that the files spell grey; either spelling is read. A choice: grey.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "accuracy", "share of things whose colour is the likeliest label (KOSMOS-1, arXiv 2302.14045, table 16)"
        ),
    )
    part: ClassVar[int]
    files: ClassVar[tuple[str, ...]]

    labels: Labels = "paper"
    grey: Grey = "grey"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("labels", get_args(Labels))
        self.expect("grey", get_args(Grey))

    def samples(self, split: str, source: Source) -> Iterable[TextSample]:
        """Return the items in the file's order.

        Raises:
            DataError: the file is missing, or something in it is wrong.
            UsageError: there is no such split.
        """
        self.check_split(split)
        return self._mini(split) if source.kind == "mini" else self._read(source.folder)

    def _mini(self, split: str) -> Iterator[TextSample]:
        for kind in colour_items(split, self.part):
            stated = {"stated": "yes" if kind.stated else "no"}
            yield _sample(
                kind.name, self.called({"descriptor": "a", self.column: kind.name}), kind.colour, COLOURS, stated
            )

    @property
    def column(self) -> str:
        """The column of things."""
        raise NotImplementedError

    def called(self, row: dict[str, str]) -> str:
        """Return what a row's thing is called in the question."""
        return row[self.column]

    def _read(self, folder: Path) -> list[TextSample]:
        path = find_file(folder, self.files)
        keys: dict[str, str] = {}
        things: dict[str, str] = {}
        found: list[tuple[str, str, str, str]] = []
        for where, row in read_rows(path, (self.column, "color")):
            thing, colour = self.called(row), row["color"].lower()
            key = row.get("index") or row[self.column]
            for kind, value, seen in (("id", key, keys), ("thing", thing, things)):
                if value in seen:
                    message = f"{where}: expected {kind} {value!r} once, got it again after {seen[value]}; {INTACT}"
                    raise DataError(message)
                seen[value] = where
            found.append((where, key, thing, self.grey if colour in get_args(Grey) else colour))
        choices = self._choices({colour for _, _, _, colour in found})
        for where, _, _, colour in found:
            if colour not in choices:
                message = f"{where}: expected a color of {', '.join(choices)}, got {colour!r:.40}; set labels=file"
                raise DataError(message)
        return [_sample(key, thing, colour, choices, {"color": colour}) for _, key, thing, colour in found]

    def _choices(self, there: set[str]) -> tuple[str, ...]:
        if self.labels == "file":
            return tuple(sorted(there))
        return tuple(self.grey if label == "grey" else label for label in LABELS)


@dataclass(frozen=True)
class MemoryColor(ObjectColor):
    """MemoryColor.

    Attributes:
        descriptor: whether a thing is called as the file describes it ("a tomato", "the inside of a watermelon"), or by
            its bare name. A choice: as described, without which some have another colour.
    """

    name: ClassVar[str] = "memory_color"
    description: ClassVar[str] = "The usual colour of a thing, without a picture, as in KOSMOS-1 table 16."
    about: ClassVar[About] = About(
        paper="KOSMOS-1, table 16: 109 things, zero-shot, accuracy.",
        files=f"- `data/object_color/memory_color_data.csv` (columns `Index`, `Descriptor`, `Item`, `Color`), {FILES}\n"
        "- or `memory_color_data.jsonl` with the same names",
        licence=LICENCE,
        deviations=(*_COLOURS, "Whether the paper names things with their descriptors is not said.", MINI),
        exempt=MappingProxyType({**EXEMPT, "leak": "the color of an orange is orange"}),
    )
    part: ClassVar[int] = 0
    files: ClassVar[tuple[str, ...]] = ("memory_color_data.csv", "memory_color_data.jsonl")

    descriptor: bool = True

    @property
    def column(self) -> str:
        """The column of things."""
        return "item"

    def called(self, row: dict[str, str]) -> str:
        """Return what a row's thing is called in the question."""
        described = row.get("descriptor", "") if self.descriptor else ""
        return f"{described} {row['item']}" if described else row["item"]


@dataclass(frozen=True)
class ColorTerms(ObjectColor):
    """ColorTerms."""

    name: ClassVar[str] = "color_terms"
    description: ClassVar[str] = "The colour of a concrete thing, without a picture, as in KOSMOS-1 table 16."
    about: ClassVar[About] = About(
        paper="KOSMOS-1, table 16: 52 things, zero-shot, accuracy.",
        files=f"- `data/object_color/color-concrete-objects.csv` (columns `object`, `color`), {FILES}\n"
        "- or `color-concrete-objects.jsonl` with the same names",
        licence=LICENCE,
        deviations=(
            *_COLOURS,
            "The file has ten of the eleven colours, no purple; `labels=file` leaves it out.",
            MINI,
        ),
        exempt=EXEMPT,
    )
    part: ClassVar[int] = 1
    files: ClassVar[tuple[str, ...]] = ("color-concrete-objects.csv", "color-concrete-objects.jsonl")

    @property
    def column(self) -> str:
        """The column of things."""
        return "object"


def _sample(key: str, thing: str, colour: str, choices: tuple[str, ...], groups: dict[str, str]) -> TextSample:
    question = Asked(f"The color of {thing} is?", colour)
    return TextSample(key=key, asked=(question,), choices=choices, groups=groups, chance=1 / len(choices))


if TYPE_CHECKING:
    _CHECKED: tuple[type[Task[TextSample, Weights]], ...] = (MemoryColor, ColorTerms)
