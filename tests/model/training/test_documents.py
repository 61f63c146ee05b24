"""What training documents say, and that they say it as evaluation prompts do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kosmos_eval.microworld.mini import vqa_items
from kosmos_eval.model.training.config import DataSettings
from kosmos_eval.model.training.dense import ABSENT, LABELS
from kosmos_eval.model.training.documents import WRONG_CANDIDATES, DocumentMaker, Documents, exemplar, query
from kosmos_eval.model.training.packing import Picture, Words
from kosmos_eval.model.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from kosmos_eval.model.tokenizer import Tokenizer

KINDS = {
    "question answering": DataSettings(pictures=4, imageless=0.0, few_shot=0.0, captions=0.0),
    "captions": DataSettings(pictures=4, few_shot=0.0, captions=1.0),
    "few-shot": DataSettings(pictures=6, few_shot=1.0, most_shots=2),
    "raven": DataSettings(pictures=24, few_shot=0.0, raven=1.0),
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


def _make(tokenizer: Tokenizer, kind: str, step: int = 0) -> Documents:
    return DocumentMaker(tokenizer, KINDS[kind], seed=1).make(step)


def _text(tokenizer: Tokenizer, documents: Documents, leaf: int, tree: int = 0) -> str:
    """Return the path to a node as text, pictures as <image>, learnt words in brackets."""
    nodes = documents.trees[tree]
    path: list[int] = []
    number: int | None = leaf
    while number is not None:
        path.insert(0, number)
        number = nodes[number].parent
    said = []
    for part in (part for each in path for part in nodes[each].parts):
        if isinstance(part, Picture):
            said.append("<image>")
        else:
            words = tokenizer.decode(part.ids) + ("</s>" if tokenizer.eos in part.ids else "")
            said.append(f"[{words}]" if part.learn else words)
    return " ".join(each for each in said if each)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_a_function_of_seed_and_step(tokenizer: Tokenizer, kind: str) -> None:
    first, again, later = _make(tokenizer, kind), _make(tokenizer, kind), _make(tokenizer, kind, step=1)
    assert first.trees == again.trees
    assert all(one.equal(other) for one, other in zip(first.pixels, again.pixels, strict=True))
    shown = [[labels.tolist() for labels in each.labels] for each in (first, again, later)]
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_one_place_and_labels(tokenizer: Tokenizer, kind: str) -> None:
    documents = _make(tokenizer, kind)
    parts = (part for tree in documents.trees for node in tree for part in node.parts)
    assert [part.number for part in parts if isinstance(part, Picture)] == list(range(len(documents.pixels)))
    assert [labels.shape for labels in documents.labels] == [(LABELS,)] * len(documents.pixels)
    assert all((labels != ABSENT).any() for labels in documents.labels)


def test_a_question_reads_as_the_benchmark_asks_it(tokenizer: Tokenizer) -> None:
    text = _text(tokenizer, _make(tokenizer, "question answering"), leaf=1)
    before, answer = text.split(" Answer: ")
    assert before.startswith("<image> Question: ")
    assert before.endswith("?")
    assert answer.startswith("[")
    assert answer.endswith("</s>]")


def test_a_caption_reads_as_the_benchmark_asks_it(tokenizer: Tokenizer) -> None:
    text = _text(tokenizer, _make(tokenizer, "captions"), leaf=1)
    assert text.startswith("<image> An image of [")
    assert text.endswith("</s>]")


def test_a_matrix_reads_as_the_benchmark_asks_it(tokenizer: Tokenizer) -> None:
    documents = _make(tokenizer, "raven")
    texts = [_text(tokenizer, documents, leaf) for leaf in range(1, len(documents.trees[0]))]
    context = "Here are eight images:" + " <image>" * 8
    assert texts == [
        f"{context} The following image is: <image> Is it correct? [{answer}</s>]"
        for answer in ("Yes", *("No",) * WRONG_CANDIDATES)
    ]


def test_few_shot_exemplars_stand_in_a_row(tokenizer: Tokenizer) -> None:
    documents = _make(tokenizer, "few-shot")
    text = _text(tokenizer, documents, leaf=len(documents.trees[0]) - 1)
    *exemplars, last = text.split("<image>")[1:]
    assert exemplars
    assert all(each.startswith(" Question: ") and " Answer: [" in each and "</s>" not in each for each in exemplars)
    assert last.endswith("</s>]")


def test_an_exemplar_is_the_tokens_of_one_segment(tokenizer: Tokenizer) -> None:
    for item in list(vqa_items("train"))[:200]:
        question = item.question
        prompt, answer = exemplar(tokenizer, question)
        whole = f"Question: {question.text} Answer: {question.answer}"
        assert [*prompt.ids, *answer.ids] == tokenizer.encode(whole)
        asked = query(tokenizer, question, 0).parts
        assert asked == (prompt, Words((*answer.ids, tokenizer.eos), learn=True))


def test_pictures_can_be_left_out(tokenizer: Tokenizer) -> None:
    settings = DataSettings(pictures=8, imageless=0.5, few_shot=0.0, captions=0.0)
    trees = DocumentMaker(tokenizer, settings, seed=1).make(0).trees
    shown = [any(isinstance(part, Picture) for part in tree[0].parts) for tree in trees]
    assert sum(shown) == 8
    assert len(shown) > 8
