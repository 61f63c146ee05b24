"""The options of a `Score` request, as a chart: how likely each was, which was preferred, which is right.

Log-likelihoods of unequal lengths are compared in three ways. The record does not say which one a task went by, but
the margin does: it is the gap between the best two under that one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.table import NO_NUMBER, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.record import Exchange, SampleRecord
    from kosmos_eval.request import LogLikelihood, Scored

    from .pictures import Album, Piece

OPTION_LIMIT = 12
_LONG_LIST = 8
_MEASURES = {"total": "sum over tokens", "per_token": "mean a token", "per_character": "mean a character"}
_MARGIN_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        number: its place in the request, from 1.
        pieces: its text, with its lead.
        pictures: the images among them.
        likelihood: log-likelihood in nats, as text.
        share: its part of the softmax over all options, in percent, as text.
        share_width: the same as a number, 0 to 100.
        best: whether it is the most likely.
        right: whether it is the true one.
    """

    number: int
    pieces: tuple[Piece, ...]
    pictures: tuple[Piece, ...]
    likelihood: str
    share: str
    share_width: float
    best: bool
    right: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one request.

    Attributes:
        shown: in the request's order; the most likely ones first when there are more than `OPTION_LIMIT`.
        preferred: what the most likely one says.
        left_out: how many are not shown.
        measure: how they were compared, in words.
    """

    shown: tuple[Option, ...]
    preferred: tuple[Piece, ...]
    left_out: int
    measure: str


def build_options(exchange: Exchange, scored: Scored, sample: SampleRecord, album: Album, *, correct: bool) -> Options:
    """Return the chart of a request's options.

    Args:
        exchange: the request and its response.
        scored: the response, read.
        sample: the exchange's sample.
        album: where the options' images come from.
        correct: whether the sample's answer is fully right, so that the preferred option is the true one.

    Raises:
        ValueError: options and log-likelihoods differ in number.
    """
    measure = _deciding_measure(scored.continuations, sample.margin)
    values = [float(getattr(row, measure)) for row in scored.continuations]
    shares = _softmax(values)
    best = max(values)
    right = right_options(exchange.options, sample.target) or numbered_option(sample, values.index(best), len(values))
    if not right and correct:
        right = frozenset({values.index(best)})
    order = list(range(len(values)))
    if len(order) > OPTION_LIMIT:
        ranked = sorted(order, key=lambda index: -values[index])
        order = ranked[:_LONG_LIST] + [index for index in ranked[_LONG_LIST:] if index in right][:_LONG_LIST]
    shown = []
    for index, text, images, value, share in zip(
        range(len(values)), exchange.options, exchange.option_images, values, shares, strict=True
    ):
        pieces = album.pieces(text, images) if index in order else ()
        option = Option(
            number=index + 1,
            pieces=pieces,
            pictures=tuple(piece for piece in pieces if piece.missing or piece.picture),
            likelihood=nats(value),
            share=percent(share),
            share_width=round(100 * (share or 0.0), 2),
            best=value == best,
            right=index in right,
        )
        shown.append(option)
    return Options(
        shown=tuple(shown[index] for index in order),
        preferred=shown[values.index(best)].pieces,
        left_out=len(values) - len(order),
        measure=_MEASURES[measure],
    )


def nats(value: float | None) -> str:
    """Return a number of nats with three decimals and a true minus sign; tiny ones in powers of ten."""
    if value is None:
        return NO_NUMBER
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "\N{MINUS SIGN}∞"
    small = 0 < abs(value) < 0.001  # noqa: PLR2004  below the three decimals
    return (f"{value:.1e}" if small else f"{value:.3f}").replace("-", "\N{MINUS SIGN}")


def right_options(options: Sequence[str], target: str) -> frozenset[int]:
    """Return the indices of the options that spell the target: the whole text, else the end of it after the lead.

    A target that is the end of every option tells none apart, and gives none.
    """
    wanted = _plain(target)
    if not wanted:
        return frozenset()
    whole = frozenset(index for index, option in enumerate(options) if _plain(option) == wanted)
    if whole:
        return whole
    ends = frozenset(
        index for index, option in enumerate(options) if _plain(option).endswith((" " + wanted, ">" + wanted))
    )
    return ends if len(ends) < len(options) else frozenset()


def numbered_option(sample: SampleRecord, preferred: int, options: int) -> frozenset[int]:
    """Return the index of the option that the target names by number or letter; empty when it names none.

    Whether counting begins at 0 or 1 is read off the answer, which names the preferred option in the same way.

    Args:
        sample: with its answer and target.
        preferred: index of the most likely option.
        options: how many there are.
    """
    answer, target = _ordinal(sample.answer or ""), _ordinal(sample.target)
    if answer is None or target is None or answer - preferred not in (0, 1):
        return frozenset()
    index = target - (answer - preferred)
    return frozenset({index}) if 0 <= index < options else frozenset()


def _ordinal(text: str) -> int | None:
    word = text.rsplit(maxsplit=1)[-1] if text.split() else ""
    if word.isascii() and word.isdigit():
        return int(word)
    return ord(word.upper()) - ord("A") if len(word) == 1 and word.isascii() and word.isalpha() else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _deciding_measure(rows: Sequence[LogLikelihood], margin: float | None) -> str:
    if margin is not None and len(rows) > 1:
        for measure in _MEASURES:
            first, second = sorted((float(getattr(row, measure)) for row in rows), reverse=True)[:2]
            if abs(first - second - margin) <= _MARGIN_TOLERANCE:
                return measure
    return "total"


def _softmax(values: Sequence[float]) -> list[float | None]:
    best = max(values)
    if not math.isfinite(best):
        return [None] * len(values)
    weights = [math.exp(value - best) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
