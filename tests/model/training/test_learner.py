"""The loss of a forward pass: each stream by its share, each token by its weight."""

from __future__ import annotations

import math

import pytest
import torch

from kosmos_eval.model.config import DecoderConfig, KosmosConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.training.batches import Batch, as_batch
from kosmos_eval.model.training.documents import Documents
from kosmos_eval.model.training.learner import Learner
from kosmos_eval.model.training.packing import Document, ImageMarks, Node, Words

SHARES = (0.75, 0.25)
CONFIG = KosmosConfig(None, None, DecoderConfig(32, 16, 1, 2, 16, "xpos"))


def _batch(*documents: Document) -> Batch:
    return as_batch(Documents(0, list(documents)), ImageMarks(4, 5, 0), 64)


def _document(stream: int, ids: tuple[int, ...], weights: tuple[float, ...]) -> Document:
    return Document(
        (Node((Words((0,)), *(Words((each,), weight) for each, weight in zip(ids, weights, strict=True)))),), stream
    )


ONE = _document(0, (10, 11, 12), (0.1, 1.0, 1.0))
OTHER = _document(1, (20, 21), (0.1, 1.0))


@pytest.fixture
def learner() -> Learner:
    return Learner(Kosmos.initialised(CONFIG, 3).eval(), 0.0, SHARES)


def _losses(learner: Learner, ids: tuple[int, ...]) -> list[float]:
    """Return each token's loss, from a plain causal pass."""
    tokens = torch.tensor([[0, *ids]])
    hidden = learner.model.decoder(learner.model.embed(tokens), torch.arange(tokens.shape[1])[None])
    logprobs = learner.model.decoder.logits(hidden)[0].log_softmax(-1)
    return [-float(logprobs[place, each].detach()) for place, each in enumerate(ids)]


def test_streams_count_by_their_shares_and_tokens_by_their_weights(learner: Learner) -> None:
    losses = learner(_batch(ONE, OTHER))
    (a, b, c), (d, e) = _losses(learner, (10, 11, 12)), _losses(learner, (20, 21))
    expected = 0.75 * (0.1 * a + b + c) / 2.1 + 0.25 * (0.1 * d + e) / 1.1
    assert losses.language.item() == pytest.approx(expected, rel=1e-5)
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)
    assert losses.streams.tolist() == pytest.approx([(b + c) / 2, e], rel=1e-5)


def test_a_stream_that_is_not_there_costs_nothing_and_tells_nothing(learner: Learner) -> None:
    losses = learner(_batch(ONE))
    a, b, c = _losses(learner, (10, 11, 12))
    assert losses.total.item() == pytest.approx(0.75 * (0.1 * a + b + c) / 2.1, rel=1e-5)
    assert math.isnan(losses.streams[1].item())


def test_a_pass_without_text_has_no_language_loss(learner: Learner) -> None:
    losses = learner(_batch())
    assert losses.total.item() == 0
    assert math.isnan(losses.language.item())
