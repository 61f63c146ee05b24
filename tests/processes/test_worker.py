from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmos_eval.config import RunConfig
from kosmos_eval.journal import Journal, JournalReader
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.processes.worker import claims, work
from kosmos_eval.request import Generated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response


class Silent:
    """In place of a heart."""

    def say(self, **_: object) -> None:
        pass


class Guessing:
    """A model that notes what it is told to expect and what it is then asked about."""

    facts: dict[str, Any] = {}  # noqa: RUF012  nothing to say

    def __init__(self) -> None:
        self.expected: list[set[str]] = []
        self.asked: list[set[str]] = []

    def expect(self, images: Iterable[Image]) -> None:
        self.expected.append({image.digest for image in images})

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        taken = list(requests)
        self.asked.append({image.digest for _, request in taken for image in request.images})
        return ((number, Generated("2", (7,), (-1.0,), "eos")) for number, _ in taken)


def test_a_model_is_told_which_pictures_come_after_those_it_is_asked_about(tmp_path: Path) -> None:
    plan = make_plan(RunConfig(tasks=("vqav2",), shots=(2,), limit=200, data="mini"), Plugins())
    units = plan.units
    assert len(units) > 2
    model, journal = Guessing(), Journal(tmp_path / "journal" / "a.sqlite")
    bundles = plan.bundles
    work(plan, zip(bundles, [*bundles[1:], None], strict=True), model, journal, Silent())  # type: ignore[arg-type]  # a stand-in
    journal.close()
    assert model.expected == model.asked[1:]
    assert len(JournalReader(tmp_path / "journal").timings()) == len(units)


def test_a_unit_and_those_of_its_controls_are_taken_by_one_process(tmp_path: Path) -> None:
    config = RunConfig(tasks=("vqav2",), limit=200, data="mini", controls=("image=none", "image=blank"))
    plan = make_plan(config, Plugins())
    one, other = (claims(plan.bundles, tmp_path, lambda: None) for _ in range(2))
    taken = [next(one), next(other), *one, *other]
    assert taken == list(plan.bundles)
    assert {len(bundle) for bundle in taken} == {3}


def test_a_model_is_told_of_the_pictures_that_controls_make(tmp_path: Path) -> None:
    controls = ("image=none", "image=noise", "image=other-sample")
    plan = make_plan(RunConfig(tasks=("vqav2",), shots=(1,), limit=200, data="mini", controls=controls), Plugins())
    bundles = plan.bundles
    model, journal = Guessing(), Journal(tmp_path / "journal" / "a.sqlite")
    work(plan, zip(bundles, [*bundles[1:], None], strict=True), model, journal, Silent())  # type: ignore[arg-type]  # a stand-in
    journal.close()
    assert model.expected == model.asked[1:]
    assert JournalReader(tmp_path / "journal").timings().keys() == {unit.id for unit in plan.units}
