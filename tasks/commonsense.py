"""A question without a picture and a few words to choose from: what RelativeSize, MemoryColor and ColorTerms share.

Source: KOSMOS-1 (arXiv 2302.14045), table 16. The data is of VaLM's repository (Wang et al. 2022, arXiv 2205.10178,
github.com/Victorwz/VaLM). The paper says neither how candidates of unequal length are compared nor how exemplars would
be shown: these are settings here, and their defaults are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_args

from kosmos_eval.choice import By, weights_of
from kosmos_eval.data.folder import INTACT, find_if_there, find_path, read_json_lines, read_table
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Sample, Score

from .closed_question import score_choice

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.request import Request, Response

Weights = tuple[tuple[float, ...], ...]
"""What the choices of each question of a sample weigh, in nats."""

FILES = "as a clone of github.com/Victorwz/VaLM has it; `DIR` is the clone, its `data`, or the file's own folder"
LICENCE = "No licence comes with the file, and VaLM's repository names none."
_COMPARED = (
    "How candidates are compared (`by`) is not in the paper; the default, the mean log-probability of a token, is the "
    "only rule for a closed set that KOSMOS's authors have published (their SEED-Bench script)."
)
CHOSEN = (
    _COMPARED,
    "VaLM's own script averages several wordings; here, as in KOSMOS-1, there is one.",
    "The paper's numbers are zero-shot. The data has one split: exemplars are drawn from all its other items.",
)
MINI = (
    "The embedded data asks about made-up kinds of things of the microworld. The group `stated` keeps those apart that "
    "texts may describe (`yes`) from those that only pictures show (`no`): who has read the texts alone can only "
    "guess the latter."
)
EXEMPT: Mapping[str, str] = MappingProxyType({"splits": "the data has one split; exemplars are its other items"})

_WITHIN = tuple(f"{folder}object_{name}" for folder in ("data/", "") for name in ("color", "size"))


class Asked(NamedTuple):
    """A question and its right answer, one of the sample's choices."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class TextSample(Sample):
    """What is asked about one item.

    Attributes:
        asked: questions, mostly one; of several, exemplars show the first.
        choices: what every question is to be answered with.
    """

    asked: tuple[Asked, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class TextQuestion:
    """The protocol; a benchmark adds its choices and readers.

    Attributes:
        split: test, the only one.
        exemplar_split: train: other kinds of the embedded data. Official files have no train; there it is all items.
        by: log-likelihood that the choices are compared by: total, per_token or per_character. A choice: per_token, as
            in the SEED-Bench script of KOSMOS-2's authors.
        separator: text after each exemplar. A choice: a line feed.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "folder")
    splits: ClassVar[tuple[str, ...]] = ("test",)
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"kosmos1": ("",), "commonsense": ("",)})

    split: str = "test"
    exemplar_split: str = "train"
    by: By = "per_token"
    separator: str = "\n"

    def __post_init__(self) -> None:
        self.expect("by", get_args(By))

    def expect(self, setting: str, values: Sequence[object]) -> None:
        """Do nothing where a setting has one of its values.

        Raises:
            UsageError: it has another.
        """
        value = getattr(self, setting)
        if value not in values:
            message = f"{self.name}: expected {setting} to be one of {', '.join(map(str, values))}, got {value!r}"
            raise UsageError(message)

    def check_split(self, split: str) -> None:
        """Do nothing for a split that there is.

        Raises:
            UnknownNameError: there is no such split.
        """
        if split not in {"test", "train"}:
            kind = f"split of {self.name}"
            raise UnknownNameError(kind, split, ["test", "train"])

    def ask(self, sample: TextSample, exemplars: Sequence[TextSample]) -> Generator[Request, Response, Weights]:
        """Ask how likely each choice is after each question, the exemplars in front; return what each weighs."""
        solved = [f"{each.asked[0].question} {each.asked[0].answer}{self.separator}" for each in exemplars]
        weights = []
        for each in sample.asked:
            response = yield ScoreRequest(Prompt.of(*solved, each.question), tuple(map(Continuation, sample.choices)))
            assert isinstance(response, Scored)
            weights.append(weights_of(response.continuations, self.by))
        return tuple(weights)

    def score(self, sample: TextSample, answer: Weights) -> Score:
        """Return whether the choice that weighs most is right, the mean over the questions; see `score_choice`.

        Where one of the questions has no answer that can be compared, the sample is unparsed and earns nothing.
        """
        scores = [
            score_choice(row, sample.choices, self.by, each.answer)
            for each, row in zip(sample.asked, answer, strict=True)
        ]
        spoilt = next((each for each in scores if each.answer is None), None)
        if spoilt is not None or len(scores) == 1:
            return spoilt or scores[0]
        return Score(
            {"accuracy": fmean(each.values["accuracy"] for each in scores)},
            ", ".join(each.answer or "" for each in scores),
            ", ".join(each.target for each in scores),
            "; ".join(each.explanation for each in scores),
            min(each.margin or 0.0 for each in scores),
        )

    def gold(self, sample: TextSample, request: Request) -> int:
        """Return what a perfect model would answer: the right choice."""
        text = request.prompt.text()
        return sample.choices.index(next(each.answer for each in sample.asked if text.endswith(each.question)))


def find_file(folder: Path, names: Sequence[str]) -> Path:
    """Return the file of the first of some names that is there, in the places where clones have it.

    Raises:
        DataError: there is none, or one in several places.
    """
    for name in names:
        found = find_if_there(folder, name, within=_WITHIN)
        if found is not None:
            return found
    cure = f"clone github.com/Victorwz/VaLM, or write {' or '.join(names[1:])} of your own"
    return find_path(folder, names[0], within=_WITHIN, cure=cure)


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a CSV or JSON-lines file, each with `FILE: line N` for messages.

    Names of columns become lower case, and values lose the blanks around them: official ones have some.

    Args:
        path: of the file, `.csv` or `.jsonl`.
        columns: that every row must have, in lower case, and not empty.

    Raises:
        DataError: the file is missing, empty or not of its kind, or a row lacks a value.
    """
    found = []
    rows: Iterable[tuple[str, Any]] = read_json_lines(path) if path.suffix == ".jsonl" else read_table(path, ())
    for where, raw in rows:
        if not isinstance(raw, dict):
            message = f"{where}: expected an object with {', '.join(columns)}, got {raw!r:.40}; {INTACT}"
            raise DataError(message)
        row = {str(name).strip().lower(): "" if value is None else str(value).strip() for name, value in raw.items()}
        if missing := [name for name in columns if not row.get(name)]:
            message = f"{where}: expected a value of {missing[0]}, got none; {INTACT}"
            raise DataError(message)
        found.append((where, row))
    return found
