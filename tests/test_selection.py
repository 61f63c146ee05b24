"""What `--tasks` and `--set` name is found, each cell once, and what they cannot mean is refused by name."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.errors import PluginError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins, _Plugin
from kosmos_eval.record import file_stem, load
from kosmos_eval.run import evaluate, execute, prepare_resumed, rescore
from kosmos_eval.selection import find_groups, make_task, parse_part, select

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = """
    from dataclasses import dataclass, field
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Generate
    from kosmos_eval.task import Metric, Sample, Score

    @dataclass(frozen=True)
    class Boxes:
        name = "boxes"
        version = 1
        description = "Where is it?"
        sources = ("mini",)
        metrics = (Metric("accuracy", "share of right answers"),)
        splits = ("val", "testA", "testB")
        variants = {"strict": {"above": True}, "late": {"split": "testB", "above": True}}
        groups = {"places": ("", "testA", "testB:strict"), "papers": ("testB",)}
        split: str = "val"
        exemplar_split: str = "train"
        above: bool = False
        tokens: int = 4

        def samples(self, split, source):
            return [Sample(key=f"{number}") for number in range(12)]

        def ask(self, sample, exemplars):
            shown = " ".join(each.key for each in exemplars)
            response = yield Generate(Prompt.of(f"{shown} {self.split} {self.above} {sample.key}?"), self.tokens)
            return response.text

        def score(self, sample, answer):
            return Score({"accuracy": float(answer.startswith("c"))}, answer)

        def provenance(self, source):
            return {"split": self.split}

    @dataclass(frozen=True)
    class BoxesPlus(Boxes):
        name = "boxes_plus"
        splits = ("val", "testA")
        variants = {}
        groups = {"places": ("testA",)}

    @dataclass(frozen=True)
    class Words(Boxes):
        name = "words"
        splits = ()
        variants = {"long": {"tokens": 9}, "short": {"tokens": 1}}
        groups = {"papers": ("",)}

    TASKS = (Boxes, BoxesPlus, Words)
"""

SCRIPTED = Path(__file__).parent / "plugins"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "boxes.py").write_text(dedent(CODE), encoding="utf-8")
    return tmp_path / "plugins"


@pytest.fixture
def plugins(folder: Path) -> Plugins:
    return Plugins([folder])


def names(plugins: Plugins, *tasks: str, **settings: dict[str, object]) -> list[str]:
    found = select(RunConfig(tasks=tasks, settings=settings), plugins)
    return [part.name for part in found.parts]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["boxes"], ["boxes"]),
        (["boxes:testA", "boxes"], ["boxes:testA", "boxes"]),
        (["boxes:strict:testA", "boxes:testA:strict"], ["boxes:testA:strict"]),
        (["boxes:*"], ["boxes:val", "boxes:testA", "boxes:testB"]),
        (["boxes:test?"], ["boxes:testA", "boxes:testB"]),
        (["boxes:s*"], ["boxes:strict"]),
        (["boxes:*:strict"], ["boxes:val:strict", "boxes:testA:strict", "boxes:testB:strict"]),
        (["boxes*"], ["boxes", "boxes_plus"]),
        (["boxes*:testB"], ["boxes:testB"]),
        (["boxes*:*", "words:*"], ["boxes:val", "boxes:testA", "boxes:testB", "boxes_plus:val", "boxes_plus:testA", "words:long", "words:short"]),  # noqa: E501  a row
        (["words:*"], ["words:long", "words:short"]),
        (["places"], ["boxes", "boxes:testA", "boxes:testB:strict", "boxes_plus:testA"]),
        (["papers", "places"], ["boxes:testB", "words", "boxes", "boxes:testA", "boxes:testB:strict", "boxes_plus:testA"]),  # noqa: E501  a row
        (["p*s"], ["boxes:testB", "words", "boxes", "boxes:testA", "boxes:testB:strict", "boxes_plus:testA"]),
    ],
)  # fmt: skip
def test_names_parts_groups_and_globs_are_found_in_order(plugins: Plugins, asked: list[str], found: list[str]) -> None:
    assert names(plugins, *asked) == found


def test_two_names_of_the_same_work_are_one_cell_and_the_first_stays(plugins: Plugins) -> None:
    assert names(plugins, "boxes", "boxes:*") == ["boxes", "boxes:testA", "boxes:testB"]
    assert names(plugins, "boxes:*", "boxes") == ["boxes:val", "boxes:testA", "boxes:testB"]
    assert names(plugins, "boxes:testB:strict", "boxes:late") == ["boxes:testB:strict"]
    moved = names(plugins, "boxes", "boxes:*", boxes={"split": "testA"})
    assert moved == ["boxes", "boxes:val", "boxes:testB"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("boxs", "no task named 'boxs'; did you mean 'boxes'"),
        ("place", "no task named 'place'; did you mean 'places'"),
        ("boxes:testC", "no split or variant of boxes named 'testC'; did you mean 'test[AB]'"),
        ("boxes:", "no split or variant of boxes named ''; known: late, strict, testA, testB, val"),
        ("boxs:testA", "named 'boxs:testA'"),
        ("boxes:x*", "named 'boxes:x.'"),
        ("x*", "no task named 'x.'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(plugins: Plugins, asked: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        names(plugins, asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("boxes:testA:testB", "at most one split and one variant of boxes, got testA and testB"),
        ("boxes:strict:late", "at most one split and one variant of boxes, got strict and late"),
        ("boxes:testA:late", "expected one split, and the variant late is of split testB"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(plugins: Plugins, asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        names(plugins, asked)


def tokens(plugins: Plugins, tasks: Sequence[str], settings: dict[str, dict[str, Any]]) -> list[int]:
    found: Any = select(RunConfig(tasks=tuple(tasks), settings=settings), plugins)
    return [task.tokens for task in found.tasks]


def test_settings_go_to_every_part_and_the_nearest_has_the_last_word(plugins: Plugins) -> None:
    parts = ["boxes", "boxes:testA", "boxes:testA:strict", "words"]
    assert tokens(plugins, parts, {"boxes": {"tokens": 9}}) == [9, 9, 9, 4]
    assert tokens(plugins, parts, {"boxes:testA": {"tokens": 9}}) == [4, 9, 9, 4]
    both = {"boxes:testA:strict": {"tokens": 7}, "boxes:testA": {"tokens": 8}, "boxes": {"tokens": 9}}
    assert tokens(plugins, parts, both) == [9, 8, 7, 4]


def test_what_a_part_fixes_stays(plugins: Plugins) -> None:
    found: Any = select(RunConfig(tasks=("boxes", "boxes:testA"), settings={"boxes": {"split": "testB"}}), plugins)
    assert [task.split for task in found.tasks] == ["testB", "testA"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"words": {"tokens": 1}}, UnknownNameError, "no task of this run named 'words'"),
        ({"boxes:testB": {"tokens": 1}}, UnknownNameError, "no task of this run named 'boxes:testB'"),
        ({"boxes:testC": {"tokens": 1}}, UnknownNameError, "no split or variant of boxes named 'testC'"),
        ({"boxes:testA": {"split": "val"}}, UsageError, "boxes:testA.split: expected a part .* got boxes:testA"),
        ({"boxes": {"split": "val"}}, UsageError, "boxes.split: expected a part of this run that leaves it open"),
        ({"boxes": {"token": 1}}, UnknownNameError, "no setting of boxes named 'token'; did you mean 'tokens'"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(
    plugins: Plugins, settings: dict[str, dict[str, Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        select(RunConfig(tasks=("boxes:testA",), settings=settings), plugins)


def test_a_part_can_be_made_alone(plugins: Plugins) -> None:
    made: Any = make_task("boxes:strict:testA", {"tokens": 2}, plugins)
    assert (made.split, made.above, made.tokens) == ("testA", True, 2)
    assert parse_part("boxes:strict:testA", plugins).name == "boxes:testA:strict"


def test_a_broken_plugin_hides_no_group_and_is_named(plugins: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> object:
        message = "no module named nothing"
        raise ImportError(message)

    plugins._add("task", _Plugin("shards", "a package", broken))
    with caplog.at_level(logging.WARNING):
        assert names(plugins, "boxes:*", "words") == ["boxes:val", "boxes:testA", "boxes:testB", "words"]
        assert not caplog.records
        assert names(plugins, "papers") == ["boxes:testB", "words"]
    assert "shards is left out of papers" in caplog.text
    assert "no module named nothing" in caplog.text
    assert list(find_groups(plugins).broken) == ["shards"]
    with pytest.raises(PluginError, match="shards"):
        names(plugins, "s*s")


def test_a_task_wins_over_a_group_of_its_name(folder: Path) -> None:
    code = dedent(CODE).replace('"papers": ("",)', '"boxes": ("",)')
    (folder / "boxes.py").write_text(code, encoding="utf-8")
    assert names(Plugins([folder]), "boxes") == ["boxes"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('splits = ("val", "testA", "testB")', 'splits = ["val"]', "splits to be a tuple"),
        ('splits = ("val", "testA", "testB")', 'splits = ("val", "test.A", "testB")', "letters, digits.*'test.A'"),
        ('splits = ("val", "testA", "testB")', 'splits = ("val", "testA", "testa")', "to differ, got 'testa' twice"),
        ('splits = ("val", "testA", "testB")', 'splits = ("testA", "testB")', "default split .* got 'val'"),
        ('{"above": True}', '{"abov": True}', "variant 'strict' to change settings of the task, got 'abov'"),
        ('"strict": {', '"val": {', "to differ, got 'val' twice"),
        ('("", "testA", "testB:strict")', '("testC",)', "group 'places' to be of splits and variants .* 'testC'"),
        ('variants = {"strict"', 'variants = () or ["strict"] or {"strict"', "variants to be a mapping"),
    ],
)
def test_malformed_parts_are_refused(folder: Path, old: str, new: str, message: str) -> None:
    assert old in dedent(CODE)
    (folder / "boxes.py").write_text(dedent(CODE).replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PluginError, match=message):
        Plugins([folder]).task("boxes")


def test_cells_of_parts_have_files_of_their_own() -> None:
    cells = [("a:b", 0), ("a:b:c", 0), ("a-b", 0), ("a_b", 0), ("a", 0), ("a:b@mini", 0), ("a:b", 1)]
    assert len({file_stem(*cell) for cell in cells}) == len(cells)
    assert file_stem("refcoco:testA@mini", 0) == "refcoco.testA@mini_0shot"


def test_parts_share_samples_and_exemplars(plugins: Plugins) -> None:
    config = RunConfig(tasks=("boxes", "boxes:strict"), shots=(2,), model="kosmos-tiny", report=(), limit=5)
    bare, strict = make_plan(config, plugins).cells
    assert (bare.label, strict.label) == ("boxes@mini", "boxes:strict@mini")
    assert list(bare.samples) == list(strict.samples)
    drawn = [
        [[each.key for each in cell.exemplars(sample)] for sample in cell.samples.values()] for cell in (bare, strict)
    ]
    assert drawn[0] == drawn[1]
    assert isinstance(bare.pool, ExemplarPool)


def test_a_run_of_parts_is_recorded_resumed_and_scored_again(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    record = evaluate(
        tasks=["places", "boxes:*"], model="scripted", shots=[0, 1], report=[], output_path=run,
        include_path=[str(folder), str(SCRIPTED)], settings={"boxes:testA": {"tokens": 3}},
    )  # fmt: skip
    parts = ["boxes", "boxes:testA", "boxes:testB:strict", "boxes_plus:testA", "boxes:testB"]
    assert record.run["config"]["tasks"] == parts
    assert [cell.name for cell in record.cells] == [f"{part}@mini|{shots}" for part in parts for shots in (0, 1)]
    assert set(record.run["provenance"]) == set(parts)
    assert sorted(path.name for path in (run / "samples").glob("boxes.testA*.jsonl")) == [
        "boxes.testA@mini_0shot.jsonl",
        "boxes.testA@mini_1shot.jsonl",
    ]
    assert [len(list(record.samples(cell))) for cell in record.cells] == [12] * 10
    before = (run / "results.json").read_bytes()
    execute(prepare_resumed(run, {"tasks": ["places", "boxes:*"]}))
    rescore(run)
    assert (run / "results.json").read_bytes() == before
    assert [cell.settings["tokens"] for cell in load(run).cells if cell.task == "boxes:testA@mini"] == [3, 3]


def test_importing_every_built_in_task_is_light() -> None:
    code = """
        import sys
        from kosmos_eval.plugins import Plugins
        from kosmos_eval.selection import find_groups
        find_groups(Plugins())
        print(sorted({"torch", "numpy", "PIL", "pandas", "datasets", "pyarrow", "scipy"} & sys.modules.keys()))
    """
    ended = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
