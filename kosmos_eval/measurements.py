"""Reads what a comparison needs of a run: each sample's values by its key, and what corpus metrics are made of.

Everything comes from `samples/STEM.parquet`, whose rows hold no exchange that is read here: hundreds of thousands of
samples take seconds and little memory, and neither the data nor a model is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from kosmos_eval.corpus import part_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kosmos_eval.corpus import Weighed
    from kosmos_eval.record import CellResult, RunRecord

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that a cell was measured in.

    Attributes:
        run: the folder as it was named.
        model: name of the model.
        weights: the model's fingerprint.
        dtype: of the weights and activations.
        exemplars: how few-shot exemplars were chosen.
    """

    run: str = ""
    model: str = ""
    weights: str = ""
    dtype: str = ""
    exemplars: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """One cell of a run, a sample a place: all that a comparison needs, and nothing that needs the data or a model.

    Attributes:
        cell: the cell's results.
        keys: of the samples, each once.
        contents: SHA-256 of each sample.
        clusters: what each sample shares with others; empty where it stands alone.
        answers: as read out of the responses; `None` is unparsed, or failed.
        values: metric name to one value a sample, `None` where it has none: unlabelled, failed, or of a corpus metric
            whose samples have no values of their own.
        corpus: name of each corpus metric that the record can hold to the metric over the samples at `measured`.
        measured: places of the samples that were scored: labelled, and not failed.
        failed: keys of the samples that the model could not take.
        asked: SHA-256 of each sample's first request; empty in records of before it was kept.
        targets: the truth, for people.
        groups: breakdown to category, of each sample.
        unkept: name of each corpus metric that is in neither `corpus` nor any sample's values, to the reason.
        origin: the run.
    """

    cell: CellResult
    keys: tuple[str, ...]
    contents: tuple[str, ...]
    clusters: tuple[str, ...]
    answers: tuple[str | None, ...]
    values: Mapping[str, tuple[float | None, ...]]
    corpus: Mapping[str, Weighed] = field(default_factory=lambda: _NOTHING)
    measured: tuple[int, ...] = ()
    failed: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    groups: tuple[Mapping[str, str], ...] = ()
    unkept: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    origin: Origin = Origin()

    def take(self, places: Sequence[int]) -> Measurements:
        """Return the samples at some places, in that order; all of them must be measured ones.

        Raises:
            ValueError: a place is of a sample that was not scored.
        """
        at = {place: number for number, place in enumerate(self.measured)}
        try:
            members = np.array([at[place] for place in places], dtype=np.int64)
        except KeyError as error:
            message = f"expected samples that were scored, got the one at place {error.args[0]}"
            raise ValueError(message) from None

        def taken(column: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(column[place] for place in places) if column else ()

        return replace(
            self,
            keys=taken(self.keys),
            contents=taken(self.contents),
            clusters=taken(self.clusters),
            answers=taken(self.answers),
            values={name: taken(column) for name, column in self.values.items()},
            corpus={name: part_of(whole, members) for name, whole in self.corpus.items()},
            measured=tuple(range(len(places))),
            failed=frozenset(),
            asked=taken(self.asked),
            targets=taken(self.targets),
            groups=taken(self.groups),
        )


def read_measurements(record: RunRecord, cell: CellResult) -> Measurements:
    """Return a cell of a run as it was measured.

    Raises:
        DataError: the samples' file is missing, damaged or of another version, or does not fit the results.
    """
    raise NotImplementedError
