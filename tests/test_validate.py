"""`validate` passes a sound task and finds each kind of defect, naming the sample."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.errors import UnknownNameError
from kosmos_eval.validate import PROOFS, Validation, as_text, validate

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
    import itertools
    from dataclasses import dataclass, replace
    from functools import partial
    import PIL.Image
    import PIL.ImageDraw
    from kosmos_eval.choice import choose, weights_of
    from kosmos_eval.prompt import Image, Prompt
    from kosmos_eval.request import Continuation, Generate, Score as ScoreRequest
    from kosmos_eval.task import About, Metric, Sample, Score

    COUNTER = itertools.count()

    def bar(number, side=64):
        picture = PIL.Image.new("RGB", (64, 64), "white")
        place = PIL.ImageDraw.Draw(picture)
        for row in range(8):
            if number >> row & 1:
                place.rectangle((0, row * 8, 32, row * 8 + 7), "black")
        return picture.resize((side, side), PIL.Image.Resampling.NEAREST)

    @dataclass(frozen=True, kw_only=True)
    class Item(Sample):
        image: Image
        words: tuple[str, ...]
        target: int

    @dataclass(frozen=True)
    class Bars:
        name = "bars"
        version = 3
        description = "Which word belongs to the bars?"
        sources = ("mini",)
        metrics = (Metric("accuracy", "share of right answers"), Metric("rank", "of the right one", False, 1, 3))
        splits = ("val", "train")
        split: str = "val"
        exemplar_split: str = "train"
        fault: str = ""

        @property
        def about(self):
            reasons = {"leak": {"leak": "the question names it"}, "blind": {"train:images": "shows none"}}
            reasons |= dict.fromkeys(("half", "none"), {"gold.accuracy": "people disagree"})
            return About(exempt=reasons.get(self.fault, {}))

        def samples(self, split, source):
            if self.fault == "unreadable" and split == "train":
                raise OSError("no such file")
            for number in range(12):
                bits = number if split == "val" or self.fault == "shared" else number + 100
                side = 128 if split == "train" and self.fault == "copies" else 64
                if self.fault == "copies":
                    bits = number % 2 + 40
                if self.fault == "restless":
                    bits = next(COUNTER) % 256
                draw = partial(bar, bits, side)
                item = Item(key=f"{split} {number}", image=Image(draw, f"bar {split} {number}"),
                    words=("cold", "warm", "hot"), target=number % 3)
                yield item
                if self.fault == "twice" and split == "val" and number == 4:
                    yield replace(item, key="another")

        def ask(self, sample, exemplars):
            if self.fault == "ignores":
                exemplars = ()
            shown = [Prompt.of(each.image, f"It is {each.words[each.target]}. ") for each in exemplars]
            hint = {"leak": sample.words[sample.target], "leaks": sample.words[sample.target], "marks": "<image>"}
            query = Prompt.of(sample.image, hint.get(self.fault, ""), " It is")
            if self.fault == "blind":
                query = Prompt.of("It is")
            if self.fault == "stranger":
                query = Prompt.of(sample.image, Image(partial(bar, 255), "a stranger"), "It is")
            if self.fault == "crash" and sample.key == "val 3":
                raise KeyError("width")
            words = sorted(sample.words) if self.fault == "sorted" else sample.words
            if self.fault in {"chooses", "deaf"}:
                said = yield Generate(Prompt.of(*shown, query), 3, constraint=words)
                said = said.text or "?"
                return [float(word == said or self.fault == "deaf") if said != "?" else float("nan") for word in words]
            options = tuple(Continuation(word) for word in words)
            response = yield ScoreRequest(Prompt.of(*shown, query), options)
            return weights_of(response.continuations)

        def gold(self, sample, request):
            if isinstance(request, Generate):
                return sample.words[sample.target]
            return 7 if self.fault == "gold" else sample.target

        def shuffled(self, sample, order):
            words = tuple(sample.words[place] for place in order)
            target = sample.target if self.fault == "places" else order.index(sample.target)
            return replace(sample, words=words, target=target)

        def score(self, sample, answer):
            choice = choose(answer)
            if choice.spoilt is not None:
                values = {"accuracy": 0.5 if self.fault == "pays" else 0.0, "rank": 3}
                return Score(values, "unsure" if self.fault == "pays" else None)
            rank = 1 + sum(each > answer[sample.target] for each in answer)
            value = {"half": 0.5, "quarter": 0.25, "none": 0.0}.get(self.fault, choice.share(sample.target))
            if self.fault == "generous":
                value, rank = 1.0, 1
            values = {"accuracy": value * (2 if self.fault == "beyond" and sample.key == "val 5" else 1), "rank": rank}
            if self.fault == "lacks":
                del values["rank"]
            return Score(values, sample.words[choice.best[0]], sample.words[sample.target])

    TASKS = (Bars,)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bars.py").write_text(dedent(CODE), encoding="utf-8")
    return tmp_path


def proven(folder: Path, fault: str = "") -> Validation:
    settings = {"bars": {"fault": fault}}
    config = RunConfig(tasks=("bars",), shots=(0, 2), limit=20, settings=settings, include_path=(str(folder),))
    [found] = validate(config)
    return found


def test_a_sound_task_passes_every_check(folder: Path) -> None:
    found = proven(folder)
    assert (found.task, found.version) == ("bars@mini", 3)
    assert [check.name for check in found.checks] == list(PROOFS)
    assert found.failed == (), as_text(found)
    assert {check.outcome for check in found.checks} == {"pass"}, as_text(found)


@pytest.mark.parametrize(
    ("fault", "check", "detail"),
    [
        ("twice", "contents", "samples another and val 4: expected two keys to be two items"),
        ("shared", "splits", "sample val 0 of val: expected it not to be in train, got train 0"),
        ("unreadable", "samples", "OSError: no such file"),
        ("restless", "determinism", "sample val 0: expected the same content when it is read twice"),
        ("blind", "images", "sample val 0, 0-shot: expected all 1 images in what is asked, 1 are not"),
        ("stranger", "images", "1 of the images are neither the sample's nor its exemplars'"),
        ("marks", "images", "expected 1 <image> marks, as many as images, got 2: one is text"),
        ("leaks", "leak", "sample val 0: the answer 'cold' stands in the prompt '<image>cold It is'"),
        ("ignores", "exemplars", "2-shot: expected exemplars in the prompts, got the 0-shot ones"),
        ("copies", "exemplars", "shows a near copy of its picture (bar train"),
        ("quarter", "gold", "expected accuracy of the best answer to be 1.0, got 0.25"),
        (
            "none",
            "gold",
            "bars@mini|0: expected accuracy of the best answers to be better than of none, got 0.0 and 0.0",
        ),
        ("gold", "gold", "expected gold to be an index below 3"),
        ("lacks", "gold", "KeyError: 'rank'"),
        ("pays", "empty", "expected no answer to be unparsed or to earn nothing, it is read as 'unsure' and earns"),
        ("generous", "options", "expected the option 1 after the best to earn less, got"),
        ("deaf", "gold", "expected accuracy of the best answer to be 1.0, got 0.3"),
        ("deaf", "options", "expected the option 1 after the best to earn less, got"),
        ("places", "options", "expected its score to stay when the options are shuffled"),
        ("sorted", "options", "expected its score to stay when the options are shuffled"),
        ("beyond", "bounds", "sample val 5, best answer: expected accuracy to be from 0.0 to 1.0, got 2.0"),
        ("beyond", "record", "expected accuracy of sample val 5 to be from 0.0 to 1.0"),
        ("crash", "images", "KeyError: 'width', while working on bars@mini|0, sample val 3"),
    ],
)
def test_each_defect_is_found_and_its_sample_named(folder: Path, fault: str, check: str, detail: str) -> None:
    found = {each.name: each.detail for each in proven(folder, fault).failed}
    assert check in found, found
    assert detail in found[check]


def test_what_a_task_says_of_itself_is_no_failure_and_its_reason_is_shown(folder: Path) -> None:
    found = {check.name: check for check in proven(folder, "leak").checks}
    assert found["leak"].outcome == "n/a"
    assert found["leak"].detail.startswith("the question names it (sample val 0: the answer 'cold'")


def test_a_metric_that_the_best_answer_does_not_bring_to_its_bound_has_its_reason_shown(folder: Path) -> None:
    found = {check.name: check for check in proven(folder, "half").checks}["gold"]
    assert (found.outcome, found.detail) == (
        "pass",
        "12 samples: the best answers earn full marks; not full: accuracy: people disagree",
    )


def test_a_reason_may_be_that_of_a_part_alone(folder: Path) -> None:
    config = RunConfig(
        tasks=("bars", "bars:train"), shots=(0,), settings={"bars": {"fault": "blind"}}, include_path=(str(folder),)
    )
    outcomes = [check.outcome for found in validate(config) for check in found.checks if check.name == "images"]
    assert outcomes == ["fail", "n/a"]


def test_a_task_that_chooses_a_text_passes(folder: Path) -> None:
    found = proven(folder, "chooses")
    assert found.failed == (), as_text(found)


def test_a_task_without_gold_is_told_what_is_missing(folder: Path) -> None:
    code = (folder / "bars.py").read_text(encoding="utf-8").replace("def gold", "def silver")
    (folder / "bars.py").write_text(code, encoding="utf-8")
    failed = {each.name for each in proven(folder).failed}
    assert failed == {"images", "exemplars", "leak", "gold", "options", "bounds", "record"}


def test_parts_are_proven_each_alone_and_unknown_names_refused(folder: Path) -> None:
    config = RunConfig(tasks=("bars:*",), shots=(0,), limit=3, include_path=(str(folder),))
    assert [each.task for each in validate(config)] == ["bars:val@mini", "bars:train@mini"]
    with pytest.raises(UnknownNameError, match="bar"):
        list(validate(config.model_copy(update={"tasks": ("bar",)})))
