"""A run under controls: cells of their own, asked with the cell they control, and whole or not at all after a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.control_differences import control_changes
from kosmos_eval.controls import blind_cells
from kosmos_eval.errors import DataError, IncompleteRunError
from kosmos_eval.journal import JournalReader
from kosmos_eval.plan import bundles_of
from kosmos_eval.plugins import Plugins
from kosmos_eval.record import load
from kosmos_eval.reports.page import build_page
from kosmos_eval.run import evaluate, execute, prepare_resumed, rescore
from kosmos_eval.run_folder import read_units
from kosmos_eval.table import results_table

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.record import RunRecord

SIZE = 100
STAGES = 2
NAMES = ("image=none", "image=noise")


def run(folder: Path, plugins: Path, controls: tuple[str, ...] = NAMES, **changes: object) -> RunRecord:
    asked: dict[str, Any] = {"tasks": "letters", "model": "scripted", "shots": [0, 2], "report": [], **changes}
    settings = {"letters": {"size": SIZE}}
    return evaluate(
        **asked, settings=settings, controls=list(controls), include_path=[str(plugins)], output_path=folder
    )


def outputs(folder: Path) -> dict[str, bytes]:
    """Return every file that must not depend on how a run went."""
    files = [folder / "results.json", *(folder / "samples").iterdir(), *(folder / "thumbnails").iterdir()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory, plugins_folder: Path) -> Path:
    return run(tmp_path_factory.mktemp("controlled") / "run", plugins_folder).folder


def test_a_cell_is_what_it_is_without_controls(controlled: Path, tmp_path: Path, plugins_folder: Path) -> None:
    plain = run(tmp_path / "plain", plugins_folder, ()).folder
    with_controls, without = outputs(controlled), outputs(plain)
    samples = {name for name in without if name.startswith("samples")}
    assert {name: with_controls[name] for name in samples} == {name: without[name] for name in samples}
    results = [json.loads(each["results.json"]) for each in (with_controls, without)]
    cells = [
        {cell["task"] + str(cell["shots"]): cell for cell in each["cells"] if "control" not in cell} for each in results
    ]
    assert cells[0] == cells[1]
    assert "controls" not in results[1]["config"]
    assert all("main" not in line for line in (plain / "plan.jsonl").read_text(encoding="utf-8").splitlines())


def test_controls_are_cells_of_their_own_with_files_of_their_own(controlled: Path) -> None:
    record = load(controlled)
    assert [cell.name for cell in record.cells] == [
        f"letters@mini|{shots}{control}" for shots in (0, 2) for control in ("", "~image=none", "~image=noise")
    ]
    results = json.loads((controlled / "results.json").read_text(encoding="utf-8"))
    assert [cell.get("control", "") for cell in results["cells"]] == ["", *NAMES] * 2
    for cell in record.cells:
        assert results["n-shot"][cell.name] == cell.shots
        assert "accuracy,none" in results["results"][cell.name]
        assert (controlled / "samples" / f"{cell.file_stem}.parquet").exists()
        assert not set(cell.file_stem) & set('<>:"/\\|?*= ')
    stems = [cell.file_stem for cell in record.cells]
    assert stems[1] == "letters@mini_0shot_image-none"
    assert len(set(stems)) == len(stems)


def test_the_record_shows_what_was_asked_and_its_pictures_are_kept(controlled: Path) -> None:
    record = load(controlled)
    main, blind, noisy = ({each.key: each for each in record.samples(cell)} for cell in record.cells[:3])
    for key, sample in main.items():
        (own,) = sample.exchanges[0].images
        assert blind[key].exchanges[0].images == ()
        assert blind[key].exchanges[0].prompt == sample.exchanges[0].prompt.replace(f"<image:{own[:12]}>", "")
        (made,) = noisy[key].exchanges[0].images
        assert made != own
        assert {each.content for each in (sample, blind[key], noisy[key])} == {sample.content}
    for cell in record.cells[:3]:
        shown = [each for each in record.samples(cell) if each.key in cell.shown]
        assert all(record.thumbnail(digest) for each in shown for digest in each.exchanges[0].images)


def test_scoring_again_changes_nothing(controlled: Path) -> None:
    before = outputs(controlled)
    rescore(controlled)
    assert outputs(controlled) == before


@pytest.mark.parametrize("after", [1, 200, 3 * 63 * STAGES - 1, 3 * 63 * STAGES, 3 * 63 * STAGES + 5])
def test_a_fault_leaves_whole_bundles_and_the_run_can_be_finished(
    after: int, controlled: Path, tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setenv("SCRIPTED_FAIL_AFTER", str(after))
    with pytest.raises(DataError, match="told to fail"):
        run(folder, plugins_folder)
    monkeypatch.delenv("SCRIPTED_FAIL_AFTER")
    done = JournalReader(folder / "journal").timings().keys()
    whole = [{unit.id for unit in bundle} for bundle in bundles_of(read_units(folder))]
    assert len(done) == (3 if after >= 3 * 63 * STAGES else 0)
    assert all(bundle <= done or bundle.isdisjoint(done) for bundle in whole)
    execute(prepare_resumed(folder, {}))
    assert outputs(folder) == outputs(controlled)


def test_a_failed_sample_has_its_whole_bundle_asked_again(
    controlled: Path, tmp_path: Path, plugins_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"
    monkeypatch.setenv("SCRIPTED_TOO_BIG", "Generate letter 99?")  # at 2 shots its own picture parts it from the others
    with pytest.raises(IncompleteRunError):
        run(folder, plugins_folder)
    failed = {cell.name: cell.failed for cell in load(folder).cells}
    assert failed == {cell.name: int(cell.name != "letters@mini|2~image=none") for cell in load(folder).cells}
    monkeypatch.delenv("SCRIPTED_TOO_BIG")
    monkeypatch.setenv("SCRIPTED_LOG", str(log))
    execute(prepare_resumed(folder, {}))
    assert outputs(folder) == outputs(controlled)
    held = sum(len(unit.keys) for unit in read_units(folder) if unit.id.endswith("/00001"))
    assert len(log.read_text(encoding="utf-8").split()) == STAGES * held


def test_seconds_of_a_bundle_are_shared_out(controlled: Path) -> None:
    timings = JournalReader(controlled / "journal").timings()
    for bundle in bundles_of(read_units(controlled)):
        shares = {timings[unit.id].seconds / timings[unit.id].requests for unit in bundle}
        assert max(shares) == pytest.approx(min(shares))
        assert len({timings[unit.id].started for unit in bundle}) == 1


def test_changes_are_paired_with_the_cell_that_is_controlled(controlled: Path) -> None:
    record = load(controlled)
    changes = control_changes(record)
    assert set(changes) == {(cell.name, "accuracy") for cell in record.cells if cell.control}
    scores = {cell.name: cell.metrics[0].value for cell in record.cells}
    for (name, _), change in changes.items():
        main = name.partition("~")[0]
        assert (change.base, change.other) == (scores[main], scores[name])
        assert change.difference.count == SIZE
    assert {main: cell.name for main, cell in blind_cells(record.cells).items()} == {
        f"letters@mini|{shots}": f"letters@mini|{shots}~image=none" for shots in (0, 2)
    }


def test_the_table_has_the_blind_score_beside_and_other_controls_below(controlled: Path) -> None:
    record = load(controlled)
    text = results_table(record.cells, control_changes(record))
    heads, _, *lines = text.splitlines()
    assert heads.split()[:3] == ["task", "shots", "control"]
    assert {"blind", "change"} <= set(heads.split())
    rows = [line for line in lines if line.startswith("letters@mini")]
    assert [row.split()[1:3] for row in rows] == [
        ["0", "accuracy"],
        ["0", "image=noise"],
        ["2", "accuracy"],
        ["2", "image=noise"],
    ]
    blind = record.cells[1].metrics[0].value
    assert blind is not None
    assert f" {blind * 100:.1f} (" in rows[0]
    plain = results_table([cell for cell in record.cells if not cell.control]).splitlines()[0]
    assert not {"control", "blind", "change"} & set(plain.split())


def test_trials_are_of_one_control(tmp_path: Path, plugins_folder: Path) -> None:
    record = run(tmp_path / "run", plugins_folder, ("image=none",), shots=[1], trials=2)
    assert [cell.name for cell in record.cells] == [
        "letters@mini|1",
        "letters@mini|1~image=none",
        "letters@mini|1#2",
        "letters@mini|1#2~image=none",
    ]
    assert {each.name: (each.control, len(each.cells)) for each in record.trials} == {
        "letters@mini|1": ("", 2),
        "letters@mini|1~image=none": ("image=none", 2),
    }


def test_the_report_has_the_blind_score_beside_and_other_controls_below(controlled: Path, tmp_path: Path) -> None:
    record = load(controlled)
    (task,) = build_page(record).tasks
    assert (task.blind, task.controlled) == (True, True)
    seen = [view for view in task.cells if view.overview]
    assert [(view.shots, view.control) for view in seen] == [(0, ""), (0, "image=noise"), (2, ""), (2, "image=noise")]
    assert [bool(view.beside[0].blind) for view in seen] == [True, False, True, False]
    assert [bool(view.beside[0].change) for view in seen] == [False, True, False, True]
    assert {view.control for view in task.cells if view.anchor == seen[0].beside[0].link} == {"image=none"}
    html = Plugins().report("html").write(record, tmp_path).read_text(encoding="utf-8")
    assert f'<a href="#{seen[0].beside[0].link}">{seen[0].beside[0].blind}</a>' in html
    assert "under image=noise: random pixels in place of each" in html
