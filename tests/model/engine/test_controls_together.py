"""Asked together with its controls, a cell's answers are what they are alone, but for float rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from kosmos_eval.ask import ask_together, ask_unit
from kosmos_eval.config import RunConfig
from kosmos_eval.controls import CONTROLS
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Generated, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from kosmos_eval.model.engine.layout import SegmentTokenizer
    from kosmos_eval.model.kosmos import Kosmos
    from kosmos_eval.request import Failed, Response

TOLERANCE = 1e-4


class Variant(NamedTuple):
    positions: str
    connector: str


def logprobs(response: Response | Failed) -> tuple[list[int], list[float]]:
    """Return all tokens of a response, and their log-probabilities."""
    assert isinstance(response, Generated | Scored)
    rows: tuple[Any, ...] = (response,) if isinstance(response, Generated) else response.continuations
    return [each for row in rows for each in row.tokens], [each for row in rows for each in row.logprobs]


@pytest.mark.parametrize(("task", "shots"), [("raven", 1), ("hateful_memes", 1), ("vqav2", 0)])
def test_answers_do_not_depend_on_what_is_asked_beside_them(
    task: str, shots: int, make_model: Callable[[Variant], Kosmos], tokenizer: SegmentTokenizer
) -> None:
    names = [
        name for name in CONTROLS if (name != "text=none" or task != "raven") and name.startswith(("image", "text"))
    ]
    config = RunConfig(tasks=(task,), shots=(shots,), limit=3, data="mini", controls=tuple(names))
    plan = make_plan(config, Plugins())
    model = KosmosModel(make_model(Variant("xpos", "resampler")), tokenizer)
    (bundle,) = plan.bundles
    assert len(bundle) == 1 + len(names)
    parts = [(unit, plan.cell(unit.cell)) for unit in bundle]
    for part, together in zip(parts, ask_together(parts, model), strict=True):
        alone = ask_unit(*part, model)
        assert together.keys() == alone.keys()
        for key, exchanges in alone.items():
            for before, after in zip(exchanges, together[key], strict=True):
                assert before.request == after.request
                (tokens, known), (others, found) = logprobs(before.response), logprobs(after.response)
                assert tokens == others
                assert found == pytest.approx(known, abs=TOLERANCE)
