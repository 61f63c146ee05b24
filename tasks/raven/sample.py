"""One matrix, and how its panels are counted and its rules are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.prompt import Image

_NO_RULES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class RavenSample(Sample):
    """A matrix with a panel missing.

    Attributes:
        context: the panels that are seen, in reading order.
        candidates: at least two panels, of which one fits.
        target: index of the one that fits; `None` when unlabelled.
        rules: attribute to the name of the rule that governs it, as far as they are known.
    """

    context: tuple[Image, ...]
    candidates: tuple[Image, ...]
    target: int | None = None
    rules: Mapping[str, str] = field(default_factory=lambda: _NO_RULES)


def make_sample(
    key: str,
    context: tuple[Image, ...],
    candidates: tuple[Image, ...],
    target: int | None,
    *,
    rules: Mapping[str, str],
    configuration: str,
) -> RavenSample:
    """Return the sample with its breakdowns: number of panels, configuration if it has one, rule of each attribute."""
    groups = {"panels": str(len(context))}
    if configuration:
        groups["configuration"] = configuration
    return RavenSample(
        key=key,
        groups=groups | {f"{attribute} rule": rule for attribute, rule in rules.items()},
        chance=1 / len(candidates),
        labelled=target is not None,
        context=context,
        candidates=candidates,
        target=target,
        rules=rules,
    )
