"""RelativeSize: is one thing larger than another? Without a picture.

Source: KOSMOS-1 (arXiv 2302.14045), table 16: prompt "Is {Item1} larger than {Item2}? {Answer}", answer Yes or No, 486
pairs of 41 things, zero-shot. The pairs are of Bagherinezhad et al. (2016, arXiv 1602.00753), read as VaLM's
repository ships them: the larger thing first, in every line.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from kosmos_eval.data.folder import INTACT, read_lines
from kosmos_eval.errors import DataError
from kosmos_eval.microworld.commonsense import size_items
from kosmos_eval.task import About, Metric

from .commonsense import CHOSEN, EXEMPT, FILES, LICENCE, MINI, Asked, TextQuestion, TextSample, find_file, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kosmos_eval.data.source import Source
    from kosmos_eval.task import Task

    from .commonsense import Weights

Order = Literal["balanced", "as-listed", "both"]

_NAMES = ("sizePairsFull.txt", "sizePairsFull.csv", "sizePairsFull.jsonl")
_CHOICES = ("Yes", "No")
_UNKNOWN_ORDER = (
    "Every line of the file has the larger thing first, and the paper does not say in which order it asks; `order` is "
    "balanced, not as listed."
)


class _Pair(NamedTuple):
    """Two things.

    Attributes:
        larger, smaller: what they are called.
        cluster: see `Sample`.
        stated: whether text may say so; empty for official pairs.
    """

    larger: str
    smaller: str
    cluster: str
    stated: str = ""

    @property
    def digest(self) -> bytes:
        """What the order of a pair is drawn by."""
        return hashlib.sha256(f"relative_size|{self.larger}|{self.smaller}".encode()).digest()


@dataclass(frozen=True)
class RelativeSize(TextQuestion):
    """RelativeSize.

    Attributes:
        order: which thing of a pair is asked about first: balanced, the smaller one in every second pair, drawn by
            hashing, so that "Yes" to all is chance; as-listed, the larger one, as in the file, so that "Yes" to all is
            right, of exemplars too; or both, every pair is asked both ways and earns the mean. The paper's is not
            known. A choice: balanced.
    """

    name: ClassVar[str] = "relative_size"
    description: ClassVar[str] = "Which of two things is larger, without a picture, as in KOSMOS-1 table 16."
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "share of pairs where the right answer is likelier (KOSMOS-1, arXiv 2302.14045, table 16)"),
    )
    about: ClassVar[About] = About(
        paper="KOSMOS-1, table 16: 486 pairs, zero-shot, accuracy.",
        files=f"- `data/object_size/sizePairsFull.txt` (a larger and a smaller thing a line), {FILES}\n"
        "- or `sizePairsFull.csv` or `.jsonl` with `larger` and `smaller`",
        licence=LICENCE,
        deviations=(
            *CHOSEN,
            _UNKNOWN_ORDER,
            "Errors are computed over clusters of pairs with the same larger thing; pairs share smaller things too.",
            MINI,
        ),
        exempt=EXEMPT,
    )

    order: Order = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("order", get_args(Order))

    def samples(self, split: str, source: Source) -> Iterable[TextSample]:
        """Return the pairs in the file's order.

        Raises:
            DataError: the file is missing, or something in it is wrong.
            UsageError: there is no such split.
        """
        self.check_split(split)
        pairs = _mini_pairs(split) if source.kind == "mini" else _read(source.folder)
        turned: set[_Pair] = set()
        for stated in {each.stated for each in pairs}:  # each half is balanced by itself
            drawn = sorted((each for each in pairs if each.stated == stated), key=lambda each: each.digest)
            turned.update(drawn[1::2])
        return [self._sample(each, turned=each in turned) for each in pairs]

    def _sample(self, pair: _Pair, *, turned: bool) -> TextSample:
        listed = Asked(f"Is {pair.larger} larger than {pair.smaller}?", "Yes")
        other = Asked(f"Is {pair.smaller} larger than {pair.larger}?", "No")
        asked: tuple[Asked, ...] = (other, listed) if turned else (listed, other)
        if self.order != "both":
            asked = (listed,) if self.order == "as-listed" else asked[:1]
        groups = {"stated": pair.stated} if pair.stated else {}
        if self.order != "both":
            groups["answer"] = asked[0].answer
        key = f"{pair.larger}/{pair.smaller}"
        return TextSample(key=key, cluster=pair.cluster, asked=asked, choices=_CHOICES, groups=groups, chance=0.5)


def _mini_pairs(split: str) -> list[_Pair]:
    return [
        _Pair(larger.name, smaller.name, block, "yes" if larger.stated else "no")
        for larger, smaller, block in size_items(split)
    ]


def _read(folder: Path) -> list[_Pair]:
    path = find_file(folder, _NAMES)
    if path.suffix == ".txt":
        found = [(where, line.split("\t" if "\t" in line else None)) for where, line in read_lines(path)]
    else:
        found = [(where, [row["larger"], row["smaller"]]) for where, row in read_rows(path, ("larger", "smaller"))]
    seen: dict[frozenset[str], str] = {}
    pairs = []
    for where, words in found:
        match [each.strip() for each in words if each.strip()]:
            case [larger, smaller] if larger != smaller:
                before = seen.setdefault(frozenset((larger, smaller)), where)
            case _:
                message = f"{where}: expected a larger and a smaller thing, got {' '.join(words)!r:.60}; {INTACT}"
                raise DataError(message)
        if before != where:
            message = f"{where}: expected {larger} and {smaller} once, got them again after {before}; {INTACT}"
            raise DataError(message)
        pairs.append(_Pair(larger, smaller, cluster=larger))
    return pairs


if TYPE_CHECKING:
    _CHECKED: type[Task[TextSample, Weights]] = RelativeSize
