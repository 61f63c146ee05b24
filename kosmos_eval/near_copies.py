"""Whether two pictures show the same thing, though their bytes and pixels differ: a copy that was resized or recoded.

A difference hash finds what may be a copy: 64 bits, each telling whether a spot is brighter than its right neighbour.
Plain pictures, of a page or of shapes on one ground, have few such edges and so like hashes; therefore what the hash
finds is compared once more, spot by spot, in colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import PIL.Image

    from kosmos_eval.prompt import Image

_SIDE = 8
_LEAST = 2
_SPOTS = 16
_BITS = 8
_MEAN = 2.0
_MOST = 20
"""Of 255. JPEG of quality 75 at half the size keeps a photograph or a page of 224 pixels within these. Two pages that
differ by a word differ more; so does a thumbnail of a drawing of 96 pixels, which is not found."""


def difference_hash(picture: PIL.Image.Image) -> int:
    """Return 64 bits: for each of 8 rows of 9 spots, whether a spot is clearly brighter than the next one."""
    import PIL.Image  # noqa: PLC0415  Pillow takes 30 ms to import, and few commands compare pictures

    grey = picture.convert("L").resize((_SIDE + 1, _SIDE), PIL.Image.Resampling.BOX).tobytes()
    bits = (grey[place] > grey[place + 1] + _LEAST for place in range(len(grey)) if place % (_SIDE + 1) < _SIDE)
    return sum(bit << place for place, bit in enumerate(bits))


class Seen(NamedTuple):
    """A picture from afar: less than a kilobyte, whatever its size.

    Attributes:
        edges: its difference hash.
        spots: 16 by 16 of them in RGB, row by row.
    """

    edges: int
    spots: bytes

    def near(self, other: Seen) -> bool:
        """Return whether the other picture is a near copy of this one."""
        if (self.edges ^ other.edges).bit_count() > _BITS:
            return False
        differences = [abs(mine - yours) for mine, yours in zip(self.spots, other.spots, strict=True)]
        return max(differences) <= _MOST and sum(differences) / len(differences) <= _MEAN


def see(picture: PIL.Image.Image) -> Seen:
    """Return what a picture in RGB looks like from afar."""
    import PIL.Image  # noqa: PLC0415  as above

    return Seen(difference_hash(picture), picture.resize((_SPOTS, _SPOTS), PIL.Image.Resampling.BOX).tobytes())


@dataclass(frozen=True)
class Look:
    """What a picture looks like from afar; it is opened when it is first compared."""

    image: Image

    @cached_property
    def _seen(self) -> Seen:
        return see(self.image.load())

    def near(self, other: Look) -> bool:
        """Return whether the other picture is the same or a near copy of this one."""
        return self.image.digest == other.image.digest or self._seen.near(other._seen)
