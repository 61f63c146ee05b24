"""Whether a dataclass that was read from a file holds what its fields say: Python does not look."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_MAPPING = re.compile(r"Mapping\[[^|]*\]")


def check_fields(value: Any) -> None:  # noqa: ANN401  any dataclass, for which typing has no name
    """Raise unless each field is of its type: numbers finite, counts at least 0, and no truth value for a number.

    Fields of other types than those of `_FITS` are not looked at.

    Args:
        value: of a dataclass whose annotations are text (`from __future__ import annotations`).

    Raises:
        TypeError: a field holds something else.
    """
    for each in fields(value):
        found, expected = getattr(value, each.name), str(each.type)
        if not _FITS.get("Mapping" if _MAPPING.fullmatch(expected) else expected, _anything)(found):
            message = f"{each.name}: expected {_NAMES.get(expected, expected)}, got {found!r:.60}"
            raise TypeError(message)


def _anything(_: object) -> bool:
    return True


def _finite(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)


_FITS: Mapping[str, Callable[[object], bool]] = {
    "str": lambda found: isinstance(found, str),
    "bool": lambda found: isinstance(found, bool),
    "int": lambda found: type(found) is int and found >= 0,
    "int | None": lambda found: found is None or type(found) is int,
    "float": _finite,
    "float | None": lambda found: found is None or _finite(found),
    "Mapping": lambda found: isinstance(found, dict),
}
_NAMES = {"int": "a count", "float": "a finite number", "float | None": "a finite number or nothing"}
