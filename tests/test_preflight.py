from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import PIL.Image
import pytest

from kosmos_eval.config import RunConfig
from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.preflight import check_requirements, preflight
from kosmos_eval.prompt import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kosmos_eval.plan import Plan

PLUGINS = Path(__file__).parent / "plugins"


def plan_of_files(folder: Path, exemplars: int = 0) -> Plan:
    """Return a plan whose samples show picture files: 0.png to 13.png, and exemplars 14.png to 27.png."""
    plugins = Plugins([PLUGINS])
    letters: Any = plugins.task("letters")

    @dataclass(frozen=True)
    class FromFiles(letters):  # type: ignore[misc]  # the class comes from a plugin
        def samples(self, split: str, source: Source) -> Iterator[Any]:
            first = 0 if split == "val" else 14
            for number, sample in enumerate(super().samples(split, source)):
                image = Image.from_file(folder / f"{first + number // 3}.png")
                yield type(sample)(**{**vars(sample), "image": image})

    plugins._loaded["task", "letters"] = FromFiles
    for number in range(28):
        PIL.Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number}.png")
    return make_plan(RunConfig(tasks=("letters",), model="scripted", shots=(exemplars,), report=()), plugins)


def test_sound_pictures_pass(tmp_path: Path) -> None:
    preflight(plan_of_files(tmp_path, exemplars=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_corrupt_picture_among_many_is_named_and_others_are_counted(tmp_path: Path) -> None:
    plan = plan_of_files(tmp_path)
    for number in (5, 7):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match=r"[57]\.png: cannot be read .*; unreadable images in all: 2"):
        preflight(plan, tmp_path / "run")


def test_a_corrupt_picture_of_an_exemplar_is_found_too(tmp_path: Path) -> None:
    plan = plan_of_files(tmp_path, exemplars=4)
    for number in range(14, 28):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"\d\d\.png: cannot be read"):
        preflight(plan, tmp_path / "run")


def test_a_full_disk_is_refused_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of_files(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1024))
    with pytest.raises(UsageError, match=r"expected \d+ MiB free .* got 0 MiB"):
        preflight(plan, tmp_path / "run")


def test_a_task_that_lacks_a_program_is_refused_by_name() -> None:
    @dataclass(frozen=True)
    class NeedsJava:
        name: ClassVar[str] = "captions"
        sources: ClassVar[tuple[str, ...]] = ("mini",)
        requires: ClassVar[tuple[str, ...]] = ("no-such-java",)

    task: Any = NeedsJava()
    with pytest.raises(UsageError, match="captions needs the program 'no-such-java'"):
        check_requirements(task, Source("mini"))


def test_a_source_that_a_task_cannot_read_is_refused_with_those_it_can() -> None:
    task: Any = Plugins([PLUGINS]).task("letters")()
    with pytest.raises(UsageError, match="letters cannot read --data hub; it reads --data mini"):
        check_requirements(task, Source("hub"))
