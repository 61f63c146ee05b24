"""Flickr30k Entities: find what a phrase of a caption speaks of.

Source: KOSMOS-2 (arXiv 2306.14824), section 4.1 and table 2, by the released code (microsoft/unilm 768a3c87,
kosmos-2/evaluation/flickr_entities and grd-zeroshot-flickr.sh): the prompt is "<grounding>", the caption up to the
phrase, and " <phrase>{phrase}</phrase>"; the answer is greedy, no three tokens in a row twice. A phrase is found
among the first k boxes when one of them meets any true box of the phrase (the ANY-BOX protocol). What is odd in that is
listed in `kosmos_eval.metrics.boxes`, and one thing more: where a caption says the same phrase twice, both are held
against the boxes of the first.

The released evaluator takes the true boxes and the phrases' categories from Flickr30k Entities itself and only the
phrases from MDETR's file, whose boxes are the same but for pairs that all but coincide (IoU of 0.95 and more), of which
it keeps one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from xml.etree import ElementTree as ET

from kosmos_eval.data.folder import find_if_there, find_path, find_pictures, read_field, read_lines
from kosmos_eval.data.mdetr import find_picture_folder, read_entries, read_id
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.grounding import DEVIATIONS, GROUNDING, GroundingSettings, checked_text, object_text, phrase_text
from kosmos_eval.locations import Box, has_area
from kosmos_eval.metrics.boxes import HIT, Size, best_overlap, boxes_of, ceiling, in_pixels, in_shares, shown_box
from kosmos_eval.microworld.grounding import phrased_captions
from kosmos_eval.microworld.scene import SIDE
from kosmos_eval.prompt import Prompt
from kosmos_eval.task import About, Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.data.mdetr import Entry, Region
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

_SPLITS = ("train", "val", "test")
_TRUTHS = ("auto", "mdetr", "entities")
_FIRST = (1, 5, 10)
_PICTURES = ("flickr30k-images", "flickr30k_images", "images", "flickr30k")
_WITHIN = (
    "flickr30k_images/flickr30k_images",
    "flickr30k-images/flickr30k-images",
    "flickr30k/images",
    "flickr30k/flickr30k-images",
    "flickr30k_entities/annotations",
)
_FOLDERS = ("Sentences", "Annotations")
_PHRASE = re.compile(r"\[/EN#(\d+)((?:/[^\s/\]]+)*)\s+([^\]]*)\]")
_RELEASED = "microsoft/unilm 768a3c87, kosmos-2/evaluation/flickr_entities/flickr_entities_evaluate.py"


@dataclass(frozen=True, kw_only=True)
class PhraseSample(Sample):
    """A phrase of a caption. Its key is picture, sentence and the phrase's number in it; its cluster the picture's id.

    Attributes:
        image: the picture.
        size: of the picture in pixels.
        lead: the caption up to the phrase.
        phrase: as it is written there.
        truths: its boxes in pixels, any of which will do.
    """

    image: Image
    size: Size
    lead: str
    phrase: str
    truths: tuple[Box, ...]


@dataclass(frozen=True)
class Flickr30kEntities(GroundingSettings):
    """Flickr30k Entities.

    Attributes:
        split: val (14,433 phrases in full) or test (14,481); also train.
        exemplar_split: likewise. The paper shows no exemplars.
        truth: where the boxes are from: `entities`, the folders Annotations and Sentences of Flickr30k Entities, as
            released; `mdetr`, MDETR's file; `auto`, `entities` where both folders are there. `run.json` says which it
            was. MDETR's file has no categories: they are read from Sentences wherever it is there.
    """

    name: ClassVar[str] = "flickr30k_entities"
    version: ClassVar[int] = 1
    description: ClassVar[str] = (
        "Find what a phrase of a caption speaks of (Flickr30k Entities), as in KOSMOS-2 table 2."
    )
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(
            Metric(f"recall_{k}", f"share of phrases that one of the first {k} boxes meets, IoU >= 0.5 ({_RELEASED})")
            for k in _FIRST
        ),
        Metric("ceiling", "recall of the true boxes, when they are said in 32 x 32 locations: what can be reached"),
    )
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos2": splits, "grounding": splits}
    asked_in: ClassVar[tuple[str, ...]] = ("phrase",)
    answered_in: ClassVar[tuple[str, ...]] = ("truths", "size")
    about: ClassVar[About] = About(
        paper="KOSMOS-2 (arXiv 2306.14824), section 4.1, table 2: R@1, R@5, R@10 of 77.8, 79.2, 79.3 on val and 78.7, "
        "80.1, 80.1 on test, zero-shot",
        files="`final_flickr_separateGT_{split}.json`, in the folder or in `mdetr_annotations/`: MDETR's "
        "mdetr_annotations.tar.gz, zenodo.org/record/4729015\n"
        "`flickr30k-images/`: Flickr30k's pictures, by the form of shannon.cs.illinois.edu/DenotationGraph\n"
        "`Annotations/` and `Sentences/`, for categories and the released truth: annotations.zip of "
        "github.com/BryanPlummer/flickr30k_entities",
        licence="pictures: Flickr users', for research and education only; annotations: see their own page",
        deviations=(
            "Without Flickr30k Entities' folders the truth is MDETR's: of boxes that all but coincide it keeps one.",
            "A phrase of two categories is counted in each of them by the released code, and here in the first.",
            *DEVIATIONS,
        ),
        exempt={
            f"gold.{name}": "32 x 32 locations do not meet a box exactly, and the smallest boxes by less than half"
            for name in ("recall_1", "recall_5", "recall_10", "ceiling")
        },
    )

    split: str = "val"
    exemplar_split: str = "train"
    truth: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.truth not in _TRUTHS:
            kind = f"truth of {self.name}"
            raise UnknownNameError(kind, self.truth, _TRUTHS)

    def samples(self, split: str, source: Source) -> Iterable[PhraseSample]:
        """Return a sample for each phrase with a box, caption by caption, pictures unopened.

        Raises:
            DataError: a file, annotation or picture is missing, unreadable or inconsistent.
            UsageError: there is no such split, or no such source.
        """
        if split not in _SPLITS:
            kind = f"split of {self.name}"
            raise UnknownNameError(kind, split, _SPLITS)
        if source.kind == "mini":
            return _read_mini(split)
        if source.kind == "hub":
            message = f"{self.name}: no dataset on the hub has its boxes; name a folder (--data DIR) or --data mini"
            raise UsageError(message)
        return _read_folder(source.folder, split, _find_entities(source.folder, self.truth))

    def provenance(self, source: Source) -> dict[str, str | None]:
        """Return which truth was read from a folder."""
        if source.kind != "folder":
            return {}
        found = _find_entities(source.folder, self.truth)
        return {"boxes": "MDETR's file" if found.annotations is None else "Flickr30k Entities, Annotations"}

    def ask(self, sample: PhraseSample, exemplars: Sequence[PhraseSample]) -> Generator[Request, Response, str]:
        """Ask for the boxes of the phrase, the exemplars with theirs in front; return what was written."""
        shown = [Prompt.of(each.image, _asked(each), _true_object(each)) for each in exemplars]
        return (yield from self.find_boxes(Prompt.of(*shown, sample.image, _asked(sample))))

    def score(self, sample: PhraseSample, answer: str) -> Score:
        """Return whether a true box is among the first boxes; without any the answer is unparsed, and a miss."""
        boxes = [in_pixels(box, sample.size) for box in boxes_of(phrase_text(sample.phrase) + answer, sample.phrase)]
        met = {k: best_overlap(boxes[:k], sample.truths) for k in _FIRST}
        values = {f"recall_{k}": float(met[k] >= HIT) for k in _FIRST}
        said = f"IoU {met[1]:.3f} of the first of {len(boxes)} boxes" if boxes else "no box for the phrase"
        return Score(
            {**values, "ceiling": float(ceiling(sample.truths, sample.size) >= HIT)},
            " ".join(map(shown_box, boxes)) or None,
            target=" or ".join(map(shown_box, sample.truths)),
            explanation=said,
        )

    def gold(self, sample: PhraseSample, request: Request) -> str:
        """Return the true boxes as a model writes them."""
        del request
        return _true_object(sample)


def _asked(sample: PhraseSample) -> str:
    return f"{GROUNDING}{sample.lead} {phrase_text(sample.phrase)}"


def _true_object(sample: PhraseSample) -> str:
    return object_text(in_shares(truth, sample.size) for truth in sample.truths)


def _read_mini(split: str) -> Iterator[PhraseSample]:
    for caption in phrased_captions("flickr30k_entities", split):
        for number, phrase in enumerate(caption.phrases):
            yield PhraseSample(
                key=f"{caption.image_key}-{number}",
                cluster=caption.image_key,
                groups={"category": phrase.shape},
                image=caption.image,
                size=Size(SIDE, SIDE),
                lead=caption.text[: phrase.start],
                phrase=caption.text[phrase.start : phrase.end],
                truths=(Box(*map(float, phrase.box)),),
            )


@dataclass(frozen=True, slots=True)
class _Truth:
    """What is true of a phrase: its boxes in pixels, and its category where that is known."""

    boxes: tuple[Box, ...]
    category: str = ""


class _Said(NamedTuple):
    """A phrase of a caption in Flickr30k Entities: which entity it speaks of, and of what category it is."""

    entity: str
    category: str
    words: str


@dataclass(frozen=True, slots=True)
class _Entities:
    """Flickr30k Entities' own folders, as far as they are there and asked for."""

    sentences: Path | None
    annotations: Path | None


def _find_entities(folder: Path, truth: str) -> _Entities:
    """Return the folders to read: Sentences wherever it is, Annotations where it gives the boxes."""
    cure = "unpack annotations.zip of github.com/BryanPlummer/flickr30k_entities, or set truth to mdetr"
    if truth == "entities":
        sentences, annotations = (find_path(folder, name, within=_WITHIN, cure=cure) for name in _FOLDERS)
        return _Entities(sentences, annotations)
    there, boxes = (find_if_there(folder, name, within=_WITHIN) for name in _FOLDERS)
    return _Entities(there, boxes if there is not None and truth != "mdetr" else None)


def _read_folder(folder: Path, split: str, entities: _Entities) -> list[PhraseSample]:
    entries = read_entries(folder, f"final_flickr_separateGT_{split}.json")
    cure = "Flickr30k's pictures come by the form of shannon.cs.illinois.edu/DenotationGraph"
    wanted = [(each.where, each.file_name) for each in entries]
    names = [*_PICTURES, f"{split}"]
    images = find_pictures(find_picture_folder(folder, names, wanted[0][1], within=_WITHIN, cure=cure), wanted, cure)
    samples: list[PhraseSample] = []
    seen: set[str] = set()
    for entry in entries:
        picture = read_id(entry.record, "original_img_id", entry.where)
        sentence = read_id(entry.record, "sentence_id", entry.where)
        spans = _spans(entry)
        known = _own_truths(entry, spans)
        if entities.sentences is not None:
            said = _annotated_phrases(entities.sentences / f"{picture}.txt", sentence, entry.where)
            known = _with_entities(known, said, entities.annotations and entities.annotations / f"{picture}.xml")
        for number, (start, end) in enumerate(spans):
            phrase = entry.caption[start:end]
            key = f"{picture}_{sentence}_{number}"
            if key in seen:
                message = (
                    f"{entry.where}: expected sentence {sentence} of picture {picture} once, got it again; remove one"
                )
                raise DataError(message)
            seen.add(key)
            if phrase not in known:
                message = (
                    f"{entry.where}: expected boxes for the phrase {phrase!r}, got none; take files of one release"
                )
                raise DataError(message)
            truth = known[phrase]
            if not any(has_area(in_shares(box, entry.size)) for box in truth.boxes):
                message = (
                    f"{entry.where}: expected the phrase {phrase!r} to have a box with an area inside the picture, got "
                    f"{' and '.join(map(shown_box, truth.boxes))}; mend it, or unpack the files again"
                )
                raise DataError(message)
            samples.append(
                PhraseSample(
                    key=key,
                    cluster=picture,
                    groups={"category": truth.category} if truth.category else {},
                    image=images[entry.file_name],
                    size=entry.size,
                    lead=entry.caption[:start],
                    phrase=checked_text(phrase, entry.where),
                    truths=truth.boxes,
                )
            )
    if not samples:
        message = f'{entries[0].where}: expected phrases in "tokens_positive_eval", got none anywhere; unpack it again'
        raise DataError(message)
    return samples


def _spans(entry: Entry) -> list[tuple[int, int]]:
    """Return where the asked phrases of a caption begin and end: of a phrase in several pieces the first."""
    spans = []
    for pieces in read_field(entry.record, "tokens_positive_eval", list, entry.where):
        first: Any = pieces[0] if isinstance(pieces, list) and pieces else None
        if not _is_span(first, len(entry.caption)):
            message = f'{entry.where}: expected "tokens_positive_eval" to be [[[start, end]], ...], got {pieces!r:.60}'
            raise DataError(message)
        spans.append((first[0], first[1]))
    return spans


def _is_span(value: object, length: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004  a start and an end
        and all(isinstance(each, int) for each in value)
        and 0 <= value[0] < value[1] <= length
    )


def _own_truths(entry: Entry, spans: Sequence[tuple[int, int]]) -> dict[str, _Truth]:
    """Return phrase to what MDETR's file says of it; of a phrase that is said twice, of the first."""
    known: dict[str, _Truth] = {}
    for start, end in spans:
        boxes = [region.box for region in entry.regions if [start, end] in _meant(region, entry.where)]
        if boxes:
            known.setdefault(entry.caption[start:end], _Truth(tuple(boxes)))
    return known


def _meant(region: Region, where: str) -> list[Any]:
    """Return the pieces of the caption that speak of a box; none where the file leaves them out."""
    return read_field(region.record, "tokens_positive", list, where) if "tokens_positive" in region.record else []


def _with_entities(own: dict[str, _Truth], said: Sequence[_Said], annotations: Path | None) -> dict[str, _Truth]:
    """Return phrase to what is true of it, by Flickr30k Entities where it says so.

    Args:
        own: what MDETR's file says.
        said: the phrases of the caption, as Flickr30k Entities has them.
        annotations: file of the picture's boxes; `None` keeps MDETR's.
    """
    boxes = None if annotations is None else _annotated_boxes(annotations)
    known: dict[str, _Truth] = {}
    for phrase in said:
        if boxes is not None and phrase.entity in boxes:
            known.setdefault(phrase.words, _Truth(boxes[phrase.entity], phrase.category))
        elif boxes is None and phrase.words in own:
            known.setdefault(phrase.words, _Truth(own[phrase.words].boxes, phrase.category))
    return known if boxes is not None else {**own, **known}


def _annotated_phrases(path: Path, sentence: str, where: str) -> list[_Said]:
    lines = _sentences(path)
    if not (sentence.isdecimal() and int(sentence) < len(lines)):
        message = f"{where}: expected a sentence {sentence} in {path}, got {len(lines)} sentences; unpack it again"
        raise DataError(message)
    return [
        _Said(entity, categories.strip("/").partition("/")[0], " ".join(words.split()))
        for entity, categories, words in _PHRASE.findall(lines[int(sentence)])
    ]


@lru_cache(maxsize=8)
def _sentences(path: Path) -> tuple[str, ...]:
    return tuple(line for _, line in read_lines(path))


@lru_cache(maxsize=8)
def _annotated_boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of each entity of a picture; the five captions of a picture stand in a row."""
    boxes: dict[str, tuple[Box, ...]] = {}
    try:
        root = ET.parse(path).getroot()  # noqa: S314  the user's own copy of the dataset
        for thing in root.iter("object"):
            corners = thing.find("bndbox")
            if corners is not None and len(corners):
                box = Box(*(_side(corners.findtext(name, "")) for name in ("xmin", "ymin", "xmax", "ymax")))
                for name in thing.iter("name"):
                    entity = (name.text or "").strip()
                    boxes[entity] = (*boxes.get(entity, ()), box)
    except (OSError, ValueError, ET.ParseError) as error:
        message = (
            f"{path}: expected an annotation of Flickr30k Entities, which cannot be read ({error}); unpack it again"
        )
        raise DataError(message) from error
    return boxes


def _side(text: str) -> float:
    side = float(text)
    if math.isfinite(side):
        return side
    message = f"a side of a box is {text}"
    raise ValueError(message)


if TYPE_CHECKING:
    _CHECKED: type[Task[PhraseSample, str]] = Flickr30kEntities
