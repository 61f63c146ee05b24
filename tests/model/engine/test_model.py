from __future__ import annotations

import time
from operator import length_hint
from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.engine.model import device_of
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import PIL.Image

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Request


def test_a_prompt_longer_than_sinusoidal_positions_fails_and_xpos_goes_on(
    model: Kosmos, tokenizer: SegmentTokenizer
) -> None:
    engine = KosmosModel(model, tokenizer)
    requests: list[tuple[int, Request]] = [
        (0, Generate(Prompt.of("a" * 300), 1)),
        (1, Score(Prompt.of("a" * 253), (Continuation("bcde"),))),
    ]
    for request in requests:
        if model.config.decoder.positions == "xpos":
            assert len(list(engine.answer([request]))) == 1
        else:
            ((number, failed),) = engine.answer([request])
            assert number == request[0]
            assert isinstance(failed, Failed)
            assert "at most 256 tokens" in failed.reason
            assert failed.excess == {0: 45, 1: 1}[number]


def test_the_last_token_of_a_continuation_needs_no_position(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    request = Score(Prompt.of("a" * 253), (Continuation("bcd"),))
    assert len(list(KosmosModel(model, tokenizer).answer([(0, request)]))) == 1


def test_each_distinct_image_is_encoded_once(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: set[bytes] = set()
    passes: list[int] = []
    original = model.image_embeddings

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        encoded.update(each.numpy().tobytes() for each in pixels)
        passes.append(len(pixels))
        return original(pixels)

    monkeypatch.setattr(model, "image_embeddings", counted)
    prompts = [Prompt.of(make_picture(number % 3), "what", make_picture(0)) for number in range(9)]
    list(KosmosModel(model, tokenizer).answer((i, Generate(prompt, 2)) for i, prompt in enumerate(prompts)))
    assert len(passes) == 1  # the pass has more rows than there are images
    assert len(encoded - {bytes(3 * 16 * 16 * 4)}) == 3


def test_windows_share_the_images_that_follow_each_other(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [(i, Generate(Prompt.of(make_picture(0), "what", make_picture(1 + i % 4)), 3)) for i in range(8)]
    whole = dict(KosmosModel(model, tokenizer).answer(requests))
    monkeypatch.setattr("kosmos_eval.model.engine.model._MOST_NUMBERS", 40 * 32)
    windows = dict(KosmosModel(model, tokenizer).answer(requests))
    for number, answer in whole.items():
        assert answer.tokens == windows[number].tokens  # type: ignore[union-attr]  # a Generate has a Generated


def test_requests_are_taken_as_they_come(
    model: Kosmos, tokenizer: SegmentTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kosmos_eval.model.engine.model._MOST_NUMBERS", 1)
    taken = []

    def stream() -> Iterator[tuple[int, Request]]:
        for number in range(3):
            taken.append(number)
            yield number, Generate(Prompt.of("a"), 1)

    answers = KosmosModel(model, tokenizer).answer(stream())
    next(answers)
    assert taken == [0]


def test_pictures_that_are_expected_are_decoded_before_they_are_asked_about(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    opened: list[int] = []

    def counted(number: int) -> Image:
        def load() -> PIL.Image.Image:
            opened.append(number)
            return make_picture(number).load()

        return Image(load, f"counted {number}")

    first, second, third = counted(1), counted(2), counted(3)
    engine = KosmosModel(model, tokenizer)
    engine.expect([second])
    before = dict(engine.answer([(0, Generate(Prompt.of(first, "what"), 2))]))
    deadline = time.monotonic() + 20
    while 2 not in opened and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(opened) == [1, 2]
    engine.expect([third])
    after = dict(engine.answer([(1, Generate(Prompt.of(second, "what"), 2))]))
    assert after == dict(KosmosModel(model, tokenizer).answer([(1, Generate(Prompt.of(make_picture(2), "what"), 2))]))
    assert before == dict(KosmosModel(model, tokenizer).answer([(0, Generate(Prompt.of(make_picture(1), "what"), 2))]))


def test_an_unreadable_image_is_an_error_that_names_it(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    request = Generate(Prompt.of(Image.from_bytes(b"no picture", "page 7"), "what"), 1)
    with pytest.raises(DataError, match="page 7"):
        list(KosmosModel(model, tokenizer).answer([(0, request)]))


def test_no_requests_have_no_answers(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    assert list(KosmosModel(model, tokenizer).answer([])) == []


def test_facts_say_what_ran(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    facts = KosmosModel(model, tokenizer, 4).facts
    assert facts["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert (facts["device"], facts["dtype"], facts["batch_size"]) == ("cpu", "float32", 4)


def test_a_batch_size_below_one_is_an_error(model: Kosmos, tokenizer: SegmentTokenizer) -> None:
    with pytest.raises(UsageError, match="at least 1, got 0"):
        KosmosModel(model, tokenizer, 0)


def test_an_unknown_device_is_an_error() -> None:
    assert device_of("cpu") == "cpu"
    for name in ("gpu", "cpu:1", "cuda:99", "cuda:x"):
        with pytest.raises(UsageError, match="expected device"):
            device_of(name)


def test_bfloat16_answers_stay_near_float32_ones(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image]
) -> None:
    request = Score(Prompt.of(make_picture(0), "what"), (Continuation("cat"), Continuation("dog")))
    ((_, exact),) = KosmosModel(model, tokenizer).answer([(0, request)])
    ((_, near),) = KosmosModel(model.to(torch.bfloat16), tokenizer).answer([(0, request)])
    for one, other in zip(exact.continuations, near.continuations, strict=True):  # type: ignore[union-attr]  # a Score has a Scored
        assert other.total == pytest.approx(one.total, abs=0.5)


def test_a_picture_s_vector_is_the_same_in_any_company(
    model: Kosmos, tokenizer: SegmentTokenizer, make_picture: Callable[[int], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [make_picture(number) for number in range(7)]
    [alone] = KosmosModel(model, tokenizer).embed(pictures[3:4])
    mean = KosmosModel(model, tokenizer)._images.features(pictures[3:4])[0].double().mean(dim=0)
    assert torch.allclose(torch.from_numpy(alone).double(), mean / mean.norm(), atol=1e-6)
    assert alone.dtype == "float32"
    for at_once in (128, 2, 1):
        monkeypatch.setattr("kosmos_eval.model.engine.model._EMBEDDED_AT_ONCE", at_once)
        left = iter([*pictures, pictures[3]])
        vectors = KosmosModel(model, tokenizer).embed(left)
        first = next(vectors)
        assert length_hint(left) == max(0, 8 - at_once)  # no more is taken than is encoded
        rest = list(vectors)
        assert abs(float(first @ first) - 1) < 1e-6
        assert rest[2].tobytes() == rest[6].tobytes() == alone.tobytes()
