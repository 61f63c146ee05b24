"""Asks a model all that the samples of units want to know, and replays recorded answers without one.

A task's `ask` is a generator of requests. Asking keeps the requests of all samples of a unit, and of the units that are
asked with it, pending at once, round by round: every first request, then every second one. A request that the model
cannot take ends its sample's asking, and the failure is recorded as the sample's last exchange. Replaying sends each
generator its recorded responses; a request that is not the one recorded is an error, for the answer would belong to
another question.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kosmos_eval.errors import DataError, KosmosEvalError
from kosmos_eval.journal import Recorded
from kosmos_eval.request import Failed, Generate, Generated, Scored, request_digest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from kosmos_eval.language_model import Model
    from kosmos_eval.plan import Cell, Unit
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Sample


def ask_unit(unit: Unit, cell: Cell, model: Model) -> dict[str, list[Recorded]]:
    """Return every exchange of a unit's samples: see `ask_together`."""
    return ask_together([(unit, cell)], model)[0]


def ask_together(parts: Sequence[tuple[Unit, Cell]], model: Model) -> list[dict[str, list[Recorded]]]:
    """Return every exchange of each unit's samples: sample key to requests and responses in order.

    Args:
        parts: units with their cells; all hold as many samples. The first sample of each is asked first, side by side.
        model: that is asked.

    Raises:
        KosmosEvalError: the model answered something that was not asked, or left something out.
    """
    exchanges: list[dict[str, list[Recorded]]] = [{key: [] for key in unit.keys} for unit, _ in parts]
    rows = zip(*(unit.keys for unit, _ in parts), strict=True)
    places = [(place, key) for row in rows for place, key in enumerate(row)]
    asking = [_start(parts[place][1], key) for place, key in places]
    pending: dict[int, Request] = {number: next(ask) for number, ask in enumerate(asking)}  # the pre-flight did, too
    while pending:
        responses: dict[int, Response | Failed] = dict(model.answer(pending.items()))
        if responses.keys() != pending.keys():
            which = parts[0][0].id
            message = f"unit {which}: expected {len(pending)} answers from the model, got {len(responses)} or others"
            raise KosmosEvalError(message)
        for number, request in list(pending.items()):
            response = responses[number]
            place, key = places[number]
            unit = parts[place][0]
            exchanges[place][key].append(Recorded(request_digest(request), response))
            if isinstance(response, Failed):
                asking[number].close()
                del pending[number]
                continue
            _check_kind(unit, key, request, response)
            try:
                with about(f"{unit.cell}, sample {key}"):
                    pending[number] = asking[number].send(response)
            except StopIteration:
                del pending[number]
    return exchanges


def _start(cell: Cell, key: str) -> Generator[Request, Response, Any]:
    sample = cell.samples[key]
    return cell.ask(sample, cell.exemplars(sample))


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Name what was being worked on, in the trace of a defect in a task's own code."""
    try:
        yield
    except (KosmosEvalError, StopIteration):
        raise
    except Exception as error:
        error.add_note(f"while working on {subject}")
        raise


def _check_kind(unit: Unit, key: str, request: Request, response: Response) -> None:
    """Raise `KosmosEvalError` unless the response is of the request's kind and whole."""
    if isinstance(request, Generate):
        expected, fits = "a Generated", isinstance(response, Generated)
    else:
        count = len(request.continuations)
        expected = f"a Scored with {count} log-likelihoods"
        fits = isinstance(response, Scored) and len(response.continuations) == count
    if not fits:
        message = f"unit {unit.id}: expected {expected} for sample {key} from the model, got {response!r:.80}"
        raise KosmosEvalError(message)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a sample asked, what came back, and the answer that its task made of it.

    Attributes:
        requests: in order.
        responses: one to each request; one fewer when the last request failed.
        answer: `None` when the last request failed.
        failed: what stands in place of the last response, when the model could not take the request.
    """

    requests: tuple[Request, ...]
    responses: tuple[Response, ...]
    answer: Any
    failed: Failed | None = None


def replay(cell: Cell, sample: Sample, exemplars: Sequence[Sample], recorded: Sequence[Recorded]) -> Replayed:
    """Return a sample's answer from its recorded responses.

    Raises:
        DataError: the task asks something else than what was recorded, or more, or less.
    """
    asking = cell.ask(sample, exemplars)
    requests: list[Request] = []
    responses: list[Response] = []
    request = next(asking)
    for number, each in enumerate(recorded):
        if request_digest(request) != each.request:
            message = f"{cell.name}: sample {sample.key} now asks something else than the journal holds; run it anew"
            raise DataError(message)
        requests.append(request)
        if isinstance(each.response, Failed):
            asking.close()
            return Replayed(tuple(requests), tuple(responses), None, each.response)
        responses.append(each.response)
        try:
            request = asking.send(each.response)
        except StopIteration as done:
            if number + 1 == len(recorded):
                return Replayed(tuple(requests), tuple(responses), done.value)
            break
    than = "fewer" if len(requests) < len(recorded) else "more"
    message = f"{cell.name}: sample {sample.key} now asks {than} questions than the journal holds; run it anew"
    raise DataError(message)


def recorded_of(answers: Mapping[str, Sequence[Recorded]], key: str, cell: Cell) -> Sequence[Recorded]:
    """Return a sample's exchanges out of a unit's.

    Raises:
        DataError: the unit holds no such sample.
    """
    if key not in answers:
        message = f"{cell.name}: the journal holds no answer for sample {key}; run it anew"
        raise DataError(message)
    return answers[key]
