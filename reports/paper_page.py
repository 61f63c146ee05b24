"""What the page of a comparison with a paper says, ready to be laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmos_eval.papers.sheet import LEGEND, lay_out

if TYPE_CHECKING:
    from kosmos_eval.papers.published import Paper
    from kosmos_eval.papers.sheet import Comparison, Sheet


@dataclass(frozen=True, slots=True)
class PaperPage:
    """A paper's tables with what was measured.

    Attributes:
        paper: whose they are.
        sheets: one a table.
        legend: what the verdicts mean.
    """

    paper: Paper
    sheets: tuple[Sheet, ...]
    legend: str


def build_paper_page(comparison: Comparison) -> PaperPage:
    """Return all that the page of a comparison with a paper says."""
    return PaperPage(comparison.paper, tuple(lay_out(judged) for judged in comparison.tables), LEGEND)
