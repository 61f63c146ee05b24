"""What a forward pass is made of: documents with their pictures, drawn from streams by their share of the tokens.

Every stream makes a document from a subject, a text that decides all draws. Subjects begin with `train-stream|`,
which no evaluation split does. Every text stands as an evaluation prompt has it, and is cut into segments as prompts
are: a text between two pictures is one segment, and an answer to be written is a segment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kosmos_eval.microworld.drawing import draw_scene
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.microworld.matrices import make_matrix
from kosmos_eval.microworld.panels import draw_panel
from kosmos_eval.microworld.scene import make_scene
from kosmos_eval.microworld.words import draw_word, make_word

from ..preprocess import pixels_of
from .dense import no_labels, panel_labels, scene_labels, word_labels
from .packing import Document, Node, Picture, Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray
    from torch import Tensor

    from kosmos_eval.microworld.matrices import Panel
    from kosmos_eval.microworld.scene import Scene
    from kosmos_eval.microworld.words import RenderedWord

    from ..tokenizer import Tokenizer
    from .config import StreamSettings

_LABELLED = (("scene", 0.55), ("word", 0.33), ("panel", 0.12))
"""Kinds of labelled pictures without text, with their shares."""

_PERMILLE = 1000


@dataclass(slots=True)
class Documents:
    """What one forward pass is made of.

    Attributes:
        side: pixels of a picture's side, as the model reads it.
        trees: the documents.
        pixels: float32[3, side, side] as the model reads them, one a picture in the documents' numbering.
        labels: int64[LABELS] of `dense`, one a picture.
    """

    side: int
    trees: list[Document] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)
    labels: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, picture: PIL.Image.Image, labels: NDArray[np.int64] | None = None) -> Picture:
        """Take a picture, with its labels if it has any, and return its place in a document."""
        self.pixels.append(pixels_of(picture, self.side))
        self.labels.append(no_labels() if labels is None else labels)
        return Picture(len(self.pixels) - 1)

    def add_scene(self, scene: Scene) -> Picture:
        """Draw a scene and return its place in a document."""
        return self.add(draw_scene(scene), scene_labels(scene))

    def add_word(self, word: RenderedWord) -> Picture:
        """Draw a word and return its place in a document."""
        return self.add(draw_word(word), word_labels(word))

    def add_panel(self, panel: Panel) -> Picture:
        """Draw a panel of a Raven matrix and return its place in a document."""
        return self.add(draw_panel(panel), panel_labels(panel))


class Stream(Protocol):
    """Documents of one kind."""

    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        """Return a document, whose pictures it adds.

        Args:
            subject: decides all draws.
            documents: of the forward pass; it takes the pictures.
        """
        ...


class Mixture:
    """Makes the documents of a step, a pure function of seed, step and place in the step.

    Each stream adds documents until it has its share of the forward pass's text tokens, so what a stream makes does
    not depend on which others there are.
    """

    def __init__(self, streams: Mapping[str, Stream], settings: StreamSettings, seed: int, side: int) -> None:
        """Take the streams that have a share.

        Args:
            streams: by name.
            settings: their shares among them.
            seed: of all draws.
            side: pixels of a picture's side.
        """
        self.streams = streams
        self.settings = settings
        self.seed = seed
        self.side = side

    def make(self, step: int, part: int = 0) -> Documents:
        """Return the documents of one forward pass.

        Args:
            step: number of the optimiser step.
            part: number of the forward pass in the step, over all processes.
        """
        documents = Documents(self.side)
        whole = f"train-stream|{self.seed}|{step}|{part}"
        for number, (name, share) in enumerate(self.settings.shares.items()):
            left = share * self.settings.tokens
            index = 0
            while left > 0:
                nodes = self.streams[name].make(f"{whole}|{name}|{index}", documents)
                document = Document(nodes, number)
                documents.trees.append(document)
                left -= document.text_tokens
                index += 1
        for index in range(self.settings.labelled):
            _add_labelled(documents, f"{whole}|labelled|{index}")
        return documents


def _add_labelled(documents: Documents, subject: str) -> None:
    match kind_of(Draws(f"kind|{subject}"), _LABELLED):
        case "word":
            documents.add_word(make_word(subject))
        case "panel":
            matrix = make_matrix(subject)
            documents.add_panel(Draws(f"panel|{subject}").choice((*matrix.context, *matrix.candidates)))
        case _:
            documents.add_scene(make_scene(subject))


def kind_of(draws: Draws, shares: tuple[tuple[str, float], ...]) -> str:
    """Return one of the names, each drawn as often as its share; the last one gets what is left."""
    drawn = draws.below(_PERMILLE) / _PERMILLE
    for name, share in shares:
        if drawn < share:
            return name
        drawn -= share
    return shares[-1][0]


def about_kinds(share: float, subject: str) -> bool:
    """Return whether the document of a subject is among the share that is about named kinds of things."""
    return Draws(f"about kinds|{subject}").below(_PERMILLE) < share * _PERMILLE


def written(tokenizer: Tokenizer, prompt: str, text: str, parent: int, weight: float) -> Node:
    """Return a prompt with the text that is to be written after it, and the end.

    Args:
        tokenizer: of the model.
        prompt: what stands in front; may be empty.
        text: what is learnt.
        parent: the node that it continues.
        weight: of the loss on the prompt.
    """
    answer = Words((*tokenizer.encode(text), tokenizer.eos), 1.0)
    return Node((Words(tuple(tokenizer.encode(prompt)), weight), answer) if prompt else (answer,), parent)
