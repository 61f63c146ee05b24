"""A comparison with a paper as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from kosmos_eval.papers.sheet import LEGEND, lay_out
from kosmos_eval.visible import visible

if TYPE_CHECKING:
    from kosmos_eval.papers.sheet import Comparison


def html(comparison: Comparison) -> str:
    """Return the comparison as an HTML page, a table for each of the paper's."""
    import jinja2  # noqa: PLC0415  needed only when a page is written
    import markupsafe  # noqa: PLC0415  as above

    style = files(__package__).joinpath("templates", "comparison.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("comparison.html").render(
        paper=comparison.paper,
        sheets=[lay_out(judged) for judged in comparison.tables],
        legend=LEGEND,
        style=markupsafe.Markup(style),  # noqa: S704  our own file, which a test keeps free of "<"
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
    )
