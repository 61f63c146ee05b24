from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.generate import Answer, GenerateJob, repeating
from kosmos_eval.model.engine.layout import Layout
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated

if TYPE_CHECKING:
    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos

PROMPT = Layout((0,), 1)


def written(tokenizer: SegmentTokenizer, text: str, job: GenerateJob, *, end: int | None = None) -> Answer:
    answer = Answer(job)
    for token in [*tokenizer.encode(text), *([] if end is None else [end])]:
        assert answer.reason is None
        answer.write(token, -1.0, tokenizer)
    return answer


def test_a_stop_text_that_spans_tokens_cuts_the_answer_before_it(tokenizer: SegmentTokenizer) -> None:
    answer = written(tokenizer, "ab c", GenerateJob(0, PROMPT, 9, ("b c", "d"))).result()
    assert (answer.text, answer.stop_reason, len(answer.tokens)) == ("a", "stop", 4)


def test_the_first_of_several_stop_texts_counts(tokenizer: SegmentTokenizer) -> None:
    assert written(tokenizer, "xyz", GenerateJob(0, PROMPT, 9, ("z", "yz"))).result().text == "x"


@pytest.mark.parametrize("end", ["eos", "image_begin"])
def test_the_end_token_and_an_image_end_an_answer(tokenizer: SegmentTokenizer, end: str) -> None:
    answer = written(tokenizer, "yes", GenerateJob(0, PROMPT, 9), end=getattr(tokenizer, end)).result()
    assert (answer.text, answer.stop_reason, len(answer.tokens)) == ("yes", "eos", 4)


def test_the_last_allowed_token_ends_an_answer(tokenizer: SegmentTokenizer) -> None:
    answer = written(tokenizer, "yes", GenerateJob(0, PROMPT, 3, ("z",))).result()
    assert (answer.text, answer.stop_reason) == ("yes", "length")


def test_tokens_that_would_repeat_an_ngram_are_named() -> None:
    assert repeating([1, 2, 3, 1, 2], 3) == [3]
    assert repeating([1, 2, 1, 3, 1], 2) == [2, 3]
    assert repeating([1, 2], 1) == [1, 2]
    assert repeating([1, 2], 3) == []
    assert repeating([1, 1, 1], 0) == []


def test_no_ngram_is_written_twice(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    requests = [(n, Generate(Prompt.of("again"), 40, no_repeat_ngram=n)) for n in (1, 2, 3)]
    for n, answer in KosmosModel(model, tokenizer).answer(requests):
        assert isinstance(answer, Generated)
        ngrams = [answer.tokens[at : at + n] for at in range(len(answer.tokens) - n + 1)]
        assert len(ngrams) == len(set(ngrams))


def test_rows_of_unequal_length_leave_the_batch_and_the_rest_goes_on(
    model: Kosmos, tokenizer: SegmentTokenizer
) -> None:
    lengths = (1, 2, 3, 5, 8, 60)
    requests = [(most, Generate(Prompt.of("abc"[: most % 4]), most)) for most in lengths]
    together = dict(KosmosModel(model, tokenizer).answer(requests))
    alone = dict(KosmosModel(model, tokenizer, 1).answer(requests))
    for most in lengths:
        assert together[most].tokens == alone[most].tokens  # type: ignore[union-attr]  # a Generate has a Generated


def test_generation_ends_where_sinusoidal_positions_do(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with torch.no_grad():
        model.decoder.embedding.weight[[tokenizer.eos, tokenizer.image_begin]] = 0
    prompt = Prompt.of("a" * 250)
    ((_, answer),) = KosmosModel(model, tokenizer).answer([(0, Generate(prompt, 30))])
    assert isinstance(answer, Generated)
    if answer.stop_reason == "length":
        assert len(answer.tokens) == (6 if model.config.decoder.positions == "sinusoidal" else 30)
