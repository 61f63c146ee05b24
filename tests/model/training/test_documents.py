"""The mixture of a step: a pure function of seed and step, with each stream's share of the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kosmos_eval.errors import DataError
from kosmos_eval.microworld.draws import Draws
from kosmos_eval.model.training.batches import as_batch, batches
from kosmos_eval.model.training.config import RunSettings, StreamSettings, TrainingConfig
from kosmos_eval.model.training.dense import ABSENT, LABELS
from kosmos_eval.model.training.documents import Documents, Mixture, kind_of, written
from kosmos_eval.model.training.packing import ImageMarks, Node, Picture
from kosmos_eval.model.training.streams import make_streams
from kosmos_eval.model.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from kosmos_eval.model.tokenizer import Tokenizer

SIDE = 32
MARKS = ImageMarks(begin=1014, end=1015, latents=4)
SHARES = {"text": 0.3, "captions": 0.2, "grounded": 0.2, "interleaved": 0.2, "instructions": 0.1}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


def _mixture(tokenizer: Tokenizer, tokens: int = 2000, seed: int = 1, **shares: float) -> Mixture:
    given: dict[str, Any] = shares or {**SHARES, "labelled": 2}
    asked = StreamSettings(tokens=tokens, **given)
    config = TrainingConfig(run=RunSettings(seed=seed, steps=1), streams=asked)
    return Mixture(make_streams(tokenizer, config), asked, seed, SIDE)


def test_documents_are_a_function_of_seed_step_and_part(tokenizer: Tokenizer) -> None:
    first, again = (_mixture(tokenizer).make(3, 1) for _ in range(2))
    assert first.trees == again.trees
    assert all(one.equal(other) for one, other in zip(first.pixels, again.pixels, strict=True))
    assert [each.tolist() for each in first.labels] == [each.tolist() for each in again.labels]
    others = [_mixture(tokenizer).make(4, 1), _mixture(tokenizer).make(3, 2), _mixture(tokenizer, seed=2).make(3, 1)]
    assert all(other.trees != first.trees for other in others)


def test_each_stream_has_its_share_of_the_tokens_to_within_a_document(tokenizer: Tokenizer) -> None:
    documents = _mixture(tokenizer).make(0)
    for number, share in enumerate(SHARES.values()):
        own = [document.text_tokens for document in documents.trees if document.stream == number]
        assert sum(own) >= share * 2000 > sum(own[:-1])


def test_what_a_stream_makes_does_not_depend_on_the_others(tokenizer: Tokenizer) -> None:
    among, alone = _mixture(tokenizer).make(5), _mixture(tokenizer, tokens=600, text=1.0).make(5)
    assert [document.nodes for document in among.trees if document.stream == 0] == [
        document.nodes for document in alone.trees
    ]


def test_every_picture_has_one_place_and_labels(tokenizer: Tokenizer) -> None:
    documents = _mixture(tokenizer).make(0)
    parts = (part for tree in documents.trees for node in tree.nodes for part in node.parts)
    placed = [part.number for part in parts if isinstance(part, Picture)]
    assert placed == list(range(len(documents.pixels) - 2))  # two are labelled and in no document
    assert [labels.shape for labels in documents.labels] == [(LABELS,)] * len(documents.pixels)
    assert all((labels != ABSENT).any() for labels in documents.labels)


def test_processes_and_accumulation_share_the_batches_of_a_step(tokenizer: Tokenizer) -> None:
    mixture = _mixture(tokenizer, tokens=60, text=1.0)
    alone = list(batches(mixture, MARKS, steps=range(2), accumulation=4))
    pair = [
        list(batches(mixture, MARKS, steps=range(2), accumulation=2, process=process, processes=2))
        for process in range(2)
    ]
    woven = [pair[number % 2][number // 2] for number in range(8)]
    assert all(one.ids.equal(other.ids) for one, other in zip(alone, woven, strict=True))
    later = next(iter(batches(mixture, MARKS, steps=range(1, 2), accumulation=4)))
    assert later.ids.equal(alone[4].ids)


def test_workers_make_the_same_batches_and_pass_on_what_goes_wrong(tokenizer: Tokenizer) -> None:
    mixture = _mixture(tokenizer, tokens=60, text=1.0)
    here = list(batches(mixture, MARKS, steps=range(3)))
    there = list(batches(mixture, MARKS, steps=range(3), workers=1))
    assert all(one.ids.equal(other.ids) for one, other in zip(here, there, strict=True))
    mixture.streams = {"text": _Broken()}
    with pytest.raises(DataError) as caught:
        next(batches(mixture, MARKS, steps=range(1), workers=1))
    assert str(caught.value) == "a record is broken"


class _Broken:
    def make(self, subject: str, documents: Documents) -> tuple[Node, ...]:
        del subject, documents
        message = "a record is broken"
        raise DataError(message)


def test_a_batch_has_a_picture_of_its_own_for_each_slot(tokenizer: Tokenizer) -> None:
    batch = as_batch(_mixture(tokenizer).make(0), MARKS, room=256)
    slots = batch.image_slots[batch.image_slots >= 0]
    assert sorted({*slots.tolist()}) == list(range(4 * (len(batch.pixels) - 2)))
    assert batch.pixels.shape[1:] == (3, SIDE, SIDE)
    assert torch.isfinite(batch.pixels).all()


def test_kinds_are_drawn_as_often_as_their_shares() -> None:
    drawn = [kind_of(Draws(f"kind|{number}"), (("a", 0.7), ("b", 0.3))) for number in range(2000)]
    assert drawn.count("a") / 2000 == pytest.approx(0.7, abs=0.03)


def test_an_answer_ends_and_its_prompt_is_learnt_a_little(tokenizer: Tokenizer) -> None:
    prompt, answer = written(tokenizer, "Question: what is it? Answer:", "a star", 0, 0.1).parts
    assert prompt == (tuple(tokenizer.encode("Question: what is it? Answer:")), 0.1)
    assert answer == ((*tokenizer.encode("a star"), tokenizer.eos), 1.0)
    assert written(tokenizer, "", "a star", 0, 0.1).parts == (answer,)
