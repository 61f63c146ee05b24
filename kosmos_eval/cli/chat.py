"""`kosmos-eval chat`: a conversation with a model, about pictures or anything else."""

from __future__ import annotations

import io
import os.path
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kosmos_eval import model_options as options
from kosmos_eval.dialogue import FORMATS, QUESTION, Dialogue, read_picture
from kosmos_eval.errors import DataError, RequestFailedError, UnknownNameError, UsageError
from kosmos_eval.visible import unbroken, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kosmos_eval.language_model import Model
    from kosmos_eval.prompt import Image, Prompt

_HELP = """\
TEXT          say it, and read the answer
TEXT \\        begin to say it; it goes on with the next line, after a picture perhaps
/image PATH   put a picture here, or several; quote a path with spaces
/undo         take back what waits, or else the last turn
/clear        start anew
/show         print the dialogue as the model reads it
/help         print this
/quit         end, as Ctrl-D does; Ctrl-C stops an answer
//TEXT        say a text that begins with a slash"""

_COMMANDS = ("/image", "/undo", "/clear", "/show", "/help", "/quit")


@click.command(short_help="Talk with a model about pictures.")
@options.model
@options.model_args
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default=QUESTION.name,
    show_default=True,
    help='How text is put: "Question: TEXT Answer:", as in KOSMOS-1, or as it is typed.',
)
@click.option(
    "--max_new_tokens", type=click.IntRange(min=1), default=64, show_default=True, help="Most tokens of an answer."
)
@click.option(
    "--num_beams", type=click.IntRange(min=1), default=1, show_default=True, help="Beams of the search; 1 is greedy."
)
@options.device
@options.dtype
@options.include_path
def chat(
    *,
    model: str,
    model_args: dict[str, str] | None,
    form: str,
    max_new_tokens: int,
    num_beams: int,
    device: str,
    dtype: str,
    include_path: tuple[str, ...],
) -> int:
    """Talk with a model: each line is said to it, with all that came before, and its answer printed.

    Lines that begin with a slash are commands: /image PATH puts a picture into the dialogue, /help lists the others.
    Input that is not typed at a terminal is read as a script: one line an answer, and nothing else on the output.
    """
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):  # so that no character, typed or answered, can end the conversation
            stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")
    terminal = sys.stdin.isatty()
    if terminal:
        _note(f"loading {model} ...")
    loaded = _load(model, model_args or {}, device, dtype, include_path)
    conversation = _Conversation(Dialogue(FORMATS[form], max_new_tokens, num_beams), loaded, terminal=terminal)
    if terminal:
        facts = ", ".join(f"{key} {value}" for key, value in loaded.facts.items())
        _note(f"{facts}; /help lists what can be typed")
    return conversation.hold(_typed_lines(conversation) if terminal else sys.stdin)


def _load(model: str, arguments: dict[str, str], device: str, dtype: str, include_path: tuple[str, ...]) -> Model:
    from kosmos_eval.language_model import ModelOptions
    from kosmos_eval.model_names import find_model
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.processes.worker import prepare_process

    spec, arguments = find_model(model, arguments, Plugins(map(Path, include_path)))
    prepare_process(1)  # as a run does, so that the same question has the same answer
    return spec.load(ModelOptions(device, dtype, arguments=arguments))


class _Conversation:
    """Takes lines as they come, and prints what comes of them."""

    def __init__(self, dialogue: Dialogue, model: Model, *, terminal: bool) -> None:
        """Begin.

        Args:
            dialogue: to go on with.
            model: that answers.
            terminal: whether somebody types; a script's notes are left out, and its faults decide the exit code.
        """
        self._dialogue = dialogue
        self._model = model
        self._terminal = terminal

    @property
    def mark(self) -> str:
        """What stands before a line that is typed."""
        return "| " if self._dialogue.has_words_waiting else "> "

    def hold(self, lines: Iterable[str]) -> int:
        """Take every line until /quit or the last, and return the exit code.

        A line that cannot be carried out is one line of complaint, and the conversation goes on. A script that had
        such a line ends with the exit code of the first one.
        """
        code = 0
        for number, line in enumerate(lines, 1):
            try:
                if not self._take(line.rstrip("\n")):
                    return 0 if self._terminal else code
            except (UsageError, DataError) as error:
                self._complain(error, f"line {number}: ")
                code = code or error.exit_code
            except KeyboardInterrupt:
                if not self._terminal:
                    raise
                _note("\nstopped; the turn is not kept")
        if self._dialogue.has_words_waiting and not self._terminal:
            unsaid = UsageError("expected a line after the last, whose text goes on, got none: it was not said")
            self._complain(unsaid, "")
            code = code or unsaid.exit_code
        return 0 if self._terminal else code

    def _complain(self, error: UsageError | DataError, place: str) -> None:
        message = str(error)
        if isinstance(error, RequestFailedError):
            why = " ".join(message.split())
            what = f"the model by {error.excess} tokens" if error.excess else f"the machine ({why})"
            message = f"the dialogue has outgrown {what}; /undo takes back the last turn, /clear starts anew"
        _note(f"kosmos-eval: {'' if self._terminal else place}{message}")

    def _take(self, line: str) -> bool:
        """Carry out one line; return whether to go on."""
        if line.startswith("/") and not line.startswith("//"):
            command, _, rest = line.strip().partition(" ")
            return self._obey(command, rest.strip())
        text = line[1:] if line.startswith("//") else line
        if text.endswith("\\"):
            self._dialogue.add(_utf8(text[:-1]))
        elif text.strip() or self._dialogue.has_words_waiting:
            self._say(_utf8(text))
        return True

    def _obey(self, command: str, rest: str) -> bool:
        if command not in _COMMANDS:
            kind = "command"
            raise UnknownNameError(kind, command, _COMMANDS)
        if (command == "/image") != bool(rest):
            message = f"expected {command} {'PATH' if command == '/image' else 'alone'}, got {rest or 'no path'}"
            raise UsageError(message)
        match command:
            case "/image":
                self._show_pictures(rest)
            case "/undo":
                self._inform("taken back" if self._dialogue.undo() else "there is nothing to take back")
            case "/clear":
                self._dialogue.clear()
                self._inform("the dialogue is empty")
            case "/show":
                self._show()
            case "/help":
                click.echo(_HELP)
        return command != "/quit"

    def _show_pictures(self, text: str) -> None:
        pictures = [read_picture(path) for path in _paths(text)]
        self._dialogue.add(*pictures)
        for picture in pictures:
            self._inform(f"{picture.name}, {_size(picture)}")

    def _say(self, text: str) -> None:
        generated = self._dialogue.say(text, self._model)
        answer = self._dialogue.turns[-1].answer
        click.echo(visible(answer) if self._terminal else unbroken(answer))
        if generated.stop_reason == "length":
            _note(f"(cut after {len(generated.tokens)} tokens; --max_new_tokens is {self._dialogue.max_new_tokens})")
        elif not answer:
            self._inform("(an empty answer)")

    def _show(self) -> None:
        shown = list(_lines(self._dialogue.prompt))
        if self._dialogue.waiting.parts:
            shown += ["to be said next:", *_lines(self._dialogue.waiting)]
        click.echo("\n".join(shown) or "the dialogue is empty")

    def _inform(self, text: str) -> None:
        if self._terminal:
            _note(text)


def _typed_lines(conversation: _Conversation) -> Iterator[str]:
    """Yield what is typed at the terminal, line by line, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  input() edits lines and remembers them once it is imported
    while True:
        try:
            if sys.stdout.isatty():
                line = input(conversation.mark)
            else:  # the output goes elsewhere, and the mark must not go with it
                click.echo(conversation.mark, err=True, nl=False)
                line = input()
        except EOFError:
            _note("")
            return
        except KeyboardInterrupt:
            _note("\nCtrl-D or /quit ends")
            continue
        yield line


def _paths(text: str) -> list[Path]:
    """Return the files that are named: one whose name is the text as it stands, or words quoted as in a shell."""
    whole = _expanded(text)
    with suppress(OSError):
        if whole.is_file():
            return [whole]
    try:
        return [_expanded(word) for word in shlex.split(text)]
    except ValueError:
        message = f"/image: expected quotes in pairs, got {text}"
        raise UsageError(message) from None


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser fails where there is no such user


def _utf8(text: str) -> str:
    """Return the text, if it is one.

    Raises:
        DataError: some of its bytes are no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"expected text in UTF-8, got {text!r:.80}"
        raise DataError(message) from None
    return text


def _lines(prompt: Prompt) -> Iterator[str]:
    """Yield a prompt's texts, and its pictures by name and size, each as a line."""
    for part in prompt.parts:
        yield unbroken(part) if isinstance(part, str) else f"<image {unbroken(part.name)}, {_size(part)}>"


def _size(picture: Image) -> str:
    loaded = picture.load()
    return f"{loaded.width} x {loaded.height}"


def _note(text: str) -> None:
    """Say something that is no part of the dialogue."""
    click.echo(visible(text), err=True)
