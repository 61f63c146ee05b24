"""Writes `docs/benchmarks.md` from the tasks themselves.

python docs/make_benchmarks.py           write the page
python docs/make_benchmarks.py --check   fail when the page is not what it would write
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.plugins import Plugins
from kosmos_eval.selection import find_groups, groups_of, splits_of, variants_of
from kosmos_eval.task_notes import about, first_request, request_text, setting_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kosmos_eval.task import About

PAGE = Path(__file__).parent / "benchmarks.md"
_SHOWN = 6
"""Options of a prompt that are written out."""

_HEAD = """\
# Benchmarks

Made by `make docs` from the tasks; edit those instead.

`kosmos-eval run --tasks NAME` runs a task. `NAME:SPLIT` or `NAME:VARIANT` runs a part of it, `GROUP` the parts that the
tasks name for a group, and a glob such as `refcoco*` or `refcoco:*` what it matches; `--set NAME.SETTING=VALUE`
changes a setting. `--data mini` takes the embedded stand-in, whose numbers are never compared with published ones;
`--data hub` a dataset of the Hugging Face hub; `--data DIR` the official files, where the sections below say.
`kosmos-eval validate NAME --data DIR` tries reading, prompts and scores without a model.
"""


def page() -> str:
    """Return the page: a row a task, a row a group, then a section for each task."""
    plugins = Plugins()
    tasks: dict[str, Any] = {name: plugins.task(name)() for name in plugins.built_in("task")}
    lines = [
        _HEAD,
        *_table(("task", "what it asks", "metrics", "sources", "splits and variants"), map(_row, tasks.values())),
    ]
    groups = find_groups(plugins).members.items()
    lines += ["", "## Groups", ""]
    lines += _table(("group", "what `--tasks GROUP` runs"), ((f"`{name}`", _names(parts)) for name, parts in groups))
    for name, task in tasks.items():
        lines += ["", f"## {name}", "", *_section(task)]
    return "\n".join(lines) + "\n"


def _row(task: Any) -> tuple[str, ...]:  # noqa: ANN401  a task of any kind
    parts = (*splits_of(task), *variants_of(task))
    metrics = [f"**{metric.name}**" if place == 0 else metric.name for place, metric in enumerate(task.metrics)]
    return (
        f"[{task.name}](#{task.name})",
        task.description,
        ", ".join(metrics),
        ", ".join(task.sources),
        ", ".join(parts),
    )


def _section(task: Any) -> Iterator[str]:  # noqa: ANN401  as above
    notes = about(task)
    yield f"{task.description} Version {task.version}."
    yield ""
    yield from _facts(task, notes)
    if "mini" in task.sources:
        yield from ["", "Asked without exemplars:", "", "```text", *_prompt(task), "```"]
    yield ""
    better = {True: "", False: "; lower is better"}
    rows = ((f"`{each.name}`", f"{each.description}{better[each.higher_is_better]}") for each in task.metrics)
    yield from _table(("metric", "what it is"), rows)
    yield ""
    said = setting_notes(task)
    settings = ((f"`{each.name}`", f"`{getattr(task, each.name)!r}`", said.get(each.name, "")) for each in fields(task))
    yield from _table(("setting", "default", "what it is"), settings)
    if notes.files:
        yield from [
            "",
            "Files for `--data DIR`:",
            "",
            *(f"- {line.removeprefix('- ')}" for line in notes.files.splitlines()),
        ]
    if notes.deviations:
        yield from ["", "Deviations and choices:", "", *(f"- {each}" for each in notes.deviations)]
    if notes.exempt:
        yield from ["", "What `validate` does not prove:", ""]
        for why in dict.fromkeys(notes.exempt.values()):
            yield f"- {_names(name for name, reason in notes.exempt.items() if reason == why)}: {why}"


def _facts(task: Any, notes: About) -> Iterator[str]:  # noqa: ANN401  as above
    yield f"- Sources: {', '.join(task.sources)}"
    if splits := splits_of(task):
        yield f"- Splits: {_names(splits)}; by default `{task.split}`, exemplars from `{task.exemplar_split}`"
    for name, changed in variants_of(task).items():
        settings = ", ".join(f"`{key}={value!r}`" for key, value in changed.items())
        yield f"- Variant `{name}`: {settings}"
    if groups := groups_of(task):
        yield f"- Groups: {_names(groups)}"
    if notes.paper:
        yield f"- Published: {notes.paper}"
    if notes.licence:
        yield f"- Licence: {notes.licence}"


def _prompt(task: Any) -> list[str]:  # noqa: ANN401  as above
    """Return the first request as lines, so many options of it."""
    prompt, *options = request_text(first_request(task, 0)).split("\n    ")
    more = [f"    and {len(options) - _SHOWN} more"] if len(options) > _SHOWN else []
    return [*prompt.splitlines(), *(f"    {each}" for each in options[:_SHOWN]), *more]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table; bars inside cells are escaped."""
    cells = [[each.replace("|", "\\|") for each in row] for row in (heading, tuple("---" for _ in heading), *rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def main() -> int:
    """Write or check the page; return the exit code."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
