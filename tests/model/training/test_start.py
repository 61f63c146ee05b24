"""What a run begins with: drawn weights, or parts of an earlier run or a model, and what of them is trained."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import PIL.Image
import pytest
import torch

from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.model.checkpoint import save_kosmos
from kosmos_eval.model.config import ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.specs import embedded_folder
from kosmos_eval.model.tokenizer import Tokenizer
from kosmos_eval.model.training.config import TrainingConfig, config_from_tables
from kosmos_eval.model.training.curve import Curve
from kosmos_eval.model.training.loop import Trainer
from kosmos_eval.model.training.start import MODEL, STATE, form_of, make_learner, place_locations
from kosmos_eval.model.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = KosmosConfig(
    VisionConfig(image_size=32, patch_size=16, width=16, layers=2, heads=2, hidden=16),
    ConnectorConfig("resampler", queries=3, heads=2, layers=1, width=16, hidden=16),
    DecoderConfig(vocabulary=2048, width=16, layers=1, heads=2, hidden=16, positions="xpos"),
)
"""Without a stem, and with embeddings that are not anchored."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


@pytest.fixture(scope="module")
def earlier(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder."""
    folder = tmp_path_factory.mktemp("earlier") / "model"
    save_kosmos(Kosmos.initialised(SHAPE, seed=7), tokenizer, folder, torch.float32)
    return folder


def _config(model: KosmosConfig | None, **tables: dict[str, Any]) -> TrainingConfig:
    given: dict[str, Any] = {
        "run": {"seed": 1, "steps": 2, "final_items": 0, "measure_every": 0},
        "streams": {"tokens": 60, "captions": 1.0},
        **tables,
    }
    if model is not None:
        given["model"] = json.loads(model.to_json())
    return config_from_tables(given, "run.toml")


def test_the_model_of_a_folder_gives_shape_and_tokenizer(earlier: Path) -> None:
    form = form_of(_config(None, start={"run": str(earlier)}))
    assert form.shape == SHAPE
    assert form.tokenizer.encode("a red star") == Tokenizer.load(earlier).encode("a red star")


def test_a_finished_run_gives_them_too_and_an_unfinished_one_is_refused(earlier: Path, tmp_path: Path) -> None:
    assert form_of(_config(None, start={"run": str(earlier.parent)})).shape == SHAPE
    with pytest.raises(UsageError, match=r"\[model\]: expected the shape .*, got .* without a finished model"):
        form_of(_config(None, start={"run": str(tmp_path)}))
    with pytest.raises(UsageError, match=r"\[model\]: expected the shape of a model.*, got none of either"):
        form_of(_config(None))


def test_an_embedded_model_goes_by_its_name() -> None:
    shape, tokenizer = form_of(_config(None, start={"run": "kosmos-tiny"}))
    assert shape == KosmosConfig.from_file(embedded_folder("kosmos-tiny") / "config.json")
    assert tokenizer.vocabulary_size == shape.decoder.vocabulary


def test_a_vocabulary_that_is_not_the_tokenizers_is_refused() -> None:
    other = KosmosConfig(SHAPE.vision, SHAPE.connector, DecoderConfig(7, 16, 1, 2, 16, "xpos"))
    with pytest.raises(DataError, match=r"decoder\.vocabulary: expected 2048, the tokenizer's ids, got 7"):
        form_of(_config(other))


def test_only_the_named_parts_are_taken(earlier: Path, tokenizer: Tokenizer) -> None:
    parts = {"run": str(earlier), "parts": ["vision", "connector"]}
    learner = make_learner(_config(SHAPE, start=parts), SHAPE, tokenizer)
    drawn = make_learner(_config(SHAPE), SHAPE, tokenizer).state_dict()
    before = Kosmos.initialised(SHAPE, seed=7).state_dict()
    for name, value in learner.state_dict().items():
        taken = not name.startswith("model.decoder")
        assert torch.equal(value, before[name.removeprefix("model.")] if taken else drawn[name]), name


def test_new_words_get_drawn_embeddings_and_all_others_keep_theirs(earlier: Path) -> None:
    config = _config(None, start={"run": str(earlier), "words": ["bezob", "rivit"]})
    form = form_of(config)
    assert form.shape.decoder.vocabulary == form.tokenizer.vocabulary_size == SHAPE.decoder.vocabulary + 2
    learner = make_learner(config, form.shape, form.tokenizer)
    embedding = learner.model.decoder.embedding.weight
    assert learner.model.decoder.head.weight is embedding
    before = Kosmos.initialised(SHAPE, seed=7).decoder.embedding.weight
    first = Tokenizer.load(earlier).first_tag
    assert torch.equal(torch.cat([embedding[:first], embedding[first + 2 :]]), before)
    drawn = Kosmos.initialised(form.shape, seed=1).decoder.embedding.weight
    assert torch.equal(embedding[first : first + 2], drawn[first : first + 2])


def test_parts_of_another_shape_or_missing_are_named(earlier: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    wide = KosmosConfig(SHAPE.vision, SHAPE.connector, DecoderConfig(2048, 32, 1, 2, 16, "xpos"))
    with pytest.raises(DataError, match=r"expected model\.\S+ of .* to have shape"):
        make_learner(_config(wide, start={"run": str(earlier)}), wide, tokenizer)
    alone = KosmosConfig(None, None, SHAPE.decoder)
    save_kosmos(Kosmos(alone), tokenizer, tmp_path / "alone")
    with pytest.raises(UsageError, match=r"expected .*alone to have weights of vision, got none"):
        make_learner(_config(SHAPE, start={"run": str(tmp_path / "alone")}), SHAPE, tokenizer)
    with pytest.raises(UsageError, match="to be the folder of a run or of a model, and there is none"):
        make_learner(_config(SHAPE, start={"run": str(tmp_path / "nowhere")}), SHAPE, tokenizer)


def test_the_auxiliary_loss_is_refused_without_anchors(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match=r"\[dense\] weight: expected 0 for a model without anchored embeddings"):
        make_learner(_config(SHAPE, dense={"weight": 0.1}), SHAPE, tokenizer)


def _png(red: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (9, 5), (red, 0, 0)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "own.tar", "w") as tar:
        for number in range(4):
            for extension, data in (("png", _png(60 * number)), ("txt", b"a red square")):
                member = tarfile.TarInfo(f"{number}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return tmp_path / "own.tar"


@pytest.fixture
def tune(earlier: Path, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Trainer]:
    """Make a run that trains the model of `earlier` on a user's own shard."""
    monkeypatch.setattr(Curve, "draw", lambda *_, **__: None)
    config = _config(
        None,
        start={"run": str(earlier)},
        streams={"tokens": 60, "own": 1.0},
        own={"shards": str(shard)},
        optimiser={"tower": "last layer", "rate": 1e-2, "warmup": 1},
    )
    return lambda: Trainer(config, tmp_path / "run")


def test_a_tower_that_is_frozen_but_for_its_last_layer_stays_as_it_was(tune: Callable[[], Trainer]) -> None:
    trainer = tune()
    trainer.train()
    before = Kosmos.initialised(SHAPE, seed=7).state_dict()
    after = trainer.learner.model.state_dict()
    moved = {name for name in before if name.startswith("vision") and not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(("vision.blocks.1.", "vision.last_norm.")) for name in moved)
    assert not torch.equal(before["decoder.embedding.weight"], after["decoder.embedding.weight"])
    assert Tokenizer.load(trainer.output / MODEL).encode("a") == trainer.tokenizer.encode("a")
    assert (trainer.output / STATE).is_file()


def test_a_run_does_not_go_on_with_other_records(tune: Callable[[], Trainer], shard: Path) -> None:
    tune().train()
    tune().resume()
    shard.write_bytes(shard.read_bytes().replace(b"a red square", b"a red circle"))
    with pytest.raises(UsageError, match=r"expected \[own\] to have the records of the saved state, got others"):
        tune().resume()


def test_embeddings_of_near_locations_are_alike(tokenizer: Tokenizer) -> None:
    embedding = torch.zeros(2048, 32)
    place_locations(embedding, tokenizer)
    first = tokenizer.location(0)
    assert not embedding[:first].any()
    cells = embedding[first : first + 1024].view(32, 32, 32)
    centre = cells[16, 16]
    assert cells.norm(dim=-1).allclose(centre.norm())
    near, far = (torch.cosine_similarity(centre, cells[16, 16 + away], dim=0) for away in (1, 12))
    below = torch.cosine_similarity(centre, cells[17, 16], dim=0)
    assert near > 0.7 > far
    assert below == pytest.approx(float(near), abs=1e-5)
