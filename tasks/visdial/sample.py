"""One round of a dialogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.metrics.retrieval import chance_ndcg
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kosmos_eval.prompt import Image


class Turn(NamedTuple):
    """A question and its answer, which is empty where it is not known."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class VisDialSample(Sample):
    """A round of a dialogue. Its key is `{image_id}-{round_id}`, its cluster the picture.

    Attributes:
        image: what the dialogue is about.
        image_id: of the picture.
        round_id: from 1.
        caption: of the picture, from which the dialogue began.
        history: the rounds before.
        turn: the round.
        candidates: answers to be ranked; none where the round only serves as an exemplar.
        target: index of the right one; `None` when unlabelled.
        relevance: of each candidate, as annotators judged; empty where they did not.
    """

    image: Image
    image_id: int
    round_id: int
    caption: str
    history: tuple[Turn, ...]
    turn: Turn
    candidates: tuple[str, ...] = ()
    target: int | None = None
    relevance: tuple[float, ...] = ()


def make_sample(
    image: Image,
    image_id: int,
    caption: str,
    turns: Sequence[Turn],
    *,
    candidates: tuple[str, ...] = (),
    target: int | None = None,
    relevance: tuple[float, ...] = (),
) -> VisDialSample:
    """Return the sample of a dialogue's last round.

    Args:
        image: what the dialogue is about.
        image_id: of the picture.
        caption: likewise.
        turns: up to the round.
        candidates: as of `VisDialSample`, and so the others.
        target: without one, the sample is unlabelled if its answer is not known.
        relevance: likewise.
    """
    *history, turn = turns
    groups = {"round": f"{len(turns):02}"}
    if relevance:
        groups["relevances"] = "judged"  # so that results say how many rounds NDCG is the mean of
    return VisDialSample(
        key=f"{image_id}-{len(turns)}",
        cluster=str(image_id),
        groups=groups,
        chance=chance_ndcg(relevance) if relevance else None,
        labelled=bool(turn.answer),
        image=image,
        image_id=image_id,
        round_id=len(turns),
        caption=caption,
        history=tuple(history),
        turn=turn,
        candidates=candidates,
        target=target,
        relevance=relevance,
    )
