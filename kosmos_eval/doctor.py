"""What this machine has of what kosmos-eval can use, and how to get what is missing.

Nothing is downloaded and no network is tried. Java is started once, if it is there: that it answers is the finding.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kosmos_eval.errors import KosmosEvalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kosmos_eval.metrics.captions.java import Machine
    from kosmos_eval.plugins import Kind, Plugins

State = Literal["ok", "optional", "missing"]

_OLDEST_PYTHON = (3, 11)
_PACKAGE = "kosmos-eval"
_LITTLE_DISK = 2 * 1024**3  # bytes: less is soon full of a dataset's pictures
_PATIENCE = 120.0  # seconds that Java may take here


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: of the thing: `Java`.
        state: `ok`; `optional`: missing, and only what needs it does not work; `missing`: nothing works without it.
        found: what is there, or what does not work.
        cure: how to get it; empty when it is there.
    """

    name: str
    state: State
    found: str
    cure: str = ""


def examine(plugins: Plugins, machine: Machine | None = None) -> list[Finding]:
    """Return a finding for each thing that kosmos-eval needs or can use.

    Args:
        plugins: those that are to be imported.
        machine: the Java machine that is started; `None` is one of its own, stopped afterwards.
    """
    return [
        _python(),
        *_packages(),
        _device(),
        *_caption_programs(machine),
        *_extras(),
        *_disk(),
        *_plugins(plugins),
    ]


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:  # pragma: no cover  no test runs under an older one
        return Finding("Python", "missing", found, "install Python 3.11 or later")
    return Finding("Python", "ok", found)


def _packages() -> Iterator[Finding]:
    """Yield torch, and every other required package that is not there."""
    try:
        names = [line for line in requires(_PACKAGE) or [] if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding(
            _PACKAGE, "missing", "not installed as a package, so no plugin is known", "pip install kosmos-eval"
        )
        return
    for line in sorted(names):
        name = line.split(";")[0].split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip()
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(name, "missing", "not installed", f"pip install '{line.split(';')[0].strip()}'")
            continue
        if name == "torch":
            yield Finding("torch", "ok", found)


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", "missing", "cannot be asked for without torch", "pip install torch")
    import torch  # noqa: PLC0415  it takes seconds to import

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count()))
        return Finding("device", "ok", f"{torch.cuda.device_count()} GPU: {names}")
    return Finding("device", "ok", f"CPU, {os.cpu_count()} cores; no GPU that torch can use")


def _caption_programs(machine: Machine | None) -> Iterator[Finding]:
    """Yield Java, METEOR and SPICE; the first two by using them."""
    from kosmos_eval.metrics.captions import java, spice  # noqa: PLC0415  numpy, where it is needed

    used = machine or java.Machine(_PATIENCE)
    try:
        yield _answers("Java", lambda: f"{used.version()} at {java.java_command()}")
        yield _answers("METEOR", lambda: f"1.5 ({len(used.align(['a dog'], [['the dog']])[0].split())} statistics)")
    finally:
        if machine is None:
            used.close()
    lacking = spice.missing()
    if lacking:
        yield Finding("SPICE", "optional", "not available; captions have no SPICE", lacking)
    else:
        yield Finding("SPICE", "ok", f"1.0, with {spice.CORENLP[0]}; not started here")


def _answers(name: str, ask: Callable[[], str]) -> Finding:
    from kosmos_eval.metrics.captions.java import JavaError  # noqa: PLC0415  as above

    lost = {
        "Java": "not available; captions are tokenised in Python, with the same tokens",
        "METEOR": "not available; captions have no METEOR",
    }
    try:
        return Finding(name, "ok", ask())
    except JavaError as error:
        return Finding(name, "optional", lost[name], str(error))


def _extras() -> Iterator[Finding]:
    """Yield the packages that only some work needs."""
    for name, module, use in (
        ("altair", "altair", "charts of a training"),
        ("vl-convert", "vl_convert", "charts of a training as pictures"),
        ("transformers", "transformers", "nothing but comparisons with other libraries"),
    ):
        there = importlib.util.find_spec(module) is not None
        extra = "kosmos-eval[train]" if name != "transformers" else "transformers"
        if there:
            yield Finding(name, "ok", f"for {use}")
        else:
            yield Finding(name, "optional", f"not installed; needed for {use}", f"pip install '{extra}'")


def _disk() -> Iterator[Finding]:
    """Yield the free disk of the working folder and of the cache of the Hugging Face Hub."""
    hub = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    for name, folder in (("disk here", Path.cwd()), ("disk of the hub's cache", hub)):
        place = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(place).free
        said = f"{free / 1024**3:,.0f} GiB free at {folder}"
        if free < _LITTLE_DISK:
            yield Finding(
                name, "optional", said, "make room, or work in another folder (HF_HOME moves the hub's cache)"
            )
        else:
            yield Finding(name, "ok", said)


def _plugins(plugins: Plugins) -> Iterator[Finding]:
    """Yield how many plugins can be imported, and each that cannot."""
    kinds: tuple[tuple[Kind, Callable[[str], object]], ...] = (
        ("task", plugins.task),
        ("model", plugins.model),
        ("report", plugins.report),
    )
    for kind, load in kinds:
        own, broken = set(plugins.built_in(kind)), 0
        for name in plugins.names(kind):
            try:
                plugin = load(name)
            except KosmosEvalError as error:
                broken += 1
                state: State = "missing" if name in own else "optional"
                yield Finding(f"{kind} {name}", state, str(error), _cure(name in own))
                continue
            lacking = [program for program in getattr(plugin, "requires", ()) if shutil.which(program) is None]
            if lacking:
                yield Finding(
                    f"{kind} {name}", "optional", f"needs {', '.join(lacking)}", f"put {', '.join(lacking)} on PATH"
                )
        yield Finding(f"{kind}s", "ok", f"{len(plugins.names(kind)) - broken} can be imported")


def _cure(built_in: bool) -> str:  # noqa: FBT001  it is the whole question
    return "reinstall kosmos-eval" if built_in else "mend or uninstall the package that brings it"
