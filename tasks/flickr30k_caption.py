"""Flickr30k captions on Karpathy's split; the protocol is in `captioning.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.task import About

from .captioning import DEVIATIONS, EXEMPT, KARPATHY, Captioning, CaptionSample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.task import CorpusScored, Task

_WHOLE = "is all 31,783 pictures and does not say which are of the 1,000 that are published"


@dataclass(frozen=True)
class Flickr30kCaption(Captioning):
    """Flickr30k captions.

    Attributes:
        hub_id: dataset on the hub, or a local folder laid out like one, with the columns image, filename, split,
            caption (a list); its splits are train, val and test. By default a third party's copy that has the published
            splits (29,000, 1,014 and 1,000 pictures): lmms-lab/flickr30k does not say which picture is of which.
        hub_revision: commit, branch or tag; by default the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: the same for the exemplar split; empty is the dataset of `hub_id`.
        exemplar_hub_revision: likewise.
    """

    name: ClassVar[str] = "flickr30k_caption"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Captions of photographs (Flickr30k, Karpathy's split), as in KOSMOS-1 tables 2 and 3."
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("",), "kosmos2": ("",), "captioning": ("",)}
    about: ClassVar[About] = About(
        paper="KOSMOS-1 (arXiv 2302.14045), section 4.1, tables 2 (zero-shot), 3 (few-shot) and 14; KOSMOS-2 (arXiv "
        "2306.14824), table 5. The papers do not give the size of the split; Karpathy's test split has 1,000 pictures.",
        files=f"- `dataset_flickr30k.json`: {KARPATHY}\n"
        "- `flickr30k-images/1000092795.jpg`, in the folder or a sub-folder: by a form at "
        "shannon.cs.illinois.edu/DenotationGraph",
        licence="Research and education only; pictures: their Flickr licences.",
        deviations=DEVIATIONS,
        exempt=EXEMPT,
    )
    file: ClassVar[str] = "dataset_flickr30k.json"
    pictures: ClassVar[tuple[str, ...]] = ("flickr30k-images", "flickr30k_images")
    picture_cure: ClassVar[str] = "unpack the archive flickr30k-images there (by a form at shannon.cs.illinois.edu)"
    id_field: ClassVar[str] = "filename"
    hub_captions: ClassVar[str] = "caption"
    hub_refused: ClassVar[Mapping[str, str]] = {
        "": "no dataset is named",
        **{each: f"{each} {_WHOLE}" for each in ("lmms-lab/flickr30k", "lmms-lab-encoder/flickr30k")},
    }

    hub_id: str = "umaru97/flickr30k_train_val_test"


if TYPE_CHECKING:
    _CHECKED: type[Task[CaptionSample, str]] = Flickr30kCaption
    _SCORED: type[CorpusScored] = Flickr30kCaption
