"""What a comparison of two runs finds, as values: of a metric, of a pair of cells, of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kosmos_eval.measurements import Origin
    from kosmos_eval.statistics.paired import Difference
    from kosmos_eval.trials import Spread

_NO_TEXTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample whose value changed.

    Attributes:
        key: of the sample.
        before, after: the answer in the base and in the other run; `None` is unparsed.
        target: the truth, for people.
        base, other: its value in either.
    """

    key: str
    before: str | None
    after: str | None
    target: str
    base: float
    other: float


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A metric over the samples that two cells have in common.

    Attributes:
        name: of the metric.
        base, other: its value over these samples in either; `None` where they leave it undefined.
        difference: other minus base.
        adjusted: p-value for the number of headline metrics that were compared (Holm); `None` where it is no headline
            or there was no test.
        detectable: the least true difference that such a comparison finds 80 times in 100; `None` without an estimate.
        higher_is_better: the direction of improvement.
        percent: tables show it times 100.
        own_values: it is the mean of the samples' own values, for the record cannot hold the corpus metric itself.
    """

    name: str
    base: float | None
    other: float | None
    difference: Difference
    adjusted: float | None = None
    detectable: float | None = None
    higher_is_better: bool = True
    percent: bool = True
    own_values: bool = False


@dataclass(frozen=True, slots=True)
class CellComparison:
    """Two cells, paired sample by sample.

    Attributes:
        base, other: names of the cells.
        refused: names of what differs and is not the point, such as "the prompts"; empty when they are comparable.
        reasons: why, one line each, in the same order.
        metrics: that could be compared, the headline first if it is among them.
        headline: name of the headline metric.
        missing: name of each metric that could not be compared, to the reason.
        gained, lost: samples whose value became better or worse, the largest change first; by `flipped`.
        flipped: the first metric that single samples have values of; empty when none has.
        common: samples that were compared.
        only_base, only_other: samples that only one has.
        failed: samples of both that failed in one or both.
        unlabelled: samples of both without a known truth.
        notes: what else differs, or limits what the numbers say.
    """

    base: str
    other: str
    refused: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    metrics: tuple[MetricComparison, ...] = ()
    headline: str = ""
    missing: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    gained: tuple[Flip, ...] = ()
    lost: tuple[Flip, ...] = ()
    flipped: str = ""
    common: int = 0
    only_base: int = 0
    only_other: int = 0
    failed: int = 0
    unlabelled: int = 0
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> bool:
        """Whether there is a metric to read."""
        return bool(self.metrics)

    @property
    def main(self) -> MetricComparison | None:
        """The headline metric; `None` when it could not be compared."""
        return next((each for each in self.metrics if each.name == self.headline), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, paired cell by cell.

    Attributes:
        cells: one a pair, in the base's order.
        only_base, only_other: names of cells that only one has.
        trials: name of the first of the cells with several trials, to the spread of the headline's difference.
        base, other: the runs.
        point: what was allowed to differ.
    """

    cells: tuple[CellComparison, ...]
    only_base: tuple[str, ...] = ()
    only_other: tuple[str, ...] = ()
    trials: Mapping[str, Spread] = field(default_factory=dict)
    base: Origin | None = None
    other: Origin | None = None
    point: frozenset[str] = frozenset()

    @property
    def compared(self) -> bool:
        """Whether any pair of cells has a metric to read."""
        return any(cell.compared for cell in self.cells)
