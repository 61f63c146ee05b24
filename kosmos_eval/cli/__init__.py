"""The command line: one file a sub-command. Nothing heavy is imported before a sub-command needs it."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from typing import Any

import click

from kosmos_eval.cli.ablate import ablate
from kosmos_eval.cli.audit import audit
from kosmos_eval.cli.baseline import baseline
from kosmos_eval.cli.chat import chat
from kosmos_eval.cli.compare import compare
from kosmos_eval.cli.describe import describe
from kosmos_eval.cli.doctor import doctor
from kosmos_eval.cli.gate import gate
from kosmos_eval.cli.ls import ls
from kosmos_eval.cli.plan import plan
from kosmos_eval.cli.power import power
from kosmos_eval.cli.report import report
from kosmos_eval.cli.reproduce import reproduce
from kosmos_eval.cli.rescore import rescore
from kosmos_eval.cli.run import run
from kosmos_eval.cli.table import table
from kosmos_eval.cli.validate import validate
from kosmos_eval.cli.version import version
from kosmos_eval.errors import KosmosEvalError, UsageError
from kosmos_eval.visible import visible_line

_INTERRUPTED = 130


class _Commands(click.Group):
    """A group that names the nearest command when it does not know one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(self.commands))}"
            message = f"no command named {args[0]!r}; {cure}"
            raise UsageError(message)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and end well when the reader of its output has left, which is the reader's right."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
            return 0


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={
        "token_normalize_func": lambda token: token.replace("_", "-"),
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
    epilog="Exit codes: 0 done, 64 usage, 65 bad data, 70 internal error, 75 done but for samples that failed, 130 "
    "interrupted and resumable.",
)
@click.version_option(package_name="kosmos-eval", message="kosmos-eval %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Evaluate KOSMOS-style multimodal language models.

    In long options '_' and '-' are the same.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    run,
    plan,
    ablate,
    audit,
    chat,
    ls,
    describe,
    rescore,
    report,
    table,
    reproduce,
    compare,
    gate,
    power,
    baseline,
    validate,
    version,
    doctor,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str] | None) -> int:
    try:
        outcome: Any = cli.main(arguments, prog_name="kosmos-eval", standalone_mode=False)
    except (KosmosEvalError, click.ClickException) as error:
        _complain(error.format_message() if isinstance(error, click.ClickException) else str(error))
        return UsageError.exit_code if isinstance(error, click.ClickException) else error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last line of defence: a defect ends with its trace and code 70
        traceback.print_exc()
        _complain(f"internal error: {type(error).__name__}: {error}")
        return KosmosEvalError.exit_code
    return outcome if isinstance(outcome, int) else 0


def _complain(message: str) -> None:
    click.echo(f"kosmos-eval: {visible_line(message)}", err=True)
