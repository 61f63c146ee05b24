from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.microworld.commonsense import make_fact_passage
from kosmos_eval.microworld.scene import COLOURS
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import LogLikelihood, Scored
from kosmos_eval.task import Provable
from kosmos_eval.tasks.object_color import LABELS, ColorTerms, MemoryColor

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.task import Score
    from kosmos_eval.tasks.commonsense import TextSample
    from kosmos_eval.tasks.object_color import ObjectColor

MEMORY = (
    "Index,Descriptor,Item,Color\n1,a ,sunflower,yellow\n3,,grass,green\n8,the inside of a,pineapple,Yellow\n"
    "36,,stone,grey\n45,an,orange,orange\n"
)
TERMS = "object,color\nash,grey\nbanana,yellow\nsea,blue\n"
MINI = Source("mini")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Write the files where a clone of VaLM's repository has them."""
    folder = tmp_path / "VaLM" / "data" / "object_color"
    folder.mkdir(parents=True)
    (folder / "memory_color_data.csv").write_bytes(MEMORY.replace("\n", "\r\n").encode("utf-8-sig"))
    (folder / "color-concrete-objects.csv").write_text(TERMS, encoding="utf-8")
    return tmp_path / "VaLM"


def read(folder: Path, task: ObjectColor) -> list[TextSample]:
    return list(task.samples("test", Source("folder", folder)))


def scored(task: ObjectColor, sample: TextSample, **weights: float) -> tuple[str, Score]:
    """Return the prompt, and the score of an answer where labels but those named have a log-probability of -9."""
    asking = task.ask(sample, ())
    request = next(asking)
    rows = (LogLikelihood((1, 2), (weights.get(each, -9.0), 0.0), 4, greedy=False) for each in sample.choices)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Scored(tuple(rows)))
    return request.prompt.text(), task.score(sample, stopped.value.value)


def test_both_are_found_as_plugins() -> None:
    assert Plugins().task("memory_color") is MemoryColor
    assert Plugins().task("color_terms") is ColorTerms
    assert isinstance(MemoryColor(), Provable)


def test_things_are_called_as_the_file_describes_them(clone: Path) -> None:
    samples = read(clone, MemoryColor())
    assert [(sample.key, sample.asked[0].question, sample.asked[0].answer) for sample in samples] == [
        ("1", "The color of a sunflower is?", "yellow"),
        ("3", "The color of grass is?", "green"),
        ("8", "The color of the inside of a pineapple is?", "yellow"),
        ("36", "The color of stone is?", "grey"),
        ("45", "The color of an orange is?", "orange"),
    ]
    assert {sample.choices for sample in samples} == {LABELS}
    assert {sample.chance for sample in samples} == {1 / 11}
    assert samples[3].groups == {"color": "grey"}
    bare = read(clone, MemoryColor(descriptor=False))
    assert [sample.asked[0].question for sample in bare][0::2] == [
        "The color of sunflower is?",
        "The color of pineapple is?",
        "The color of orange is?",
    ]


def test_the_files_are_found_wherever_people_clone_them(clone: Path) -> None:
    samples = read(clone, ColorTerms())
    assert [(sample.key, *sample.asked[0]) for sample in samples] == [
        ("ash", "The color of ash is?", "grey"),
        ("banana", "The color of banana is?", "yellow"),
        ("sea", "The color of sea is?", "blue"),
    ]
    for folder in (clone.parent, clone / "data", clone / "data" / "object_color"):
        assert read(folder, ColorTerms()) == samples
    assert list(ColorTerms().samples("train", Source("folder", clone))) == samples


def test_labels_are_the_paper_s_or_the_file_s_and_grey_is_spelled_as_asked(clone: Path) -> None:
    path = clone / "data" / "object_color" / "color-concrete-objects.csv"
    assert {sample.choices for sample in read(clone, ColorTerms(labels="file"))} == {("blue", "grey", "yellow")}
    path.write_text(f"{TERMS}slate,Gray\n", encoding="utf-8")
    for grey in ("grey", "gray"):
        task = ColorTerms(grey=grey, labels="file")
        samples = read(clone, task)
        assert [sample.asked[0].answer for sample in samples] == [grey, "yellow", "blue", grey]
        assert samples[0].choices == ("blue", grey, "yellow")
    assert read(clone, ColorTerms(grey="gray"))[0].choices == tuple(each.replace("grey", "gray") for each in LABELS)


def test_json_lines_are_read_with_numbers_as_ids_and_nothing_as_no_descriptor(tmp_path: Path) -> None:
    rows = [{"Index": 2, "Descriptor": None, "Item": "snow", "Color": "white"}, {"item": "a1", "color": "red"}]
    (tmp_path / "memory_color_data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    samples = read(tmp_path, MemoryColor())
    assert [(sample.key, *sample.asked[0]) for sample in samples] == [
        ("2", "The color of snow is?", "white"),
        ("a1", "The color of a1 is?", "red"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{MEMORY}45,,sky,blue\n", r"line 7: expected id '45' once, got it again after .*line 6; take an intact copy"),
        (f"{MEMORY}46,,grass,green\n", r"line 7: expected thing 'grass' once, got it again after .*line 3"),
        (f"{MEMORY}46,,sand,beige\n", r"line 7: expected a color of black, .*, got 'beige'; set labels=file"),
        (f"{MEMORY}46,,sand,\n", r"line 7: expected a value of color, got none"),
        (f"{MEMORY}46,sand,brown\n", r"line 7: expected 4 cells, got another number"),
        ("Index,Thing,Color\n1,sky,blue\n", r"line 2: expected a value of item, got none"),
        ("Index,Descriptor,Item,Color\n", r"expected rows below its header"),
        ("", r"expected rows below its header"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "memory_color_data.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(tmp_path, MemoryColor())


def test_a_missing_file_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected color-concrete-objects\.csv in .*; clone github.com/Victorwz/VaLM"):
        read(tmp_path, ColorTerms())
    with pytest.raises(UnknownNameError, match="no split of memory_color named 'val'"):
        MemoryColor().samples("val", MINI)


def test_the_likeliest_label_is_the_answer(clone: Path) -> None:
    sample = read(clone, MemoryColor())[1]
    prompt, score = scored(MemoryColor(), sample, green=-1.0, red=-2.0)
    assert prompt == "The color of grass is?"
    assert (score.values, score.answer, score.target, score.margin) == ({"accuracy": 1.0}, "green", "green", 0.5)
    assert scored(MemoryColor(), sample, green=-2.0, red=-1.0)[1].values == {"accuracy": 0.0}
    tie = scored(MemoryColor(), sample, green=-1.0, red=-1.0)[1]
    assert (tie.values, tie.answer) == ({"accuracy": 0.5}, "green or red")
    spoilt = scored(MemoryColor(), sample, green=-1.0, pink=math.nan)[1]
    assert (spoilt.values, spoilt.answer) == ({"accuracy": 0.0}, None)
    assert spoilt.explanation == "the log-probability of 'pink' is nan"


@pytest.mark.parametrize("task", [MemoryColor(), ColorTerms()])
def test_the_embedded_things_are_balanced_and_asked_as_texts_say_them(task: ObjectColor) -> None:
    samples = list(task.samples("test", MINI))
    counts = Counter((sample.groups["stated"], sample.asked[0].answer) for sample in samples)
    assert counts == {(stated, colour): 5 for stated in ("yes", "no") for colour in COLOURS}
    assert {(sample.choices, sample.chance) for sample in samples} == {(COLOURS, 1 / 8)}
    told = {sentence for number in range(300) for sentence in make_fact_passage(f"form|{number}")}
    halves = {
        value: {" ".join(sample.asked[0]) for sample in samples if sample.groups["stated"] == value}
        for value in ("yes", "no")
    }
    assert told & halves["yes"]
    assert not told & halves["no"]
    assert len(list(task.samples("train", MINI))) == 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "all"}, "memory_color: expected labels to be one of paper, file, got 'all'"),
        ({"grey": "silver"}, "memory_color: expected grey to be one of grey, gray, got 'silver'"),
        ({"by": "mean"}, "memory_color: expected by to be one of total, per_token, per_character, got 'mean'"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MemoryColor(**settings)
