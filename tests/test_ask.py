"""A unit's questions are asked round by round, and recorded answers go only to the questions they answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from kosmos_eval.ask import ask_unit, recorded_of, replay
from kosmos_eval.config import RunConfig
from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.journal import Recorded
from kosmos_eval.plan import Cell, Unit
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Failed, Generate, Generated, LogLikelihood, Score, Scored, request_digest
from kosmos_eval.task import Metric, Sample

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.request import Request, Response


@dataclass(frozen=True)
class Riddles:
    """Ask each sample so many questions as its key says, each made of the answer before; then weigh two options."""

    name: ClassVar[str] = "riddles"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Riddles in several stages."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of right answers"),)
    split: str = "val"
    exemplar_split: str = "train"
    question: str = "why?"
    fewer: int = 0

    def samples(self, split: str, source: Source) -> Iterator[Sample]:
        raise NotImplementedError

    def ask(self, sample: Sample, exemplars: Sequence[Sample]) -> Generator[Request, Response, str]:
        said = f"{[each.key for each in exemplars]}"
        for _ in range(int(sample.key) - self.fewer):
            response = yield Generate(Prompt.of(said, self.question), max_new_tokens=3)
            assert isinstance(response, Generated)
            said = response.text
        weighed = yield Score(Prompt.of(said), (Continuation("yes"), Continuation("no")))
        assert isinstance(weighed, Scored)
        return f"{said} {weighed.continuations[0].total}"

    def score(self, sample: Sample, answer: str) -> Any:  # noqa: ANN401  not called here
        raise NotImplementedError


class Echo:
    """A model that answers by rule, last request first, and remembers in what rounds it was asked."""

    facts: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.rounds: list[list[Request]] = []

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        held = list(requests)
        self.rounds.append([request for _, request in held])
        for number, request in reversed(held):
            yield number, self.respond(request)

    def respond(self, request: Request) -> Response:
        if isinstance(request, Generate):
            return Generated(f"({request.prompt.text()})", (1,), (-0.5,), "eos")
        total = -float(len(request.prompt.text()))
        return Scored(
            tuple(LogLikelihood((1,), (total,), len(each.text), greedy=False) for each in request.continuations)
        )


def cell_of(*keys: str, shots: int = 0, task: Riddles | None = None) -> Cell:
    return Cell(
        task or Riddles(),
        Source("mini"),
        shots,
        {key: Sample(key=key) for key in keys},
        len(keys),
        RunConfig(tasks=("riddles",)),
        ExemplarPool([Sample(key=f"solved {number}") for number in range(5)]),
    )


def unit_of(cell: Cell) -> Unit:
    return Unit("riddles@mini|0/00000", cell.name, tuple(cell.samples))


def test_stages_are_asked_in_rounds_and_answers_reach_their_own_question() -> None:
    cell, model = cell_of("0", "1", "2"), Echo()
    exchanges = ask_unit(unit_of(cell), cell, model)
    assert [len(requests) for requests in model.rounds] == [3, 2, 1]
    assert {key: len(done) for key, done in exchanges.items()} == {"0": 1, "1": 2, "2": 3}
    texts = [each.response.text for each in exchanges["2"] if isinstance(each.response, Generated)]
    assert texts == ["([]why?)", "(([]why?)why?)"]


def test_what_is_recorded_is_the_digest_of_what_was_asked() -> None:
    cell, model = cell_of("1"), Echo()
    exchanges = ask_unit(unit_of(cell), cell, model)
    asked = [request_digest(request) for requests in model.rounds for request in requests]
    assert [each.request for each in exchanges["1"]] == asked


def test_samples_that_ask_the_same_are_answered_each() -> None:
    cell = cell_of("1", "01", "001")
    exchanges = ask_unit(unit_of(cell), cell, Echo())
    assert exchanges["1"] == exchanges["01"] == exchanges["001"]


def test_a_replay_gives_the_answer_of_the_asking() -> None:
    cell = cell_of("0", "2", shots=2)
    exchanges = ask_unit(unit_of(cell), cell, Echo())
    for key, sample in cell.samples.items():
        exemplars = cell.exemplars(sample)
        replayed = replay(cell, sample, exemplars, exchanges[key])
        assert [request_digest(request) for request in replayed.requests] == [each.request for each in exchanges[key]]
        assert list(replayed.responses) == [each.response for each in exchanges[key]]
        said = f"{[each.key for each in exemplars]}"
        expected = said if key == "0" else f"(({said}why?)why?)"
        assert replayed.answer == f"{expected} {-float(len(expected))}"


def test_a_replay_refuses_questions_that_changed() -> None:
    cell = cell_of("2")
    recorded = ask_unit(unit_of(cell), cell, Echo())["2"]
    for other in (replace(cell, task=Riddles(question="how?")), cell_of("2", shots=1)):
        sample = other.samples["2"]
        with pytest.raises(DataError, match="sample 2 now asks something else than the journal holds; run it anew"):
            replay(other, sample, other.exemplars(sample), recorded)


def test_a_replay_refuses_more_questions_and_fewer() -> None:
    cell = cell_of("2")
    recorded = ask_unit(unit_of(cell), cell, Echo())["2"]
    sample = cell.samples["2"]
    for held in (recorded[:2], recorded[:1], []):
        with pytest.raises(DataError, match="sample 2 now asks more questions than the journal holds"):
            replay(cell, sample, (), held)
    with pytest.raises(DataError, match="sample 2 now asks fewer questions than the journal holds"):
        replay(cell, sample, (), [*recorded, recorded[0]])


class Faulty(Echo):
    """A model that does something else with its answers."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response]]:
        answers = list(super().answer(requests))
        if self.fault == "forgets one":
            answers.pop()
        elif self.fault == "answers another":
            answers[0] = (99, answers[0][1])
        elif self.fault == "answers one too many":
            answers.append((99, answers[0][1]))
        yield from answers


@pytest.mark.parametrize("fault", ["forgets one", "answers another", "answers one too many"])
def test_answers_to_anything_but_what_was_asked_are_refused(fault: str) -> None:
    cell = cell_of("0", "1")
    with pytest.raises(KosmosEvalError, match=r"unit riddles@mini\|0/00000: expected 2 answers from the model"):
        ask_unit(unit_of(cell), cell, Faulty(fault))


@pytest.mark.parametrize(
    ("key", "response", "expected"),
    [
        ("1", Scored((LogLikelihood((1,), (-1.0,), 3, greedy=True),)), "expected a Generated for sample 1"),
        ("0", Generated("yes", (1,), (-1.0,), "eos"), "expected a Scored with 2 log-likelihoods for sample 0"),
        ("0", Scored((LogLikelihood((1,), (-1.0,), 3, greedy=True),)), "expected a Scored with 2 log-likelihoods"),
    ],
)
def test_a_response_of_another_kind_or_length_is_refused(key: str, response: Response, expected: str) -> None:
    class Wrong(Echo):
        def respond(self, request: Request) -> Response:  # noqa: ARG002  it does not listen
            return response

    cell = cell_of(key)
    with pytest.raises(KosmosEvalError, match=expected):
        ask_unit(unit_of(cell), cell, Wrong())


class Small(Echo):
    """A model that cannot take what is longer than so many characters, nor weigh anything if so said."""

    def __init__(self, longest: int, *, weighs: bool = True) -> None:
        super().__init__()
        self.longest = longest
        self.weighs = weighs

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:  # type: ignore[override]  # it also fails
        for number, response in super().answer(held := list(requests)):
            request = dict(held)[number]
            fits = len(request.prompt.text()) <= self.longest and (self.weighs or isinstance(request, Generate))
            yield number, response if fits else Failed("too long", len(request.prompt.text()) - self.longest)


def test_a_failure_ends_its_sample_s_asking_and_no_other_s() -> None:
    cell, model = cell_of("0", "1", "2", "3"), Small(9)  # the prompts are []why?, ([]why?)why?, ...
    exchanges = ask_unit(unit_of(cell), cell, model)
    whole = ask_unit(unit_of(cell), cell, Echo())
    assert [len(requests) for requests in model.rounds] == [4, 3]
    assert exchanges["0"] == whole["0"]
    assert exchanges["1"] == whole["1"]
    for key in ("2", "3"):
        assert exchanges[key] == [whole[key][0], Recorded(whole[key][1].request, Failed("too long", 3))]


@pytest.mark.parametrize("model", [Small(0), Small(9), Small(99, weighs=False)])
def test_a_replay_of_a_failure_has_no_answer(model: Small) -> None:
    cell = cell_of("2")
    recorded = ask_unit(unit_of(cell), cell, model)["2"]
    replayed = replay(cell, cell.samples["2"], (), recorded)
    assert [request_digest(request) for request in replayed.requests] == [each.request for each in recorded]
    assert replayed.responses == tuple(each.response for each in recorded[:-1])
    assert (replayed.answer, replayed.failed) == (None, recorded[-1].response)
    assert isinstance(replayed.failed, Failed)


def test_a_replay_refuses_a_failure_of_another_question() -> None:
    cell = cell_of("2")
    recorded = ask_unit(unit_of(cell), cell, Small(0))["2"]
    other = replace(cell, task=Riddles(question="how?"))
    with pytest.raises(DataError, match="sample 2 now asks something else"):
        replay(other, other.samples["2"], (), recorded)


def test_a_sample_that_the_journal_lacks_is_named() -> None:
    cell = cell_of("0")
    with pytest.raises(DataError, match=r"riddles@mini\|0: the journal holds no answer for sample 0; run it anew"):
        recorded_of({"1": [Recorded("", Generated("", (), (), "eos"))]}, "0", cell)
