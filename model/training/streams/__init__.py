"""The streams of documents, by name: each makes a document, as a tree of tokens, from a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .grounded import Grounded
from .interleaved import Interleaved
from .own import Own
from .pictures import Captions
from .text import Instructions, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...tokenizer import Tokenizer
    from ..config import TrainingConfig
    from ..documents import Stream


def make_streams(tokenizer: Tokenizer, config: TrainingConfig) -> dict[str, Stream]:
    """Return the streams that have a share.

    Raises:
        UsageError: a user's own data is not named, or not there.
        DataError: it cannot be read.
    """
    settings = config.streams
    makers: dict[str, Callable[[], Stream]] = {
        "text": lambda: Text(tokenizer, settings),
        "captions": lambda: Captions(tokenizer, settings),
        "grounded": lambda: Grounded(tokenizer, settings),
        "interleaved": lambda: Interleaved(tokenizer, settings),
        "instructions": lambda: Instructions(tokenizer, settings),
        "own": lambda: Own(tokenizer, settings, config.own),
    }
    return {name: makers[name]() for name in settings.shares}
