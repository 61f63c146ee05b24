r"""Captions as caption metrics see them: PTB tokens in lower case, punctuation dropped, joined by spaces.

Where Java is, the official tokenizer does it, as coco-caption runs it; elsewhere `ptb.py`, which gives the same tokens.

Source: pycocoevalcap/tokenizer/ptbtokenizer.py in salaniz/pycocoevalcap 1.2. Kept where it is odd:
captions are the lines of one file, and the tokenizer looks beyond the end of a line. Of "the letter K." it keeps "k.",
but if the next caption begins with "The", "A" or another of some fifty words, it keeps "k" alone.

Deviation: a caption is one line whatever it holds. There, `\n` becomes a space, but other line breaks (`\r`, form feed,
U+2028, ...) make the tokenizer write more lines than captions, and each caption behind gets another one's tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from .java import JavaError, machine
from .ptb import ptb_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

_DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
"""What coco-caption drops; brackets come in lower case and so stay, as they do there."""
_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")  # half a character, from broken JSON: Java reads it as a question mark
OFFICIAL = "Stanford PTBTokenizer 3.4.1 (Java)"
OWN = "kosmos-eval's PTB tokenizer (Python)"


@dataclass
class _Record:
    """Which tokenizer ran last in this process; empty when none has."""

    name: str = ""


@cache
def _record() -> _Record:
    return _Record()


def tokenizer_name() -> str:
    """Return which tokenizer ran last in this process, for the run's record; empty when none has."""
    return _record().name


def tokenise(captions: Sequence[str]) -> list[str]:
    """Return each caption's tokens, joined by spaces; the captions are read as one text, a line each.

    Example:
        >>> tokenise(["A man's dog, running."])
        ["a man 's dog running"]
    """
    plain = [_SURROGATES.sub("?", _BREAKS.sub(" ", caption)) for caption in captions]
    try:
        lines = machine().tokenise(plain)
        _record().name = OFFICIAL
    except JavaError:
        lines = [" ".join(each) for each in ptb_lines(plain)]
        _record().name = OWN
    return [" ".join(word for word in line.rstrip().split(" ") if word not in _DROPPED) for line in lines]
