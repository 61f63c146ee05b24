"""The benchmark: KOSMOS-1's prompt, answered freely or with one of the classes' names.

Source: KOSMOS-1 (arXiv 2302.14045), the zero-shot image classification of section 4 and table 10: the photograph and
"The photo of the", beam search with two beams, right when the text is the class's name; "without constraints" the
model writes what it likes, "with constraints" it can write nothing but one of the 1,000 names.

The paper does not say which list of names it used, how texts are compared, how long they may be, nor how beams of
unequal length are. These are settings here. It gives no top-5: here, names are ranked by their likelihood for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

from kosmos_eval.choice import By, choose, weights_of
from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import About, Metric, Score

from .class_names import SYNONYMS, ClassNames, Synonyms, read_class_names
from .sample import (
    MATCHES,
    ImageNetSample,
    Match,
    distinct,
    fold,
    folded,
    groups_of,
    right_names,
    share_in_top,
    shared_by,
)
from .sources import FOLDERS, HUB_SPLITS, Picture, find_class_names, find_hub_names, read_folder, read_hub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

ConstrainedBy = Literal["beam", "scoring"]

_TOP = 5
_TOP1 = Metric("top1", "share of photographs whose class is named (KOSMOS-1, arXiv 2302.14045, table 10)")
_TOP5 = Metric("top5", "share whose class's name is the answer or among the four likeliest others; constrained only")


class Answer(NamedTuple):
    """What was written, and how likely each distinct name is; either may be missing."""

    text: str | None = None
    weights: tuple[float, ...] | None = None


class _Read(NamedTuple):
    """An answer that could be read: its text, which of the distinct names it is, and by how much it was chosen."""

    text: str
    places: frozenset[int]
    margin: float | None


@dataclass(frozen=True)
class ImageNet(HubSettings):
    """ImageNet (ILSVRC2012).

    Classes may share a name: lists of 1,000 names have two cranes, two maillots, or a Cardigan beside a cardigan.
    A text is right when it is the name of the photograph's class, so it is right for every class of that name; what
    two texts are compared by is `match`. A name that several classes share is asked about once.

    Attributes:
        split: val or train.
        exemplar_split: likewise.
        constrained: the answer can be nothing but one of the classes' names; otherwise the model writes freely.
        constrained_by: with `constrained`, `beam` is beam search that is kept to the names, as in the paper, and
            `scoring` takes the likeliest of all names, which misses none.
        top5: with `constrained`, ask how likely every name is and report top-5. With `beam` this is a second request,
            and with 1,000 names each photograph takes up to 0.5 MB of the run's folder; `scoring` asks it anyway.
        scored_by: names of unequal length are compared by their log-likelihood a token (`per_token`), in all (`total`)
            or a character (`per_character`). A choice: a token, as beam search does with a length penalty of 1.
        match: `folded` compares texts without regard to case, spaces and punctuation at their ends, `exact` without
            regard to spaces only. A choice: the paper says "exact match" and shows no list of names.
        synonyms: `first` takes a class's first name, up to the first comma, where a file gives several (tench, Tinca
            tinca); `all` takes them as one text. A choice.
        class_names: file of class names, in the folder or by its whole path; empty is the first known file in the
            folder, and the dataset's own names on the hub.
        labels: file of labels, for photographs that lie beside each other; empty is the first known file.
        exemplars_per_class: photographs of each class that exemplars are drawn from, the first by name: the train
            split has 1,281,167.
        prompt: what follows the photograph.
        num_beams: of beam search.
        length_penalty: beams are compared by their log-likelihood divided by their length to this power. A choice: 1.
        max_new_tokens: most tokens of a free answer. A choice: the longest names have about ten.
        stop: texts that end a free answer besides the model's end token. A choice.
        separator: text after each exemplar. A choice: none, the next photograph follows at once.
        hub_id: dataset on the hub, or a local copy of one, with the columns image and label, labels in the order of the
            sorted WordNet ids; its columns have not been seen. Access is given on its page.
    """

    name: ClassVar[str] = "imagenet"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Name what a photograph shows (ImageNet, 1,000 classes), as in KOSMOS-1 table 10."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (_TOP1, _TOP5)
    splits: ClassVar[tuple[str, ...]] = ("val", "train")
    variants: ClassVar[Mapping[str, Mapping[str, bool]]] = {
        "unconstrained": {"constrained": False},
        "constrained": {"constrained": True},
    }
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "kosmos1": ("", "constrained"),
        "classification": ("", "constrained"),
    }
    answered_in: ClassVar[tuple[str, ...]] = ("target",)
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), section 4, table 10: 4.0 without and 38.1 with constraints, top-1.",
        files=(
            "`val/` with a sub-folder a class (`val/n01440764/ILSVRC2012_val_00000293.JPEG`), or with all photographs "
            "beside each other; then also `LOC_val_solution.csv`, or `ILSVRC2012_validation_ground_truth.txt` with "
            "`meta.mat` from ILSVRC2012_devkit_t12, or `val.txt`/`val_map.txt` (`NAME.JPEG LABEL`)\n"
            "`LOC_synset_mapping.txt`, `synset_words.txt`, `imagenet_class_index.json` or a list of names: "
            "the classes' names\n"
            "`train/n01440764/`: for exemplars\n"
            "All from image-net.org after registration, or kaggle.com/c/imagenet-object-localization-challenge; "
            "unpacked there or one level down, or as Kaggle's `ILSVRC/Data/CLS-LOC/`"
        ),
        licence="For non-commercial research and education; access is asked for at image-net.org.",
        deviations=(
            "The paper's list of class names is not known: the number depends on the list.",
            "Top-5 is ours: the constrained answer and the four likeliest other names. Free text has no top-5.",
            "A name that classes share is right for each of them.",
        ),
    )

    split: str = "val"
    exemplar_split: str = "train"
    constrained: bool = False
    constrained_by: ConstrainedBy = "beam"
    top5: bool = True
    scored_by: By = "per_token"
    match: Match = "folded"
    synonyms: Synonyms = "first"
    class_names: str = ""
    labels: str = ""
    exemplars_per_class: int = 20
    prompt: str = "The photo of the"
    num_beams: int = 2
    length_penalty: float = 1.0
    max_new_tokens: int = 16
    stop: tuple[str, ...] = ("\n", "The photo of")
    separator: str = ""
    hub_id: str = "ILSVRC/imagenet-1k"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("constrained_by", self.constrained_by, get_args(ConstrainedBy)),
            ("scored_by", self.scored_by, get_args(By)),
            ("match", self.match, MATCHES),
            ("synonyms", self.synonyms, SYNONYMS),
        ):
            if value not in known:
                kind = f"value of imagenet.{name}"
                raise UnknownNameError(kind, str(value), known)
        for name, number in (
            ("num_beams", self.num_beams),
            ("max_new_tokens", self.max_new_tokens),
            ("exemplars_per_class", self.exemplars_per_class),
        ):
            if number < 1:
                message = f"imagenet: expected {name} to be at least 1, got {number}"
                raise UsageError(message)
        if "" in self.stop:
            message = "imagenet: expected every stop text to have characters, got ''"
            raise UsageError(message)
        if not self.ranks_names:  # what there is no number for is no metric of this run
            object.__setattr__(self, "metrics", (_TOP1,))

    @property
    def ranks_names(self) -> bool:
        """Whether the likelihood of every name is asked for."""
        return self.constrained and (self.top5 or self.constrained_by == "scoring")

    def samples(self, split: str, source: Source) -> Iterable[ImageNetSample]:
        """Return the split's photographs in the order of their keys, on the hub in the dataset's order, unopened.

        Raises:
            DataError: a file, a class's name, a label or a photograph is missing or unreadable.
            UsageError: there is no such split.
        """
        split = _find_split(split)
        per_class = self.exemplars_per_class if split != _find_split(self.split) else None
        if source.kind == "mini":
            return self._made(*_read_mini(split))
        if source.kind == "folder":
            classes = find_class_names(source.folder, self.class_names, self.synonyms)
            pictures = read_folder(source.folder, split, classes, labels=self.labels, per_class=per_class)
            return self._made(classes, pictures)
        dataset, revision = self.hub_place(exemplars=per_class is not None)
        if self.class_names:
            classes = read_class_names(Path(self.class_names).expanduser(), self.synonyms)
        else:
            classes = find_hub_names(dataset, split, revision, self.synonyms)
        return self._made(classes, read_hub(dataset, split, revision, classes, per_class=per_class))

    def _made(self, classes: ClassNames, pictures: Iterable[Picture]) -> Iterable[ImageNetSample]:
        names = "\n".join(classes.names)
        asked = len(distinct(names))
        for picture in pictures:
            target = picture.target
            yield ImageNetSample(
                key=picture.key,
                groups=groups_of(names, target, self.match),
                chance=len(right_names(names, target, self.match)) / asked if self.constrained else None,
                labelled=target is not None,
                image=picture.image,
                names=names,
                target=target,
            )

    def ask(self, sample: ImageNetSample, exemplars: Sequence[ImageNetSample]) -> Generator[Request, Response, Answer]:
        """Ask for the name, the exemplars with theirs in front."""
        shown = [Prompt.of(each.image, f"{self.prompt} {each.name}{self.separator}") for each in exemplars]
        prompt = Prompt.of(*shown, sample.image, self.prompt)
        options = distinct(sample.names)
        text, weights = None, None
        if not (self.constrained and self.constrained_by == "scoring"):
            written = yield Generate(
                prompt,
                # A name has no more tokens than bytes, and its end is one more.
                max_new_tokens=1 + max(len(name.encode()) for name in options)
                if self.constrained
                else self.max_new_tokens,
                stop=() if self.constrained else self.stop,
                num_beams=self.num_beams,
                length_penalty=self.length_penalty,
                constraint=options if self.constrained else None,
            )
            assert isinstance(written, Generated)
            text = written.text
        if self.ranks_names:
            scored = yield ScoreRequest(prompt, _continuations(options))
            assert isinstance(scored, Scored)
            weights = weights_of(scored.continuations, self.scored_by)
        return Answer(text, weights)

    def gold(self, sample: ImageNetSample, request: Request) -> str | int:
        """Return the class's name, or its place among the names."""
        return sample.name if isinstance(request, Generate) else distinct(sample.names).index(sample.name)

    def score(self, sample: ImageNetSample, answer: Answer) -> Score:
        """Return whether the class is named.

        An empty free answer, one that the names do not hold though they should, and likelihoods that cannot be compared
        are unparsed and earn nothing.
        """
        options = distinct(sample.names)
        read = self._read(options, answer)
        if isinstance(read, str):
            values = {metric.name: 0.0 for metric in self.metrics} if sample.labelled else {}
            return Score(values, None, sample.name, read)
        if not sample.labelled:
            return Score({}, read.text, explanation="the class of this photograph is not known", margin=read.margin)
        right = right_names(sample.names, sample.target, self.match)
        top1 = len(right & read.places) / len(read.places) if read.places else 0.0
        values = {"top1": top1}
        if answer.weights is not None:
            values["top5"] = _top5(answer, top1, read.places, right)
        said = "the name of another class" if read.places else "no class has this name"
        if right & read.places:
            said = "the class's name" if read.places <= right else "the class's name is among those that tie"
        classes = shared_by(sample.names, self.match)[fold(sample.name, self.match)]
        shared = "" if classes == 1 else f"; {classes} classes share the name {sample.name!r}"
        return Score(values, read.text, sample.name, said + shared, read.margin)

    def _read(self, options: tuple[str, ...], answer: Answer) -> _Read | str:
        """Return what was answered, or why that cannot be read."""
        if answer.text is None:
            choice = choose(answer.weights or ())
            if choice.spoilt is not None:
                return f"the log-likelihood of {options[choice.spoilt]!r} is not finite"
            return _Read(" or ".join(options[each] for each in choice.best), frozenset(choice.best), choice.margin)
        named = fold(answer.text, self.match)
        places = frozenset(place for place, name in enumerate(folded(options, self.match)) if name == named)
        if not named or (self.constrained and not places):
            return f"{answer.text!r} is none of the names" if named else "empty"
        return _Read(answer.text.strip(), places, None)


def _top5(answer: Answer, top1: float, written: frozenset[int], right: frozenset[int]) -> float:
    """Return top-5: the answer counts, and of the other names the four likeliest."""
    weights = answer.weights or ()
    if choose(weights).spoilt is not None:  # the written answer is all there is
        return top1
    if answer.text is None:
        return share_in_top(weights, right, _TOP)
    if written & right:
        return 1.0
    kept = [place for place in range(len(weights)) if place not in written]
    among = frozenset(number for number, place in enumerate(kept) if place in right)
    return share_in_top([weights[place] for place in kept], among, _TOP - 1)


@lru_cache(maxsize=8)
def _continuations(names: tuple[str, ...]) -> tuple[Continuation, ...]:
    return tuple(map(Continuation, names))


def _find_split(name: str) -> str:
    """Return the split of that name, also by the name of its folder or on the hub.

    Raises:
        UnknownNameError: there is no such split.
    """
    for split, folders in FOLDERS.items():
        if name in {*folders, HUB_SPLITS[split]}:
            return split
    kind = "split of imagenet"
    raise UnknownNameError(kind, name, FOLDERS)


def _read_mini(split: str) -> tuple[ClassNames, Iterable[Picture]]:
    """Return names and pictures of the embedded microworld: a thing's colour and shape are its class."""
    from kosmos_eval.microworld.classes import NAMES, class_items  # noqa: PLC0415  only the stand-in needs it

    pictures = (Picture(item.key, item.image, item.target) for item in class_items(split))
    return ClassNames(NAMES, (), "the microworld"), pictures


if TYPE_CHECKING:
    _CHECKED: type[Task[ImageNetSample, Answer]] = ImageNet
