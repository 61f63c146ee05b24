"""Prompts as sequences of symbols: a token each, or a whole image.

The whole prompt is one sequence behind one `<s>`. A text is tokenised as a segment of its own, whatever stands
beside it; an image is `<image>`, its embeddings, `</image>`. A lead and a continuation are segments of their own as
well, so what comes after a prompt never changes the prompt's tokens; for requests that read all as one text see
`whole_text.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from kosmos_eval.prompt import Image, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


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
        symbols: ids of tokens, and for an image its number in the table, counted down from -1: -1, -2, ...
        length: embeddings that these become; an image is as many as the model makes of it.
    """

    symbols: tuple[int, ...] = ()
    length: int = 0

    def __add__(self, other: Layout) -> Layout:
        return Layout(self.symbols + other.symbols, self.length + other.length)

    def __len__(self) -> int:
        return self.length


class ImageTable:
    """Distinct images, numbered in order of first sight; equal pixels are one image."""

    def __init__(self, digest_of: Callable[[Image], str]) -> None:
        """Begin with no image.

        Args:
            digest_of: returns an image's digest; may know it without opening the picture once more.
        """
        self._digest_of = digest_of
        self._numbers: dict[str, int] = {}
        self._images: list[Image] = []

    @property
    def images(self) -> Sequence[Image]:
        """The images by number."""
        return self._images

    def symbol(self, image: Image) -> int:
        """Return what stands for an image in a layout; a new number if it has not been seen.

        Raises:
            DataError: the picture cannot be read.
        """
        digest = self._digest_of(image)
        if digest not in self._numbers:
            self._numbers[digest] = len(self._images)
            self._images.append(image)
        return -1 - self._numbers[digest]


class LayoutMaker:
    """Lays prompts and continuations out under a tokenizer."""

    def __init__(self, tokenizer: SegmentTokenizer, image_length: int) -> None:
        """Keep what layouts depend on.

        Args:
            tokenizer: of the model.
            image_length: embeddings an image.
        """
        self._tokenizer = tokenizer
        self._image_length = image_length
        self._encode = lru_cache(maxsize=1 << 14)(self._encoded)

    def _encoded(self, text: str) -> Layout:
        ids = tuple(self._tokenizer.encode(text))
        return Layout(ids, len(ids))

    def sequence(self, prompt: Prompt, table: ImageTable) -> Layout:
        """Return a prompt as a whole sequence: `<s>`, then its parts."""
        return Layout((self._tokenizer.bos,), 1) + self.piece(prompt, table)

    def piece(self, prompt: Prompt, table: ImageTable) -> Layout:
        """Return a prompt as a piece of a sequence; new images are added to the table."""
        symbols: list[int] = []
        images = 0
        for part in prompt.parts:
            if isinstance(part, Image):
                symbols += [self._tokenizer.image_begin, table.symbol(part), self._tokenizer.image_end]
                images += 1
            else:
                symbols += self._encode(part).symbols
        return Layout(tuple(symbols), len(symbols) + images * (self._image_length - 1))

    def text(self, text: str) -> Layout:
        """Return a text as a segment of its own."""
        return self._encode(text)
