from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import PIL.Image
import pytest
import sentencepiece
import torch

from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kosmos_eval.request import Request

LETTERS = "abcdefghijklmnopqrstuvwxyz ?:.ABCDEFGHIJKLMNOPQRSTUVWXYZ"


ODD_LETTERS = (
    "\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{IDEOGRAPHIC SPACE}\N{LATIN SMALL LIGATURE FI}"
    "\N{FULLWIDTH DIGIT ONE}\N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-6C34}\N{SLIGHTLY SMILING FACE}"
)


class LetterTokenizer:
    """A token a letter, with the special ids of a real tokenizer."""

    bos, pad, eos, unk, image_begin, image_end = 0, 1, 2, 3, 4, 5
    vocabulary_size = 64

    def encode(self, text: str) -> list[int]:
        return [6 + LETTERS.index(letter) for letter in text.strip()]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(LETTERS[each - 6] for each in ids if 6 <= each < 6 + len(LETTERS))


class Variant(NamedTuple):
    """A model in small: kind of positions and kind of connector."""

    positions: str
    connector: str


VARIANTS = [Variant(positions, kind) for positions in ("xpos", "sinusoidal") for kind in ("resampler", "x-attention")]


def small_config(variant: Variant) -> KosmosConfig:
    vision = VisionConfig(image_size=16, patch_size=4, width=16, layers=1, heads=2, hidden=32)
    resampler = ConnectorConfig("resampler", queries=4, heads=2, layers=2, width=16, hidden=32, anchored=True)
    decoder = DecoderConfig(vocabulary=64, width=32, layers=2, heads=4, hidden=64, positions="xpos", max_positions=256)
    if variant.positions == "sinusoidal":
        decoder = replace(decoder, positions="sinusoidal")
    if variant.connector == "resampler":
        conv = replace(vision, stem="conv", stem_widths=(8, 16), stem_depths=(1, 1), activation="gelu")
        return KosmosConfig(conv, resampler, decoder)
    return KosmosConfig(replace(vision, normalise=True), ConnectorConfig("x-attention", queries=4, heads=4), decoder)


def small_model(variant: Variant, seed: int = 0) -> Kosmos:
    """A random model whose norms and biases matter, and whose answers differ from token to token."""
    model = Kosmos.initialised(small_config(variant), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
            if name.endswith("out_proj.weight"):
                parameter.mul_(2)
    return model


def picture(number: int, size: int = 16) -> Image:
    """One of many different pictures."""
    rng = random.Random(number)
    return Image.from_bytes(_png(rng.randbytes(3 * size * size), size), f"picture {number}")


def _png(pixels: bytes, size: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.frombytes("RGB", (size, size), pixels).save(buffer, "png")
    return buffer.getvalue()


def random_prompt(rng: random.Random, most_images: int = 3, most_text: int = 12) -> Prompt:
    parts: list[str | Image] = []
    for _ in range(rng.randint(0, most_images)):
        parts += [random_text(rng, most_text), picture(rng.randint(0, 5))]
    return Prompt.of(*parts, random_text(rng, most_text))


def random_text(rng: random.Random, most: int, least: int = 0) -> str:
    return "".join(rng.choices(LETTERS[:26], k=rng.randint(least, most)))


def random_requests(seed: int, count: int = 14) -> list[tuple[int, Request]]:
    """Scores and generations with all mixes of texts and images, in all lengths."""
    rng = random.Random(seed)
    requests: list[Request] = []
    for _ in range(count):
        prompt = random_prompt(rng)
        if rng.random() < 0.5:
            stop = tuple(random_text(rng, 2, 1) for _ in range(rng.randint(0, 3)))
            requests.append(Generate(prompt, rng.randint(1, 12), stop, no_repeat_ngram=rng.choice([0, 0, 2])))
        else:
            stem = random_text(rng, 4)
            options = [
                Continuation(
                    rng.choice([stem, ""]) + random_text(rng, 6, 1),
                    random_prompt(rng, 1) if rng.random() < 0.5 else Prompt(),
                )
                for _ in range(rng.randint(1, 6))
            ]
            requests.append(Score(prompt, (*options, options[0])))
    return [(100 + index, request) for index, request in enumerate(requests)]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow on a busy machine, and models as small as these need none."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pieces() -> Callable[..., bytes]:
    """Trains a SentencePiece model of 300 pieces, numbered as KOSMOS-2's is, on random words."""

    def trained(rule: str = "nmt_nfkc") -> bytes:
        rng = random.Random(5)
        letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'<>_/"
        words = ["".join(rng.choices(letters, k=rng.randint(1, 8))) for _ in range(400)]
        words += ["word", "phrase", "patch", *ODD_LETTERS]
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(" ".join(rng.choices(words, k=9)) for _ in range(300)),
            model_writer=model,
            vocab_size=300,
            minloglevel=3,
            num_threads=1,
            normalization_rule_name=rule,
        )
        return model.getvalue()

    return trained


@pytest.fixture(scope="session")
def tokenizer() -> LetterTokenizer:
    return LetterTokenizer()


@pytest.fixture(params=VARIANTS, ids="-".join)
def variant(request: pytest.FixtureRequest) -> Variant:
    chosen: Variant = request.param
    return chosen


@pytest.fixture
def model(variant: Variant) -> Kosmos:
    return small_model(variant)


@pytest.fixture(scope="session")
def make_model() -> Callable[[Variant], Kosmos]:
    return small_model


@pytest.fixture(scope="session")
def make_requests() -> Callable[[int], list[tuple[int, Request]]]:
    return random_requests


@pytest.fixture(scope="session")
def make_picture() -> Callable[[int], Image]:
    return picture


@pytest.fixture
def letters_on_disk(tokenizer: LetterTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let model folders hold a file in place of a SentencePiece model, and load as the letter tokenizer."""
    monkeypatch.setattr("kosmos_eval.model.checkpoint.Tokenizer.load", lambda _: tokenizer)
    monkeypatch.setattr(
        type(tokenizer), "save", lambda _, folder: (folder / "tokenizer.model").write_text("letters"), raising=False
    )
