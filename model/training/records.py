"""Records of a user's own data: a picture and texts each, by their number.

Which record a document is made of is drawn, so records are read in any order, each alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from kosmos_eval.prompt import Image

NO_PICTURES = "none"
"""What `[own] image` says when records are text alone."""

_SHOWN = 60


class Records(Protocol):
    """Records in an order of their own.

    Attributes:
        notes: what a user should know of them, for the line at the start.
    """

    notes: tuple[str, ...]

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """Return how messages call a record."""
        ...

    def texts(self, number: int, field: str) -> tuple[str, ...]:
        """Return the texts that a field of a record holds, as a rule one.

        Raises:
            DataError: it holds something else, or cannot be read.
        """
        ...

    def picture(self, number: int) -> Image | None:
        """Return the picture of a record, the right way up where its file says which way that is, if it has one.

        Raises:
            DataError: it cannot be read.
        """
        ...


def texts_of(value: object, where: str) -> tuple[str, ...]:
    """Return a text, a number as text, or a list of texts; nothing for none.

    Args:
        value: as a file has it.
        where: record and field, for the message.

    Raises:
        DataError: it is something else.
    """
    match value:
        case None:
            return ()
        case str():
            return (value,) if value.strip() else ()
        case int() | float() if not isinstance(value, bool):
            return (str(value),)
        case list() if all(isinstance(each, str) for each in value):
            return tuple(each for each in value if each.strip())
    message = f"{where}: expected a text or a list of texts, got {value!r:.{_SHOWN}}; name another field"
    raise DataError(message)
