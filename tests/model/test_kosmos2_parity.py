"""Random KOSMOS-2 models in the public layouts compute here what transformers computes."""

from __future__ import annotations

import io
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import PIL.Image
import pytest
import torch

from kosmos_eval.language_model import ModelOptions
from kosmos_eval.model.checkpoint import load_kosmos
from kosmos_eval.model.engine.model import KosmosModel
from kosmos_eval.model.preprocess import pixels_of
from kosmos_eval.model.tokenizer import RELEASED_FILE_NAME, Tokenizer
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Score, Scored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kosmos_eval.model.kosmos import Kosmos

transformers = pytest.importorskip("transformers")

SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "text_config": {"embed_dim": 64, "layers": 2, "ffn_dim": 128, "attention_heads": 4},
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": 28,
            "patch_size": 14,
        },
        "latent_query_num": 5,
    },
    "heads of 64": {
        "text_config": {"embed_dim": 128, "layers": 3, "ffn_dim": 192, "attention_heads": 2},
        "vision_config": {
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "intermediate_size": 96,
            "image_size": 24,
            "patch_size": 8,
        },
        "latent_query_num": 8,
    },
    "unscaled, gelu": {
        "text_config": {
            "embed_dim": 48,
            "layers": 1,
            "ffn_dim": 64,
            "attention_heads": 3,
            "scale_embedding": False,
            "layer_norm_eps": 1e-3,
        },
        "vision_config": {
            "hidden_size": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "intermediate_size": 48,
            "image_size": 16,
            "patch_size": 4,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-3,
        },
        "latent_query_num": 3,
    },
}


class Pair(NamedTuple):
    """One model, twice."""

    theirs: Any
    ours: Kosmos
    folder: Path


def random_kosmos2(shape: dict[str, Any], vocabulary: int) -> Any:  # noqa: ANN401  transformers is untyped here
    """A random model whose norms and biases matter, and whose first choices differ from token to token."""
    text = {**shape["text_config"], "vocab_size": vocabulary, "max_position_embeddings": 128}
    config = transformers.Kosmos2Config(**{**shape, "text_config": text})
    generator = torch.Generator().manual_seed(7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = transformers.Kosmos2ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.2 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
        model.text_model.model.embed_tokens.weight[1].zero_()
    return model


@pytest.fixture(scope="module", params=list(SHAPES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pieces: Callable[[], bytes]) -> Pair:
    folder = tmp_path_factory.mktemp("kosmos-2")
    (folder / RELEASED_FILE_NAME).write_bytes(pieces())
    theirs = random_kosmos2(SHAPES[request.param], Tokenizer.load(folder).vocabulary_size)
    theirs.save_pretrained(folder)
    return Pair(theirs, load_kosmos(folder).model, folder)


class Row(NamedTuple):
    """A sequence: ids, and which of them stand under image embeddings."""

    ids: list[int]
    under: list[bool]


def row(pair: Pair, rng: random.Random, text: int, images: int = 0) -> Row:
    """Text of random tokens behind images, as `<s> <image> h... </image> text` has them."""
    length, most = pair.ours.config.image_tokens, pair.ours.config.decoder.vocabulary
    ids, under = [0], [False]
    for _ in range(images):
        ids += [5, *range(6, 6 + length), 7]
        under += [False, *[True] * length, False]
    ids += [rng.randrange(4, most) for _ in range(text)]
    return Row(ids, under + [False] * text)


def pixels(pair: Pair, count: int, seed: int = 0) -> torch.Tensor:
    size = pair.ours.config.image_size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def both_logits(pair: Pair, rows: list[Row], images: torch.Tensor | None, pad: str) -> list[torch.Tensor]:
    """Their logits of padded rows, minus ours of each row alone, at all places that are no padding."""
    width = max(len(each.ids) for each in rows)
    ids = torch.full((len(rows), width), 1)
    seen, under = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    starts = [width - len(each.ids) if pad == "left" else 0 for each in rows]
    for at, (each, start) in enumerate(zip(rows, starts, strict=True)):
        place = slice(start, start + len(each.ids))
        ids[at, place], seen[at, place] = torch.tensor(each.ids), 1
        under[at, place] = torch.tensor(each.under).long()
    with torch.inference_mode():
        if images is None:
            theirs = pair.theirs.text_model(input_ids=ids, attention_mask=seen).logits
        else:
            extra = {"pixel_values": images, "image_embeds_position_mask": under}
            theirs = pair.theirs(input_ids=ids, attention_mask=seen, **extra).logits
        embedded = None if images is None else pair.ours.image_embeddings(images)
        differences, used = [], 0
        for at, (each, start) in enumerate(zip(rows, starts, strict=True)):
            slots = torch.full((1, len(each.ids)), -1)
            count = sum(each.under)
            slots[0, torch.tensor(each.under)] = torch.arange(used, used + count)
            used += count
            x = pair.ours.embed(torch.tensor([each.ids]), slots, embedded)
            logits = pair.ours.decoder.logits(pair.ours.decoder(x, torch.arange(len(each.ids))[None]))[0]
            differences.append(theirs[at, start : start + len(each.ids)] - logits)
    return differences


@pytest.mark.parametrize("pad", ["right", "left"])
@pytest.mark.parametrize(("texts", "images"), [([9], 0), ([9], 1), ([12, 3, 7], 0), ([4, 11], 1), ([6], 3)], ids=str)
def test_logits_agree_at_all_places_that_are_no_padding(pair: Pair, texts: list[int], images: int, pad: str) -> None:
    rng = random.Random(3)
    rows = [row(pair, rng, text, images) for text in texts]
    pictures = pixels(pair, images * len(rows)) if images else None
    for difference in both_logits(pair, rows, pictures, pad):
        assert difference.abs().max() < 1e-4


def test_image_embeddings_agree(pair: Pair) -> None:
    one, pictures = row(pair, random.Random(4), 2, 3), pixels(pair, 3, seed=1)
    with torch.inference_mode():
        theirs = pair.theirs(
            input_ids=torch.tensor([one.ids]),
            pixel_values=pictures,
            image_embeds_position_mask=torch.tensor([one.under]).long(),
        ).image_embeds
        assert (pair.ours.image_embeddings(pictures) - theirs).abs().max() < 1e-5


def test_bfloat16_errs_no_more_than_transformers_does(pair: Pair) -> None:
    one = row(pair, random.Random(5), 20, 1)
    picture = pixels(pair, 1, seed=2)
    ids, under = torch.tensor([one.ids]), torch.tensor([one.under])
    slots = torch.where(under, under.cumsum(1) - 1, -1)
    half = load_kosmos(pair.folder, dtype=torch.bfloat16).model
    theirs = transformers.Kosmos2ForConditionalGeneration.from_pretrained(pair.folder, dtype=torch.bfloat16).eval()
    with torch.inference_mode():
        exact = pair.theirs(input_ids=ids, pixel_values=picture, image_embeds_position_mask=under.long()).logits
        peer = theirs(input_ids=ids, pixel_values=picture.bfloat16(), image_embeds_position_mask=under.long()).logits
        x = half.embed(ids, slots, half.image_embeddings(picture.bfloat16()))
        logits = half.decoder.logits(half.decoder(x, torch.arange(len(one.ids))[None]))
    error, allowed = (logits.float() - exact).abs(), (peer.float() - exact).abs()
    assert error.max() < 2 * allowed.max()
    assert error.mean() < 1.5 * allowed.mean()


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    PIL.Image.fromarray(noise).save(buffer, "png")
    return Image.from_bytes(buffer.getvalue(), f"noise {seed}")


class Asked(NamedTuple):
    """A prompt as transformers reads it."""

    ids: list[int]
    under: list[int]
    pixels: torch.Tensor


def asked(pair: Pair, tokenizer: Tokenizer, prompt: Prompt) -> Asked:
    ids, under, images = [0], [0], []
    length, size = pair.ours.config.image_tokens, pair.ours.config.image_size
    for part in prompt.parts:
        if isinstance(part, Image):
            ids += [tokenizer.image_begin, *range(4, 4 + length), tokenizer.image_end]
            under += [0, *[1] * length, 0]
            images.append(pixels_of(part.load(), size))
        else:
            ids += tokenizer.encode(part)
            under += [0] * (len(ids) - len(under))
    return Asked(ids, under, torch.stack(images))


def next_logprobs(pair: Pair, given: Asked, more: list[int]) -> torch.Tensor:
    """Their log-probabilities of what follows a prompt and more tokens, without cache or padding."""
    under = torch.tensor([given.under + [0] * len(more)])
    with torch.inference_mode():
        logits: torch.Tensor = pair.theirs(
            input_ids=torch.tensor([given.ids + more]),
            pixel_values=given.pixels,
            image_embeds_position_mask=under,
            use_cache=False,
        ).logits
    return logits[0].log_softmax(-1)


PROMPTS = [
    Prompt.of(picture(0), "Question: How many red things are there? Answer:"),
    Prompt.of(picture(1), "one", picture(2, (17, 60)), "two", picture(0), "three"),
    Prompt.of(picture(3), "<grounding><phrase>a red circle</phrase>"),
]


@pytest.fixture(scope="module")
def engine(pair: Pair) -> KosmosModel:
    return KosmosModel.load(pair.folder, ModelOptions(device="cpu"))


def test_scores_of_the_engine_are_the_log_softmax_of_transformers(pair: Pair, engine: KosmosModel) -> None:
    tokenizer = Tokenizer.load(pair.folder)
    options = ("yes", "a small green star", "<object><patch_index_0044><patch_index_0863></object>")
    score = [(at, Score(prompt, tuple(map(Continuation, options)))) for at, prompt in enumerate(PROMPTS)]
    answers = dict(engine.answer(score))
    for at, prompt in enumerate(PROMPTS):
        given = asked(pair, tokenizer, prompt)
        answer = answers[at]
        assert isinstance(answer, Scored)
        for option, found in zip(options, answer.continuations, strict=True):
            ids = tokenizer.encode(option)
            logprobs = next_logprobs(pair, given, ids)
            expected = [float(logprobs[len(given.ids) - 1 + step, token]) for step, token in enumerate(ids)]
            assert found.tokens == tuple(ids)
            assert found.logprobs == pytest.approx(expected, abs=1e-4)


def test_greedy_generation_is_an_unbatched_uncached_loop_over_transformers(pair: Pair, engine: KosmosModel) -> None:
    tokenizer = Tokenizer.load(pair.folder)
    answers = dict(engine.answer([(at, Generate(prompt, 8)) for at, prompt in enumerate(PROMPTS)]))
    for at, prompt in enumerate(PROMPTS):
        given, written = asked(pair, tokenizer, prompt), list[int]()
        while len(written) < 8 and written[-1:] not in ([2], [tokenizer.image_begin]):
            written.append(int(next_logprobs(pair, given, written)[-1].argmax()))
        answer = answers[at]
        assert isinstance(answer, Generated)
        assert list(answer.tokens) == written


UNILM_RENAMES = (
    (r"text_model\.lm_head", "gpt_model.decoder.output_projection"),
    (r"text_model\.model", "gpt_model.decoder"),
    (r"image_to_text_projection", "img_connector"),
    (r"vision_model\.model\.embeddings\.position_embedding\.weight", "img_model.visual.positional_embedding"),
    (r"vision_model\.model\.embeddings\.patch_embedding", "img_model.visual.conv1"),
    (r"vision_model\.model\.(embeddings\.)?", "img_model.visual."),
    (r"pre_layrnorm", "ln_pre"),
    (r"post_layernorm", "ln_post"),
    (r"(visual)\.encoder\.layers\.(\d+)\.self_attn", r"\1.transformer.resblocks.\2.ts_attn"),
    (r"(visual)\.encoder\.layers\.(\d+)\.layer_norm", r"\1.transformer.resblocks.\2.ln_"),
    (r"(visual)\.encoder\.layers\.(\d+)\.mlp\.fc1", r"\1.transformer.resblocks.\2.mlp.c_fc"),
    (r"(visual)\.encoder\.layers\.(\d+)\.mlp\.fc2", r"\1.transformer.resblocks.\2.mlp.c_proj"),
)


def as_unilm(key: str) -> str:
    for pattern, replacement in UNILM_RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def test_the_same_weights_in_the_layout_of_unilm_give_the_same_model(
    tmp_path: Path, pieces: Callable[[], bytes]
) -> None:
    (tmp_path / RELEASED_FILE_NAME).write_bytes(pieces())
    theirs = random_kosmos2(SHAPES["heads of 64"], Tokenizer.load(tmp_path).vocabulary_size)
    weights = {as_unilm(key): value for key, value in theirs.state_dict().items()}
    weights |= {
        "gpt_model.decoder.embed_positions._float_tensor": torch.zeros(1),
        "gpt_model.decoder.self_attn_sope.scale": torch.zeros(32),
        "img_model.visual.transformer.resblocks.0.attn.in_proj_weight": torch.zeros(3, 3),
    }
    torch.save({"model": weights, "args": None}, tmp_path / "kosmos-2.pt")
    pair = Pair(theirs, load_kosmos(tmp_path, pickles=True).model, tmp_path)
    [difference] = both_logits(pair, [row(pair, random.Random(6), 9, 2)], pixels(pair, 2), "right")
    assert difference.abs().max() < 1e-4


@pytest.mark.parametrize("size", [(224, 224), (60, 31), (31, 60), (300, 500)])
def test_pixels_are_those_of_the_clip_processor_without_a_crop(size: tuple[int, int]) -> None:
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = module.CLIPImageProcessorPil(size={"height": 56, "width": 56}, do_center_crop=False)
    one = picture(9, size).load()
    theirs = torch.as_tensor(np.asarray(processor(one, return_tensors="np")["pixel_values"][0]))
    assert (pixels_of(one, 56) - theirs).abs().max() < 1e-5
