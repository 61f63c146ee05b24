"""An ablation with every kind of arm: a model, a control, another model, and one that reads no pictures."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.ablation.running import ablate

if TYPE_CHECKING:
    from kosmos_eval.ablation.result import Ablation

SCRIPTED = Path(__file__).parent.parent / "plugins"

TEXT_ONLY = '''
"""A model that reads no pictures, and a task that shows none."""

from dataclasses import dataclass

from kosmos_eval.language_model import ModelSpec
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Metric, Sample, Score


@dataclass(frozen=True, kw_only=True)
class Word(Sample):
    number: int


@dataclass(frozen=True)
class Words:
    name = "words"
    version = 1
    description = "Is a number even?"
    sources = ("mini",)
    metrics = (Metric("accuracy", "share of right answers"),)
    split: str = "test"
    exemplar_split: str = "train"

    def samples(self, split, source):
        first = {"test": 0, "train": 100}[split]
        for number in range(first, first + 30):
            groups = {"stated": "yes" if number % 3 else "no"}
            yield Word(key=str(number), number=number, groups=groups, chance=0.5)

    def ask(self, sample, exemplars):
        response = yield Generate(Prompt.of(f"Is {sample.number} even?"), max_new_tokens=2)
        return response.text

    def score(self, sample, answer):
        right = "yes" if sample.number % 2 == 0 else "no"
        return Score({"accuracy": float(answer == right)}, answer, right)


class Answers:
    """Knows the numbers up to a bound, and says yes to the others."""

    def __init__(self, bound):
        self.bound = bound
        self.facts = {"parameters": 0}

    def answer(self, requests):
        for number, request in list(requests):
            assert not request.prompt.images
            asked = int(request.prompt.text().split()[1])
            even = asked % 2 == 0 or asked >= self.bound
            yield number, Generated("yes" if even else "no", (5,), (-0.1,), "eos")


def model(name, bound, sees):
    return ModelSpec(
        name, "knows numbers", lambda _: Answers(bound), lambda _: f"{bound:064x}", True, {}, lambda _: sees
    )


TASKS = (Words,)
MODELS = (model("knowing", 30, False), model("guessing", 6, False))
'''


@dataclass(frozen=True)
class Made:
    """A finished ablation, and what it was asked with."""

    ablation: Ablation
    asked: dict[str, Any]


@pytest.fixture(scope="session")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugins of `TEXT_ONLY`."""
    folder = tmp_path_factory.mktemp("text_only")
    (folder / "text_only.py").write_text(TEXT_ONLY, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, text_only: Path) -> Made:
    """Return an ablation of two tasks; nothing may change its folder."""
    asked: dict[str, Any] = {
        "arms": ["scripted", "scripted:image=none", "knowing"],
        "tasks": ["letters", "words"],
        "shots": [0, 2],
        "groups": ["parity"],
        "include_path": [str(SCRIPTED), str(text_only)],
        "settings": {"letters": {"size": 12}},
    }
    return Made(ablate(**asked, output_path=tmp_path_factory.mktemp("ablation") / "abl"), asked)


@pytest.fixture
def made_copy(made: Made, tmp_path: Path) -> Path:
    """Return a copy of the ablation's folder."""
    return Path(shutil.copytree(made.ablation.folder, tmp_path / "abl"))
