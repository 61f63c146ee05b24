"""The embedded models are what their cards say, and see what they are shown."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.microworld.commonsense import kinds
from kosmos_eval.model import training
from kosmos_eval.model.checkpoint import fingerprint, load_kosmos
from kosmos_eval.model.config import KOSMOS_TINY
from kosmos_eval.model.specs import EMBEDDED, embedded_folder
from kosmos_eval.model.training.exam import Mark, examine, perplexity
from kosmos_eval.model.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from kosmos_eval.model.checkpoint import LoadedKosmos

CONFIGS = Path(training.__file__).parent / "configs"
NAMES = [spec.name for spec in EMBEDDED]
ITEMS = 30


def card_of(name: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((embedded_folder(name) / "card.json").read_text(encoding="utf-8"))
    return card


@pytest.fixture(scope="module")
def shipped() -> dict[str, LoadedKosmos]:
    return {name: load_kosmos(embedded_folder(name)) for name in NAMES}


@pytest.fixture(scope="module")
def marks(shipped: dict[str, LoadedKosmos]) -> dict[str, Mark]:
    return {mark.name: mark for mark in examine(*shipped["kosmos-tiny"], ITEMS)}


@pytest.fixture(scope="module")
def alone(shipped: dict[str, LoadedKosmos]) -> dict[str, Mark]:
    return {mark.name: mark for mark in examine(*shipped["kosmos-tiny-lm"], ITEMS)}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_true(shipped: dict[str, LoadedKosmos], name: str) -> None:
    card, folder = card_of(name), embedded_folder(name)
    assert card["fingerprint"] == fingerprint(folder)
    assert card["parameters"] == sum(weight.numel() for weight in shipped[name].model.parameters())
    assert card["megabytes"] < 20
    assert card["seed"] == tomllib.loads((folder / "training.toml").read_text(encoding="utf-8"))["run"]["seed"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_is_the_one_in_the_repository(name: str) -> None:
    made_by = (embedded_folder(name) / "training.toml").read_bytes()
    assert (CONFIGS / f"{name}.toml").read_bytes() == made_by


@pytest.mark.parametrize("name", NAMES)
def test_all_have_one_tokenizer_which_the_recipe_makes(
    shipped: dict[str, LoadedKosmos], name: str, tmp_path: Path
) -> None:
    made = shipped[name].tokenizer.save(tmp_path).read_bytes()
    words = [kind.name for kind in kinds()]
    assert train_tokenizer().with_words(words).save(tmp_path).read_bytes() == made


def test_the_two_that_see_are_of_one_shape_and_the_third_is_its_decoder(shipped: dict[str, LoadedKosmos]) -> None:
    assert shipped["kosmos-tiny"].model.config == shipped["kosmos-tiny-base"].model.config == KOSMOS_TINY
    alone = shipped["kosmos-tiny-lm"].model.config
    assert (alone.vision, alone.decoder) == (None, KOSMOS_TINY.decoder)


@pytest.mark.parametrize("fact", ["colours", "sizes"])
def test_facts_that_only_pictures_show_are_known_to_those_that_saw_them_alone(
    marks: dict[str, Mark], alone: dict[str, Mark], fact: str
) -> None:
    chance = {"colours": 1 / 8, "sizes": 1 / 2}[fact]
    told, shown = f"{fact} that text tells", f"{fact} that only pictures show"
    assert min(marks[told].value, alone[told].value) >= 0.9
    seen, guessed = marks[shown], alone[shown]
    assert seen.low is not None
    assert guessed.low is not None
    assert guessed.high is not None
    assert seen.low > max(guessed.high, chance) + 0.1, (seen, guessed)
    assert guessed.low <= chance <= guessed.high


@pytest.mark.parametrize("kind", ["captions", "questions", "questions: count", "reading"])
def test_it_sees_what_it_is_shown(marks: dict[str, Mark], kind: str) -> None:
    mark = marks[kind]
    assert mark.low is not None
    assert mark.blind_high is not None
    assert mark.low > mark.blind_high + 0.1, mark


@pytest.mark.parametrize("kind", ["captions of new pairs", "reading of new words"])
def test_it_reads_what_it_never_met(marks: dict[str, Mark], kind: str) -> None:
    assert marks[kind].value >= 0.7
    assert card_of("kosmos-tiny")["exam"]
    whole = {mark["name"]: mark for mark in card_of("kosmos-tiny")["exam"]}
    assert whole[kind]["value"] >= 0.7


def test_plain_text_is_as_clear_to_the_language_model(shipped: dict[str, LoadedKosmos]) -> None:
    seeing, alone = (perplexity(*shipped[name], 100) for name in ("kosmos-tiny", "kosmos-tiny-lm"))
    assert alone == pytest.approx(seeing, rel=0.1)
