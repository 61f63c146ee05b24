"""A dialogue is read as few-shot prompts are, and what fails leaves it as it was."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.dialogue import FORMATS, PLAIN, QUESTION, Dialogue, read_picture
from kosmos_eval.errors import DataError, KosmosEvalError, RequestFailedError, UsageError
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Failed, Generate, Generated, Scored
from kosmos_eval.tasks.vqav2 import VQAv2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.request import Request, Response


def picture(shade: int) -> Image:
    return Image(partial(PIL.Image.new, "RGB", (4, 4), (shade, 0, 0)), f"shade {shade}")


A, B, C = (picture(shade) for shade in (1, 2, 3))


@dataclass
class Parrot:
    """Gives the answers that it was taught, in order, and remembers what it was asked."""

    answers: list[Any]
    asked: list[Generate] = field(default_factory=list)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        for number, request in requests:
            assert isinstance(request, Generate)
            self.asked.append(request)
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            yield number, Generated(answer, (5,), (-1.0,), "eos") if isinstance(answer, str) else answer


def test_after_two_turns_a_question_is_read_as_a_two_shot_question_of_vqa() -> None:
    task = VQAv2()
    *exemplars, query = (
        each for place, each in enumerate(islice(task.samples("val", Source("mini")), 11)) if place in {0, 5, 10}
    )
    for shots in (0, 1, 2):
        model = Parrot([each.multiple_choice_answer for each in exemplars[:shots]] + ["it"])
        dialogue = Dialogue(max_new_tokens=task.max_new_tokens)
        for each in [*exemplars[:shots], query]:
            dialogue.add(each.image)
            dialogue.say(each.question, model)
        assert model.asked[-1] == next(task.ask(query, exemplars[:shots]))


def said(dialogue: Dialogue, *lines: str | Image, answers: tuple[str, ...] = ("yes", "no", "maybe")) -> list[Prompt]:
    """Return what the model read when pictures were shown and texts said in turn."""
    model = Parrot(list(answers))
    for line in lines:
        if isinstance(line, str):
            dialogue.say(line, model)
        else:
            dialogue.add(line)
    return [request.prompt for request in model.asked]


def test_the_whole_history_stands_in_front_of_a_question() -> None:
    first, second, third = said(Dialogue(), A, "one?", "two?", B, C, "three?")
    assert first == Prompt.of(A, "Question: one? Answer:")
    assert second == Prompt.of(A, "Question: one? Answer: yes Question: two? Answer:")
    assert third == Prompt.of(second, " no", B, C, "Question: three? Answer:")


def test_plain_text_is_read_as_it_is_typed() -> None:
    first, second = said(Dialogue(PLAIN), "  An image of", A, "\tthe  same ")
    assert first == Prompt.of("  An image of")
    assert second == Prompt.of("  An image of yes", A, "\tthe  same ")


def test_plain_turns_get_a_space_only_where_words_would_run_together() -> None:
    assert said(Dialogue(PLAIN), "a", "b ", " c")[-1] == Prompt.of("a yes b no c")


def test_a_picture_may_stand_between_the_words_of_a_turn_and_behind_them() -> None:
    dialogue = Dialogue()
    dialogue.add(A, " Is it ", B, " or ", C)
    assert said(dialogue, "") == [Prompt.of(A, "Question: Is it ", B, " or ", C, " Answer:")]
    dialogue.add("  ", A)
    assert said(dialogue, "  Is it? ") == [Prompt.of(dialogue.turns[0].said, " yes", A, "Question: Is it? Answer:")]


def test_an_answer_joins_the_history_without_the_space_around_it() -> None:
    dialogue = Dialogue()
    prompts = said(dialogue, "one?", "two?", "three?", answers=(" red\n", "", "blue"))
    assert prompts[-1] == Prompt.of(
        "Question: one? Answer: red Question: two? Answer: Question: three? Answer:",
    )
    assert [turn.answer for turn in dialogue.turns] == ["red", "", "blue"]
    assert dialogue.prompt == Prompt.of(prompts[-1], " blue")


def test_what_is_asked_has_the_dialogues_settings() -> None:
    model = Parrot(["a"])
    Dialogue(PLAIN, max_new_tokens=7, num_beams=3).say("hm", model)
    assert model.asked == [Generate(Prompt.of("hm"), 7, stop=(), num_beams=3)]


def test_formats_are_known_by_their_names() -> None:
    assert FORMATS == {"question": QUESTION, "plain": PLAIN}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (DataError("too long"), DataError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (Scored(()), KosmosEvalError),
        (Failed("too long", 7), RequestFailedError),
    ],
)
def test_a_turn_that_fails_leaves_the_dialogue_as_it_was(fault: object, expected: type[BaseException]) -> None:
    dialogue = Dialogue()
    model = Parrot(["yes", fault, "no"])
    dialogue.say("one?", model)
    dialogue.add(A)
    before = replace(dialogue, turns=list(dialogue.turns))
    with pytest.raises(expected):
        dialogue.say("two?", model)
    assert dialogue == before
    dialogue.say("two?", model)
    assert model.asked[1] == model.asked[2]


def test_why_a_dialogue_could_not_be_read_is_the_model_s_own_reason_and_how_much_too_long_it_is() -> None:
    model: Any = Parrot([Failed("too long", 7)])
    with pytest.raises(RequestFailedError, match=r"^too long$") as raised:
        Dialogue().say("one?", model)
    assert (raised.value.excess, raised.value.exit_code) == (7, 65)


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_is_not_asked(text: str) -> None:
    dialogue = Dialogue()
    dialogue.add(A)
    with pytest.raises(UsageError, match="expected words to say"):
        dialogue.say(text, Parrot([]))


def test_undo_takes_back_what_waits_and_then_turn_after_turn_with_their_pictures() -> None:
    dialogue = Dialogue()
    said(dialogue, A, "one?", B, "two?", C)
    assert dialogue.undo()
    assert (len(dialogue.turns), dialogue.waiting) == (2, Prompt())
    assert dialogue.undo()
    assert dialogue.prompt == Prompt.of(A, "Question: one? Answer: yes")
    assert dialogue.undo()
    assert dialogue.prompt == Prompt()
    assert not dialogue.undo()


def test_clear_forgets_everything() -> None:
    dialogue = Dialogue()
    said(dialogue, A, "one?", B)
    dialogue.clear()
    assert dialogue == Dialogue()


def test_a_picture_is_kept_though_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    A.load().save(file)
    read = read_picture(file)
    B.load().save(file)
    assert (read, read_picture(file), read.name) == (A, B, str(file))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "none.png: no such file"),
        (".", "no such file"),
        ("text.png", "cannot be read"),
        ("x" * 300, "cannot be read"),
        ("half.png", "cannot be read"),
    ],
)
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    PIL.Image.new("RGB", (64, 64), "red").save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:80])
    with pytest.raises(DataError, match=message):
        read_picture(tmp_path / name)
