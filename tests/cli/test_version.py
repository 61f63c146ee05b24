"""`version` shows what is installed."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_the_versions_of_what_can_move_a_number_are_shown(kosmos_eval: Command) -> None:
    shown = kosmos_eval("version")
    rows = {line.split()[0]: line.split()[-1] for line in shown.out.splitlines()}
    assert shown.code == 0
    assert rows["kosmos-eval"] == version("kosmos-eval")
    assert rows["torch"] == version("torch")
    assert rows.keys() > {"python", "platform", "pillow", "numpy"}


def test_the_flag_shows_the_version_alone(kosmos_eval: Command) -> None:
    assert kosmos_eval("--version").out == f"kosmos-eval {version('kosmos-eval')}\n"
