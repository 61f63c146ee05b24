"""Everything that can go wrong, as one tree; each branch knows the exit code of the command it ends.

    KosmosEvalError                 70  a defect of our own
    ├── UsageError                  64  the command cannot be carried out as it was typed
    │   ├── UnknownNameError        64  no task, model, report or setting of that name
    │   ├── PluginError             64  a plugin that is malformed, or two of one name
    │   └── RunRefusedError         64  the run folder belongs to other work, or to another process
    ├── DataError                   65  a dataset, an image or a checkpoint that cannot be read
    │   └── RequestFailedError      65  a request that the model could not take
    ├── IncompleteRunError          75  finished, and some samples failed; resuming asks them again
    └── RunInterruptedError        130  stopped half-way; the run folder can be resumed

A message is one line: what was expected, what was found, and what to do about it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kosmos_eval.record import RunRecord


class KosmosEvalError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 70


class UsageError(KosmosEvalError):
    """The command cannot be carried out as it was typed."""

    exit_code: ClassVar[int] = 64


class UnknownNameError(UsageError):
    """No thing of that kind has that name; the message offers the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Name the thing that was not found.

        Args:
            kind: what was looked for, as a noun ("task", "model", "setting of vqav2").
            name: what was typed.
            known: every name that would have done.
        """
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"no {kind} named {name!r}; {cure}")


class PluginError(UsageError):
    """A plugin is malformed, or two plugins share a name."""


class RunRefusedError(UsageError):
    """The run folder belongs to other work, or another process holds it."""


class DataError(KosmosEvalError):
    """A dataset, an image or a checkpoint cannot be read."""

    exit_code: ClassVar[int] = 65


class RequestFailedError(DataError):
    """The model could not take a request: it is too big for the machine, or too long for the model's positions."""

    def __init__(self, reason: str, excess: int | None = None) -> None:
        """Say why.

        Args:
            reason: as the model said it.
            excess: tokens beyond what the model's positions reach; `None` when that is not the reason.
        """
        self.excess = excess
        super().__init__(reason)


class IncompleteRunError(KosmosEvalError):
    """A run is finished and its results are written, but some samples failed and are in no score."""

    exit_code: ClassVar[int] = 75

    def __init__(self, message: str, record: RunRecord) -> None:
        """Name the failed samples.

        Args:
            message: which failed, why, and what to do.
            record: of the run, as written.
        """
        self.record = record
        super().__init__(message)


class RunInterruptedError(KosmosEvalError):
    """The run was stopped half-way and can be resumed."""

    exit_code: ClassVar[int] = 130
