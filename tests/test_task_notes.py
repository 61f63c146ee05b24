"""A task's docstring says what its settings are."""

from __future__ import annotations

from dataclasses import dataclass

from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Generate, Score
from kosmos_eval.task import About
from kosmos_eval.task_notes import about, request_text, setting_notes


@dataclass(frozen=True)
class Open:
    """Open questions.

    Attributes:
        stop: texts that end an answer:
            a line break, say.

        low, high: bounds.
        split: of the base.

    Example:
        other: is no setting.
    """


class Closed(Open):
    """Closed ones.

    Attributes:
        split: of its own.
    """

    about = About(paper="a paper")


class Silent(Closed):
    pass


def test_settings_are_explained_by_the_class_and_what_it_inherits() -> None:
    expected = {
        "stop": "texts that end an answer: a line break, say.",
        "low": "bounds.",
        "high": "bounds.",
        "split": "of its own.",
    }
    assert setting_notes(Silent) == expected  # type: ignore[arg-type]  # only its docstrings matter here
    assert setting_notes(Open)["split"] == "of the base."  # type: ignore[arg-type]  # as above
    assert setting_notes(int) == {}  # type: ignore[arg-type]  # as above


def test_a_task_without_notes_has_empty_ones() -> None:
    assert about(Silent).paper == "a paper"  # type: ignore[arg-type]  # only its notes matter here
    assert about(Open) == About()  # type: ignore[arg-type]  # as above


def test_a_request_is_text_with_its_candidates() -> None:
    assert request_text(Generate(Prompt.of("Say"), 3)) == "Say ..."
    score = Score(Prompt.of("Is it"), (Continuation("Yes"), Continuation("No", Prompt.of(" perhaps"))))
    assert request_text(score) == "Is it\n     [Yes]\n     perhaps [No]"
