"""All that tables need is run, part by part, once; what lacks something stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.errors import DataError, RunInterruptedError, RunRefusedError, UnknownNameError, UsageError
from kosmos_eval.papers import reproduce
from kosmos_eval.papers.reproduce import Step, carry_out, plan_steps, show_plan, steps_of
from kosmos_eval.plugins import Plugins
from kosmos_eval.run import prepare
from kosmos_eval.selection import parse_part

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.papers.published import Paper
    from kosmos_eval.papers.reproduce import Planned, Reproduction

MATRICES = Step("raven:test", (0,), ("6",), served=False)
SIZES = Step("relative_size", (0,), ("16",), served=False)


@pytest.fixture
def plugins(plugins_folder: Path) -> Plugins:
    return Plugins([plugins_folder])


@pytest.fixture
def settings(plugins_folder: Path) -> dict[str, Any]:
    """A model without weights, the embedded data, two samples of each task, and no report."""
    told: dict[str, Any] = {"model": "scripted", "data": "mini", "limit": 2, "report": ()}
    return {**told, "include_path": (str(plugins_folder),)}


def do(planned: list[Planned], lines: list[str] | None = None) -> Reproduction:
    tell = (lambda _line: None) if lines is None else lines.append
    return carry_out(planned, processes=1, progress=lambda: None, tell=tell)


def test_the_steps_are_all_that_the_tables_need_and_each_once(kosmos_1: Paper, kosmos_2: Paper) -> None:
    assert steps_of(kosmos_1.only(["3", "4", "5"])) == (
        Step("coco_caption", (2, 4, 8), ("3",), served=False),
        Step("flickr30k_caption", (2, 4, 8), ("3",), served=False),
        Step("vqav2", (0,), ("4",), served=True),
        Step("vizwiz", (0,), ("4",), served=True),
        Step("vqav2", (2, 4, 8), ("5",), served=True),
        Step("vizwiz", (2, 4, 8), ("5",), served=True),
    )
    assert steps_of(kosmos_1.only(["7", "9"]))[1] == Step("rendered_sst2", (0,), ("7", "9"), served=False)
    plugins = Plugins()
    for paper in (kosmos_1, kosmos_2):
        steps = steps_of(paper.tables)
        assert len({step.name for step in steps}) == len(steps)
        asked = {(step.part, shots) for step in steps for shots in step.shots}
        numbers = [number for table in paper.tables for number in table.own if number.protocol is not None]
        assert asked == {(number.protocol.part, number.shots) for number in numbers if number.protocol is not None}
        assert all(parse_part(step.part, plugins) for step in steps)


def test_a_plan_counts_samples_and_requests_and_writes_nothing(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path
) -> None:
    rationale = Step("rendered_sst2_cot", (0,), ("9",), served=False)
    planned = plan_steps([MATRICES, rationale], settings, tmp_path / "runs", plugins)
    assert [each.samples for each in planned] == [{0: 2}, {0: 2}]
    assert [each.requests for each in planned] == [{0: 2}, {0: 4}]
    shown = show_plan(planned).splitlines()
    assert shown[2].split() == ["6", "raven:test", "0", "2", "2", "to", "do"]
    assert shown[-1] == "2 runs: 0 finished, 2 to do with 4 samples and 6 requests, 0 that lack something"
    assert not (tmp_path / "runs").exists()


def test_what_lacks_its_data_is_named_and_stops_no_other(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    planned = plan_steps([SIZES, MATRICES], {**settings, "data": str(tmp_path / "data")}, tmp_path / "runs", plugins)
    assert all(each.missing for each in planned)
    shown = show_plan(planned)
    assert "2 runs: 0 finished, 0 to do with 0 samples and 0 requests, 2 that lack something" in shown
    assert "missing for relative_size: " in shown
    planned = [planned[0], *plan_steps([MATRICES], settings, tmp_path / "runs", plugins)]
    lines: list[str] = []
    done = do(planned, lines)
    assert [record.cells[0].task for record in done.records] == ["raven:test@mini"]
    assert done.missing == {("relative_size", 0): planned[0].missing}
    assert lines[0].startswith("1 of 2: relative_size is left out: ")
    assert lines[1] == "2 of 2: raven.test"


def test_a_task_that_there_is_no_plugin_of_is_missing(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path
) -> None:
    planned = plan_steps([Step("ravens", (0,), ("6",), served=False)], settings, tmp_path, plugins)
    assert planned[0].missing == "no task named 'ravens'; did you mean 'raven'?"


def test_what_holds_for_all_steps_is_refused_at_once(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="no model named 'scriptd'"):
        plan_steps([MATRICES], {**settings, "model": "scriptd"}, tmp_path, plugins)
    with pytest.raises(UsageError, match="there is no such folder"):
        plan_steps([MATRICES], {**settings, "data": str(tmp_path / "none")}, tmp_path, plugins)


def test_what_is_finished_is_not_done_again(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "asked"
    monkeypatch.setenv("SCRIPTED_LOG", str(log))
    first = do(plan_steps([MATRICES], settings, tmp_path / "runs", plugins))
    asked = log.read_text(encoding="utf-8")
    planned = plan_steps([MATRICES], settings, tmp_path / "runs", plugins)
    assert planned[0].finished
    assert "finished" in show_plan(planned)
    lines: list[str] = []
    assert do(planned, lines).records == first.records
    assert lines == ["1 of 1: raven.test (finished)"]
    assert log.read_text(encoding="utf-8") == asked


def test_what_was_stopped_goes_on(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = do(plan_steps([MATRICES], settings, tmp_path / "whole", plugins)).records[0]
    monkeypatch.setenv("SCRIPTED_FAIL_AFTER", "0")
    failed = do(plan_steps([MATRICES], settings, tmp_path / "runs", plugins))
    assert failed.records == ()
    assert "told to fail" in failed.missing["raven:test", 0]
    assert (tmp_path / "runs" / "raven.test" / "run.json").exists()
    monkeypatch.delenv("SCRIPTED_FAIL_AFTER")
    planned = plan_steps([MATRICES], settings, tmp_path / "runs", plugins)
    assert not planned[0].finished
    assert do(planned).records[0].cells == whole.cells


def test_an_interruption_says_how_to_go_on(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_steps([MATRICES], settings, tmp_path, plugins)

    def interrupted(*_arguments: object, **_settings: object) -> None:
        message = "interrupted"
        raise RunInterruptedError(message)

    monkeypatch.setattr(reproduce, "execute", interrupted)
    with pytest.raises(RunInterruptedError, match=r"interrupted at .*raven\.test; the same command goes on"):
        do(planned)


@pytest.mark.parametrize(("name", "value"), [("limit", 3), ("seed", 1), ("exemplars", "fixed")])
def test_a_folder_with_other_work_is_refused(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, name: str, value: object
) -> None:
    do(plan_steps([MATRICES], settings, tmp_path, plugins))
    with pytest.raises(RunRefusedError, match=rf"raven\.test holds a run with {name} = .*choose another folder"):
        plan_steps([MATRICES], {**settings, name: value}, tmp_path, plugins)


def test_a_folder_of_other_weights_is_refused(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(plan_steps([MATRICES], settings, tmp_path, plugins))
    monkeypatch.setenv("SCRIPTED_WEIGHTS", "others")
    with pytest.raises(RunRefusedError, match="holds a run of other weights"):
        plan_steps([MATRICES], settings, tmp_path, plugins)


def test_a_defect_of_one_step_leaves_the_others(
    settings: dict[str, Any], plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_steps([SIZES, MATRICES], settings, tmp_path, plugins)

    def broken(config: Any, folder: Path) -> Any:  # noqa: ANN401  as prepare
        if folder.name == "relative_size":
            message = "a picture is corrupt"
            raise DataError(message)
        return prepare(config, folder)

    monkeypatch.setattr(reproduce, "prepare", broken)
    done = do(planned)
    assert done.missing == {("relative_size", 0): "a picture is corrupt"}
    assert len(done.records) == 1
    assert done.failed == 0


def test_settings_go_to_the_steps_that_they_are_of(settings: dict[str, Any], plugins: Plugins, tmp_path: Path) -> None:
    told = {**settings, "settings": {"raven": {"separator": "|"}, "raven:test": {"hub_first_candidate": 1}}}
    planned = plan_steps([SIZES, MATRICES], told, tmp_path, plugins)
    assert [each.config.settings for each in planned] == [{}, told["settings"]]
    assert not any(each.missing for each in planned)
    with pytest.raises(UnknownNameError, match="no task of these tables named 'vqav2'"):
        plan_steps([SIZES], {**settings, "settings": {"vqav2": {"separator": "|"}}}, tmp_path, plugins)
