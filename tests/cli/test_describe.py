"""`describe` shows what a task asks, how it scores and what can be set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]  # conftest.py's kosmos_eval


def test_a_task_is_described_with_settings_and_a_prompt(kosmos_eval: Command, plugins_folder: Path) -> None:
    shown = kosmos_eval("describe", "letters", "--include_path", plugins_folder, "--shots", "2")
    assert shown.code == 0
    assert shown.out.startswith("letters, version 1\nTwo-stage questions with scripted answers.\n")
    assert "  accuracy  share of right answers (higher is better)\n" in shown.out
    assert "  letters.size = 40\n" in shown.out
    *_, heading, prompt = shown.out.splitlines()
    assert heading == "a prompt of letters@mini, 2-shot:"
    assert prompt.count("<image>") == 3
    assert prompt.endswith("<image>letter 0? ...")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("leters",), "no task named 'leters'; did you mean 'letters'?"),
        (("letters", "--shots", "-1"), "--shots"),
    ],
)
def test_a_mistake_is_a_usage_error(
    kosmos_eval: Command, plugins_folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = kosmos_eval("describe", *arguments, "--include_path", plugins_folder)
    assert refused.code == 64
    assert message in refused.message


def test_more_shots_than_there_are_exemplars_are_a_data_error(kosmos_eval: Command, plugins_folder: Path) -> None:
    refused = kosmos_eval("describe", "letters", "--shots", "99", "--include_path", plugins_folder)
    assert (refused.code, "expected 99 exemplars" in refused.message) == (65, True)


def test_every_built_in_task_can_be_described(kosmos_eval: Command) -> None:
    names = [line.split()[0] for line in kosmos_eval("ls", "tasks").out.splitlines()]
    assert names.pop() == "lm_eval:NAME"  # stands for those of lm-eval
    for name in names:
        assert kosmos_eval("describe", name).code == 0
