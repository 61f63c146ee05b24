r"""Captions as caption metrics see them: PTB tokens in lower case, punctuation dropped, joined by spaces.

Where Java is, the official tokenizer does it, as coco-caption runs it; elsewhere `ptb.py`, which gives the same tokens.

Source: pycocoevalcap/tokenizer/ptbtokenizer.py in salaniz/pycocoevalcap 1.2. Deviations, so that a caption's tokens
depend on that caption alone:

- A caption is one line whatever it holds. There, `\n` becomes a space, but other line breaks (`\r`, form feed, U+2028,
  ...) make the tokenizer write more lines than captions, and each caption behind gets another one's tokens.
- A caption's last full stop does not depend on how the next one begins. There, "a sign saying no." gives "no." where
  the next caption begins with a number, else "no".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from .java import JavaError, machine
from .ptb import ptb_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

_DROPPED = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
"""What coco-caption drops; brackets come in lower case and so stay, as they do there."""
_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")  # half a character, from broken JSON: Java reads it as a question mark
_BETWEEN = "-"  # a line between captions, before which the tokenizer decides as at the end of a text

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
    """Return each caption's tokens, joined by spaces.

    Example:
        >>> tokenise(["A man's dog, running."])
        ["a man 's dog running"]
    """
    plain = [_SURROGATES.sub("?", _BREAKS.sub(" ", caption)) for caption in captions]
    try:
        lines = machine().tokenise([line for caption in plain for line in (caption, _BETWEEN)])[::2]
        _record().name = OFFICIAL
    except JavaError:
        lines = [" ".join(ptb_tokens(caption)) for caption in plain]
        _record().name = OWN
    return [" ".join(word for word in line.rstrip().split(" ") if word not in _DROPPED) for line in lines]
