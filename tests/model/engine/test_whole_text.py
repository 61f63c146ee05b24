"""Prompt and continuation as one text: what is read and scored, held to an engine that reads segments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.errors import DataError
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Score, Scored, WholeText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response

BOS = 0


class PairTokenizer:
    """A token for every two letters, so that tokens do not end where texts do; spaces around a text are dropped."""

    def __init__(self, letters: SegmentTokenizer) -> None:
        self.bos, self.pad, self.eos = letters.bos, letters.pad, letters.eos
        self.image_begin, self.image_end = letters.image_begin, letters.image_end
        self.vocabulary_size = letters.vocabulary_size

    def encode(self, text: str) -> list[int]:
        kept = text.strip()
        return [6 + sum(map(ord, kept[at : at + 2])) % 58 for at in range(0, len(kept), 2)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(chr(97 + each % 26) for each in ids)


@pytest.fixture
def pairs(tokenizer: SegmentTokenizer) -> PairTokenizer:
    return PairTokenizer(tokenizer)


def answer_to(engine: KosmosModel, request: Request) -> Response | Failed:
    ((_, answer),) = engine.answer([(0, request)])
    return answer


def scores(engine: KosmosModel, request: Score) -> tuple[LogLikelihood, ...]:
    answer = answer_to(engine, request)
    assert isinstance(answer, Scored), answer
    return answer.continuations


def test_letters_apart_or_as_one_text_are_the_same(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    engine = KosmosModel(model, tokenizer)
    request = Score(Prompt.of("which is it"), (Continuation("red"), Continuation("blue")))
    apart, whole = scores(engine, request), scores(engine, replace(request, whole=WholeText()))
    for one, other in zip(apart, whole, strict=True):
        assert one.tokens == other.tokens
        assert one.characters == other.characters
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_a_continuation_takes_the_tokens_behind_as_many_as_the_prompt_has_alone(
    model: Kosmos, pairs: PairTokenizer
) -> None:
    engine = KosmosModel(model, pairs)
    [found] = scores(engine, Score(Prompt.of("abc"), (Continuation("de"),), WholeText()))
    assert found.tokens == tuple(pairs.encode("abcde")[2:])  # ab|c and ab|cd|e
    (apart,) = scores(engine, Score(Prompt.of("abc"), (Continuation("e"),)))
    assert found.logprobs == pytest.approx(apart.logprobs, abs=1e-4), "the prompt's own tokens are what is read"


def test_spaces_at_a_prompt_s_end_belong_to_the_continuation(model: Kosmos, pairs: PairTokenizer) -> None:
    engine = KosmosModel(model, pairs)
    (spaced,) = scores(engine, Score(Prompt.of("ab  "), (Continuation("cd"),), WholeText()))
    assert spaced.tokens == tuple(pairs.encode("ab  cd")[1:])
    (blank,) = scores(engine, Score(Prompt.of(" \n"), (Continuation("cd"),), WholeText(begin=False)))
    (none,) = scores(engine, Score(Prompt(), (Continuation("cd"),), WholeText(begin=False)))
    assert blank.logprobs == none.logprobs, "both are read behind <s>, there being nothing else"


def test_a_prompt_without_beginning_is_read_without_it(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    engine = KosmosModel(model, tokenizer)
    [cut] = scores(engine, Score(Prompt.of("xyabc"), (Continuation("de"),), WholeText(most=4)))
    [bare] = scores(engine, Score(Prompt.of("abc"), (Continuation("de"),), WholeText(begin=False)))
    [begun] = scores(engine, Score(Prompt.of("abc"), (Continuation("de"),), WholeText()))
    assert cut.logprobs == pytest.approx(bare.logprobs, abs=1e-4)
    assert cut.logprobs != pytest.approx(begun.logprobs, abs=1e-4)


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("length", [1, 4, 5, 8, 11])
def test_windows_score_every_token_once_and_are_as_full_as_can_be(
    model: Kosmos, tokenizer: SegmentTokenizer, length: int, *, begin: bool
) -> None:
    text = "abcdefghijk"[:length]
    tokens = [*([BOS] if begin else []), *tokenizer.encode(text)]
    engine, most = KosmosModel(model, tokenizer), 4
    [found] = scores(engine, Score(Prompt(), (Continuation(text),), WholeText(begin, most, rolling=True)))
    assert found.tokens == tuple(tokens)
    assert found.characters == length
    if begin:
        return  # <s> behind <s> is no text that could be asked for otherwise
    for at in range(length):
        window = at // most
        first = 0 if not window else min(length, most * (window + 1)) - most - 1
        letters = Prompt.of(text[first:at])
        [one] = scores(engine, Score(letters, (Continuation(text[at]),), WholeText(begin=not window)))
        assert found.logprobs[at] == pytest.approx(one.total, abs=1e-4), at


def test_several_texts_in_windows_are_several_answers(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    engine, whole = KosmosModel(model, tokenizer), WholeText(most=4, rolling=True)
    texts = [Continuation(text) for text in ("abcdefghij", "abc", "abcdefghij")]
    together = scores(engine, Score(Prompt(), tuple(texts), whole))
    assert together[0] == together[2]
    for each, found in zip(texts, together, strict=True):
        assert scores(engine, Score(Prompt(), (each,), whole))[0].logprobs == pytest.approx(found.logprobs, abs=1e-4)


def test_a_prompt_is_cut_so_that_the_answer_has_room(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    engine = KosmosModel(model, tokenizer)
    cut = answer_to(engine, Generate(Prompt.of("uvwxyz"), 3, whole=WholeText(most=7)))
    bare = answer_to(engine, Generate(Prompt.of("wxyz"), 3, whole=WholeText(begin=False)))
    begun = answer_to(engine, Generate(Prompt.of("wxyz"), 3, whole=WholeText()))
    plain = answer_to(engine, Generate(Prompt.of("wxyz"), 3))
    assert isinstance(cut, Generated)
    assert isinstance(bare, Generated)
    assert cut.tokens == bare.tokens
    assert cut.logprobs == pytest.approx(bare.logprobs, abs=1e-4)
    assert begun == plain
    assert begun != bare


def test_pictures_are_read_with_the_text_around_them_and_never_cut(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    engine, prompt = KosmosModel(model, tokenizer), Prompt.of("see ", make_picture(1), " what")
    request = Score(prompt, (Continuation("this"), Continuation("that")))
    for one, other in zip(scores(engine, request), scores(engine, replace(request, whole=WholeText())), strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    [behind] = scores(engine, Score(Prompt.of(make_picture(1), " "), (Continuation("this"),), WholeText()))
    [apart] = scores(engine, Score(Prompt.of(make_picture(1)), (Continuation("this"),)))
    assert behind.logprobs == pytest.approx(apart.logprobs, abs=1e-4)
    for long in (replace(request, whole=WholeText(most=8)), Generate(prompt, 2, whole=WholeText(most=8))):
        failed = answer_to(engine, long)
        assert isinstance(failed, Failed)
        assert "expected a prompt with images of at most" in failed.reason


def test_what_cannot_be_scored_says_so(model: Kosmos, pairs: PairTokenizer) -> None:
    engine = KosmosModel(model, pairs)
    failed = answer_to(engine, Score(Prompt.of("ab"), (Continuation("cdefgh"),), WholeText(most=2)))
    assert failed == Failed(
        "expected a continuation of at most 2 tokens, which are read at once, got 3; ask for fewer shots or shorter "
        "texts",
        1,
    )
    full = answer_to(engine, Generate(Prompt.of("ab"), 4, whole=WholeText(most=4)))
    assert isinstance(full, Failed)
    assert full.reason == "expected max_new_tokens to leave room for a prompt in 4 tokens, got 4; ask for fewer"
    with pytest.raises(DataError, match="expected continuation 'b' to have tokens, got none"):
        answer_to(engine, Score(Prompt.of("a"), (Continuation("b"),), WholeText()))
