"""A conversation works as a script and at a terminal, with any model; nothing that is said or answered ends it."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

import kosmos_eval.cli
from kosmos_eval.data.source import Source
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Generated
from kosmos_eval.tasks.vqav2 import VQAv2

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]  # conftest.py's kosmos_eval
    Talk = Callable[..., Any]

MODELS = '''
"""A model whose answer is a word of the last question, or what the question asks for."""

import sys
import time

from kosmos_eval.errors import UsageError
from kosmos_eval.language_model import ModelSpec
from kosmos_eval.request import Failed, Generated

ANSWERS = {"evil": "\\x1b[2Jgone\\rhi\\x9b\\u2028\\u202eabc\\ud800", "two": " one\\ntwo ", "nothing": " "}


class Echo:
    facts = {"parameters": 0}

    def answer(self, requests):
        for number, request in requests:
            text = request.prompt.text()
            word = text.removesuffix(" Answer:").split()[-1]
            if len(text) > 120:
                yield number, Failed("too long", len(text) - 120)
                continue
            if word == "heavy":
                yield number, Failed("expected 3 GB,\\n got 2")
                continue
            if word == "impossible":
                raise UsageError("expected something else")
            if word == "slow":
                sys.stderr.write("thinking")
                sys.stderr.flush()
                time.sleep(60)
            reason = "length" if word == "long" else "eos"
            yield number, Generated(ANSWERS.get(word, f"{word}!"), (1, 2), (-1.0, -1.0), reason)


def load(options):
    if options.arguments.keys() - {"a"}:
        raise UsageError(f"expected a, got {options.arguments}")
    return Echo()


MODELS = (ModelSpec("echo", "says the last word", load, lambda options: "0" * 64),)
'''


@pytest.fixture
def echo(tmp_path: Path) -> list[str]:
    """Return the flags that name the model of above."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "echo.py").write_text(MODELS, encoding="utf-8")
    return ["--include_path", str(folder), "--model", "echo"]


@pytest.fixture
def talk(kosmos_eval: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Talk:
    """Return `chat` as a function of its flags and the lines of a script, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def held(flags: list[str], *lines: str | bytes) -> Any:  # noqa: ANN401  conftest.py's Outcome
        script = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(script), encoding="utf-8"))
        return kosmos_eval("chat", *flags)

    return held


def draw(file: Path, size: tuple[int, int] = (6, 4)) -> Path:
    PIL.Image.new("RGB", size, "red").save(file)
    return file


def test_a_script_gets_one_answer_a_line_and_nothing_else(talk: Talk, echo: list[str]) -> None:
    held = talk(echo, "Is it red", "", "  ", "or two", "//quit it")
    assert held == (0, "red!\none␊two\nit!\n", "")


def test_an_answer_may_be_empty_and_is_a_line_all_the_same(talk: Talk, echo: list[str]) -> None:
    assert talk(echo, "say nothing", "say b") == (0, "\nb!\n", "")


def test_a_script_may_quit_and_may_end_without_a_line_break(talk: Talk, echo: list[str]) -> None:
    assert talk(echo, "a", "/quit", "b").out == "a!\n"
    assert talk(echo, "a", "/undo", "b").out == "a!\nb!\n"
    assert talk(echo).out == ""


def test_show_prints_the_dialogue_as_the_model_reads_it(talk: Talk, echo: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    held = talk(echo, "/image a.png", "one", "two", "/image a.png", "/image a.png", "/show")
    assert held.out.splitlines()[2:] == [
        "<image a.png, 6 x 4>",
        "Question: one Answer: one! Question: two Answer: one␊two",
        "to be said next:",
        "<image a.png, 6 x 4>",
        "<image a.png, 6 x 4>",
    ]


def test_undo_and_clear_take_back(talk: Talk, echo: list[str]) -> None:
    held = talk(echo, "one", "a", "/undo", "/show", "/clear", "/show", "/undo")
    assert (held.code, held.out.splitlines()[2:]) == (0, ["Question: one Answer: one!", "the dialogue is empty"])


def test_text_goes_in_as_it_is_typed_if_so_wanted(talk: Talk, echo: list[str]) -> None:
    held = talk([*echo, "--format", "plain"], " one", "a", "/show")
    assert held.out.splitlines()[2:] == [" one one! a a!"]


def test_a_backslash_at_its_end_lets_a_text_go_on_after_a_picture(talk: Talk, echo: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    held = talk(echo, "Is \\", "/image a.png", " like \\", "/image a.png", "", "/show")
    assert held.out.splitlines()[1:] == [
        "Question: Is ",
        "<image a.png, 6 x 4>",
        " like ",
        "<image a.png, 6 x 4>",
        f" Answer: {held.out.splitlines()[0]}",
    ]
    unsaid = talk(echo, "Is \\")
    assert (unsaid.code, unsaid.out, "it was not said" in unsaid.message) == (64, "", True)


@pytest.mark.parametrize(
    "typed", ["my cat's.png", '"my cat\'s.png"', r"my\ cat\'s.png", "~/my cat's.png", "'{}/my cat'\"'\"s.png"]
)
def test_a_path_is_taken_as_it_stands_or_quoted_as_in_a_shell(
    talk: Talk, echo: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    draw(tmp_path / "my cat's.png")
    held = talk(echo, f"/image {typed.format(tmp_path)}", "/show")
    assert (held.code, held.err) == (0, "")
    assert held.out.endswith("my cat's.png, 6 x 4>\n")


def test_several_pictures_are_put_in_together_or_not_at_all(talk: Talk, echo: list[str], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png", (1, 2))
    held = talk(echo, "/image a.png b.png", "/image b.png none.png", "/show")
    assert held.out.splitlines() == ["to be said next:", "<image a.png, 6 x 4>", "<image b.png, 1 x 2>"]
    assert held.message == "kosmos-eval: line 2: image none.png: no such file"


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("/image none.png", 65, "image none.png: no such file"),
        ("/image broken.png", 65, "image broken.png: cannot be read"),
        ("/image", 64, "expected /image PATH, got no path"),
        ("/image it's", 64, "/image: expected quotes in pairs, got it's"),
        ("/image a\x1b[2J", 65, "image a␛[2J: no such file"),
        ("/undo 3", 64, "expected /undo alone, got 3"),
        ("/imag a.png", 64, "no command named '/imag'; did you mean '/image'?"),
        ("is it impossible", 64, "expected something else"),
        (b"caf\xe9", 65, "expected text in UTF-8, got 'caf\\udce9'"),
        ("x" * 100, 65, "the dialogue has outgrown the model by 21 tokens; /undo takes back the last turn, /clear"),
        ("is it heavy", 65, "the dialogue has outgrown the machine (expected 3 GB, got 2); /undo takes back the last"),
    ],
)
def test_a_line_that_cannot_be_carried_out_is_named_and_the_conversation_goes_on(
    talk: Talk, echo: list[str], line: str | bytes, code: int, message: str
) -> None:
    Path("broken.png").write_text("no picture", encoding="utf-8")
    held = talk(echo, "a", line, "b", "/show")
    assert held.out.splitlines() == ["a!", "b!", "Question: a Answer: a! Question: b Answer: b!"]
    assert held.message.startswith(f"kosmos-eval: line 2: {message}")
    assert held.code == code


def test_every_fault_of_a_script_is_told_and_the_first_one_is_its_exit_code(talk: Talk, echo: list[str]) -> None:
    held = talk(echo, "/image none.png", "/hlep", "a", "/quit")
    assert (held.code, held.out, len(held.err.splitlines())) == (65, "a!\n", 2)


def test_an_answer_cannot_drive_the_terminal(talk: Talk, echo: list[str]) -> None:
    held = talk(echo, "be evil", "/show")
    answer = "␛[2Jgone␍hi⟨U+009B⟩⟨U+2028⟩⟨U+202E⟩abc⟨U+D800⟩"
    assert held.out == f"{answer}\nQuestion: be evil Answer: {answer}\n"


def test_an_answer_that_was_cut_is_said_to_be(talk: Talk, echo: list[str]) -> None:
    held = talk([*echo, "--max-new-tokens", "2"], "too long")
    assert (held.code, held.out, held.message) == (0, "long!\n", "(cut after 2 tokens; --max_new_tokens is 2)")


def test_help_names_every_command(talk: Talk, echo: list[str]) -> None:
    held = talk(echo, "/help")
    assert all(f"\n{command} " in held.out for command in ("/image", "/undo", "/clear", "/show", "/help", "/quit"))


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--model", "ecoh"], 64, "no model named 'ecoh'; did you mean 'echo'?"),
        (["--model_args", "b=1"], 64, "expected a, got {'b': '1'}"),
        (["--model_args", "b"], 64, "expected key=value pairs, got 'b'"),
        (["--format", "chat"], 64, "'chat' is not one of 'question', 'plain'"),
        (["--max_new_tokens", "0"], 64, "--max_new_tokens"),
        (["--num_beams", "0"], 64, "--num_beams"),
        (["--include_path", "none"], 64, "--include-path none: expected an existing folder"),
        (["--model", "."], 65, "a model folder holds"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_its_code_before_anything_is_said(
    talk: Talk, echo: list[str], flags: list[str], code: int, message: str
) -> None:
    refused = talk([*echo, *flags], "a")
    assert (refused.code, refused.out, message in refused.message) == (code, "", True), refused.err


def test_a_plugin_that_knows_nothing_of_dialogues_can_be_talked_to(talk: Talk, plugins_folder: Path) -> None:
    held = talk(["--include_path", str(plugins_folder), "-m", "scripted"], "one?", "two?")
    assert held.code == 0
    assert [answer in {"cccc", "dddd", "eeee"} for answer in held.out.splitlines()] == [True, True]


class Terminal:
    """A conversation at a pseudo-terminal."""

    def __init__(self, flags: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", kosmos_eval.cli.__name__, "chat", *flags]
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # or a child of a background job ignores it
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        signal.signal(signal.SIGINT, handler)
        os.close(theirs)

    def until(self, text: str, *, interrupt: bool = False) -> str:
        """Return what is shown up to and with a text, which Ctrl-C brings about if so said.

        A signal that comes just before a system call is seen only after it, which may be never: so it comes again.
        """
        shown, wait = "", 0.1 if interrupt else 60.0
        for _ in range(10_000):
            if select.select([self._ours], [], [], wait)[0]:
                shown += os.read(self._ours, 1).decode("latin-1")
            elif interrupt and wait < 60:
                self.process.send_signal(signal.SIGINT)
                wait *= 3
            else:
                break
            if text in shown:
                return shown
        pytest.fail(f"no {text!r} in {shown!r}")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def test_at_a_terminal_there_are_prompts_and_control_c_stops_an_answer_only(echo: list[str]) -> None:
    terminal = Terminal(echo)
    try:
        assert "loading echo" in terminal.until("/help lists what can be typed\r\n")
        terminal.until("> ")
        terminal.type("say two\n")
        assert "one\r\ntwo\r\n" in terminal.until("> ")
        terminal.type("be slow\n")
        terminal.until("thinking")
        terminal.until("stopped; the turn is not kept", interrupt=True)
        terminal.until("Ctrl-D or /quit ends", interrupt=True)
        terminal.until("> ")
        terminal.type("/image none.png\n")
        terminal.until("kosmos-eval: image none.png: no such file")
        terminal.until("> ")
        terminal.type("/show\n")
        assert "Answer: one␊two\r\n".encode().decode("latin-1") in terminal.until("> ")
        terminal.type("\x04")
        assert terminal.process.wait(timeout=60) == 0
    finally:
        terminal.close()


def test_the_embedded_model_answers_in_a_dialogue_what_it_answers_in_vqa(talk: Talk, tmp_path: Path) -> None:
    task = VQAv2()
    samples = list(islice(task.samples("val", Source("mini")), 2))
    for place, sample in enumerate(samples):
        sample.image.load().save(tmp_path / f"{place}.png")
    lines = [line for place, sample in enumerate(samples) for line in (f"/image {place}.png", sample.question)]
    held = talk(["--max_new_tokens", str(task.max_new_tokens)], *lines)
    assert held.code == 0
    first, second = held.out.splitlines()
    model = Plugins().model("kosmos-tiny").load(ModelOptions())
    alone = dict(model.answer([(0, next(task.ask(samples[0], ())))]))[0]
    assert isinstance(alone, Generated)
    assert first == alone.text.strip()
    after = dict(model.answer([(0, next(task.ask(samples[1], [replace(samples[0], multiple_choice_answer=first)])))]))[
        0
    ]
    assert isinstance(after, Generated)
    assert second == after.text.strip()
