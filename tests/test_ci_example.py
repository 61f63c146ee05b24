"""The recipe for a CI holds: the policy is read, and the workflow types commands that there are."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import yaml

from kosmos_eval.cli import cli
from kosmos_eval.gate_policy import CellRules, Policy, read_policy

EXAMPLE = Path(__file__).parent.parent / "examples" / "ci"

pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="the examples are part of the source tree")


def test_the_policy_says_the_defaults_but_for_its_tables_of_tasks() -> None:
    policy = read_policy(EXAMPLE / "gate.toml")
    assert policy.model_copy(update={"tasks": {}}) == Policy(
        error=0.05, power=0.8, tolerance=CellRules().tolerance, min_samples=CellRules().min_samples
    )
    assert set(policy.tasks) == {"vqav2", "raven"}


def commands() -> list[list[str]]:
    workflow = yaml.safe_load((EXAMPLE / "gate.yml").read_text(encoding="utf-8"))
    scripts = [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]
    lines = "\n".join(scripts).replace("\\\n", " ").splitlines()
    return [shlex.split(line.split("||")[0])[1:] for line in lines if line.strip().startswith("kosmos-eval ")]


def test_the_workflow_types_commands_and_flags_that_there_are() -> None:
    typed = commands()
    assert [each[0] for each in typed] == ["run", "gate"]
    for name, *arguments in typed:
        command = cli.commands[name]
        context = click.Context(command, token_normalize_func=lambda token: token.replace("_", "-"))
        command.parse_args(context, list(arguments))
