"""An audit tells rounding from defects: near ties may flip, nothing else may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from kosmos_eval.audit import audit, audit_table
from kosmos_eval.config import RunConfig
from kosmos_eval.data.source import Source
from kosmos_eval.errors import UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.language_model import ModelSpec
from kosmos_eval.plan import Cell, Plan
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Score, Scored
from kosmos_eval.task import Metric, Sample
from kosmos_eval.task import Score as SampleScore

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.audit import Audit, Compared
    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.request import Request, Response

Change = Callable[["Request", "Response"], "Response | Failed"]


@dataclass(frozen=True)
class Notes:
    """Have a note written, then two options weighed behind it."""

    name: ClassVar[str] = "notes"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "A note and two options."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of right answers"),)
    split: str = "val"
    exemplar_split: str = "train"
    beams: int = 1

    def samples(self, split: str, source: Source) -> Iterator[Sample]:
        raise NotImplementedError

    def ask(self, sample: Sample, exemplars: Sequence[Sample]) -> Generator[Request, Response, str]:  # noqa: ARG002  zero-shot
        note = yield Generate(Prompt.of(f"note {sample.key}"), max_new_tokens=3, num_beams=self.beams)
        assert isinstance(note, Generated)
        weighed = yield Score(Prompt.of(note.text), (Continuation("yes"), Continuation("no")))
        assert isinstance(weighed, Scored)
        yes, no = (each.total for each in weighed.continuations)
        return "yes" if yes > no else "no"

    def score(self, sample: Sample, answer: str) -> SampleScore:
        return SampleScore({"accuracy": float(answer == "yes")} if sample.labelled else {}, answer)


def plainly(request: Request) -> Response:
    """Answer as the reference does: a clear note, and a clear yes."""
    if isinstance(request, Generate):
        return Generated("a b c", (1, 2, 3), (-0.1, -0.2, -0.3), "eos", (2.0, 0.0005, 2.0))
    rows = [LogLikelihood((place,), (-1.0 - place,), 3, greedy=False) for place in range(len(request.continuations))]
    return Scored(tuple(rows))


class Way:
    """Answers as the reference does, but for a change."""

    facts: Mapping[str, Any] = {}

    def __init__(self, change: Change = lambda _, response: response) -> None:
        self.change = change
        self.asked: list[Request] = []

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        for number, request in list(requests):
            self.asked.append(request)
            yield number, self.change(request, plainly(request))


class Many(Way):
    """A model of several ways."""

    def __init__(self, **ways: Way) -> None:
        super().__init__()
        self.named = ways

    def ways(self) -> Mapping[str, Way]:
        return {"one at a time": self, **self.named}


def plan_of(*samples: Sample, dtype: str = "float32", task: Notes | None = None) -> Plan:
    config = RunConfig.model_validate({"tasks": ("notes",), "dtype": dtype})
    keys = {each.key: each for each in samples or (Sample(key="1"), Sample(key="2"))}
    cell = Cell(task or Notes(), Source("mini"), 0, keys, len(keys), config, ExemplarPool[Any](()))
    return Plan(config, ModelSpec("many", "of many ways", lambda _: Many(), lambda _: ""), (cell,))


def audited(change: Change, *samples: Sample, task: Notes | None = None) -> tuple[Compared, Audit]:
    """Return what an audit of one changed way says of it, and the whole audit."""
    found = audit(plan_of(*samples, task=task), Many(batched=Way(change)))
    reference, row = found.rows
    assert (reference.way, row.way, found.reference) == ("one at a time", "batched", "one at a time")
    return row, found


def moved(by: float) -> Change:
    """Return a change of the log-probabilities of options."""

    def change(_request: Request, response: Response) -> Response:
        if isinstance(response, Generated):
            return response
        return Scored(
            tuple(
                replace(each, logprobs=(each.logprobs[0] - by,)) if place == 0 else each
                for place, each in enumerate(response.continuations)
            )
        )

    return change


def written(text: str, tokens: tuple[int, ...], margins: tuple[float, ...] = ()) -> Change:
    """Return a change of what is written to sample 1."""

    def change(request: Request, response: Response) -> Response:
        if isinstance(request, Generate) and request.prompt.text() == "note 1":
            return Generated(text, tokens, (-0.1, -0.2, -0.4)[: len(tokens)], "eos", margins)
        return plainly(request) if isinstance(response, Generated) else response

    return change


def test_ways_that_agree_are_found_to() -> None:
    row, found = audited(lambda _, response: response)
    assert (row.samples, row.tokens, row.largest, row.flips, row.changed) == (2, 10, 0.0, (), 0)
    assert found.defects == []
    assert found.tolerance == 1e-3


def test_near_ties_are_counted_by_the_threshold_of_results() -> None:
    assert audited(lambda _, response: response)[0].near_ties == 2  # the second token's margin is 0.0005 nats
    tight = audit(plan_of(task=Notes(beams=2)), Many(batched=Way()))
    assert [row.near_ties for row in tight.rows] == [2, 2]


@pytest.mark.parametrize(("by", "defects"), [(0.0009, 0), (0.002, 1)])
def test_a_difference_is_the_largest_of_a_token_and_has_a_limit(by: float, defects: int) -> None:
    row, found = audited(moved(by))
    assert row.largest == pytest.approx(by)
    assert (row.flips, len(found.defects)) == ((), defects)
    assert not defects or "differ by up to 0.002 nats (batched, notes@mini|0), more than 0.001" in found.defects[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("float16", 1e-2), ("bfloat16", 1e-1)])
def test_the_limit_is_the_type_s_unless_one_is_given(dtype: str, tolerance: float) -> None:
    assert audit(plan_of(dtype=dtype), Many(batched=Way())).tolerance == tolerance
    assert audit(plan_of(dtype=dtype), Many(batched=Way(moved(0.5))), tolerance=0.6).defects == []


def test_an_answer_that_flips_at_a_clear_margin_is_a_defect() -> None:
    row, found = audited(moved(1.5))
    flip = row.flips[0]
    assert (flip.sample, flip.before, flip.after, flip.margin, flip.near_tie) == ("1", "yes", "no", 1.0, False)
    assert (len(row.flips), len(row.defects), row.changed) == (2, 2, 2)
    assert found.defects[0].startswith(
        "2 answers flipped that are no near ties (first: notes@mini|0, sample 1, batched: 'yes' became 'no' at a "
        "margin of 1 nats)"
    )


def test_an_unlabelled_sample_flips_by_its_answer() -> None:
    found = audit(plan_of(Sample(key="1", labelled=False)), Many(batched=Way(moved(1.5))))
    assert (len(found.rows[1].flips), found.rows[1].changed) == (1, 0)


def test_a_text_is_judged_by_the_margin_of_the_first_token_that_differs() -> None:
    row, found = audited(written("a x", (1, 7)))
    (flip,) = row.flips
    assert (flip.before, flip.after, flip.margin, flip.near_tie) == ("a b c", "a x", 0.0005, True)
    assert row.tokens == 10 - 2 - 2  # behind the first difference nothing is compared, nor the weighing that follows
    assert (row.largest, found.defects) == (0.0, [])
    (flip,) = audited(written("x", (7,)))[0].flips
    assert (flip.margin, flip.near_tie) == (2.0, False)


def test_a_text_that_ends_early_is_judged_by_what_the_longer_one_chose_there() -> None:
    (flip,) = audited(written("a", (1,)))[0].flips
    assert flip.margin == 0.0005
    (flip,) = audited(written("a b c d", (1, 2, 3, 4), (2.0, 2.0, 2.0, 0.3)))[0].flips
    assert flip.margin == 0.3


def test_a_text_of_beams_is_judged_by_the_score_of_the_whole() -> None:
    (flip,) = audited(written("a b d", (1, 2, 4)), task=Notes(beams=3))[0].flips
    assert flip.margin == pytest.approx(0.1 / 3)
    assert not flip.near_tie


def test_each_way_is_asked_on_with_its_own_answers() -> None:
    way = Way(written("a x", (1, 7)))
    audit(plan_of(), Many(batched=way))
    assert [each.prompt.text() for each in way.asked] == ["note 1", "note 2", "a x", "a b c"]


def test_an_option_of_other_tokens_is_no_rounding() -> None:
    def change(_request: Request, response: Response) -> Response:
        if isinstance(response, Generated):
            return response
        return Scored(tuple(replace(each, tokens=(9,)) for each in response.continuations))

    row, found = audited(change)
    assert row.largest == float("inf")
    assert len(found.defects) == 1
    assert found.to_json()["rows"][1]["largest"] is None


@pytest.mark.parametrize("spoilt", [float("nan"), float("-inf")])
def test_a_log_probability_that_is_no_number_is_no_rounding(spoilt: float) -> None:
    row, found = audited(moved(spoilt))
    assert row.largest == float("inf")
    assert "differ by up to inf nats" in found.defects[-1]


def test_failures_are_named_and_the_rest_is_compared() -> None:
    def change(request: Request, response: Response) -> Response | Failed:
        return Failed("too big\nfor 4 GB") if request.prompt.text() == "note 2" else response

    row, found = audited(change)
    assert (row.samples, dict(row.failed), found.defects) == (1, {"2": "too big\nfor 4 GB"}, [])
    assert "failed: batched, notes@mini|0, sample 2: too big for 4 GB" in audit_table(found).splitlines()


def test_a_way_of_which_nothing_can_be_compared_is_a_defect() -> None:
    row, found = audited(lambda _, __: Failed("too big"))
    assert (row.samples, row.largest) == (0, None)
    assert found.defects == ["nothing could be compared of batched, notes@mini|0"]


@pytest.mark.parametrize("model", [Way(), Many()])
def test_a_model_of_one_way_is_refused(model: Way) -> None:
    with pytest.raises(
        UsageError, match=r"expected a model that computes in several ways .* got many, which"
    ) as refused:
        audit(plan_of(), model)
    assert refused.value.exit_code == 64


def test_the_table_has_a_line_for_each_way_and_names_flips() -> None:
    lines = audit_table(audited(moved(1.5))[1]).splitlines()
    assert lines[0].split()[:3] == ["way", "task", "shots"]
    assert lines[2].split()[4:] == ["notes@mini", "0", "2", "10", "—", "—", "—", "—", "2", "0"]
    assert lines[3].split() == ["batched", "notes@mini", "0", "2", "10", "1.5", "2", "2", "2", "2", "0"]
    assert lines[6] == "flipped: batched, notes@mini|0, sample 1: 'yes' became 'no', margin 1 nats"


def test_the_table_names_a_few_and_counts_the_rest() -> None:
    found = audit(plan_of(*(Sample(key=f"{place}") for place in range(9))), Many(batched=Way(moved(1.5))))
    assert audit_table(found).splitlines()[-1] == "flipped: batched, notes@mini|0: 4 more"


def test_the_json_holds_the_rows_and_what_is_wrong() -> None:
    values = audited(moved(1.5))[1].to_json()
    assert values["reference"] == "one at a time"
    assert len(values["defects"]) == 2
    assert values["rows"][1]["flips"][0]["sample"] == "1"
