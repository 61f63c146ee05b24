"""The Task contract: a benchmark gives samples, asks a model about each, and scores the answers.

Asking and scoring are apart. `ask` is a generator: it yields a request and is sent its response, as often as the
protocol needs, and returns the answer; the runner keeps the requests of many samples pending at once. `score` is
pure: it sees the sample and the answer and no model, so scores can be made again from recorded responses.

A task is a frozen dataclass whose fields are its settings, each with a documented default:

    @dataclass(frozen=True)
    class Colours:
        name: ClassVar[str] = "colours"
        version: ClassVar[int] = 1
        description: ClassVar[str] = "Name the colour of a square."
        sources: ClassVar[tuple[SourceKind, ...]] = ("folder",)
        metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of exact answers"),)
        split: str = "test"
        exemplar_split: str = "train"

        def samples(self, split, source): ...
        def ask(self, sample, exemplars):
            response = yield Generate(Prompt.of(sample.image, "Colour:"), max_new_tokens=4)
            return response.text
        def score(self, sample, answer): ...
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_NO_TEXTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One item of a benchmark; a task subclasses it with what it asks about and what is true.

    Attributes:
        key: the dataset's own id of the item; unique in its split.
        cluster: samples of one cluster share something (an image, a page, a dialogue), so their errors go
            together; empty when the sample stands alone.
        groups: breakdown to category, such as `{"answer_type": "number"}`; results are also shown by these.
        chance: expected value of the first metric for a random answer, if that is known.
        labelled: whether the truth is known; unlabelled samples are asked and never scored.
    """

    key: str
    cluster: str = ""
    groups: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    chance: float | None = None
    labelled: bool = True

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image of the sample, in the order of its fields, those inside containers and dataclasses too."""
        return tuple(_images(tuple(getattr(self, each.name) for each in fields(self))))

    @property
    def content(self) -> str:
        """The SHA-256 of all the sample's fields, images by their pixels: 64 hex digits; opens the images.

        Raises:
            DataError: an image is missing or corrupt.
        """
        canonical = {each.name: _canonical(getattr(self, each.name)) for each in fields(self)}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _images(value: object) -> Iterator[Image]:
    match value:
        case str() | int() | float() | None:  # most of what a sample holds
            return
        case Image():
            yield value
        case tuple() | list():
            for item in value:
                yield from _images(item)
        case dict() | MappingProxyType():
            for key in value:
                yield from _images(value[key])
        case _ if is_dataclass(value) and not isinstance(value, type):
            for each in fields(value):
                yield from _images(getattr(value, each.name))


def _canonical(value: object) -> object:
    match value:
        case str() | int() | float() | None:  # most of what a sample holds, and a truth value is an int
            return value
        case Image():
            return {"image": value.digest}
        case tuple() | list():
            return [_canonical(item) for item in value]
        case dict() | MappingProxyType():
            return {str(key): _canonical(value[key]) for key in value}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {each.name: _canonical(getattr(value, each.name)) for each in fields(value)}
        case _:
            message = f"expected sample fields to be plain values, images or containers of them, got {value!r:.80}"
            raise TypeError(message)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a benchmark reports: the mean of the samples' values of that name, or one of the whole corpus.

    Attributes:
        name: as results spell it, `accuracy`.
        description: one line with the source (paper and table, or official script).
        higher_is_better: the direction of improvement.
        lower, upper: bounds of a sample's value, and of the metric.
        corpus: it belongs to all samples together (CIDEr, ROC AUC): the task is then a `CorpusScored`, and `score`
            gives no value for it.
        percent: tables show it times 100; a mean rank is shown as it is.
    """

    name: str
    description: str
    higher_is_better: bool = True
    lower: float = 0.0
    upper: float = 1.0
    corpus: bool = False
    percent: bool = True


@dataclass(frozen=True, slots=True)
class Score:
    """What one answer is worth.

    Attributes:
        values: metric name to the sample's value, for the metrics that are means; empty when the sample is unlabelled.
        answer: the answer as it was read out of the model's response; `None` is *unparsed*: it could not be read.
            An unparsed answer earns what the official script gives it, and is counted beside the score.
        target: the truth, for people to read.
        explanation: why the score is what it is, one line.
        margin: gap between the best two candidates in nats, where candidates were compared; 0 is a tie.
    """

    values: Mapping[str, float]
    answer: str | None
    target: str = ""
    explanation: str = ""
    margin: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Notes on a task for people, as Markdown without headings.

    Attributes:
        paper: whose protocol it is and which published numbers it stands beside: paper, section, table.
        files: where each official file goes under `--data DIR`, and where to get it; one line a file.
        licence: of the data: what may be done with it.
        deviations: where the task differs from the paper or the official script, or chooses where they are silent.
        exempt: what `kosmos-eval validate` cannot prove of this task, to the reason: the name of a check
            (`{"leak": "the question names the choices"}`), or `gold.METRIC` for a metric that the perfect answer does
            not bring to its bound (`{"gold.cider": "has no bound that a caption reaches"}`); with the name of a
            variant or split in front for that alone (`{"text-only:images": "shows none"}`).
    """

    paper: str = ""
    files: str = ""
    licence: str = ""
    deviations: tuple[str, ...] = ()
    exempt: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)


S = TypeVar("S", bound=Sample)
A = TypeVar("A")


class Task(Protocol[S, A]):
    """A benchmark. `S` is its kind of sample and `A` what its `ask` returns.

    Attributes:
        name: lower-case identifier, unique among all plugins.
        version: grows whenever prompts, reading of data or scoring change a number.
        description: one line.
        sources: kinds of source that `samples` can read.
        metrics: what `score` gives values for; the first is the headline.
        split, exemplar_split: splits that are evaluated and that exemplars are drawn from.

    A task may also have
        requires: ClassVar[tuple[str, ...]], programs that must be on PATH (`("git",)`); a run that lacks one is refused
            before a weight is loaded.
        splits: ClassVar[tuple[str, ...]], the splits that can be evaluated; `NAME:SPLIT` then runs one of them.
        variants: ClassVar[Mapping[str, Mapping[str, Any]]], named settings, `{"image-only": {"page_text": False}}`;
            `NAME:VARIANT` runs the task with them.
        groups: ClassVar[Mapping[str, tuple[str, ...]]], group to the parts of this task that `--tasks GROUP` runs:
            `""` is the task with its defaults, else a split or variant, `{"kosmos1": ("", "image-only")}`.
        asked_in: ClassVar[tuple[str, ...]], fields of a sample that hold the text that is asked about, `("question",)`,
            or `("turn.question",)` for one inside a field; control `text=none` blanks them.
        answered_in: ClassVar[tuple[str, ...]], fields of a sample that hold its answer as an exemplar shows it; control
            `exemplars=shuffled-labels` exchanges them, all at once, so any other sample's must do in their place.
        about: ClassVar[About], notes for people; every built-in has them, and `docs/benchmarks.md` is made of them.
        own_data: ClassVar[bool], whether it brings its own data, whatever `--data` says; its source is then `hub`.
        exemplars_in_order: ClassVar[bool], whether k exemplars are the first k of the split, and none are drawn.
        scored_by: ClassVar[str], a digest of what scores follow from besides the task's code.
    and a method
        gold: what a perfect model would answer, see `Provable`; every built-in has it, for `kosmos-eval validate`;
        shuffled: the sample with its candidates in another order, see `Shuffles`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    description: ClassVar[str]
    sources: ClassVar[tuple[SourceKind, ...]]
    metrics: ClassVar[tuple[Metric, ...]]

    @property
    def split(self) -> str: ...  # noqa: D102  in the class docstring

    @property
    def exemplar_split(self) -> str: ...  # noqa: D102  in the class docstring

    def samples(self, split: str, source: Source) -> Iterable[S]:
        """Return the split's samples in the dataset's order, images unopened.

        Raises:
            DataError: a file is missing, corrupt or inconsistent; the message names the item.
            UsageError: there is no such split or the source is of a kind that the task cannot read.
        """
        ...

    def ask(self, sample: S, exemplars: Sequence[S]) -> Generator[Request, Response, A]:
        """Ask a model about a sample: yield requests, be sent their responses, return the answer."""
        ...

    def score(self, sample: S, answer: A) -> Score:
        """Return what the answer is worth; a pure function."""
        ...


@runtime_checkable
class CorpusScored(Protocol):
    """A task with metrics of the whole corpus (`Metric.corpus`)."""

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return the name of each corpus metric to its value over the samples.

        Args:
            scored: every labelled sample that has an answer, with what `score` gave it; at least one.
        """
        ...


@runtime_checkable
class Provable(Protocol):
    """A task that knows what a perfect model would answer; `kosmos-eval validate` tries it so, without a model."""

    def gold(self, sample: Any, request: Request) -> str | int | Sequence[float]:  # noqa: ANN401  of the task's own kind
        """Return the best answer to one of the requests that `ask` yields for a labelled sample.

        Returns:
            For a `Generate`, the text that a perfect model writes. For a `Score`, the index of the continuation that
            it prefers, or, where the whole order counts, a weight for each continuation, higher is better.
        """
        ...


@runtime_checkable
class Shuffles(Protocol):
    """A task whose samples bring candidates in an order of the dataset's: it can put them in another."""

    def shuffled(self, sample: Any, order: Sequence[int]) -> Any:  # noqa: ANN401  of the task's own kind
        """Return the sample with its candidates, and all that goes by their place, in another order.

        Args:
            sample: with candidates.
            order: the present place of each candidate of the new order.
        """
        ...


@runtime_checkable
class Traced(Protocol):
    """A task that can say which version of its data it read."""

    def provenance(self, source: Source) -> Mapping[str, str | None]:
        """Return dataset to the version that was read, `None` where that is not known; called after `samples`."""
        ...


@runtime_checkable
class Submits(Protocol):
    """A task whose unlabelled splits are scored by a server: it can write the file that the server takes."""

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write the server's submission file into the folder and return its path."""
        ...
