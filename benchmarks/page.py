"""Run the topics of this folder and put their rows into docs/performance.md.

    python benchmarks/page.py [--run] [--check] [--results FOLDER] [--page FILE]

A topic is every other script here that measures speed. Each is run in a process of its own, one after the other, and
writes a file of results; the page shows them between its two markers, under the first line of the script's docstring.
What stands around the markers is written by hand. --check says whether the page has the form that this script gives it.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.measure import HEADER, RESULTS, ROOT, Row, table

_HERE = Path(__file__).parent
_NO_TOPICS = {Path(__file__).name, "intervals.py", "planted.py"}
"""The last two measure how often the statistics are right, and nothing of speed."""
BEGIN, END = "<!-- what follows is made by `make bench` -->", "<!-- end of what is made -->"


def topics() -> list[Path]:
    """Return the scripts that measure something, by name."""
    return sorted(path for path in _HERE.glob("*.py") if path.name not in _NO_TOPICS)


def title(script: Path) -> str:
    """Return the first line of a script's docstring, without the full stop."""
    said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.stem
    return said.splitlines()[0].removesuffix(".")


def made(results: Path) -> str:
    """Return what stands between the markers."""
    parts = []
    for script in topics():
        path = results / f"{script.stem}.json"
        body = _section(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else "Not measured yet."
        parts.append(f"### {title(script)}\n\n`benchmarks/{script.name}`\n\n{body}\n")
    return "\n".join(parts)


def _section(found: dict[str, Any]) -> str:
    place = found["environment"]
    versions = ", ".join(f"{name} {place[name]}" for name in ("python", "torch", "transformers", "lm_eval"))
    where = (
        f"{place['processor']}; {place['threads']} threads on {place['cores']} cores; {versions}; "
        f"{place['date']}, commit {place['commit']}; medians of {found['repeats']}"
    )
    quick = "\n\nMade with --quick: these are no figures." if found["quick"] else ""
    return f"{where}.{quick}\n\n{table([Row.from_json(row) for row in found['rows']])}"


def with_rows(page: str, rows: str) -> str:
    """Return a page with other rows between its markers.

    Raises:
        ValueError: a marker is missing, or there are two of a kind.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        message = f"expected one line {BEGIN!r} and one line {END!r} in the page"
        raise ValueError(message)
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{rows}\n{END}{rest.partition(END)[2]}"


def faults(page: str) -> list[str]:
    """Return what in a page is not as this script makes it: one line a fault."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        return ["the markers are not there once each"]
    rows = page.partition(BEGIN)[2].partition(END)[0].splitlines()
    known = {f"### {title(script)}" for script in topics()}
    headings = [line for line in rows if line.startswith("#")]
    found = [f"no script has this heading: {line}" for line in headings if line not in known]
    lines = [line for line in rows if line.startswith("|")]
    found += [f"not {len(HEADER)} columns: {line}" for line in lines if line.count(" | ") != len(HEADER) - 1]
    if "Made with --quick" in page:
        found.append("the figures were made with --quick")
    return found if headings else ["there is no topic between the markers"]


def main() -> int:
    """Do what the flags say; return 1 if a topic failed or the page has a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the topics first")
    parser.add_argument("--quick", action="store_true", help="with --run: smallest sizes")
    parser.add_argument("--check", action="store_true", help="change nothing, and say what is wrong with the page")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result files")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()
    page = options.page.read_text(encoding="utf-8")
    if options.check:
        found = faults(page)
        print("\n".join(found), end="\n" if found else "")
        return int(bool(found))
    failed = []
    for script in topics() if options.run else []:
        print(f"\n{script.name}", flush=True)
        flags = ["--out", str(options.results), *(["--quick"] if options.quick else [])]
        if subprocess.run([sys.executable, str(script), *flags], check=False).returncode:  # noqa: S603  our scripts
            failed.append(script.name)
    options.page.write_text(with_rows(page, made(options.results)), encoding="utf-8")
    print("".join(f"{name} failed; the page shows what it wrote before\n" for name in failed), end="")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
