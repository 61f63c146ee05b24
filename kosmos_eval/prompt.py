"""What a model reads: text and images in one interleaved sequence.

An `Image` is content-addressed and lazily opened: holding ten thousand of them holds no pixels. A `Prompt` is a
tuple of text and images in reading order; neighbouring texts are one text, so equal content is an equal prompt.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    import PIL.Image


class Image:
    """One picture, known by its pixels and opened only when they are needed.

    Two images are equal when their pixels are, whatever files they came from. Pixels are not kept: `load` opens
    the picture each time, and `digest` opens it unless it has been opened before.
    """

    __slots__ = ("_digest", "_open", "name")

    def __init__(self, open_picture: Callable[[], PIL.Image.Image], name: str) -> None:
        """Make an image from something that can open it.

        Args:
            open_picture: returns the picture, in any mode; called again for every `load`.
            name: how messages call the image: its path, or its dataset's id for it.
        """
        self._open = open_picture
        self._digest: str | None = None
        self.name = name

    @classmethod
    def from_file(cls, path: Path | str) -> Image:
        """Return the image of a file, without touching the file."""
        return cls(partial(_open_file, Path(path)), str(path))

    @classmethod
    def from_bytes(cls, encoded: bytes, name: str) -> Image:
        """Return the image of an encoded picture (PNG, JPEG, ...) in memory."""
        return cls(partial(_open_bytes, encoded), name)

    def load(self) -> PIL.Image.Image:
        """Open the picture and return it decoded, in mode RGB.

        Raises:
            DataError: the picture is missing or corrupt; the message names it.
        """
        picture = self._decoded()
        self._digest = self._digest or _digest_of(picture)
        return picture

    def _decoded(self) -> PIL.Image.Image:
        import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and commands such as --help need no picture

        try:
            with self._open() as picture:
                return _rgb(picture)
        except FileNotFoundError:
            message = f"image {self.name}: no such file"
        except PIL.UnidentifiedImageError:
            message = f"image {self.name}: cannot be read (it is of no kind of picture that Pillow knows)"
        except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            message = f"image {self.name}: cannot be read ({reason})"
        message += "; unpack or download it again"
        raise DataError(message)

    @property
    def digest(self) -> str:
        """The SHA-256 of size and RGB pixels, as 64 hex digits; opens a picture that has not been opened before.

        Raises:
            DataError: the picture is missing or corrupt.
        """
        if self._digest is None:
            self._digest = _digest_of(self._decoded())
        return self._digest

    @property
    def known_digest(self) -> str | None:
        """The digest of a picture that has been opened before, else `None`; opens nothing."""
        return self._digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Image({self.name!r})"


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture in mode RGB, what is transparent in the colours that lie under it.

    Pillow alone cuts 16-bit greys off at 255, which leaves most of them white, and warns of palettes with transparency.
    """
    if picture.mode == "I;16":
        picture = picture.point(lambda grey: grey / 256)
    elif picture.mode == "P" and isinstance(picture.info.get("transparency"), bytes):
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def _digest_of(picture: PIL.Image.Image) -> str:
    pixels = hashlib.sha256(f"{picture.width}x{picture.height}:".encode())
    pixels.update(picture.tobytes())
    return pixels.hexdigest()


def _open_file(path: Path) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  as above

    return PIL.Image.open(path)


def _open_bytes(encoded: bytes) -> PIL.Image.Image:
    import PIL.Image  # noqa: PLC0415  as above

    return PIL.Image.open(io.BytesIO(encoded))


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text and images in reading order.

    Attributes:
        parts: no two neighbours are both text, and no text is empty.

    Example:
        >>> Prompt.of("Question: ", "what is it? Answer:").text()
        'Question: what is it? Answer:'
    """

    parts: tuple[str | Image, ...] = ()

    def __post_init__(self) -> None:
        joined: list[str | Image] = []
        parts: tuple[object, ...] = self.parts
        for part in parts:
            if not isinstance(part, str | Image):
                message = f"expected a prompt to be made of texts and images, got {part!r:.80}"
                raise TypeError(message)
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part != "":
                joined.append(part)
        object.__setattr__(self, "parts", tuple(joined))

    @classmethod
    def of(cls, *parts: str | Image | Prompt) -> Prompt:
        """Return the prompt that reads the given texts, images and prompts in a row."""
        flat: list[str | Image] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, Prompt) else (part,))
        return cls(tuple(flat))

    def __add__(self, other: Prompt) -> Prompt:
        return Prompt(self.parts + other.parts)

    @property
    def images(self) -> tuple[Image, ...]:
        """The images in reading order, repeated ones included."""
        return tuple(part for part in self.parts if isinstance(part, Image))

    def text(self, *, digests: bool = False) -> str:
        """Return the prompt as text, an `<image>` mark for each image.

        Args:
            digests: write `<image:0123456789ab>`, with the head of the image's digest, which opens every image.
        """
        marks = (part if isinstance(part, str) else _mark(part, digests=digests) for part in self.parts)
        return "".join(marks)


def _mark(image: Image, *, digests: bool) -> str:
    return f"<image:{image.digest[:12]}>" if digests else "<image>"
