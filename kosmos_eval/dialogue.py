"""A conversation with a model: turns of text and pictures, and the model's answers between them.

It is KOSMOS-1's multi-turn dialogue (arXiv 2302.14045, figure 1 and table 21): one interleaved sequence, the whole
history in front of the new question, and the model goes on from there. The history has the form of few-shot
exemplars: after two turns, what is read is the prompt of a 2-shot question.

Three things the paper leaves open are our choice. Where no picture stands between a turn and the next, a space does;
before a picture there is nothing, as between exemplars. Pictures that were shown before a turn's first word stand
before its `Question:`, as in VQA. An answer joins the history without the whitespace around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kosmos_eval.errors import DataError, KosmosEvalError, RequestFailedError, UsageError
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Failed, Generate, Generated

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.language_model import Model


@dataclass(frozen=True, slots=True)
class TurnFormat:
    """What stands around the words of a turn.

    Attributes:
        name: what `--format` takes.
        before: text in front of the words.
        after: text behind them, after which the model answers.
        stop: texts that end an answer besides the model's end token.
    """

    name: str
    before: str
    after: str
    stop: tuple[str, ...]

    def lay_out(self, said: Prompt) -> Prompt:
        """Return a turn as the model reads it.

        Args:
            said: at least one word, and pictures anywhere.
        """
        if not (self.before or self.after):
            return said
        first = next(place for place, part in enumerate(said.parts) if isinstance(part, str) and part.strip())
        shown = [part for part in said.parts[:first] if isinstance(part, Image)]
        words = list(said.parts[first:])
        words[0] = str(words[0]).lstrip()
        if isinstance(words[-1], str):
            words[-1] = words[-1].rstrip()
        return Prompt.of(*shown, self.before, *words, self.after)


QUESTION = TurnFormat("question", "Question: ", " Answer:", ("\n", "Question:"))
"""KOSMOS-1's form of a question; it ends an answer where `vqav2` does."""

PLAIN = TurnFormat("plain", "", "", ())
"""The text as it is typed, which the model continues until its end token."""

FORMATS = {each.name: each for each in (QUESTION, PLAIN)}


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said and answered.

    Attributes:
        said: as the model reads it.
        answer: what it wrote, without whitespace around it.
    """

    said: Prompt
    answer: str


@dataclass(slots=True)
class Dialogue:
    """A conversation so far.

    Attributes:
        format: of its turns.
        max_new_tokens: most tokens of an answer.
        num_beams: 1 is greedy.
        turns: what has been answered.
        waiting: pictures and text that belong to the next turn.
    """

    format: TurnFormat = QUESTION
    max_new_tokens: int = 64
    num_beams: int = 1
    turns: list[Turn] = field(default_factory=list)
    waiting: Prompt = field(default_factory=Prompt)

    @property
    def prompt(self) -> Prompt:
        """All turns with their answers, as the model reads them; what waits is not in it."""
        read = Prompt()
        for turn in self.turns:
            read = _joined(_joined(read, turn.said), Prompt.of(turn.answer))
        return read

    @property
    def has_words_waiting(self) -> bool:
        """Whether part of the next turn's text has been said."""
        return _has_words(self.waiting)

    def add(self, *parts: str | Image) -> None:
        """Put pictures or text into the next turn, behind what waits already."""
        self.waiting = Prompt.of(self.waiting, *parts)

    def say(self, text: str, model: Model) -> Generated:
        """Say what waits and the text, have the model answer, and return its answer.

        When anything is raised, the dialogue and what waits are as they were.

        Raises:
            UsageError: there are no words, here or waiting; or the model cannot do what is asked.
            RequestFailedError: the dialogue is longer than the model's positions reach, or too big for the machine.
            KosmosEvalError: the model's answer is no `Generated`.
        """
        said = Prompt.of(self.waiting, text)
        if not _has_words(said):
            message = f"expected words to say, got {text!r}"
            raise UsageError(message)
        turn = self.format.lay_out(said)
        request = Generate(
            _joined(self.prompt, turn), self.max_new_tokens, stop=self.format.stop, num_beams=self.num_beams
        )
        responses = dict(model.answer([(0, request)]))
        response = responses.get(0)
        if len(responses) == 1 and isinstance(response, Failed):
            raise RequestFailedError(response.reason, response.excess)
        if len(responses) != 1 or not isinstance(response, Generated):
            message = f"expected one Generated from the model, got {responses!r:.80}"
            raise KosmosEvalError(message)
        self.turns.append(Turn(turn, response.text.strip()))
        self.waiting = Prompt()
        return response

    def undo(self) -> bool:
        """Take back what waits, or else the last turn; return whether there was anything."""
        if self.waiting.parts:
            self.waiting = Prompt()
        elif self.turns:
            self.turns.pop()
        else:
            return False
        return True

    def clear(self) -> None:
        """Forget everything said and shown."""
        self.turns.clear()
        self.waiting = Prompt()


def read_picture(path: Path) -> Image:
    """Return the picture of a file, which may change or go afterwards: its bytes are kept.

    Raises:
        DataError: the file is missing, or is no picture.
    """
    try:
        encoded = path.read_bytes() if path.is_file() else None
    except OSError as error:
        message = f"image {path}: cannot be read ({error.strerror or error})"
        raise DataError(message) from None
    if encoded is None:
        message = f"image {path}: no such file"
        raise DataError(message)
    image = Image.from_bytes(encoded, str(path))
    image.digest  # noqa: B018  a property that opens the picture, and says so when it cannot
    return image


def _has_words(said: Prompt) -> bool:
    return any(part.strip() for part in said.parts if isinstance(part, str))


def _joined(read: Prompt, more: Prompt) -> Prompt:
    """Return the two in a row, a space between them where words would run together."""
    if read.parts and more.parts:
        last, first = read.parts[-1], more.parts[0]
        if isinstance(last, str) and isinstance(first, str) and not (last[-1].isspace() or first[0].isspace()):
            return Prompt.of(read, " ", more)
    return read + more
