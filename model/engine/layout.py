"""Prompts as sequences: which token, or which embedding of which image, stands at each place.

The whole prompt is one sequence behind one `<s>`. A text is tokenised as a segment of its own, whatever stands
beside it; an image is `<image>`, its embeddings, `</image>`. A lead and a continuation are segments of their own as
well, so what comes after a prompt never changes the prompt's tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from kosmos_eval.prompt import Image, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class SegmentTokenizer(Protocol):
    """What the engine asks of a tokenizer; `model.tokenizer.Tokenizer` is one.

    Attributes:
        bos, pad, eos: ids of `<s>`, `<pad>`, `</s>`.
        image_begin, image_end: ids of `<image>`, `</image>`.
        vocabulary_size: number of ids.
    """

    bos: int
    pad: int
    eos: int
    image_begin: int
    image_end: int
    vocabulary_size: int

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text that is a segment of its own, without special tokens."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, special tokens left out."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """A sequence, or a piece of one.

    Attributes:
        ids: token ids; under an image embedding, a placeholder.
        slots: -1 where a token stands, else the embedding's place in the table: image number * L + l.
    """

    ids: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()

    def __add__(self, other: Layout) -> Layout:
        return Layout(self.ids + other.ids, self.slots + other.slots)

    def __len__(self) -> int:
        return len(self.ids)


class ImageTable:
    """Distinct images, numbered in order of first sight; equal pixels are one image."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._images: list[Image] = []

    @property
    def images(self) -> Sequence[Image]:
        """The images by number."""
        return self._images

    def number(self, image: Image) -> int:
        """Return the number of an image, a new one if it has not been seen.

        Raises:
            DataError: the picture cannot be read.
        """
        if image.digest not in self._numbers:
            self._numbers[image.digest] = len(self._images)
            self._images.append(image)
        return self._numbers[image.digest]


class LayoutMaker:
    """Lays prompts and continuations out under a tokenizer."""

    def __init__(self, tokenizer: SegmentTokenizer, image_length: int) -> None:
        """Keep what layouts depend on.

        Args:
            tokenizer: of the model.
            image_length: L, embeddings an image.
        """
        self._tokenizer = tokenizer
        self._image_length = image_length
        self._encode = lru_cache(maxsize=1 << 14)(self._encoded)

    def _encoded(self, text: str) -> Layout:
        ids = tuple(self._tokenizer.encode(text))
        return Layout(ids, (-1,) * len(ids))

    def sequence(self, prompt: Prompt, table: ImageTable) -> Layout:
        """Return a prompt as a whole sequence: `<s>`, then its parts."""
        return Layout((self._tokenizer.bos,), (-1,)) + self.piece(prompt, table)

    def piece(self, prompt: Prompt, table: ImageTable) -> Layout:
        """Return a prompt as a piece of a sequence; new images are added to the table."""
        ids: list[int] = []
        slots: list[int] = []
        for part in prompt.parts:
            if isinstance(part, Image):
                first = table.number(part) * self._image_length
                begin, end = self._tokenizer.image_begin, self._tokenizer.image_end
                ids += [begin, *[begin] * self._image_length, end]
                slots += [-1, *range(first, first + self._image_length), -1]
            else:
                text = self._encode(part)
                ids += text.ids
                slots += text.slots
        return Layout(tuple(ids), tuple(slots))

    def text(self, text: str) -> Layout:
        """Return a text as a segment of its own."""
        return self._encode(text)
