"""RefCOCO, RefCOCO+ and RefCOCOg: find the one thing that an expression speaks of.

Source: KOSMOS-2 (arXiv 2306.14824), section 4.1 and table 3, by the released code (microsoft/unilm 768a3c87,
kosmos-2/evaluation/refcoco and grd-zeroshot-refcoco.sh): the prompt is "<grounding><phrase>{expression}</phrase>", the
answer greedy without any three tokens in a row twice, and the first box that it gives the expression is held against
the truth. What is odd in that is listed in `kosmos_eval.metrics.boxes`. The paper asks zero-shot; exemplars, where they
are asked for, show their box in the form that the model writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.data.hub import HubSettings
from kosmos_eval.grounding import DEVIATIONS, GROUNDING, GroundingSettings, object_text, phrase_text
from kosmos_eval.metrics.boxes import HIT, best_overlap, boxes_of, ceiling, in_pixels, in_shares, shown_box
from kosmos_eval.prompt import Prompt
from kosmos_eval.task import About, Metric, Sample, Score

from .sources import REFCOCO, REFCOCO_PLUS, REFCOCOG, picture_size, read_items

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.locations import Box
    from kosmos_eval.metrics.boxes import Size
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

    from .sources import Dataset, Referred

_RELEASED = "microsoft/unilm 768a3c87, kosmos-2/evaluation/refcoco/refexp_evaluate.py"


@dataclass(frozen=True, kw_only=True)
class ReferringSample(Sample):
    """An expression and the thing that it fits. Its key is the expression's id, its cluster the picture's.

    Attributes:
        image: the picture.
        size: of the picture in pixels; `None` where only the picture itself says it.
        expression: as it was written.
        truth: the thing's box, in pixels.
    """

    image: Image
    size: Size | None
    expression: str
    truth: Box

    @property
    def shares(self) -> Box:
        """The truth as shares of the picture's sides."""
        return in_shares(self.truth, picture_size(self.image, self.size))


@dataclass(frozen=True)
class Comprehension(GroundingSettings, HubSettings):
    """What RefCOCO, RefCOCO+ and RefCOCOg have in common: all but their name, splits and files."""

    dataset: ClassVar[Dataset]
    version: ClassVar[int] = 1
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    asked_in: ClassVar[tuple[str, ...]] = ("expression",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", f"share of first boxes with an IoU of at least 0.5 ({_RELEASED})"),
        Metric("accuracy_strict", "share of first boxes with an IoU greater than 0.5 (arXiv 2306.14824, section 4.1)"),
        Metric("ceiling", "accuracy of the true boxes, when they are said in 32 x 32 locations: what can be reached"),
        Metric("iou", "mean intersection over union of the first box and the truth, 0 where there is no box"),
    )

    split: str = "val"
    exemplar_split: str = "train"

    def samples(self, split: str, source: Source) -> Iterable[ReferringSample]:
        """Return a sample for each expression of the split, pictures unopened.

        Raises:
            DataError: a file, dataset, annotation or picture is missing, unreadable or inconsistent.
            UsageError: there is no such split.
        """
        hub = self.hub_place(exemplars=split == self.exemplar_split != self.split)
        items = read_items(self.dataset, split, source, hub)
        return (sample for item in items for sample in _samples_of(item))

    def ask(self, sample: ReferringSample, exemplars: Sequence[ReferringSample]) -> Generator[Request, Response, str]:
        """Ask for the boxes of the expression, the exemplars with theirs in front; return what was written."""
        shown = [Prompt.of(each.image, _asked(each), object_text([each.shares])) for each in exemplars]
        return (yield from self.find_boxes(Prompt.of(*shown, sample.image, _asked(sample))))

    def score(self, sample: ReferringSample, answer: str) -> Score:
        """Return what the first box of the expression is worth; without one the answer is unparsed, and a miss."""
        size = picture_size(sample.image, sample.size)
        boxes = [in_pixels(box, size) for box in boxes_of(phrase_text(sample.expression) + answer, sample.expression)]
        met = best_overlap(boxes[:1], [sample.truth], single=True)
        said = f"IoU {met:.3f} with the truth" if boxes else "no box for the expression"
        return Score(
            {
                "accuracy": float(met >= HIT),
                "accuracy_strict": float(met > HIT),
                "ceiling": float(ceiling([sample.truth], size, single=True) >= HIT),
                "iou": min(met, 1.0),
            },
            shown_box(boxes[0]) if boxes else None,
            target=shown_box(sample.truth),
            explanation=f"{said}; the first of {len(boxes)} boxes" if len(boxes) > 1 else said,
        )

    def gold(self, sample: ReferringSample, request: Request) -> str:
        """Return the true box as a model writes it."""
        del request
        return object_text([sample.shares])


def _asked(sample: ReferringSample) -> str:
    return GROUNDING + phrase_text(sample.expression)


def _samples_of(item: Referred) -> Iterator[ReferringSample]:
    for number, expression in enumerate(item.expressions):
        key = item.key if len(item.expressions) == 1 else f"{item.key}-{number}"
        yield ReferringSample(
            key=key, cluster=item.cluster, image=item.image, size=item.size, expression=expression, truth=item.truth
        )


_LICENCE = (
    "expressions: for research, see github.com/lichengunc/refer; pictures: Flickr users', under COCO's terms of use"
)
_COARSE = "32 x 32 locations do not meet a box exactly, and the smallest boxes by less than half"
_EXEMPT = {f"gold.{name}": _COARSE for name in ("accuracy", "accuracy_strict", "ceiling", "iou")}


def files_of(dataset: Dataset) -> str:
    """Return where the files of one of the three sets go."""
    named = f"finetune_{dataset.name}_{{split}}.json"
    return (
        f"`{named}`, in the folder or in `mdetr_annotations/`: MDETR's mdetr_annotations.tar.gz, "
        f"zenodo.org/record/4729015\n"
        f"`train2014/`: COCO's pictures, train2014.zip of cocodataset.org/#download"
    )


def _about(dataset: Dataset, published: str) -> About:
    """Return the notes on one of the three sets, beside whose published numbers it stands."""
    return About(
        paper=f"KOSMOS-2 (arXiv 2306.14824), section 4.1, table 3: {published}, zero-shot",
        files=files_of(dataset),
        licence=_LICENCE,
        deviations=DEVIATIONS,
        exempt=_EXEMPT,
    )


@dataclass(frozen=True)
class RefCOCO(Comprehension):
    """RefCOCO.

    Attributes:
        split: val (10,834 expressions in full), testA (5,657, people) or testB (5,095, all else); also train.
        exemplar_split: likewise. The paper shows no exemplars.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/RefCOCO, which has no train
            split. Its val is refused: 8,811 things, of which 5,000 are another division's and cannot be told apart.
    """

    name: ClassVar[str] = "refcoco"
    description: ClassVar[str] = "Find the thing that an expression speaks of (RefCOCO), as in KOSMOS-2 table 3."
    dataset: ClassVar[Dataset] = REFCOCO
    splits: ClassVar[tuple[str, ...]] = ("val", "testA", "testB")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos2": splits, "grounding": splits}
    about: ClassVar[About] = _about(REFCOCO, "52.32 on val, 57.42 on testA, 47.26 on testB")

    hub_id: str = "lmms-lab/RefCOCO"


@dataclass(frozen=True)
class RefCOCOPlus(Comprehension):
    """RefCOCO+.

    Attributes:
        split: val (10,758 expressions in full), testA (5,726, people) or testB (4,889, all else); also train.
        exemplar_split: likewise. The paper shows no exemplars.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/RefCOCOplus, which has no
            train split.
    """

    name: ClassVar[str] = "refcoco_plus"
    description: ClassVar[str] = (
        "Find the thing that an expression speaks of, by its looks (RefCOCO+), KOSMOS-2 table 3."
    )
    dataset: ClassVar[Dataset] = REFCOCO_PLUS
    splits: ClassVar[tuple[str, ...]] = ("val", "testA", "testB")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos2": splits, "grounding": splits}
    about: ClassVar[About] = _about(REFCOCO_PLUS, "45.48 on val, 50.73 on testA, 42.24 on testB")

    hub_id: str = "lmms-lab/RefCOCOplus"


@dataclass(frozen=True)
class RefCOCOg(Comprehension):
    """RefCOCOg, in the UMD division.

    Attributes:
        split: val (4,896 expressions in full) or test (9,602); also train.
        exemplar_split: likewise. The paper shows no exemplars.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/RefCOCOg, which has no train
            split. Its val is refused: 7,573 things, of which 5,000 are another division's and cannot be told apart.
    """

    name: ClassVar[str] = "refcocog"
    description: ClassVar[str] = "Find the thing that a longer expression speaks of (RefCOCOg), as in KOSMOS-2 table 3."
    dataset: ClassVar[Dataset] = REFCOCOG
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos2": splits, "grounding": splits}
    about: ClassVar[About] = _about(REFCOCOG, "60.57 on val, 61.65 on test")

    hub_id: str = "lmms-lab/RefCOCOg"


if TYPE_CHECKING:
    _CHECKED: type[Task[ReferringSample, str]] = RefCOCO
