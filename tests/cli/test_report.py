"""`report` writes reports of a finished run again."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


REPORT = """
    class Names:
        name = "names"

        def write(self, record, folder):
            path = folder / "report.txt"
            path.write_text("\\n".join(cell.name for cell in record.cells), encoding="utf-8")
            return path

    REPORTS = (Names(),)
"""


def test_a_report_is_written_into_the_run_and_its_path_is_shown(kosmos_eval: Command, finished_run: Path) -> None:
    written = kosmos_eval("report", finished_run)
    assert (written.code, written.out) == (0, f"{finished_run / 'report.html'}\n")
    assert "letters@mini" in (finished_run / "report.html").read_text(encoding="utf-8")


def test_several_reports_are_separated_by_commas(kosmos_eval: Command, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "names.py").write_text(dedent(REPORT), encoding="utf-8")
    flags = ("--include_path", tmp_path / "plugins", "--report", "names, html")
    assert kosmos_eval("report", finished_run, *flags).code == 0
    assert (finished_run / "report.html").exists()
    assert (finished_run / "report.txt").read_text(encoding="utf-8") == "letters@mini|0\nletters@mini|2"


def test_an_unknown_report_is_a_usage_error(kosmos_eval: Command, finished_run: Path) -> None:
    refused = kosmos_eval("report", finished_run, "--report", "htm")
    assert (refused.code, refused.message) == (64, "kosmos-eval: no report named 'htm'; did you mean 'html'?")


def test_an_unfinished_run_has_no_report(kosmos_eval: Command, finished_run: Path) -> None:
    (finished_run / "results.json").unlink()
    refused = kosmos_eval("report", finished_run)
    assert refused.code == 65
    assert f"finish it with: kosmos-eval run --resume {finished_run}" in refused.message
