"""The embedded model is what its folder says, and sees what it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosmos_eval.model import training
from kosmos_eval.model.checkpoint import LoadedKosmos, load_kosmos
from kosmos_eval.model.config import KOSMOS_TINY
from kosmos_eval.model.specs import TINY_FOLDER
from kosmos_eval.model.training.learner import Learner
from kosmos_eval.model.training.measure import Measured, measure
from kosmos_eval.model.training.vocabulary import train_tokenizer

CONFIG = Path(training.__file__).parent / "configs" / "kosmos-tiny.toml"
QUESTIONS = 100


@pytest.fixture(scope="module")
def shipped() -> LoadedKosmos:
    return load_kosmos(TINY_FOLDER)


def _measure(shipped: LoadedKosmos, *, shots: int = 0, with_image: bool = True) -> Measured:
    learner = Learner(shipped.model, dense_weight=0.0)
    return measure(learner, shipped.tokenizer, questions=QUESTIONS, shots=shots, with_image=with_image)["all"]


def test_it_is_small_and_of_the_embedded_shape(shipped: LoadedKosmos) -> None:
    assert shipped.model.config == KOSMOS_TINY
    assert sum(path.stat().st_size for path in TINY_FOLDER.iterdir()) < 12_000_000


def test_its_folder_names_its_configuration() -> None:
    assert CONFIG.exists()
    assert f"model/training/configs/{CONFIG.name}" in (TINY_FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_recipe_makes_the_tokenizer_that_is_shipped(shipped: LoadedKosmos, tmp_path: Path) -> None:
    made = shipped.tokenizer.save(tmp_path).read_bytes()
    assert train_tokenizer().save(tmp_path).read_bytes() == made


def test_it_answers_better_with_the_picture_than_without(shipped: LoadedKosmos) -> None:
    seeing, guessing = _measure(shipped), _measure(shipped, with_image=False)
    assert seeing.share > 0.8
    assert seeing.share > guessing.share + 0.2


def test_exemplars_do_not_confuse_it(shipped: LoadedKosmos) -> None:
    assert _measure(shipped, shots=4).share > _measure(shipped).share - 0.1
