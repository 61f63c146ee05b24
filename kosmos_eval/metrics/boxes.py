r"""Boxes in generated text, and how well they meet the truth, as KOSMOS-2's released evaluators compute it.

Source: microsoft/unilm 768a3c87, kosmos-2/evaluation: {refcoco,flickr_entities}/decode_string.py reads the boxes,
refcoco/refexp_evaluate.py (with box_ops.py) and flickr_entities/flickr_entities_evaluate.py score them. Their behaviour
is kept where it is odd, because published numbers have it:

- A box belongs to a phrase only when `<object>` follows `</phrase>` at once and the phrase, stripped, equals the asked
  one, stripped. All such boxes of the text count, wherever they stand, in their order. A phrase with "<" in it never
  has a box.
- An object that is not pairs of locations, divided by delimiters, is no object: none of its boxes counts.
- A second corner above or left of the first is not put right: that box meets nothing, and still takes its place among
  the first k.
- Where there is no box, a box without area stands in, and is a miss.
- Overlap is intersection over union of continuous boxes: no pixel is added to a side. It is counted in pixels of the
  picture; RefCOCO's in single precision (torch's), Flickr30k Entities' in double precision (numpy's).
- An overlap of 0.5 is a hit, "greater than or equal"; the paper says "greater than".
- 0 divided by 0 is not a number, and makes a miss of all that it is compared with.

Deviation: the released evaluators read the phrase as their tokenizer wrote the prompt out again, so that a phrase that
SentencePiece's normalisation changes (two spaces in a row, say) never equals itself, and is a miss. Here it stands in
the text as it was asked.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.grounding import DELIMITER
from kosmos_eval.locations import Box, Corners, box_of, locations_of, unchecked_box_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HIT = 0.5
"""The overlap from which a box is right."""

_PAIR = r"<patch_index_\d+><patch_index_\d+>"
_OBJECT = re.compile(rf"(?:<phrase>([^<]+)</phrase>)?<object>((?:{_PAIR}{DELIMITER})*{_PAIR})</object>")
_LOCATION = re.compile(r"<patch_index_(\d+)>")
_MOST_DIGITS = 18  # a number of thousands of digits, which Python refuses to read, is as far outside as one of these


class PhraseBox(NamedTuple):
    """A box of a text, its sides as shares of the picture's, and the phrase that it stands for."""

    phrase: str | None
    box: Box


class Size(NamedTuple):
    """A picture's width and height in pixels."""

    width: float
    height: float


def read_boxes(text: str) -> tuple[PhraseBox, ...]:
    """Return all boxes of a text, in their order, with their phrases as they are spelt there.

    Example:
        >>> read_boxes("<phrase> a dog</phrase><object><patch_index_0005><patch_index_0911></object> runs")
        (PhraseBox(phrase=' a dog', box=Box(left=0.171875, top=0.015625, right=0.484375, bottom=0.890625)),)
    """
    found = []
    for match in _OBJECT.finditer(text):
        for pair in match[2].split(DELIMITER):
            first, last = (int(digits[:_MOST_DIGITS]) for digits in _LOCATION.findall(pair))
            found.append(PhraseBox(match[1], unchecked_box_of(Corners(first, last))))
    return tuple(found)


def boxes_of(text: str, phrase: str) -> tuple[Box, ...]:
    """Return the boxes that a text gives a phrase, as shares of the picture's sides."""
    wanted = phrase.strip()
    return tuple(each.box for each in read_boxes(text) if each.phrase is not None and each.phrase.strip() == wanted)


def in_pixels(box: Box, size: Size) -> Box:
    """Return a box with its sides in pixels."""
    return Box(box.left * size.width, box.top * size.height, box.right * size.width, box.bottom * size.height)


def in_shares(box: Box, size: Size) -> Box:
    """Return a box of pixels with its sides as shares of the picture's."""
    return Box(box.left / size.width, box.top / size.height, box.right / size.width, box.bottom / size.height)


def shown_box(box: Box) -> str:
    """Return a box of pixels for people: `(12, 30, 48, 77)`."""
    return f"({', '.join(f'{side:.0f}' for side in box)})"


def overlap(one: Box, other: Box, *, single: bool = False) -> float:
    """Return the intersection of two boxes over their union.

    Args:
        one: in any unit, here and there the same.
        other: likewise.
        single: round every step to single precision.

    Returns:
        0 to 1; not a number where neither box has an area.

    Example:
        >>> overlap(Box(0, 0, 2, 2), Box(1, 0, 3, 2))
        0.3333333333333333
    """
    precise = _single if single else float
    one, other = Box(*map(precise, one)), Box(*map(precise, other))
    across = max(precise(min(one.right, other.right) - max(one.left, other.left)), 0.0)
    down = max(precise(min(one.bottom, other.bottom) - max(one.top, other.top)), 0.0)
    both = precise(across * down)
    union = precise(precise(_area(one, precise) + _area(other, precise)) - both)
    return precise(both / union) if union else math.nan


def best_overlap(boxes: Sequence[Box], truths: Sequence[Box], *, single: bool = False) -> float:
    """Return the best overlap of any box with any truth (ANY-BOX), 0 to 1.

    Args:
        boxes: predicted ones; none is as good as one without area.
        truths: each of which will do.
        single: as for `overlap`.
    """
    overlaps = [overlap(box, truth, single=single) for box in boxes for truth in truths]
    if not overlaps or any(math.isnan(each) for each in overlaps):
        return 0.0
    return max(0.0, *overlaps)


def ceiling(truths: Sequence[Box], size: Size, *, single: bool = False) -> float:
    """Return the overlap with the truth of the truth itself, when it is said in 32 x 32 locations: 0 to 1.

    A box is put into cells as the model was trained, and read back as the model is evaluated.

    Args:
        truths: in pixels.
        size: of the picture.
        single: as for `overlap`.
    """
    reached = []
    for truth in truths:
        try:
            answer = box_of(locations_of(in_shares(truth, size)))
        except ValueError:  # no location stands for a box without area
            continue
        reached.append(best_overlap([in_pixels(answer, size)], truths, single=single))
    return max(reached, default=0.0)


def _area(box: Box, precise: Callable[[float], float]) -> float:
    return precise(precise(box.right - box.left) * precise(box.bottom - box.top))


def _single(number: float) -> float:
    """Return the nearest number of single precision; one operation on such numbers, so rounded, is torch's own."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)
