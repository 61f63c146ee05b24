r"""VQA accuracy, as the official script of the VQA challenge computes it.

An answer is worth min(1, matching annotators / 3), averaged over the sets that leave one annotator out: with ten
annotators 0.3 when one of them gave it, 0.6 for two, 0.9 for three, and 1 for four and more.

Source: GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py, commit
a013f0043c1e2cdc995922dfe257f7149aa9af06. Its behaviour is kept where it is odd, because published numbers have it:

- Answers are normalised only when the annotators disagree. When all gave the same text, the prediction must be that
  text to the letter: "Yes" is wrong where ten people wrote "yes". (Issue 14 there: on purpose, for questions about
  text in the picture.)
- A punctuation mark becomes nothing when the answer has it beside a space anywhere, or has a comma between two digits
  anywhere; otherwise it becomes a space. The answer is looked at as it was before any mark was replaced.
- A full stop is removed unless a digit follows. The expression in the script also looks for a digit in front, but
  "(?!<=" tests what follows, which a full stop always passes. At most 32 full stops are removed: the script
  passes the flag re.UNICODE, whose value is 32, where a count is expected.
- "none" is the number 0, and articles are dropped, so the answers "a" and "the" become empty.
- Contractions get their apostrophe back after lower-casing, so the script's entries for "Im", "Ive", "Id've" and
  "I'dve" are never met. "somebody'd" loses its apostrophe: the entry is reversed.
- Colons and apostrophes are no punctuation.

Deviations: digits are what `\d` means in Python 3, all Unicode decimal digits (the script is written for Python 2,
where only 0-9 are). The script tells annotators apart by comparing whole entries, which differ in `answer_id`; here
every answer in the sequence is an annotator of its own.
"""

from __future__ import annotations

import operator
import re
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = 32
_KEPT = 16_384  # answers, of which most are given again and again

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}

# Every entry of the script's table, but for one, is a contraction with exactly one of its apostrophes missing.
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _without_one_apostrophe(word: str) -> Iterator[str]:
    for place, letter in enumerate(word):
        if letter == "'":
            yield word[:place] + word[place + 1 :]


_RESTORED = {bare: word for word in _CONTRACTIONS.split() for bare in _without_one_apostrophe(word)}
_RESTORED["somebody'd"] = "somebodyd"


def normalise(answer: str) -> str:
    """Return the answer as it is compared when the annotators disagree.

    Example:
        >>> normalise("The two dogs, isnt it?")
        "2 dogs isn't it"
    """
    return _normalised(_trimmed(answer))


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Return what a prediction is worth, 0 to 1, in full precision.

    Any number of answers is taken, as by the script: with fewer than four, 1 is out of reach (at most (n - 1) / 3, so
    a lone annotator gives 0), and with more than ten, three others matching are still enough.

    Args:
        prediction: as the model wrote it; empty is an answer like any other.
        answers: one for each annotator, as they wrote them.

    Raises:
        ValueError: there are no answers (the script divides by zero).

    Example:
        >>> vqa_accuracy("net", ["net"] * 2 + ["netting"] * 8)
        0.6
    """
    return _share(*_compared(prediction, answers))


def vizwiz_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Return what a prediction is worth by the script of the VizWiz challenge, 0 to 1.

    It differs in what is compared: the prediction is always normalised, and an annotator's answer is taken to the
    letter. So "Unanswerable." is right where ten people wrote "unanswerable", and nothing is right where they wrote
    "the dog".

    Source: vqaEval.py of the VizWiz VQA API (vizwiz.org), as public copies have it. Most apostrophes of its table of
    contractions are typographic, and copies differ in them; here they are straight.

    Raises:
        ValueError: there are no answers.

    Example:
        >>> agreed = ["unanswerable"] * 10
        >>> vizwiz_accuracy("Unanswerable.", agreed), vqa_accuracy("Unanswerable.", agreed)
        (1.0, 0.0)
    """
    return _share(normalise(prediction), list(answers))


def _share(given: str, wanted: Sequence[str]) -> float:
    """Return the mean over the sets that leave one annotator out."""
    if not wanted:
        message = "expected at least one annotator's answer, got none"
        raise ValueError(message)
    matches = wanted.count(given)
    shares = [min(1.0, (matches - (answer == given)) / 3) for answer in wanted]
    # Added from left to right, as by the script; `sum` rounds otherwise from Python 3.12 on.
    return reduce(operator.add, shares) / len(shares)


def matching_annotators(prediction: str, answers: Sequence[str]) -> int:
    """Return how many annotators gave the prediction, compared as for the accuracy."""
    given, wanted = _compared(prediction, answers)
    return wanted.count(given)


def _compared(prediction: str, answers: Sequence[str]) -> tuple[str, list[str]]:
    """Return the prediction and the answers as the script compares them: normalised if the answers differ."""
    given = _trimmed(prediction)
    wanted = [_trimmed(answer) for answer in answers]
    if len(set(wanted)) > 1:
        given = _normalised(given)
        wanted = [_normalised(answer) for answer in wanted]
    return given, wanted


@lru_cache(maxsize=_KEPT)
def _normalised(trimmed: str) -> str:
    return _words(_without_punctuation(trimmed))


def _trimmed(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(answer: str) -> str:
    number = _COMMA_IN_NUMBER.search(answer) is not None
    cleaned = answer
    for mark in _PUNCTUATION:
        vanishes = number or f"{mark} " in answer or f" {mark}" in answer
        cleaned = cleaned.replace(mark, "" if vanishes else " ")
    return _FULL_STOP.sub("", cleaned, count=_MOST_FULL_STOPS)


def _words(answer: str) -> str:
    numbered = (_NUMBERS.get(word, word) for word in answer.lower().split())
    return " ".join(_RESTORED.get(word, word) for word in numbered if word not in _ARTICLES)
