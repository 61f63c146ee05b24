"""Captions of photographs, as KOSMOS-1 asks and scores them: what COCO and Flickr30k have in common.

Source: KOSMOS-1 (arXiv 2302.14045), section 4.1 and tables 2, 3 and 14: prompt "An image of", beam search with 5
beams, zero-shot and with 2, 4 or 8 exemplars drawn from the training split; CIDEr and SPICE by coco-caption, on the
test split of Karpathy and Fei-Fei (arXiv 1412.2306). The paper does not say which of its five captions an exemplar
shows, how exemplars are separated, how long a caption may be, nor how beams are weighed: these are settings here, and
their defaults are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from kosmos_eval.data.folder import INTACT, find_if_there, find_path, find_pictures, read_field, read_json, unnested
from kosmos_eval.data.hub import HubSettings, check_once, hub_rows
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.metrics.captions import CAPTION_METRICS, caption_scores
from kosmos_eval.microworld.captioned import caption_items
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Metric

PROMPT = "An image of"
KARPATHY = "cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
DEVIATIONS = (
    "An exemplar shows the first of its captions, as it was written: a choice, as the paper does not say.",
    "What separates exemplars, what ends a caption, its greatest length and the length penalty are choices too.",
)
EXEMPT = {
    "gold.cider": "its bound is beyond what a single caption of several can reach",
    "gold.spice": "the captions of a picture name different things, and one caption names not all of them",
}

_UNPACKED = ("images", "Images", "coco", "annotations")
_SPLITS = {"train": ("train", "restval"), "val": ("val",), "test": ("test",)}
"""Split to its names in Karpathy's files: the rest of COCO's val2014 is trained on."""


@dataclass(frozen=True, kw_only=True)
class CaptionSample(Sample):
    """A picture; its key is the dataset's own id of it.

    Attributes:
        image: the picture.
        captions: what people wrote, one each.
    """

    image: Image
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Captioning(HubSettings):
    """The protocol; a benchmark adds where its files are.

    Attributes:
        split: test (the published one), val or train; train is Karpathy's train and restval.
        exemplar_split: likewise.
        num_beams: of beam search, 5 in KOSMOS-1; 1 is greedy.
        max_new_tokens: most tokens of a caption. A choice: most captions by people have 10 to 20 words.
        length_penalty: beams are compared by log-probability divided by length to this power. A choice: 1.
        no_repeat_ngram: no n-gram of so many tokens is written twice. A choice: 0, which is off.
        stop: texts that end a caption besides the model's end token. A choice: a line break.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        exemplar_caption: which of its captions an exemplar shows, counted from 1; the last where it has fewer. A
            choice: the first.
        hub_split: name of the dataset's one split that holds all pictures, where only its column `split` tells them
            apart; empty when its splits are the benchmark's.
    """

    name: ClassVar[str]
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = tuple(CAPTION_METRICS.values())
    answered_in: ClassVar[tuple[str, ...]] = ("captions",)
    splits: ClassVar[tuple[str, ...]] = tuple(_SPLITS)
    file: ClassVar[str]
    """Karpathy's file of the benchmark."""

    pictures: ClassVar[tuple[str, ...]] = ()
    """Names of the folder of the pictures, the official one first; none where the file names it for each picture."""

    picture_cure: ClassVar[str]
    """How to get the pictures."""

    id_field: ClassVar[str]
    """Name of a picture's id, in the file and on the hub."""

    hub_captions: ClassVar[str]
    """The hub's column of captions."""

    hub_splits: ClassVar[Mapping[str, str]] = {}
    """What the hub calls a split, where it has another name."""

    hub_refused: ClassVar[Mapping[str, str]] = {}
    """Datasets that cannot give the published split, to the reason; empty is none named at all."""

    split: str = "test"
    exemplar_split: str = "train"
    num_beams: int = 5
    max_new_tokens: int = 64
    length_penalty: float = 1.0
    no_repeat_ngram: int = 0
    stop: tuple[str, ...] = ("\n",)
    separator: str = ""
    exemplar_caption: int = 1
    hub_split: str = ""

    def __post_init__(self) -> None:
        for setting, least in (
            ("num_beams", 1),
            ("max_new_tokens", 1),
            ("no_repeat_ngram", 0),
            ("exemplar_caption", 1),
        ):
            if getattr(self, setting) < least:
                message = f"{self.name}: expected {setting} to be at least {least}, got {getattr(self, setting)}"
                raise UsageError(message)
        if "" in self.stop:
            message = f"{self.name}: expected every stop text to have characters, got ''"
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[CaptionSample]:
        """Return the split's samples in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dataset, caption or picture is missing or unreadable.
            UsageError: there is no such split, or the dataset on the hub cannot give it.
        """
        if split not in self.splits:
            kind = f"split of {self.name}"
            raise UnknownNameError(kind, split, self.splits)
        match source.kind:
            case "mini":
                items = caption_items(self.name, split)
                return (CaptionSample(key=each.key, image=each.image, captions=each.captions) for each in items)
            case "folder":
                return self._read_folder(source.folder, split)
            case "hub":
                return self._read_hub(split)

    def ask(self, sample: CaptionSample, exemplars: Sequence[CaptionSample]) -> Generator[Request, Response, str]:
        """Ask for a caption, the exemplars with one of theirs in front; return what was written."""
        shown = [Prompt.of(each.image, f"{PROMPT} {self._shown(each)}{self.separator}") for each in exemplars]
        response = yield Generate(
            Prompt.of(*shown, sample.image, PROMPT),
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
            num_beams=self.num_beams,
            length_penalty=self.length_penalty,
            no_repeat_ngram=self.no_repeat_ngram,
        )
        assert isinstance(response, Generated)
        return response.text

    def _shown(self, exemplar: CaptionSample) -> str:
        """Return the caption that an exemplar shows, on one line: some of COCO's end in line breaks."""
        written = [" ".join(each.split()) for each in exemplar.captions if each.strip()]
        return written[: self.exemplar_caption][-1]

    def score(self, sample: CaptionSample, answer: str) -> Score:
        """Return the caption beside those of people; an empty one is unparsed, and counts as an empty caption."""
        text = answer.strip()
        said = f"beside {len(sample.captions)} captions by people"
        target = " / ".join(" ".join(each.split()) for each in sample.captions)
        return Score({}, text or None, target, said if text else f"empty; {said}")

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return the caption metrics over the samples, raw captions as they were written."""
        candidates = [score.answer or "" for _, score in scored]
        references = [cast("CaptionSample", sample).captions for sample, _ in scored]
        return caption_scores(candidates, references, [metric.name for metric in self.metrics])

    def gold(self, sample: CaptionSample, _request: Request) -> str:
        """Return the caption that an exemplar would show."""
        return self._shown(sample)

    def _read_folder(self, folder: Path, split: str) -> list[CaptionSample]:
        """Return the samples of Karpathy's file, in its order.

        Raises:
            DataError: something is missing, unreadable or inconsistent; all is checked before the first sample is
                returned.
        """
        path = find_path(folder, self.file, within=_UNPACKED, cure=f"get it from {KARPATHY}")
        records = self._records(path, split)
        named = {key: self._picture(record, f"{path.name}: image {key}") for key, record in records.items()}
        images: dict[str, dict[str, Image]] = {}
        for place in sorted({place for place, _ in named.values()}):
            found = self._picture_folder(folder, place)
            wanted = [(f"{path.name}: image {key}", name) for key, (where, name) in named.items() if where == place]
            images[place] = find_pictures(found, wanted, self.picture_cure)
        return [
            CaptionSample(
                key=key,
                image=images[named[key][0]][named[key][1]],
                captions=_captions(_raw(record, f"{path.name}: image {key}"), f"{path.name}: image {key}"),
            )
            for key, record in records.items()
        ]

    def _records(self, path: Path, split: str) -> dict[str, Any]:
        """Return the split's records by their ids, in order."""
        found: dict[str, Any] = {}
        others: dict[str, None] = {}
        file = read_json(path, partial(_lean, kept=_SPLITS[split]))
        for number, record in enumerate(read_field(file, "images", list, str(path))):
            where = f"{path.name}: entry {number} of images"
            name = read_field(record, "split", str, where)
            if name not in _SPLITS[split]:
                others[name] = None
                continue
            key = _key(record, self.id_field, where)
            if key in found:
                message = f"{path}: expected each image once, got {key} twice; unpack or download it again"
                raise DataError(message)
            found[key] = record
        if not found:
            message = f"{path}: expected images of split {split}, got only {', '.join(others) or 'none'}; {INTACT}"
            raise DataError(message)
        return found

    def _picture(self, record: dict[str, Any], where: str) -> tuple[str, str]:
        """Return folder and file name of a record's picture."""
        place = self.pictures[0] if self.pictures else read_field(record, "filepath", str, where)
        return place, read_field(record, "filename", str, where)

    def _picture_folder(self, folder: Path, place: str) -> Path:
        """Return where pictures lie: in the folder of that name, of another that is usual, or in one inside it."""
        for name in self.pictures:
            if (found := find_if_there(folder, name, within=_UNPACKED)) is not None:
                return unnested(found)
        return unnested(find_path(folder, place, within=_UNPACKED, cure=self.picture_cure))

    def _read_hub(self, split: str) -> Iterator[CaptionSample]:
        """Return the samples of a dataset whose rows say which split they are of.

        Raises:
            DataError: the dataset cannot be read, lacks columns, or a row is inconsistent.
            UsageError: it is known to be unable to give the split.
        """
        dataset, revision = self.hub_place(exemplars=split != self.split)
        if dataset in self.hub_refused:
            message = (
                f"{self.name}: {self.hub_refused[dataset]}; set hub_id to a dataset with the columns image, "
                f"{self.id_field}, split and {self.hub_captions}, or name a folder of the official files (--data DIR)"
            )
            raise UsageError(message)
        name = self.hub_split or self.hub_splits.get(split, split)
        columns = (self.id_field, "split", self.hub_captions)
        rows = hub_rows(dataset, name, revision=revision, columns=columns, image_columns=("image",))
        return self._hub_samples(rows, split, f"dataset {dataset}, split {name}")

    def _hub_samples(self, rows: Iterable[Mapping[str, Any]], split: str, label: str) -> Iterator[CaptionSample]:
        seen: set[str] = set()
        for number, row in enumerate(rows):
            where = f"{label}, row {number}"
            if read_field(row, "split", str, where) not in _SPLITS[split]:
                continue
            key = _key(row, self.id_field, where)
            check_once(key, seen, where, "image")
            captions = _captions(read_field(row, self.hub_captions, list, where), where)
            yield CaptionSample(key=key, image=row["image"], captions=captions)


def _lean(record: dict[str, Any], kept: tuple[str, ...]) -> object:
    """Return a sentence as its text, a picture of another split as no more than that, and other records as they are.

    The words of each sentence stand in the file a second time, one by one, and most pictures are of another split.
    """
    if "raw" in record:
        return record["raw"] if isinstance(record["raw"], str) else record
    if "split" in record and record["split"] not in kept:
        return {"split": record["split"]}
    return record


def _key(record: object, name: str, where: str) -> str:
    """Return a picture's id, a number or a text."""
    value = record.get(name) if isinstance(record, dict) else None
    return str(value) if isinstance(value, int) else read_field(record, name, str, where)


def _raw(record: object, where: str) -> list[str]:
    """Return the captions of a record of Karpathy's file."""
    sentences = read_field(record, "sentences", list, where)
    return [each if isinstance(each, str) else read_field(each, "raw", str, where) for each in sentences]


def _captions(texts: Sequence[object], where: str) -> tuple[str, ...]:
    """Return the captions of a picture as they were written, if one of them has words.

    Raises:
        DataError: one is no text, or none has words.
    """
    for text in texts:
        if not isinstance(text, str):
            message = f"{where}: expected captions to be texts, got {text!r:.40}; {INTACT}"
            raise DataError(message)
    captions = tuple(map(str, texts))
    if not any(text.strip() for text in captions):
        message = f"{where}: expected a caption with words, got none; {INTACT}"
        raise DataError(message)
    return captions
