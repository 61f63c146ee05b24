"""An estimate counts all that is left and tries a part of it, in pieces that are like the whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.estimate import CellEstimate, Counted, Estimate, Trial, _Pieces, _spread, estimate
from kosmos_eval.language_model import ModelSpec, Survey
from kosmos_eval.memory import measure
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Failed, Generate, Generated, LogLikelihood, Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.plan import Cell, Plan
    from kosmos_eval.request import Request, Response


@dataclass
class Timed:
    """A model that takes a second a request by a clock of its own, and 100 to begin with."""

    now: float = 0.0
    warm_up: float = 100.0
    asked: list[int] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    fails: str = ""

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        held = list(requests)
        self.asked.append(len(held))
        self.now += self.warm_up
        self.warm_up = 0.0
        for number, request in held:
            self.now += 1.0
            yield number, Failed("too long") if self.fails and self.fails in request.prompt.text() else _said(request)


class Surveyed(Timed):
    """Also tells tokens: ten to read for each distinct image, and the most that may be written."""

    def survey(self, requests: Iterable[Request]) -> Survey:
        held = list(requests)
        images = {image.digest for each in held for image in each.prompt.images}
        new = sum(each.max_new_tokens for each in held if isinstance(each, Generate))
        return Survey(len(images), 10 * len(held), 10 * len(images), new, 1000 * len(held))


def _said(request: Request) -> Response:
    if isinstance(request, Generate):
        return Generated("cccc", (1,), (-0.1,), "eos")
    return Scored(tuple(LogLikelihood((1,), (-1.0,), 1, greedy=False) for _ in request.continuations))


@pytest.fixture
def plan(plugins_folder: Path) -> Plan:
    """Return 201 samples of `letters`, three to a picture, two requests to a sample; each cell has four units."""
    config = RunConfig.model_validate(
        {"tasks": ("letters",), "model": "scripted", "report": (), "settings": {"letters": {"size": 201}}}
    )
    return make_plan(config, Plugins([plugins_folder]))


def estimated(plan: Plan, model: Timed, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Estimate:  # noqa: ANN401  estimate's
    monkeypatch.setattr("kosmos_eval.estimate.time.perf_counter", lambda: model.now)
    loaded = replace(plan, model=ModelSpec("timed", "", lambda _: model, lambda _: ""))
    return estimate(loaded, loaded.units, **{"trial_seconds": 300.0, **settings})


def test_pieces_hold_whole_clusters_each_sample_once_from_units_that_are_spread(plan: Plan) -> None:
    (cell,) = plan.cells
    pieces, taken = _Pieces(cell, plan.units), []
    while (piece := pieces.take(4)) is not None:
        taken.append(piece)
    assert sorted(key for piece in taken for key in piece.keys) == sorted(cell.samples)
    assert len({piece.id for piece in taken[:4]}) == 4
    clusters = [{cell.samples[key].cluster for key in piece.keys} for piece in taken]
    assert sum(map(len, clusters)) == len(set().union(*clusters))
    assert {len(piece.keys) for piece in taken[:8]} == {6}


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_beginning_of_a_spread_is_spread(size: int) -> None:
    order = _spread(size)
    assert sorted(order) == list(range(size))
    if size == 100:
        begun = sorted(order[:8])
        assert max(right - left for left, right in zip([0, *begun], [*begun, 100], strict=True)) <= 25


def test_pieces_grow_to_a_whole_unit_while_time_is_left(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = estimated(plan, Timed(warm_up=0.0), monkeypatch, trial_seconds=60.0).cells
    assert [trial.samples for trial in cell.trials] == [3, 24, len(plan.units[0].keys)]
    assert cell.basis == cell.trials[-1:]
    (cell,) = estimated(plan, Timed(warm_up=0.0), monkeypatch, trial_seconds=40.0).cells
    assert [trial.samples for trial in cell.trials] == [3, 24, 36]  # 48 of 120 seconds, then what fits into the rest
    assert [trial.samples for trial in cell.basis] == [36]


def test_a_slow_model_is_asked_one_cluster_more_than_makes_it_ready(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = estimated(plan, Timed(), monkeypatch, trial_seconds=2.0).cells
    assert [(trial.samples, trial.seconds) for trial in cell.trials] == [(3, 106.0), (3, 6.0)]
    assert sum(cell.seconds) == pytest.approx(402)


def test_time_is_the_tried_time_of_the_largest_pieces_by_samples(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = estimated(plan, Timed(), monkeypatch).cells
    assert sum(cell.seconds) == pytest.approx(402)  # two requests a sample; the warm-up is no part of it
    assert len(cell.seconds) == len(plan.units)
    assert cell.requests_a_sample == 2


def test_everything_is_counted_by_units(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = estimated(plan, Surveyed(), monkeypatch).cells
    assert (sum(cell.counted.samples), cell.counted.images) == (201, 67)
    assert sum(survey.whole_tokens for survey in cell.counted.surveys) == 2010
    assert sum(survey.new_tokens for survey in cell.counted.surveys) == 804
    units = [{cell.cell.samples[key].cluster for key in unit.keys} for unit in plan.units]
    assert [survey.images for survey in cell.counted.surveys] == list(map(len, units))


def test_time_goes_by_tokens_where_they_are_known() -> None:
    surveys = (Survey(1, 9, 60, 40, 5), Survey(1, 9, 250, 50, 7))
    trials = (Trial(1, 1, 10.0, 9.0, {}), Trial(4, 4, 100.0, 2.0, {}), Trial(4, 4, 300.0, 6.0, {}))
    cell = CellEstimate(None, Counted((10, 10), 2, surveys), trials)  # type: ignore[arg-type]  # no cell is needed
    assert cell.seconds == (2.0, 6.0)


def test_memory_is_what_was_loaded_and_the_largest_unit(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = measure("cpu")
    assert reading.peak >= reading.now > 2**20
    monkeypatch.setattr("kosmos_eval.estimate.measure", lambda _: replace(reading, now=5_000_000, peak=6_000_000))
    found = estimated(plan, Surveyed(), monkeypatch)
    largest = max(len(unit.keys) for unit in plan.units)
    assert (found.measured, found.bounded) == (6_000_000, max(5_000_000 + 1000 * largest, 6_000_000))
    monkeypatch.setattr("kosmos_eval.estimate.measure", lambda _: replace(reading, now=5_000_000, peak=5_000_001))
    assert estimated(plan, Surveyed(), monkeypatch).bounded == 5_000_000 + 1000 * largest
    assert estimated(plan, Timed(), monkeypatch).bounded is None


def of_units(*units: float, processes: int, lanes: int) -> Estimate:
    """Return an estimate of a cell with units of so many seconds."""
    counted = Counted(tuple(map(int, units)), 0, ())
    cell = CellEstimate(None, counted, (Trial(1, 1, 1.0, 1.0, {}),))  # type: ignore[arg-type]  # no cell is needed
    return Estimate((cell,), processes, lanes, 0.0, "memory", 1, None)


def test_processes_take_units_as_they_are_free_and_the_longest_bounds_them() -> None:
    assert of_units(4, 4, 4, 4, processes=1, lanes=1).asking == 16
    assert of_units(4, 4, 4, 4, processes=2, lanes=2).asking == 8
    assert of_units(4, 4, 4, processes=2, lanes=2).asking == 8
    assert of_units(4, 4, processes=8, lanes=8).asking == 4


def test_processes_beyond_the_cores_are_no_help(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    found = estimated(plan, Timed(), monkeypatch, processes=5)
    assert (found.processes, found.lanes) == (5, 2)


def test_what_fails_is_kept_by_name(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (cell,) = estimated(plan, Timed(fails="letter 100?"), monkeypatch, trial_seconds=1e6).cells
    assert [trial.failed for trial in cell.trials if trial.failed] == [{"100": "too long"}]


def test_the_cell_of_a_plan_is_kept_for_its_name(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    cell: Cell = estimated(plan, Timed(), monkeypatch).cells[0].cell
    assert cell.name == "letters@mini|0"
