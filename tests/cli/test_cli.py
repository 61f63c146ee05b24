"""Every mistake ends with its exit code and one line; help is there at once."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import kosmos_eval.cli
from kosmos_eval.cli import cli
from kosmos_eval.errors import DataError, KosmosEvalError, RunInterruptedError, RunRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval

COMMANDS = (
    "ablate",
    "audit",
    "baseline",
    "chat",
    "compare",
    "describe",
    "doctor",
    "gate",
    "ls",
    "plan",
    "power",
    "report",
    "reproduce",
    "rescore",
    "run",
    "table",
    "validate",
    "version",
)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command_and_the_exit_codes(kosmos_eval: Command, arguments: tuple[str, ...]) -> None:
    shown = kosmos_eval(*arguments)
    assert shown.code == 0
    assert all(f"\n  {command} " in shown.out for command in COMMANDS)
    assert "64 usage, 65 bad data" in " ".join(shown.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(kosmos_eval: Command, command: str) -> None:
    shown = kosmos_eval(command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: kosmos-eval {command} ")
    assert cli.commands[command].get_short_help_str() in kosmos_eval("--help").out


def test_an_unknown_command_is_refused_with_the_nearest(kosmos_eval: Command) -> None:
    refused = kosmos_eval("rnu")
    assert (refused.code, refused.message) == (64, "kosmos-eval: no command named 'rnu'; did you mean 'run'?")
    assert kosmos_eval("zzz").message.endswith(f"known: {', '.join(COMMANDS)}")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("run", "--taks", "x"), "--taks"),
        (("run", "--seed"), "--seed"),
        (("run", "extra"), "extra"),
        (("ls", "task"), "'task' is not one of 'tasks', 'groups', 'models', 'controls', 'runs'"),
        (("describe",), "TASK"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_a_line_that_makes_no_sense_is_a_usage_error(
    kosmos_eval: Command, arguments: tuple[str, ...], part: str
) -> None:
    refused = kosmos_eval(*arguments)
    assert refused.code == 64
    assert part in refused.message


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("image 3: gone"), 65, "kosmos-eval: image 3: gone"),
        (RunRefusedError("taken"), 64, "kosmos-eval: taken"),
        (KosmosEvalError("a worker died"), 70, "kosmos-eval: a worker died"),
        (RunInterruptedError("half-way"), 130, "kosmos-eval: half-way"),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_line(
    kosmos_eval: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli.commands["version"], "callback", fail)
    ended = kosmos_eval("version")
    assert (ended.code, ended.message) == (code, message)


def test_ctrl_c_is_told_from_a_failure(kosmos_eval: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.commands["version"], "callback", interrupt)
    ended = kosmos_eval("version")
    assert (ended.code, ended.err.strip()) == (130, "kosmos-eval: interrupted")


def test_a_defect_of_our_own_shows_its_trace(kosmos_eval: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.commands["version"], "callback", fail)
    ended = kosmos_eval("version")
    assert ended.code == 70
    assert ended.err.startswith("Traceback")
    assert ended.err.splitlines()[-1] == "kosmos-eval: internal error: ZeroDivisionError:"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["audit", "--help"], ["chat", "--help"], ["plan", "--help"], ["--version"]],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
        import sys
        from kosmos_eval.cli import main
        try:
            main({arguments!r})
        except SystemExit:
            pass
        heavy = {{"torch", "numpy", "pandas", "PIL", "datasets", "pyarrow", "scipy", "pydantic", "yaml"}}
        sys.exit(", ".join(sorted(heavy & sys.modules.keys())) or None)
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["version"], ["ls", "models"], ["run", "--help"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    command = [sys.executable, "-m", kosmos_eval.cli.__name__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()  # long before anything is written
        assert (writer.wait(timeout=60), writer.stderr.read()) == (0, b"")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", kosmos_eval.cli.__name__, "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("kosmos-eval ")
