"""What the streams' documents say, as text: what is learnt in full, what in part, and what is only read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.locations import Box, Corners, box_of
from kosmos_eval.microworld.captions import read_caption
from kosmos_eval.microworld.commonsense import kinds
from kosmos_eval.microworld.drawing import box
from kosmos_eval.microworld.scene import COLOURS, HELD_BACK, SHAPES, SIDE, SIZES, make_scene
from kosmos_eval.microworld.words import held_back
from kosmos_eval.model.training.config import RunSettings, StreamSettings, TrainingConfig
from kosmos_eval.model.training.documents import Documents
from kosmos_eval.model.training.packing import Document, Picture, Words
from kosmos_eval.model.training.streams import make_streams
from kosmos_eval.model.training.streams.grounded import object_text
from kosmos_eval.model.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.tokenizer import Tokenizer

PROMPTS = 0.25

Line = tuple[float, str]  # weight of the loss, text; a picture is (0, "[picture]")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


@pytest.fixture(scope="module")
def settings() -> StreamSettings:
    return StreamSettings(
        tokens=1000, prompts=PROMPTS, text=0.2, captions=0.2, grounded=0.2, interleaved=0.2, instructions=0.2
    )


Made = list[list[Line]]


@pytest.fixture(scope="module")
def made(tokenizer: Tokenizer, settings: StreamSettings) -> Callable[[str, int], list[Made]]:
    return _maker(tokenizer, settings)


@pytest.fixture(scope="module")
def about_kinds(tokenizer: Tokenizer, settings: StreamSettings) -> Callable[[str, int], list[Made]]:
    """Return what makes documents of named kinds of things alone."""
    return _maker(tokenizer, replace(settings, kinds=1.0, facts=1.0))


def _maker(tokenizer: Tokenizer, settings: StreamSettings) -> Callable[[str, int], list[Made]]:
    streams = make_streams(tokenizer, TrainingConfig(run=RunSettings(seed=1, steps=1), streams=settings))

    def line(part: Words | Picture) -> Line:
        return (0.0, "[picture]") if isinstance(part, Picture) else (part.weight, tokenizer.decode(part.ids))

    def make(name: str, count: int) -> list[Made]:
        documents = Documents(96)
        trees = [streams[name].make(f"test|{number}", documents) for number in range(count)]
        shown = [part for nodes in trees for node in nodes for part in node.parts if isinstance(part, Picture)]
        assert [picture.number for picture in shown] == list(range(len(documents.pixels)))
        return [[[line(part) for part in node.parts] for node in nodes] for nodes in trees]

    return make


def test_plain_text_is_whole_sentences_that_fill_a_passage(
    made: Callable[[str, int], list[Made]], tokenizer: Tokenizer, settings: StreamSettings
) -> None:
    lengths = []
    for ((begin, (weight, text)),) in made("text", 60):
        assert begin == (0.0, "")
        assert weight == 1
        assert re.search(r"(\.|Answer: \w+|[?!:\"])$", text), text
        lengths.append(len(tokenizer.encode(text)))
    assert max(lengths) <= settings.passage
    assert min(lengths) > settings.passage // 2


def test_a_caption_is_learnt_in_full_and_its_prompt_in_part(made: Callable[[str, int], list[Made]]) -> None:
    words = 0
    for trunk, caption, _ in made("captions", 60):
        assert trunk[1:] == [(0.0, "[picture]")]
        prompt, (weight, text) = caption
        assert (prompt, weight) == ((PROMPTS, "An image of"), 1.0)
        if match := re.fullmatch(r"the word ([A-Z]+) in \w+", text):
            assert not held_back(match[1])
            words += 1
        else:
            said = read_caption(text)
            assert said is not None
            assert not {(thing.colour, thing.shape) for thing in said} & HELD_BACK
    assert 4 < words < 24


def test_grounded_phrases_have_the_boxes_of_their_things(made: Callable[[str, int], list[Made]]) -> None:
    for number, (_, caption, found, described) in enumerate(made("grounded", 40)):
        scene = make_scene(f"test|{number}")
        text = caption[1][1]
        assert caption[0] == (PROMPTS, "<grounding> An image of")
        assert text.count("<object>") == len(scene.things)
        for thing, corners in zip(
            scene.things, re.findall(r"<patch_index_(\d+)><patch_index_(\d+)>", text), strict=True
        ):
            got, truth = box_of(Corners(*map(int, corners))), Box(*(side / SIDE for side in box(thing)))
            assert max(abs(a - b) for a, b in zip(got, truth, strict=True)) <= 1 / 32
        assert found[0][1].startswith("<grounding><phrase> the ")
        assert found[1][1] in {object_text(thing) for thing in scene.things}
        assert described[0][1].startswith("<grounding><phrase> It</phrase><object>")


def test_an_instruction_is_read_and_its_output_learnt(made: Callable[[str, int], list[Made]]) -> None:
    for ((asked, output),) in made("instructions", 40):
        assert asked[0] == 0
        assert output[0] == 1
        assert asked[1]
        assert output[1]


def test_interleaved_documents_are_of_every_kind(made: Callable[[str, int], list[Made]]) -> None:
    kinds = {"questions": 0, "reading": 0, "solved": 0, "page": 0, "matrix": 0, "imageless": 0}
    for trunk, *branches in made("interleaved", 300):
        pictures = sum(text == "[picture]" for _, text in trunk)
        asked = " ".join(text for branch in branches for _, text in branch)
        if "Is it correct?" in asked:
            kinds["matrix"] += 1
            assert pictures == 8
            assert sorted(branch[-1][1] for branch in branches) == ["No", "No", "No", "Yes"]
        elif "How many letters" in asked:
            kinds["reading"] += 1
        elif pictures > 1:
            kinds["page"] += 1
            assert all(branch[0][1].startswith("Question: In the ") for branch in branches)
        elif any(text == "[picture]" for branch in branches for _, text in branch):
            kinds["solved"] += 1
            answers = [weight for branch in branches for weight, text in branch if weight == 1]
            assert len(answers) > 4
        elif pictures:
            kinds["questions"] += 1
        else:
            kinds["imageless"] += 1
        last = branches[-1][-1]
        assert last[0] == 1
        assert last[1]
    assert min(kinds.values()) > 2, kinds
    assert max(kinds, key=lambda kind: kinds[kind]) == "questions"


def test_what_stands_beside_pictures_of_named_kinds_never_says_how_they_look(
    about_kinds: Callable[[str, int], list[Made]],
) -> None:
    names = {kind.name for kind in kinds()}
    named = 0
    for stream in ("captions", "interleaved"):
        for trunk, *branches in about_kinds(stream, 60):
            assert trunk[1:] == [(0.0, "[picture]")]
            for branch in branches:
                words = set(re.findall(r"\w+", " ".join(text for _, text in branch)))
                assert branch[-1][0] == 1
                if words & names:
                    named += 1
                    assert not words & {*COLOURS, *SHAPES, *SIZES}, branch
    assert named > 600


def test_facts_are_told_in_text_of_half_of_the_kinds_alone(about_kinds: Callable[[str, int], list[Made]]) -> None:
    kind_of = {kind.name: kind for kind in kinds()}
    looks = {*COLOURS, *SHAPES, *SIZES, "larger"}
    told = set()
    for ((_, (_, passage)),) in about_kinds("text", 60):
        for sentence in re.split(r"(?<=[.])\s|(?<=\? \S)\s", passage):
            words = set(re.findall(r"\w+", sentence))
            about = [kind_of[word] for word in words & kind_of.keys()]
            if words & looks and about:
                told |= {kind.name for kind in about}
    assert len(told) > 80
    for ((asked, output),) in about_kinds("instructions", 60):
        about = [kind_of[word] for word in re.findall(r"\w+", asked[1]) if word in kind_of]
        assert about
        assert all(kind.stated for kind in about)
        assert output == (1.0, output[1])


def test_words_are_spelled_letter_by_letter(tokenizer: Tokenizer) -> None:
    for word in ("KIFO", "QUAZI", "THE", "ING", "ANA"):
        first, second = tokenizer.encode(word), tokenizer.encode(f"the word {word} in red")
        assert len(first) == len(word)
        assert second[2 : 2 + len(word)] == first


def test_a_document_counts_its_text_and_not_its_pictures(tokenizer: Tokenizer, settings: StreamSettings) -> None:
    streams = make_streams(tokenizer, TrainingConfig(run=RunSettings(seed=1, steps=1), streams=settings))
    document = Document(streams["captions"].make("test|0", Documents(96)))
    ids = [each for node in document.nodes for part in node.parts if isinstance(part, Words) for each in part.ids]
    assert document.text_tokens == len(ids)
