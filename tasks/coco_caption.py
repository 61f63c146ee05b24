"""COCO captions on Karpathy's split; the protocol is in `captioning.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.task import About

from .captioning import DEVIATIONS, EXEMPT, KARPATHY, Captioning, CaptionSample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.task import CorpusScored, Task


@dataclass(frozen=True)
class CocoCaption(Captioning):
    """COCO captions.

    Attributes:
        hub_id: dataset on the hub, or a local folder laid out like one, with the columns image, cocoid, split (train,
            restval, val or test), sentences_raw (a list of captions); its splits are train, validation and test. There
            is none by default: yerevann/coco-karpathy has addresses and no pictures, lmms-lab/COCO-Caption is not
            Karpathy's split.
        hub_revision: commit, branch or tag; by default the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: the same for the exemplar split; empty is the dataset of `hub_id`.
            Multimodal-Fatima/COCO_captions_train has 113 thousand pictures; its columns have not been seen.
        exemplar_hub_revision: likewise.
    """

    name: ClassVar[str] = "coco_caption"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Captions of photographs (COCO, Karpathy's split), as in KOSMOS-1 tables 2 and 3."
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("",), "captioning": ("",)}
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), section 4.1, tables 2 (zero-shot), 3 (few-shot) and 14, on the 5,000 "
        "pictures of Karpathy's test split.",
        files=f"- `dataset_coco.json`: {KARPATHY}\n"
        "- `val2014/COCO_val2014_000000000042.jpg` (all of val and test), in the folder or a sub-folder: "
        "cocodataset.org\n"
        "- `train2014/` likewise, for exemplars",
        licence="Captions: CC BY 4.0. Pictures: their Flickr licences.",
        deviations=DEVIATIONS,
        exempt=EXEMPT,
    )
    file: ClassVar[str] = "dataset_coco.json"
    picture_cure: ClassVar[str] = "unpack train2014.zip and val2014.zip there (get them from cocodataset.org)"
    id_field: ClassVar[str] = "cocoid"
    hub_captions: ClassVar[str] = "sentences_raw"
    hub_splits: ClassVar[Mapping[str, str]] = {"val": "validation"}
    hub_refused: ClassVar[Mapping[str, str]] = {
        "": "no dataset on the hub is known to hold the pictures of Karpathy's split",
        "yerevann/coco-karpathy": "yerevann/coco-karpathy has addresses of pictures and no pictures",
        "lmms-lab/COCO-Caption": "lmms-lab/COCO-Caption is val2014 and test2014, not Karpathy's split",
        "lmms-lab/COCO-Caption2017": "lmms-lab/COCO-Caption2017 is val2017 and test2017, not Karpathy's split",
    }


if TYPE_CHECKING:
    _CHECKED: type[Task[CaptionSample, str]] = CocoCaption
    _SCORED: type[CorpusScored] = CocoCaption
