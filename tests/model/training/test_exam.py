"""The examination marks right what is right, and its perplexity is that of the engine's log-likelihoods."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from kosmos_eval.microworld.captions import make_captions
from kosmos_eval.microworld.commonsense import kinds
from kosmos_eval.microworld.scene import Scene, Thing, make_scene
from kosmos_eval.model.checkpoint import save_kosmos
from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.training import exam
from kosmos_eval.model.training.card import write_card
from kosmos_eval.model.training.config import StreamSettings
from kosmos_eval.model.training.documents import Documents
from kosmos_eval.model.training.exam import Mark, as_table, examine, main, perplexity
from kosmos_eval.model.training.packing import Words
from kosmos_eval.model.training.streams.grounded import object_text
from kosmos_eval.model.training.streams.text import Text
from kosmos_eval.model.training.vocabulary import train_tokenizer
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Generated, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kosmos_eval.request import Request, Response

DECODER = DecoderConfig(vocabulary=2048, width=16, layers=1, heads=2, hidden=16, positions="xpos")
TEXT_ONLY = KosmosConfig(None, None, DECODER)
SEEING = KosmosConfig(
    VisionConfig(image_size=32, patch_size=16, width=16, layers=1, heads=2, hidden=16),
    ConnectorConfig("resampler", queries=4, heads=2, layers=1, width=16, hidden=16),
    DECODER,
)
RECIPE = "[run]\nseed = 7\nsteps = 3\n[streams]\ntokens = 10\ntext = 1.0\n"


def test_a_caption_counts_when_it_names_everything_and_nothing_else() -> None:
    scene = make_scene("test|1")
    assert all(exam._names(scene, caption) for caption in make_captions(scene))
    assert not exam._names(scene, make_captions(make_scene("test|2"))[0])
    assert not exam._names(scene, "")


def test_a_box_counts_from_an_overlap_of_a_half() -> None:
    thing = Thing("square", "red", "large", 1, 1, 0, 0)
    elsewhere = Thing("square", "red", "large", 1, 2, 0, 0)
    assert exam._finds(thing, object_text(thing))
    assert not exam._finds(thing, object_text(elsewhere))
    for text in ("", "a red square", "<object></object>", "<object><patch_index_0900><patch_index_0100></object>"):
        assert not exam._finds(thing, text)
    assert not exam._finds(thing, f"It is {object_text(thing)}")


def test_an_answer_counts_when_it_is_the_word_itself() -> None:
    assert exam._is("red", " red")
    assert not exam._is("red", "red thing")
    assert not exam._is("red", "")
    assert exam._begins("red", " red The color of it is? blue")
    assert not any(exam._begins("red", text) for text in ("", "reddish", "a red one"))


KINDS = [
    "colours that text tells",
    "colours that only pictures show",
    "sizes that text tells",
    "sizes that only pictures show",
]


class _Knowing:
    """An engine that knows every answer where it sees what picture there is, and says nothing otherwise."""

    def __init__(self, *_: object) -> None:
        self._asked = [*exam._questions(4), *exam._kind_questions()]

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        for number, request in requests:
            asked = self._asked[number]
            text = self._right(asked) if request.prompt.images or asked.picture is None else ""
            yield number, Generated(text, (), (), "eos")

    @staticmethod
    def _right(asked: exam._Asked) -> str:
        assert isinstance(asked.right, partial)  # of the grader and the truth
        scene_or_answer = asked.right.args[0]
        if isinstance(scene_or_answer, Scene):
            return make_captions(scene_or_answer)[0]
        return object_text(scene_or_answer) if isinstance(scene_or_answer, Thing) else str(scene_or_answer)


def test_who_knows_all_is_always_right_and_who_sees_nothing_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam, "KosmosModel", _Knowing)
    marks = examine(Kosmos.initialised(SEEING, 1).eval(), train_tokenizer(), 4)
    seen = {mark.name: mark for mark in marks}
    assert {"captions", "captions of new pairs", "questions", "questions: count", "reading"} <= seen.keys()
    assert {"reading of new words", "grounding", "perplexity of plain text"} <= seen.keys()
    for mark in marks[:-1]:
        assert (mark.value, mark.blind) == (1.0, None if mark.name in KINDS else 0.0), mark
        assert mark.low is not None
        assert mark.low < 1
    assert seen["questions"].asked == 20
    assert [seen[name].asked for name in KINDS] == [80, 80, 80, 80]


def test_perplexity_is_that_of_the_engines_log_likelihoods() -> None:
    model, tokenizer = Kosmos.initialised(TEXT_ONLY, 1).eval(), train_tokenizer()
    stream = Text(tokenizer, StreamSettings(tokens=1, text=1.0))
    total, count = 0.0, 0
    for number in range(3):
        ((_, said),) = (node.parts for node in stream.make(f"exam|text|{number}", Documents(0)))
        assert isinstance(said, Words)
        text = tokenizer.decode(said.ids)
        request = Score(Prompt(), (Continuation(text),))
        ((_, scored),) = KosmosModel(model, tokenizer).answer([(0, request)])
        assert isinstance(scored, Scored)
        total, count = total + scored.continuations[0].total, count + len(said.ids) - 1
    # The engine's sums lack the end token, so they are held to the perplexity of what stands before it.
    assert perplexity(model, tokenizer, 3) == pytest.approx(math.exp(-total / count), rel=0.05)


def test_a_decoder_alone_is_asked_about_text_alone() -> None:
    marks = examine(Kosmos.initialised(TEXT_ONLY, 1).eval(), train_tokenizer(), 3)
    assert [mark.name for mark in marks] == [*KINDS, "perplexity of plain text"]
    assert {mark.blind for mark in marks} == {None}


def test_the_command_writes_a_table_and_refuses_what_is_no_model(tmp_path: Path) -> None:
    save_kosmos(Kosmos.initialised(TEXT_ONLY, 1), train_tokenizer(), tmp_path / "model")
    done = CliRunner().invoke(main, [str(tmp_path / "model"), "--items", "2"])
    assert done.exit_code == 0
    assert "| perplexity of plain text | 2 |" in done.output
    refused = CliRunner().invoke(main, [str(tmp_path / "none")])
    assert refused.exit_code == 65
    assert "error: " in refused.output


def test_kinds_are_asked_about_without_a_picture_in_the_words_of_the_benchmarks() -> None:
    asked = list(exam._kind_questions())
    assert {each.picture for each in asked} == {None}
    by_kind = {name: [each for each in asked if each.kinds == (name,)] for name in KINDS}
    assert [len(each) for each in by_kind.values()] == [80] * 4
    stated = {kind.name: kind.stated for kind in kinds()}
    for name, questions in by_kind.items():
        for each in questions:
            named = [word for word in re.findall(r"[a-z]+", each.text) if word in stated]
            assert {stated[word] for word in named} == {"text tells" in name}
    sizes = [each for name in KINDS[2:] for each in by_kind[name]]
    assert sum(each.right("Yes") for each in sizes) == sum(each.right("No") for each in sizes) == 80


def test_percentages_are_written_with_their_interval() -> None:
    table = as_table([Mark("reading", 40, 0.75, 0.6, 0.86, 0.0, 0.05), Mark("perplexity", 3, 1.5)])
    assert "| reading | 40 | 75.0 | 60.0 to 86.0 | 0.0 |" in table
    assert "| perplexity | 3 | 1.500 | | |" in table


def test_a_card_says_what_the_model_is_and_how_it_was_made(tmp_path: Path) -> None:
    model = Kosmos.initialised(TEXT_ONLY, 1)
    save_kosmos(model, train_tokenizer(), tmp_path)
    (tmp_path / "training.toml").write_text(RECIPE, encoding="utf-8")
    write_card(tmp_path, {"command": "python -m ...", "processes": 2}, 2)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert (card["seed"], card["steps"], card["image_size"]) == (7, 3, None)
    assert card["training_data"] == "microworld: text 100%"
    assert card["made"]["command"] == "python -m ..."
    assert [mark["name"] for mark in card["exam"]] == [*KINDS, "perplexity of plain text"]
    fingerprint = card["fingerprint"]
    write_card(tmp_path, card["made"], 0)
    again = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert again["fingerprint"] == fingerprint
    assert again["exam"] == []
