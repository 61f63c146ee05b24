"""kosmos-eval: an evaluation harness for KOSMOS-style multimodal language models.

>>> import kosmos_eval
>>> record = kosmos_eval.evaluate(tasks=["vqav2", "raven"], shots=[0, 4])  # doctest: +SKIP
>>> record = kosmos_eval.load("runs/...")  # doctest: +SKIP
>>> ablation = kosmos_eval.ablate(preset="image-encoder")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosmos_eval.ablation.running import ablate
    from kosmos_eval.record import load
    from kosmos_eval.run import evaluate

__all__ = ["ablate", "evaluate", "load"]

_HOMES = {"ablate": "kosmos_eval.ablation.running", "evaluate": "kosmos_eval.run", "load": "kosmos_eval.record"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  the type checker sees the imports above
    """Return a public function, imported when it is first asked for: the command line's --help must not wait for it."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
