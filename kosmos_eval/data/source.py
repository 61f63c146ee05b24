"""The three sources of samples, as a value that a task is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kosmos_eval.errors import UsageError

SourceKind = Literal["mini", "hub", "folder"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a task's samples come from.

    Attributes:
        kind: `mini` the embedded stand-in, `hub` Hugging Face datasets, `folder` the official files.
        path: the folder of the official files; `None` for the other kinds.
    """

    kind: SourceKind
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Return the source that `--data` names: `mini`, `hub`, or a folder.

        Raises:
            UsageError: the text is neither a kind of source nor an existing folder.
        """
        if text == "mini":
            return cls("mini")
        if text == "hub":
            return cls("hub")
        path = Path(text).expanduser()
        if not path.is_dir():
            message = f"--data {text}: expected mini, hub or an existing folder, and there is no such folder"
            raise UsageError(message)
        return cls("folder", path.resolve())

    @property
    def folder(self) -> Path:
        """The folder of a `folder` source.

        Raises:
            UsageError: the source is of another kind.
        """
        if self.path is None:
            message = f"expected a folder of official files (--data DIR), got --data {self.kind}"
            raise UsageError(message)
        return self.path

    def label(self, task: str) -> str:
        """Return the task's name as results show it: stand-ins are marked, `vqav2@mini`."""
        return f"{task}@mini" if self.kind == "mini" else task

    def __str__(self) -> str:
        return str(self.path) if self.kind == "folder" else self.kind
