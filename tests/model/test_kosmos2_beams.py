"""Beam search over a KOSMOS-2 in batches is that of transformers, prompt by prompt, each image with its own beam."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch

from kosmos_eval.language_model import ModelOptions
from kosmos_eval.model.engine.model import KosmosModel
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.model.tokenizer import RELEASED_FILE_NAME, Tokenizer
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate, Generated

if TYPE_CHECKING:
    from collections.abc import Callable

transformers = pytest.importorskip("transformers")

LATENTS, SIZE = 3, 12


class Pair(NamedTuple):
    """One model, twice."""

    theirs: Any
    engine: KosmosModel
    tokenizer: Tokenizer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, pieces: Callable[[], bytes]) -> Pair:
    """A model of several minds, that ends its answers now and then."""
    folder = tmp_path_factory.mktemp("kosmos-2")
    (folder / RELEASED_FILE_NAME).write_bytes(pieces())
    tokenizer = Tokenizer.load(folder)
    text = {"embed_dim": 32, "layers": 2, "ffn_dim": 48, "attention_heads": 2, "vocab_size": tokenizer.vocabulary_size}
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    vision |= {"image_size": SIZE, "patch_size": 4}
    config = transformers.Kosmos2Config(text_config=text, vision_config=vision, latent_query_num=LATENTS)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(11)
        theirs = transformers.Kosmos2ForConditionalGeneration(config).eval()
        for parameter in theirs.parameters():
            parameter.add_((0.3 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5) * torch.randn(parameter.shape))
        decoder = theirs.text_model.model
        decoder.layer_norm.weight.mul_(0.3)
        bias = decoder.layer_norm.bias
        decoder.embed_tokens.weight[[tokenizer.eos, tokenizer.image_begin]] += 0.55 * bias / bias.norm()
    theirs.save_pretrained(folder)
    return Pair(theirs, KosmosModel.load(folder, ModelOptions(device="cpu")), tokenizer)


@torch.inference_mode()
def their_answer(pair: Pair, request: Generate) -> tuple[int, ...]:
    """What transformers writes; its images are one row, or its beams would get each other's."""
    ids, under, pixels = [pair.tokenizer.bos], [0], []
    for part in request.prompt.parts:
        if isinstance(part, Image):
            ids += [pair.tokenizer.image_begin, *[4] * LATENTS, pair.tokenizer.image_end]
            under += [0, *[1] * LATENTS, 0]
            pixels.append(pixels_of(part.load(), SIZE))
        else:
            ids += pair.tokenizer.encode(part)
            under += [0] * (len(ids) - len(under))
    images: dict[str, torch.Tensor] = {}
    if pixels:
        images["image_embeds_position_mask"] = torch.tensor([under])
        probe = {"input_ids": torch.tensor([ids]), "pixel_values": torch.stack(pixels)}
        images["image_embeds"] = pair.theirs(**probe, **images).image_embeds.flatten(0, 1)[None]
    written = pair.theirs.text_model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        num_beams=request.num_beams,
        length_penalty=request.length_penalty,
        max_new_tokens=request.max_new_tokens,
        eos_token_id=[pair.tokenizer.eos, pair.tokenizer.image_begin],
        pad_token_id=pair.tokenizer.pad,
        do_sample=False,
        early_stopping=False,
        **images,
    )[0, len(ids) :].tolist()
    ends = [at for at, token in enumerate(written) if token in (pair.tokenizer.eos, pair.tokenizer.image_begin)]
    return tuple(written[: ends[0] + 1] if ends else written)


def requests(make_picture: Callable[[int], Image]) -> list[Generate]:
    """Prompts of many lengths with none to four images, beginning, ending or filled with them."""
    rng, asked = random.Random(3), []
    for number in range(20):
        parts: list[str | Image] = [make_picture(rng.randrange(6)) for _ in range(number % 5)]
        parts += ["".join(rng.choices("abcdef ", k=rng.randint(1, 12))) for _ in range(rng.randint(1, 3))]
        rng.shuffle(parts)
        penalty = rng.choice([1.0, 0.0, 2.0, -1.0])
        asked.append(
            Generate(Prompt.of(*parts), rng.randint(1, 10), num_beams=rng.choice([1, 2, 5, 5]), length_penalty=penalty)
        )
    return asked


def test_answers_in_batches_are_those_of_transformers_one_by_one(
    pair: Pair, make_picture: Callable[[int], Image]
) -> None:
    asked = requests(make_picture)
    want = [their_answer(pair, request) for request in asked]
    answers = dict(pair.engine.answer(enumerate(asked)))
    for at, written in enumerate(want):
        answer = answers[at]
        assert isinstance(answer, Generated)
        assert answer.tokens == written, asked[at]
    assert len({len(written) for written in want}) > 4, "answers of few lengths test little"
    assert {answer.stop_reason for answer in answers.values() if isinstance(answer, Generated)} == {"eos", "length"}
