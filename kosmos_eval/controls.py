"""Input controls: what a model answers when something that it should need is taken away or made wrong.

A control changes the requests that a task makes and nothing else: the samples, the exemplars, the scoring and the
model are those of the cell without it. What a score loses under a control is what the model got out of that input.

    image=none            without the query's pictures
    image=blank           a mid-grey picture of the same size in place of each
    image=noise           pixels drawn at random, of the same size
    image=shuffled        the picture's own tiles in another order: its colours, and no layout
    image=other-sample    the pictures of another sample of the split
    image=text-only       without any picture, those of the exemplars included
    text=none             without the text that is asked about, where the task says which it is
    exemplars=shuffled-labels   each exemplar with the answer of another (Min et al. 2022, arXiv 2202.12837)

Pictures are told by their pixels: a picture of the query is changed wherever it stands, in the prompt or before a
candidate. Exemplars never show a picture of the query, so they stay as they are, and what a model has read of them
serves a cell and its controls.

All that is drawn is a pure function of the seed, the task, and the pictures (or exemplar) that it is drawn for:
neither `--limit` nor shots nor the order of samples change it, and samples that share a picture share its stand-in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter, ne
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kosmos_eval.altered_pictures import blank, noise, shuffled
from kosmos_eval.errors import DataError, PluginError, UnknownNameError
from kosmos_eval.exemplars import permutation
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate
from kosmos_eval.trials import cell_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.record import CellResult
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Sample, Task

Change = Callable[[Image], Image | None]
"""What becomes of an image: another, itself, or nothing."""

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "image=none": "without the query's pictures",
        "image=blank": "a mid-grey picture in place of each",
        "image=noise": "random pixels in place of each",
        "image=shuffled": "each picture's tiles in another order",
        "image=other-sample": "the pictures of another sample",
        "image=text-only": "without any picture, exemplars' included",
        "text=none": "without the text that is asked about",
        "exemplars=shuffled-labels": "exemplars with the answers of others",
    }
)
"""Every control, and what it does in short."""

BLIND = "image=none"
"""The control that `--blind` names."""


@dataclass(frozen=True, slots=True)
class Control:
    """One way to take from the model what it should need.

    Attributes:
        subject: what is changed: `image`, `text` or `exemplars`.
        change: what becomes of it, `none`, `blank`, ...
    """

    subject: str
    change: str

    @property
    def name(self) -> str:
        """As `--controls` spells it, `image=none`."""
        return f"{self.subject}={self.change}"

    @property
    def description(self) -> str:
        """What it does, in short."""
        return CONTROLS[self.name]


def parse_control(text: str) -> Control:
    """Return the control of a name.

    Raises:
        UnknownNameError: there is none; the nearest is named.
    """
    if text not in CONTROLS:
        kind = "control"
        raise UnknownNameError(kind, text, CONTROLS)
    subject, _, change = text.partition("=")
    return Control(subject, change)


def main_name(cell: CellResult) -> str:
    """Return the name of the cell that a control is of; a cell's own without a control."""
    return cell_name(cell.task, cell.shots, cell.trial)


def blind_cells(cells: Sequence[CellResult]) -> Mapping[str, CellResult]:
    """Return name of each cell to the one under `image=none`, of those that have one."""
    names = {cell.name for cell in cells}
    return {main_name(cell): cell for cell in cells if cell.control == BLIND and main_name(cell) in names}


def obstacle(control: Control, task: Task[Any, Any], samples: Iterable[Sample], shots: int) -> str:
    """Return why a control cannot be applied to a task; empty where it can.

    Args:
        control: in question.
        task: the benchmark.
        samples: that are asked.
        shots: exemplars before each.
    """
    if control.subject == "text":
        return "" if getattr(task, "asked_in", ()) else "it does not say which text is asked about"
    if control.subject == "exemplars":
        if not getattr(task, "answered_in", ()):
            return "it does not say what an exemplar's answer is"
        return "" if shots else "it has no exemplars at 0 shots"
    return "" if any(sample.images for sample in samples) else "its samples have no pictures"


class Controlled:
    """A task that is asked under a control.

    Answers are of the true sample: it is scored as without the control.
    """

    def __init__(self, task: Task[Any, Any], control: Control, others: Sequence[Sample], seed: int) -> None:
        """Know what to change, and what to draw from.

        Args:
            task: the benchmark.
            control: one without an `obstacle`.
            others: samples that pictures are drawn from, or solved items that answers are drawn from.
            seed: of what is drawn.
        """
        self._task, self._control, self._others = task, control, others
        self._subject = f"{seed}|{task.name}|{control.name}"
        self._made: dict[int, Image] = {}  # by the id of the image it stands for, which it holds
        self._donors: dict[tuple[str, ...], Sample] = {}  # by the cluster and the pictures it stands in for

    def ask(self, sample: Sample, exemplars: Sequence[Sample]) -> Generator[Request, Response, Any]:
        """Ask about a sample as the task does, every request changed.

        Raises:
            DataError: no other sample has pictures that could stand in for the sample's.
            PluginError: the task names a field that its samples do not have.
        """
        if self._control.subject == "text":
            sample = self._blanked(sample)
        if self._control.subject == "exemplars":
            exemplars = [self._relabelled(each, sample) for each in exemplars]
        change = self._changes(sample)
        with closing(self._task.ask(sample, exemplars)) as asking:
            response: Any = None
            while True:
                try:
                    request = asking.send(response)
                except StopIteration as done:
                    return done.value
                response = yield request if change is None else _changed(request, change)

    def pictures(self, sample: Sample, exemplars: Sequence[Sample]) -> Iterator[Image]:
        """Yield the images that are read about a sample, those of its exemplars first."""
        change = self._changes(sample)
        for image in (image for each in (*exemplars, sample) for image in each.images):
            if (read := image if change is None else change(image)) is not None:
                yield read

    def _changes(self, sample: Sample) -> Change | None:
        """Return what becomes of each image of a request about a sample; `None` where none is changed."""
        if self._control.subject != "image":
            return None
        if self._control.change == "text-only":
            return lambda _image: None
        own = {id(image): image for image in sample.images}

        def change(image: Image) -> Image | None:
            if (known := own.get(id(image))) is None:  # else no picture need be opened
                known = next((each for each in own.values() if each == image), None)
            return image if known is None else self._stand_in(known, sample)

        return change

    def _stand_in(self, image: Image, sample: Sample) -> Image | None:
        """Return what stands in for an image of a sample; `None` for nothing."""
        if self._control.change == "none":
            return None
        if self._control.change == "other-sample":
            own = [each.digest for each in sample.images]
            others = self._donor(sample, own).images
            return others[own.index(image.digest) % len(others)]
        if id(image) not in self._made:
            self._made[id(image)] = self._make(image)
        return self._made[id(image)]

    def _make(self, image: Image) -> Image:
        match self._control.change:
            case "blank":
                return blank(image)
            case "noise":
                return noise(image, self._subject)
            case _:
                return shuffled(image, self._subject)

    def _donor(self, sample: Sample, own: Sequence[str]) -> Sample:
        """Return the sample whose pictures stand in for a sample's: one of as many pictures, if there is one."""
        shown = (sample.cluster, *own)
        if shown not in self._donors:
            found = chain(self._strangers(sample, own, alike=True), self._strangers(sample, own, alike=False))
            if (donor := next(found, None)) is None:
                message = (
                    f"{self._task.name}: expected another sample whose pictures can stand in for those of sample "
                    f"{sample.key}, got none; leave out --controls {self._control.name}"
                )
                raise DataError(message)
            self._donors[shown] = donor
        return self._donors[shown]

    def _strangers(self, sample: Sample, own: Sequence[str], *, alike: bool) -> Iterator[Sample]:
        """Yield, in a drawn order, the others with pictures that share neither cluster nor picture with a sample.

        Args:
            sample: the one that is asked about.
            own: digests of its pictures.
            alike: whether those with as many pictures as it has are wanted, or those with more or fewer.
        """
        for place in permutation(f"{self._subject}|{' '.join(own)}", len(self._others)):
            other = self._others[place]
            count = len(other.images)
            if not count or (count == len(own)) is not alike or other.key == sample.key:
                continue
            apart = not sample.cluster or other.cluster != sample.cluster
            if apart and set(own).isdisjoint(image.digest for image in other.images):
                yield other

    def _blanked(self, sample: Sample) -> Sample:
        """Return a sample without the text that is asked about."""
        for path in getattr(self._task, "asked_in", ()):
            if not isinstance(text := self._read(sample, path, "asked_in"), str):
                message = f"{self._task.name}: expected asked_in to name texts, got {path!r}, which is {text!r:.40}"
                raise PluginError(message)
            sample = _with(sample, path, "")
        return sample

    def _relabelled(self, exemplar: Sample, query: Sample) -> Sample:
        """Return an exemplar with the answer of another, a different one unless all are alike; never the query's.

        An answer in several fields is taken from an item that differs in each of them, if there is one: which of them
        an exemplar shows is the task's business, and annotators' votes for one answer are seldom the same.
        """
        paths = getattr(self._task, "answered_in", ())
        own = [self._read(exemplar, path, "answered_in") for path in paths]
        found: list[object] = []
        for place in permutation(f"{self._subject}|{exemplar.key}", len(self._others)):
            other = self._others[place]
            answer = [self._read(other, path, "answered_in") for path in paths]
            if other.key == query.key or answer == own:
                continue
            if all(map(ne, answer, own)):
                found = answer
                break
            found = found or answer
        for path, value in zip(paths, found or own, strict=True):
            exemplar = _with(exemplar, path, value)
        return exemplar

    def _read(self, sample: Sample, path: str, declared: str) -> object:
        """Return what stands at a path such as `question`, or `turn.question`, of a sample."""
        try:
            return attrgetter(path)(sample)
        except AttributeError as error:
            message = f"{self._task.name}: expected {declared} to name fields of its samples, got {path!r}"
            raise PluginError(message) from error


def _with(value: Any, path: str, new: object) -> Any:  # noqa: ANN401  a sample, or what its fields hold
    """Return a dataclass or named tuple with another value at a path."""
    name, _, rest = path.partition(".")
    inner = _with(getattr(value, name), rest, new) if rest else new
    return value._replace(**{name: inner}) if hasattr(value, "_replace") else replace(value, **{name: inner})


def _changed(request: Request, change: Change) -> Request:
    """Return a request with each of its images changed, in the prompt and in what leads up to continuations."""
    prompt = _read_otherwise(request.prompt, change)
    if isinstance(request, Generate):
        return replace(request, prompt=prompt)
    continuations = tuple(
        replace(each, lead=_read_otherwise(each.lead, change)) if each.lead.parts else each
        for each in request.continuations
    )
    return replace(request, prompt=prompt, continuations=continuations)


def _read_otherwise(prompt: Prompt, change: Change) -> Prompt:
    """Return a prompt with its images changed; where one is left out between two words, a space keeps them apart."""
    parts: list[str | Image] = []
    gap = False
    for part in prompt.parts:
        if isinstance(part, Image):
            made = change(part)
            gap |= made is None
            if made is not None:
                parts.append(made)
                gap = False
            continue
        before = parts[-1] if parts else None
        if gap and isinstance(before, str) and not (before[-1].isspace() or part[0].isspace()):
            parts.append(" ")
        parts.append(part)
        gap = False
    return Prompt(tuple(parts))
