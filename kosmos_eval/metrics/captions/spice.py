"""SPICE 1.0, by the official Java program; it needs Stanford CoreNLP 3.6.0 beside it, which is not distributed with it.

Source: Anderson et al. 2016; spice-1.0.jar and pycocoevalcap/spice/spice.py in salaniz/pycocoevalcap 1.2. SPICE of the
corpus is the mean of the sentences' F-scores. The program runs in a process of its own, once a call, from a folder of
links, so that the installed package is left as it is.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kosmos_eval.corpus import CorpusScore, mean_of

from .java import JavaError, jars, java_command

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER_VARIABLE = "KOSMOS_EVAL_CORENLP"
"""Environment variable: the folder that holds the jars of CoreNLP."""

CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
"""What SPICE needs of Stanford CoreNLP 3.6.0 (stanford-corenlp-full-2015-12-09.zip)."""

PATIENCE = 4 * 3600.0
"""Seconds that SPICE may take: it parses every caption, some hundred a minute."""

_HEAP = "-Xmx8G"  # as pycocoevalcap gives it


def missing() -> str:
    """Return what of SPICE's is missing, with the cure; empty when all is there."""
    try:
        _corenlp()
    except JavaError as error:
        return str(error)
    return ""


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]], patience: float = PATIENCE) -> CorpusScore:
    """Return SPICE of tokenised captions.

    Args:
        candidates: tokens joined by spaces, one caption an image.
        references: of each image, one or more.
        patience: seconds that the program may take.

    Returns:
        Without a value where Java or CoreNLP is missing or failed: `unavailable` says why.
    """
    try:
        own = np.array(_run(candidates, references, patience))
    except JavaError as error:
        return CorpusScore(None, unavailable=f"SPICE needs Java and CoreNLP: {error}")
    return CorpusScore(mean_of(own), own)


def _corenlp() -> tuple[str, Path, Path]:
    """Return the path of java, the folder of SPICE, and that of the jars of CoreNLP."""
    java = java_command()
    if java is None:
        message = "no `java` on PATH; install a Java runtime, 8 or later"
        raise JavaError(message)
    program = jars() / "spice"
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else program / "lib"
    lacking = [name for name in CORENLP if not (folder / name).is_file()]
    if lacking:
        # No path of this machine: results are the same wherever they are made.
        place = f"the folder of {FOLDER_VARIABLE}" if named else "the folder spice/lib of pycocoevalcap"
        message = (
            f"{' and '.join(lacking)} not found in {place}; unpack stanford-corenlp-full-2015-12-09.zip "
            f"(stanfordnlp.github.io/CoreNLP, version 3.6.0) and set {FOLDER_VARIABLE} to its folder"
        )
        raise JavaError(message)
    return java, program, folder


def _run(candidates: Sequence[str], references: Sequence[Sequence[str]], patience: float) -> list[float]:
    java, program, corenlp = _corenlp()
    asked = [
        {"image_id": place, "test": given, "refs": list(known)}
        for place, (given, known) in enumerate(zip(candidates, references, strict=True))
    ]
    with tempfile.TemporaryDirectory(prefix="kosmos-eval-spice-") as name:
        place = Path(name)
        _lay_out(program, corenlp, place)
        (place / "cache").mkdir()
        (place / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
        command = [java, "-jar", _HEAP, "spice-1.0.jar", "asked.json", "-cache", "cache", "-out", "said.json"]
        try:
            done = subprocess.run(  # noqa: S603  Java, with files of our own
                [*command, "-subset", "-silent"], cwd=place, capture_output=True, timeout=patience, check=False
            )
        except subprocess.TimeoutExpired as error:
            message = f"SPICE did not end within {patience:g} seconds and was stopped"
            raise JavaError(message) from error
        except OSError as error:
            raise JavaError(str(error)) from error
        if done.returncode:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            message = f"SPICE ended with code {done.returncode}: {(lines or ['it said nothing'])[0].strip():.200}"
            raise JavaError(message)
        return _read(place / "said.json", len(asked))


def _lay_out(program: Path, corenlp: Path, place: Path) -> None:
    """Make a folder as SPICE's jar wants its own to be: itself, and its libraries under `lib`."""
    (place / "lib").mkdir()
    shutil.copyfile(program / "spice-1.0.jar", place / "spice-1.0.jar")  # Java looks for libraries beside the real file
    for jar in (program / "lib").glob("*.jar"):
        if jar.name not in CORENLP:
            (place / "lib" / jar.name).symlink_to(jar)
    for jar_name in CORENLP:
        (place / "lib" / jar_name).symlink_to((corenlp / jar_name).resolve())


def _read(path: Path, count: int) -> list[float]:
    """Return F of each image in the order asked; 0 where SPICE gives none, as in its own mean over `None`."""
    try:
        said: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        scores = {int(each["image_id"]): each["scores"]["All"]["f"] for each in said}
        values = [float(scores[place]) for place in range(count)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"SPICE's output cannot be read: {type(error).__name__}: {error}"
        raise JavaError(message) from error
    if any(math.isnan(value) for value in values):
        message = "SPICE gave no F-score for a caption"
        raise JavaError(message)
    return values
