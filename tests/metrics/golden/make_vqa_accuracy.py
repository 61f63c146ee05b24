"""Writes vqa_accuracy.jsonl.gz: seeded nasty answers, and what the official script makes of them.

To renew it: save PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA, commit
a013f0043c1e2cdc995922dfe257f7149aa9af06, anywhere outside this repository, and run, from the repository's root,

    python tests/metrics/golden/make_vqa_accuracy.py PATH/TO/vqaEval.py

The script is run under this Python; of its text only `print "..."` is changed. Each line of the golden file is
`[prediction, answers, normalised prediction, normalised answers, accuracy]`: what the script's two processing steps
give after its trimming, and its per-question accuracy before rounding, as `float.hex`. There is a case for each entry
of the script's table of contractions, and 10,000 random ones of which every fourth is kept. All of them are compared
with `kosmos_eval.metrics.vqa_accuracy` before anything is written.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import re
import sys
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmos_eval.metrics.vqa_accuracy import normalise, vqa_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).with_name("vqa_accuracy.jsonl.gz")
CASES = 10_000
KEPT_EVERY = 4

WORDS = """
    a an the A The none None zero one two Three four five six seven eight nine ten eleven yes Yes no NO net netting red
    aint couldnt've couldn'tve hadnt've id've Id've I'dve im Im ive Ive it'dve let's lets ow's'at 'ows'at 'ow'sat
    she's shes shed've somebody'd somebodyd somebodyd've somebody'dve someoned there'dve twas 'twas wed weve yall
    yall'll y'allll yall'd've y'alld've y'all'dve youre dont don't wont o'clock oclock maam cant hes theyre couldnt
    1,000 1,0 12,345,678 3.5 .5 5. 1.000,5 0 00 1 2 10 1,a a,1 1, ,1 U.S.A. e.g. Mr. ... .. . 4:30 10:00am
    x-ray black/white semi-truck t-shirt (left) [sic] {b} "quoted" `tick` a_b <b> x>y a=b 1+1 user@home back\\slash
    caf\u00e9 na\u00efve \u00dcber \u0130stanbul stra\u00dfe \u4e00\u4e8c \u0663,\u0664 \u0967.\u0968 \U0001f600
    don\u2019t \u201cno\u201d \u2026 \ufb01t
"""
MARKS = list(";/[]\"{}()=+\\_-><@`,?!.:'&*%$#~|^")
SPACES = [" "] * 12 + ["  ", "\n", "\t", "\r", "\r\n", "\u00a0", "\u2003", "\x0b", "\u200b", ""]


def text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.03:
        return draw.choice(["", " ", "\n", "\t \n", ".", "a", "the a an", "." * 40, "a." * 40, " . " * 35, ",", "?!"])
    if kind < 0.12:
        letters = [*MARKS, *"aA1 2,3. the\n\t'", "\u0663", "\u00e9"]
        return "".join(draw.choice(letters) for _ in range(draw.randint(1, 14)))
    words = [draw.choice(WORDS.split()) for _ in range(draw.choice([1, 1, 1, 2, 2, 3, 5]))]
    parts: list[str] = []
    for word in words:
        parts.append(draw.choice(SPACES) if parts else draw.choice(["", "", "", "", " ", "\n", "\t"]))
        parts.append(draw.choice(["", "", "", "", *MARKS]) + word + draw.choice(["", "", "", "", *MARKS]))
    return "".join(parts) + draw.choice(["", "", "", "", " ", "\n", "\t", "."])


def variant(draw: random.Random, answer: str) -> str:
    """Return the answer, mostly as it is, else changed in a way that normalising may or may not undo."""
    changes: list[Callable[[str], str]] = [str, str, str, str.upper, str.lower, str.strip, str.title]
    changed = draw.choice(changes)(answer)
    mark = draw.choice(MARKS)
    around = ["{}", "{}", "{}", "the {}", "{}.", "{}!", " {}\n", "{} ?", "a {}", "{}\t"]
    return draw.choice([*around, mark.replace("{", "{{").replace("}", "}}") + "{}"]).format(changed)


def case(draw: random.Random) -> tuple[str, list[str]]:
    count = draw.choice([10] * 12 + [1, 2, 3, 4, 5, 9, 11, 13, 20])
    pool = [text(draw) for _ in range(draw.choice([1, 1, 2, 3, 4]))]
    unanimous = draw.random() < 0.2
    answers = [pool[0] if unanimous else variant(draw, draw.choice(pool)) for _ in range(count)]
    prediction = draw.choice([draw.choice(answers), variant(draw, draw.choice(pool)), text(draw)])
    return prediction, answers


def contraction_cases(evaluation: Any) -> list[tuple[str, list[str]]]:  # noqa: ANN401  as below
    """Return a case for each entry of the script's table: as it is met, and what it becomes."""
    table = evaluation(_Questions({}), _Questions({})).contractions
    return [(entry, [entry] * 2 + [entry.upper(), word, "no"]) for entry, word in table.items()]


def official(path: Path) -> Any:  # noqa: ANN401  the script has no types
    """Return the script's class, its Python 2 print statements made calls."""
    source = re.sub(r'^(\s*)print (".*")\s*$', r"\1print(\2)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    module = types.ModuleType("vqaEval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its regular expressions are not raw strings
        exec(compile(source, str(path), "exec"), module.__dict__)
    return module.__dict__["VQAEval"]


class _Questions:
    """What the script expects of its two data objects: `qa` and `getQuesIds`."""

    def __init__(self, questions: dict[int, dict[str, Any]]) -> None:
        self.qa = questions

    def getQuesIds(self) -> list[int]:  # noqa: N802  the script calls it so
        return list(self.qa)


def judge(evaluation: Any, prediction: str, answers: list[str]) -> tuple[str, list[str], float]:  # noqa: ANN401  as above
    """Return what the script makes of a case: normalised prediction and answers, and the accuracy unrounded."""
    entries = [
        {"answer": answer, "answer_confidence": "yes", "answer_id": place + 1} for place, answer in enumerate(answers)
    ]
    truth = _Questions({1: {"answers": entries, "question_type": "what", "answer_type": "other"}})
    run = evaluation(truth, _Questions({1: {"answer": prediction}}))
    kept: list[float] = []
    run.setEvalQA = lambda _question, accuracy: kept.append(accuracy)
    with contextlib.redirect_stdout(io.StringIO()):
        run.evaluate()

    def processed(answer: str) -> str:
        trimmed = answer.replace("\n", " ").replace("\t", " ").strip()
        return str(run.processDigitArticle(run.processPunctuation(trimmed)))

    return processed(prediction), [processed(answer) for answer in answers], kept[0]


def main(path: Path) -> None:
    evaluation = official(path)
    draw = random.Random(20170417)
    table = contraction_cases(evaluation)
    cases = table + [case(draw) for _ in range(CASES)]
    lines = []
    worth: dict[str, int] = {}
    for number, (prediction, answers) in enumerate(cases):
        norm, norms, accuracy = judge(evaluation, prediction, answers)
        ours = normalise(prediction), [normalise(answer) for answer in answers], vqa_accuracy(prediction, answers)
        if ours != (norm, norms, accuracy):
            message = (
                f"case {number} differs: {prediction!r} {answers!r}: official {norm, norms, accuracy}, ours {ours}"
            )
            raise SystemExit(message)
        worth[f"{accuracy:.2f}"] = worth.get(f"{accuracy:.2f}", 0) + 1
        if number < len(table) or number % KEPT_EVERY == 0:
            lines.append(json.dumps([prediction, answers, norm, norms, accuracy.hex()], separators=(",", ":")))
    with gzip.GzipFile(GOLDEN, "wb", mtime=0) as file:
        file.write(("\n".join(lines) + "\n").encode())
    sys.stdout.write(f"{len(cases)} cases agree, {len(lines)} written; accuracies {dict(sorted(worth.items()))}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
