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

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
