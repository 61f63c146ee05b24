"""The process that holds the Java machine: tokenises and aligns captions for `java.py`, which starts it.

It is a process of its own so that a crash, a full heap or a hang of Java ends it alone. It is started by its path and
imports nothing of this package. Each line of standard input is a JSON request, answered by one line of JSON on standard
output; Java itself writes to standard error only.

    {"do": "tokens", "captions": [...]}                        -> {"lines": [...]}
    {"do": "meteor", "captions": [...], "references": [[...]]} -> {"lines": [...]}     METEOR's statistics
    {"do": "java"}                                             -> {"lines": [version]}

An answer may be {"error": "..."} instead.

Its arguments are a JSON object: `jvm`, the library of the Java machine, or empty for JPype's choice; `classpath`;
`options`, for Java.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any


class _Java:
    """The two official programs in one Java machine."""

    def __init__(self, jvm: str, classpath: list[str], options: list[str]) -> None:
        import jpype  # noqa: PLC0415  an optional library, whose absence is an answer

        jpype.startJVM(*([jvm] if jvm else []), *options, classpath=classpath)
        self._class = jpype.JClass
        self._scorer: Any = None

    def version(self) -> str:
        return str(self._class("java.lang.System").getProperty("java.version"))

    def tokens(self, captions: list[str]) -> list[str]:
        """Return what PTBTokenizer's own command writes for a file with a caption a line."""
        system = self._class("java.lang.System")
        written = self._class("java.io.ByteArrayOutputStream")()
        console, autoflush = system.out, True
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n", suffix=".txt") as file:
            file.write("\n".join(captions))
            file.flush()
            system.setOut(self._class("java.io.PrintStream")(written, autoflush, "UTF-8"))
            try:
                self._class("edu.stanford.nlp.process.PTBTokenizer").main(["-preserveLines", "-lowerCase", file.name])
            finally:
                system.setOut(console)
        lines = bytes(written.toByteArray()).decode().split("\n")
        return lines[: len(captions)] if not any(lines[len(captions) :]) else lines

    def meteor(self, captions: list[str], references: list[list[str]]) -> list[str]:
        """Return METEOR's line of statistics for each caption, as its `-stdio` writes for SCORE."""
        if self._scorer is None:
            configuration = self._class("edu.cmu.meteor.scorer.MeteorConfiguration")()
            configuration.setLanguage("en")
            configuration.setNormalization(self._class("edu.cmu.meteor.util.Constants").NORMALIZE_KEEP_PUNCT)
            self._scorer = self._class("edu.cmu.meteor.scorer.MeteorScorer")(configuration)
        rows = []
        for caption, known in zip(captions, references, strict=True):
            listed = self._class("java.util.ArrayList")()
            for reference in known:
                listed.add(reference)
            rows.append(str(self._scorer.getMeteorStats(caption, listed).toString()))
        return rows

    def answer(self, request: dict[str, Any]) -> list[str]:
        match request["do"]:
            case "tokens":
                return self.tokens(request["captions"])
            case "meteor":
                return self.meteor(request["captions"], request["references"])
            case _:
                return [self.version()]


def main() -> None:
    """Answer requests until standard input ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # whatever Java prints must not stand among the answers
        java: _Java | None = None
        for line in os.fdopen(os.dup(0), encoding="utf-8"):
            try:
                java = java or _Java(**json.loads(sys.argv[1]))
                said: dict[str, Any] = {"lines": java.answer(json.loads(line))}
            except Exception as error:  # noqa: BLE001  whatever Java throws is the answer to this request
                said = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            answers.write(json.dumps(said) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
