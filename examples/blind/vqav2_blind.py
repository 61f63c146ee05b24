"""VQAv2 with every picture left out of the prompt: what a model answers from the text alone.

    kosmos-eval run --include_path examples/blind --tasks vqav2,vqav2-blind --shots 0,4

The distance between the two is what the model takes from the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate
from kosmos_eval.tasks.vqav2 import VQASample, VQAv2

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from kosmos_eval.request import Request, Response


@dataclass(frozen=True)
class BlindVQAv2(VQAv2):
    """VQAv2 without pictures."""

    name: ClassVar[str] = "vqav2-blind"
    description: ClassVar[str] = "VQA v2.0 with the pictures left out: a control."
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # a control is no row of a paper

    def ask(self, sample: VQASample, exemplars: Sequence[VQASample]) -> Generator[Request, Response, str]:
        """Ask what VQAv2 asks, without the pictures."""
        asking = super().ask(sample, exemplars)
        request = next(asking)
        while True:
            assert isinstance(request, Generate)
            text = (part for part in request.prompt.parts if not isinstance(part, Image))
            response = yield replace(request, prompt=Prompt.of(" ".join(text)))
            try:
                request = asking.send(response)
            except StopIteration as done:
                answer: str = done.value
                return answer


TASKS = (BlindVQAv2,)
