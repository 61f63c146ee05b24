"""lm-eval's own YAML files, searched by their text.

lm-eval reads all its 14,000 files to know any name, which takes some 15 seconds, and minutes on a busy machine. A name
stands somewhere in the text of the files that say what it is, or of a template that these include; so it is looked for
there, in a second, and lm-eval reads only the files where it is found.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TASK_LINE = re.compile(rb"""^["']?task["']?:[ \t]*(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'#]+))""", re.MULTILINE)
_GROUP_LINE = re.compile(rb"""^["']?group["']?:[ \t]*(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'#]+))""", re.MULTILINE)
_TAG_LINES = re.compile(rb"""^["']?tag["']?:([^\n]*(?:\n[ \t]*-[^\n]*)*)""", re.MULTILINE)
_INCLUDE_LINES = re.compile(rb"""^["']?include["']?:([^\n]*(?:\n[ \t]*-[^\n]*)*)""", re.MULTILINE)
_WORD = re.compile(rb"""[^\s"'#,\[\]]+""")
_NO_FOLDERS = frozenset({"__pycache__", ".ipynb_checkpoints"})


class _File(NamedTuple):
    path: str
    text: bytes


class ShippedFiles:
    """What lm-eval's own files say of a name; nothing is read before it is asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder, which is lm-eval's own by default."""
        self._folder = folder

    @cached_property
    def tasks(self) -> Mapping[str, Path]:
        """The tasks that files name, each with its file."""
        found: dict[str, Path] = {}
        for file in self._files:
            if file.path.endswith(".yaml") and (line := _TASK_LINE.search(file.text)) is not None:
                found.setdefault(_first(line), Path(file.path))
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The tasks, groups and tags that files name, to look for one that is near an unknown one."""
        groups = {_first(line) for file in self._files for line in _GROUP_LINE.finditer(file.text)}
        lines = {line[1] for file in self._files for line in _TAG_LINES.finditer(file.text)}
        tags = {word.decode() for line in lines for word in _WORD.findall(line)} - {"-"}
        return frozenset({*self.tasks, *groups, *tags})

    def index(self, name: str) -> Mapping[str, Any]:
        """Return lm-eval's index of the files that may say what a name stands for; of others it may hold a part."""
        paths = list(self._saying(name))
        if not paths:
            return {}
        from lm_eval.tasks._index import TaskIndex  # noqa: PLC0415  lm-eval takes seconds to import
        from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  as above

        found: dict[str, Any] = {}
        for path in paths:
            try:
                TaskIndex.process_cfg(load_yaml(path, resolve_func=False), path, found)
            except Exception:  # noqa: BLE001, S112  lm-eval passes over what it cannot read, too
                continue
        return found

    def _saying(self, name: str) -> Iterator[Path]:
        """Yield the YAML files in whose text a name stands, or in that of a file that they include."""
        word = re.compile(rb"(?<!\w)" + re.escape(name.encode()) + rb"(?!\w)")
        saying = {file.path for file in self._files if word.search(file.text)}
        new = saying
        while new:
            new = {each for path in new for each in self._included_by.get(path, ())} - saying
            saying |= new
        return (Path(file.path) for file in self._files if file.path in saying and file.path.endswith(".yaml"))

    @cached_property
    def _included_by(self) -> Mapping[str, set[str]]:
        """File to the files that include it."""
        found: dict[str, set[str]] = {}
        for file in self._files:
            folder = os.path.dirname(file.path)  # noqa: PTH120  of 14,000 files, ten times as fast as a Path
            for line in _INCLUDE_LINES.finditer(file.text):
                for word in _WORD.findall(line[1]):
                    included = os.path.normpath(os.path.join(folder, word.decode()))  # noqa: PTH118  as above
                    found.setdefault(included, set()).add(file.path)
        return found

    @cached_property
    def _files(self) -> tuple[_File, ...]:
        """The YAML files and the templates, whose names end otherwise, in lm-eval's order."""
        folder = self._folder or _own_folder()
        paths = [
            os.path.join(place, name)  # noqa: PTH118  as above
            for place, _, names in os.walk(folder)
            if place.rpartition(os.sep)[2] not in _NO_FOLDERS
            for name in names
            if not name.endswith((".py", ".md"))
        ]
        return tuple(_File(path, Path(path).read_bytes()) for path in sorted(paths))


def _own_folder() -> Path:
    import lm_eval  # noqa: PLC0415  lm-eval takes a second to import

    return Path(lm_eval.__path__[0]) / "tasks"


def _first(line: re.Match[bytes]) -> str:
    return (line[1] or line[2] or line[3]).decode()
