from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.model.cache import KeyValueCache
from kosmos_eval.model.config import DecoderConfig
from kosmos_eval.model.decoder import Decoder
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.positions import sinusoids, xpos_rotation

if TYPE_CHECKING:
    from typing import Literal

TOKENS = 24


def decoder(
    positions: Literal["xpos", "sinusoidal"],
    layers: int = 3,
    longest: int = 2048,
    dropout: float = 0,
    attention_dropout: float = 0,
) -> Decoder:
    config = DecoderConfig(50, 32, layers, 4, 64, positions, longest)
    config = replace(config, dropout=dropout, attention_dropout=attention_dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Decoder(config).eval()


def embeddings(rows: int = 2, tokens: int = TOKENS) -> torch.Tensor:
    return torch.randn(rows, tokens, 32, generator=torch.Generator().manual_seed(1))


def places(rows: int = 2, tokens: int = TOKENS, first: int = 0) -> torch.Tensor:
    return torch.arange(first, first + tokens).expand(rows, -1)


def causal(tokens: int = TOKENS) -> torch.Tensor:
    return torch.ones(1, tokens, tokens).tril().bool()


kinds = pytest.mark.parametrize("kind", ["xpos", "sinusoidal"])


def test_initial_weights_and_biases_are_scaled_as_magneto_says() -> None:
    layers = 6
    model = decoder("xpos", layers)
    factor = math.sqrt(math.log(2 * layers))
    bounds = {"q_proj": 1.0, "k_proj": 1.0, "v_proj": factor, "out_proj": factor, "fc1": factor, "fc2": factor}
    for name, module in model.blocks.named_modules():
        if isinstance(module, torch.nn.Linear):
            # torch draws a linear layer's weights and biases evenly from +-1/sqrt(inputs).
            bound = bounds[name.rsplit(".", 1)[-1]] / math.sqrt(module.in_features)
            assert module.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
            assert module.bias.abs().max().item() == pytest.approx(bound, rel=0.25)
            assert module.bias.abs().max() <= bound


def test_every_sublayer_has_its_second_norm() -> None:
    block = decoder("xpos").blocks[0]
    norms = {name: module.normalized_shape for name, module in block.named_modules() if "norm" in name}
    assert norms == {
        "attention_norm": (32,),
        "attention.inner_norm": (32,),
        "feed_forward_norm": (32,),
        "feed_forward.inner_norm": (64,),
    }


def test_the_padding_embedding_starts_as_zeros() -> None:
    assert decoder("xpos").embedding.weight[1].abs().max() == 0


@torch.inference_mode()
def test_xpos_is_relative_and_sinusoidal_positions_are_not() -> None:
    for kind, relative in (("xpos", True), ("sinusoidal", False)):
        model = decoder(kind)  # type: ignore[arg-type]  # one of the two
        here, there = (model(embeddings(), places(first=first)) for first in (0, 700))
        assert torch.allclose(here, there, atol=1e-4) is relative


@torch.inference_mode()
def test_xpos_goes_on_where_training_ended() -> None:
    model = decoder("xpos", longest=8)
    assert (places() > 8).any()
    whole = model.logits(model(embeddings(), places()))
    for length in (1, 7, 8, 9, 23):
        prefix = model.logits(model(embeddings()[:, :length], places(tokens=length)))
        assert torch.allclose(prefix, whole[:, :length], atol=1e-5)
    for first in (1, 100, 5000):
        shifted = model.logits(model(embeddings(), places(first=first)))
        assert torch.allclose(shifted, whole, atol=1e-4)


@torch.inference_mode()
def test_what_a_decoder_computes_does_not_depend_on_its_longest_sequence() -> None:
    short, long = (decoder("xpos", longest=longest)(embeddings(), places()) for longest in (8, 2048))
    assert torch.allclose(short, long, atol=1e-5)


@kinds
def test_dropout_is_for_training_alone(kind: Literal["xpos", "sinusoidal"]) -> None:
    plain = decoder(kind)
    with torch.no_grad():
        whole = plain(embeddings(), places())
        for model in (decoder(kind, dropout=0.5), decoder(kind, attention_dropout=0.5)):
            model.load_state_dict(plain.state_dict())
            assert torch.equal(model(embeddings(), places()), whole)
            one, other = (model.train()(embeddings(), places()) for _ in range(2))
            assert (one - other).abs().max() > 0.01


def test_xpos_turns_neighbouring_channels_and_lets_distant_ones_fade() -> None:
    rotation = xpos_rotation(torch.tensor([[0, 1, 600]]), 4, base=512, centre=0)
    first = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 1, 3, 4)
    turned = rotation.queries(first)[0, 0]
    assert turned[0].tolist() == [1, 0, 0, 0]
    zeta = (0.4 * 4) / (1.4 * 4)
    grown = zeta ** (1 / 512)
    assert turned[1].tolist() == pytest.approx([math.cos(1) * grown, math.sin(1) * grown, 0, 0])
    assert rotation.growth[0, 0, 2].tolist() == pytest.approx([zeta ** (600 / 512), ((2 + 1.6) / 5.6) ** (600 / 512)])
    both = rotation.queries(first) * rotation.keys(first)
    assert both.sum(-1).flatten().tolist() == pytest.approx([1, 1, 1])


def test_sinusoids_are_all_sines_then_all_cosines() -> None:
    row = sinusoids(torch.tensor([[2]]), 6)[0, 0]
    frequency = [1.0, 10000 ** (-1 / 2), 10000**-1.0]
    assert row.tolist() == pytest.approx([*(math.sin(2 * f) for f in frequency), *(math.cos(2 * f) for f in frequency)])


@torch.inference_mode()
def test_the_first_token_has_row_two_of_the_sinusoidal_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[torch.Tensor] = []

    def noted(row: torch.Tensor, width: int) -> torch.Tensor:
        rows.append(row)
        return sinusoids(row, width)

    monkeypatch.setattr("kosmos_eval.model.decoder.sinusoids", noted)
    decoder("sinusoidal")(embeddings(), places())
    assert rows[0][0, :3].tolist() == [2, 3, 4]


@kinds
@torch.inference_mode()
def test_no_mask_is_the_causal_mask(kind: Literal["xpos", "sinusoidal"]) -> None:
    model = decoder(kind)
    assert torch.allclose(model(embeddings(), places()), model(embeddings(), places(), causal()), atol=1e-5)


@kinds
@torch.inference_mode()
def test_a_cache_in_any_pieces_gives_what_one_pass_does(kind: Literal["xpos", "sinusoidal"]) -> None:
    model = decoder(kind)
    whole = model(embeddings(), places())
    for cuts in ([1, 7, 20], list(range(1, TOKENS))):
        cache, found = KeyValueCache(3, 5), []
        for start, stop in zip([0, *cuts], [*cuts, TOKENS], strict=True):
            part = slice(start, stop)
            found.append(model(embeddings()[:, part], places()[:, part], causal()[:, part, :stop], cache))
        assert torch.allclose(torch.cat(found, 1), whole, atol=1e-5)
        assert cache.length == TOKENS


@kinds
@torch.inference_mode()
def test_left_padding_shifts_nothing_and_spreads_nothing(kind: Literal["xpos", "sinusoidal"]) -> None:
    model = decoder(kind)
    whole = model(embeddings(), places())
    pads = 5
    padded = torch.cat([torch.full((2, pads, 32), 1e3), embeddings()], 1)
    mask = causal(TOKENS + pads).repeat(2, 1, 1)
    mask[:, :, :pads] = False  # the padding's own rows may attend to nothing at all
    positions = torch.cat([torch.zeros(2, pads, dtype=torch.long), places()], 1)
    found = model(padded, positions, mask)
    assert found.isfinite().all()
    assert torch.allclose(found[:, pads:], whole, atol=1e-5)


@kinds
@torch.inference_mode()
def test_packed_branches_behind_one_prefix_are_as_good_as_alone(kind: Literal["xpos", "sinusoidal"]) -> None:
    model = decoder(kind)
    prefix, one, other = torch.split(embeddings(1), [10, 8, 6], 1)
    packed = torch.cat([prefix, one, other], 1)
    mask = causal()
    mask[:, 18:, 10:18] = False
    positions = torch.cat([torch.arange(18), torch.arange(10, 16)])[None]
    found = model(packed, positions, mask)
    alone = model(torch.cat([prefix, other], 1), places(1, 16))
    assert torch.allclose(found[:, 18:], alone[:, 10:], atol=1e-5)


@torch.inference_mode()
def test_selected_rows_of_a_cache_go_on_as_their_originals() -> None:
    model = decoder("xpos")
    cache = KeyValueCache(3, TOKENS)
    model(embeddings()[:, :20], places()[:, :20], None, cache)
    chosen = cache.select(torch.tensor([1, 1, 0]), 4)
    mask = causal()[:, 20:]
    found = model(embeddings()[[1, 1, 0], 20:], places(3)[:, 20:], mask, chosen)
    whole = model(embeddings(), places())
    assert torch.allclose(found, whole[[1, 1, 0], 20:], atol=1e-5)
    assert (cache.length, chosen.length) == (20, TOKENS)


def test_head_and_embedding_are_one_weight() -> None:
    model = decoder("xpos")
    assert model.head.weight is model.embedding.weight
    logits = model.logits(model.embedding.weight[:3])
    assert torch.equal(logits, model.embedding.weight[:3] @ model.embedding.weight.T)


def test_image_embeddings_are_scaled_with_the_tokens(model: Kosmos) -> None:
    images = torch.randn(2, 4, 32)
    slots = torch.tensor([[-1, 4, 5, -1]])
    embedded = model.embed(torch.tensor([[7, 7, 7, 8]]), slots, images)
    assert torch.equal(embedded[0, 1:3], images[1, :2] * 32**0.5)
    assert torch.equal(embedded[0, [0, 3]], model.decoder.embedding.weight[[7, 8]] * 32**0.5)


def test_a_seed_decides_the_weights_and_the_global_state_is_left_alone(model: Kosmos) -> None:
    before = torch.random.get_rng_state()
    one, other, third = (Kosmos.initialised(model.config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["vision.positions"], third["vision.positions"])
