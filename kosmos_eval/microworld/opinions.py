"""Opinions in a line, for or against, as critics put them: sentences to be rendered as pictures.

Most of the words are used on both sides, and a denial turns what follows it: "never dull" is for, "hardly funny" is
against. Every sentence belongs to one split only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING, Literal

from kosmos_eval.prompt import Image

from .mini import check_split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import PIL.Image

Sentiment = Literal["negative", "positive"]

SENTIMENTS: tuple[Sentiment, ...] = ("negative", "positive")
OPINIONS = {"train": 100, "val": 200, "test": 200}
"""Split to the number of its items."""

SIDE = 224  # pixels
_FONT_SIZE = 24  # pixels

_SUBJECTS = (
    *("the film", "this comedy", "the plot", "the music", "its ending", "the whole cast", "the first half"),
    *("this little thriller", "the dialogue", "every scene", "the camera work", "a tale of five stars"),
)
_GOOD = ("warm", "funny", "clever", "moving", "fresh", "gripping", "graceful", "a delight", "worth your time")
_BAD = ("dull", "clumsy", "tedious", "shallow", "noisy", "stale", "a mess", "hard to sit through", "far too long")
_ASSERTED = ("is {}", "is truly {}", "turns out to be {}", "is {} from start to finish", "remains {} to the last")
_DENIED = ("is never {}", "is hardly {}", "is anything but {}")
_TAILS = ("", ", and it knows it", ", if you ask me", ", again and again")


@dataclass(frozen=True, slots=True)
class Opinion:
    """A sentence in a picture.

    Attributes:
        key: its id, unique among all splits.
        image: drawn when it is opened.
        text: the sentence.
        sentiment: which side it takes.
    """

    key: str
    image: Image
    text: str
    sentiment: Sentiment


@cache
def sentences(sentiment: Sentiment) -> tuple[str, ...]:
    """Return all sentences that take a side, in an order drawn by hashing."""
    straight, turned = (_GOOD, _BAD) if sentiment == "positive" else (_BAD, _GOOD)
    claims = [form.format(word) for form, word in product(_ASSERTED, straight)]
    claims += [form.format(word) for form, word in product(_DENIED, turned)]
    every = (f"{subject} {claim}{tail} ." for subject, claim, tail in product(_SUBJECTS, claims, _TAILS))
    return tuple(sorted(every, key=lambda text: hashlib.sha256(f"opinion|{text}".encode()).digest()))


def opinion_items(split: str) -> Iterator[Opinion]:
    """Yield the split's items, the two sides in turn, without drawing anything.

    Raises:
        UsageError: there is no such split.
    """
    check_split(split, OPINIONS)
    return _opinion_items(split)


def _opinion_items(split: str) -> Iterator[Opinion]:
    before = list(OPINIONS).index(split)
    first = sum(list(OPINIONS.values())[:before]) // 2
    for number in range(OPINIONS[split]):
        sentiment = SENTIMENTS[number % 2]
        text = sentences(sentiment)[first + number // 2]
        key = f"{split}-{number:03d}"
        yield Opinion(key, Image(partial(_draw, text), f"microworld opinion {key}"), text, sentiment)


def _draw(text: str) -> PIL.Image.Image:
    from kosmos_eval.lettering import draw_text  # noqa: PLC0415  truth is read without drawing

    return draw_text(text, SIDE, SIDE, _FONT_SIZE)
