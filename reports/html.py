"""Writes a run, an ablation, a comparison or a paper's tables as one page that needs nothing else.

The page runs no script, and its policy forbids any; it loads nothing, so it reads the same from a disk, an e-mail or a
server. What models and datasets say is text, wherever it lands.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.visible import visible

from .ablation_page import build_ablation_page
from .comparison_page import build_comparison_page
from .page import build_page
from .paper_page import build_paper_page

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.ablation.result import Ablation
    from kosmos_eval.comparison import Comparison
    from kosmos_eval.papers.sheet import Comparison as PaperComparison
    from kosmos_eval.record import RunRecord

_TEMPLATES = "kosmos_eval.reports"


class HTMLReport:
    """Writes a run as one HTML page."""

    name: ClassVar[str] = "html"

    def write(self, record: RunRecord, folder: Path) -> Path:
        """Write `report.html` into a folder and return its path; on failure an older report stays as it was.

        Raises:
            DataError: a file of the run folder cannot be read.
        """
        return _write(render(record), folder / "report.html")

    def write_ablation(self, ablation: Ablation, folder: Path) -> Path:
        """Write `report.html` of an ablation into a folder and return its path; on failure an older one stays."""
        return _write(render_ablation(ablation), folder / "report.html")

    def write_comparison(self, comparison: Comparison, path: Path, flips: int) -> None:
        """Write a comparison to a path, with at most so many flipped samples of a cell either way."""
        _write(render_comparison(comparison, flips), path)

    def paper_tables(self, comparison: PaperComparison) -> str:
        """Return a comparison with a paper as a page, a table for each of the paper's."""
        return _filled("paper.html", build_paper_page(comparison))


HTML = HTMLReport()
"""The report writer `html`, as the entry point names it."""


def _write(page: str, path: Path) -> Path:
    from kosmos_eval.writing import whole_file  # noqa: PLC0415  writing brings all of scoring with it

    with whole_file(path) as draft:
        draft.write_bytes(page.encode())
    return path


def render(record: RunRecord) -> str:
    """Return the report of a run as HTML."""
    return _filled("report.html", build_page(record))


def render_ablation(ablation: Ablation) -> str:
    """Return the report of an ablation as HTML."""
    return _filled("ablation.html", build_ablation_page(ablation))


def render_comparison(comparison: Comparison, flips: int) -> str:
    """Return the report of a comparison as HTML."""
    return _filled("comparison.html", build_comparison_page(comparison, flips))


def _filled(template: str, page: object) -> str:
    import jinja2  # noqa: PLC0415  needed only when a page is written
    import markupsafe  # noqa: PLC0415  as above

    style = files(_TEMPLATES).joinpath("templates", "report.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(
        page=page,
        style=markupsafe.Markup(style),  # noqa: S704  our own file, which a test keeps free of "<"
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
    )
