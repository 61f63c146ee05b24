"""Proves a task without a model: what a benchmark's reading, asking and scoring must hold, tried on its own samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from kosmos_eval.errors import KosmosEvalError
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.proving.data import prove_contents, prove_determinism, prove_record, prove_splits
from kosmos_eval.proving.prompts import prove_exemplars, prove_images, prove_leak
from kosmos_eval.proving.scores import prove_bounds, prove_empty, prove_gold, prove_options
from kosmos_eval.proving.subject import NotProvable, Subject
from kosmos_eval.rices import rank_exemplars
from kosmos_eval.selection import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kosmos_eval.config import RunConfig

PROOFS: Mapping[str, Callable[[Subject], str]] = MappingProxyType(
    {
        "contents": prove_contents,
        "splits": prove_splits,
        "determinism": prove_determinism,
        "images": prove_images,
        "leak": prove_leak,
        "exemplars": prove_exemplars,
        "gold": prove_gold,
        "empty": prove_empty,
        "options": prove_options,
        "bounds": prove_bounds,
        "record": prove_record,
    }
)
"""Every proof, by the name that `kosmos_eval.task.About.exempt` knows it by."""

Outcome = Literal["pass", "fail", "n/a"]


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one proof.

    Attributes:
        name: of the proof, as `About.exempt` spells it.
        outcome: whether it holds; `n/a` where the question does not arise or the task says why it cannot hold.
        detail: what was looked at, what does not hold and for which sample, or why it is not applicable.
    """

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Validation:
    """What came of all proofs of one task, or of one part of it.

    Attributes:
        task: its label, `refcoco:testA@mini`.
        version: of the task.
        checks: in the order of `PROOFS`; a task whose samples cannot be read has only `samples`.
    """

    task: str
    version: int
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if check.outcome == "fail")

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        checks = [{"name": each.name, "outcome": each.outcome, "detail": each.detail} for each in self.checks]
        return {"task": self.task, "version": self.version, "failed": len(self.failed), "checks": checks}


def validate(config: RunConfig) -> Iterator[Validation]:
    """Yield what comes of proving each task that a configuration names, one after the other.

    Args:
        config: `tasks`, `data`, `settings`, `shots`, `exemplars` and `seed` say what is tried, `limit` how many
            samples; a model is loaded only for exemplars that it chooses.

    Raises:
        UsageError: a name or setting is unknown.
    """
    plugins = Plugins(map(Path, config.include_path))
    for part in expand(config.tasks, plugins):
        kind = plugins.task(part.task)
        own = {key: values for key, values in config.settings.items() if key.partition(":")[0] == part.task}
        data = config.data or ("mini" if "mini" in kind.sources else "hub")
        alone = config.model_copy(update={"tasks": (part.name,), "settings": own, "data": data, "report": ()})
        yield _validate(alone, plugins, kind.version)


def _validate(config: RunConfig, plugins: Plugins, version: int) -> Validation:
    try:
        subject = Subject(rank_exemplars(make_plan(config, plugins)), plugins)
    except Exception as error:  # noqa: BLE001  a defect of the task is what is looked for
        label = f"{config.tasks[0]}@mini" if config.data == "mini" else config.tasks[0]
        return Validation(label, version, (Check("samples", "fail", _fault(error)),))
    return Validation(subject.cell.label, version, tuple(_check(subject, name) for name in PROOFS))


def _check(subject: Subject, name: str) -> Check:
    try:
        return Check(name, "pass", PROOFS[name](subject))
    except NotProvable as reason:
        return Check(name, "n/a", str(reason))
    except Exception as error:  # noqa: BLE001  as above
        fault = _fault(error)
    if name in subject.exempt:
        return Check(name, "n/a", f"{subject.exempt[name]} ({fault})")
    return Check(name, "fail", fault)


def _fault(error: Exception) -> str:
    """Return what an error says, and what a defect of the task's own code is and where it showed."""
    if isinstance(error, KosmosEvalError):
        return str(error)
    return ", ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])


def as_text(found: Validation) -> str:
    """Return a task's checks for people: its label, then a line a check."""
    width = max(len(check.name) for check in found.checks)
    rows = (f"  {check.outcome.upper():<4}  {check.name:<{width}}  {check.detail}" for check in found.checks)
    return "\n".join([f"{found.task}, version {found.version}", *(" ".join(row.splitlines()) for row in rows)])
