"""The streams of documents, by name: each makes a document, as a tree of tokens, from a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .grounded import Grounded
from .interleaved import Interleaved
from .pictures import Captions
from .text import Instructions, Text

if TYPE_CHECKING:
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
    makers = {
        "text": lambda: Text(tokenizer, settings),
        "captions": lambda: Captions(tokenizer, settings),
        "grounded": lambda: Grounded(tokenizer, settings),
        "interleaved": lambda: Interleaved(tokenizer, settings),
        "instructions": lambda: Instructions(tokenizer, settings),
    }
    return {name: makers[name]() for name in settings.shares}
