"""What is read into a dataclass is of the types that its fields say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.fields import check_fields

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Read:
    name: str = "a"
    count: int = 3
    seed: int | None = None
    share: float | None = 0.5
    median: float = 1
    known: bool = True
    groups: Mapping[str, Any] | None = None  # of a type that is not looked at


@dataclass(frozen=True)
class Kept:
    held: Mapping[str, int]


def test_what_fits_passes() -> None:
    check_fields(Read())
    check_fields(Read(seed=-1, share=None))
    check_fields(Kept({}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name: expected str, got 3"),
        ({"count": "3"}, "count: expected a count, got '3'"),
        ({"count": -1}, "count: expected a count, got -1"),
        ({"count": True}, "count: expected a count, got True"),
        ({"count": None}, "count: expected a count, got None"),
        ({"seed": 0.5}, r"seed: expected int \| None, got 0.5"),
        ({"share": float("nan")}, "share: expected a finite number or nothing, got nan"),
        ({"share": True}, "share: expected a finite number or nothing, got True"),
        ({"median": float("inf")}, "median: expected a finite number, got inf"),
        ({"known": 1}, "known: expected bool, got 1"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_fields(replace(Read(), **changes))


def test_a_mapping_is_one() -> None:
    held: Any = [1]
    with pytest.raises(TypeError, match=r"held: expected Mapping\[str, int\], got \[1\]"):
        check_fields(Kept(held))
