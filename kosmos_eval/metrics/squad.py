"""Exact match and F1 of short answers, as SQuAD's scripts compute them and WebSRC's after them.

Answers are compared in lower case without the 32 marks of ASCII punctuation, without the words a, an and the, and with
single spaces. F1 is over words, each as often as it occurs. A prediction is worth what it is worth against the best of
the right answers.

Source: X-LANCE/WebSRC-Baseline, src/utils_evaluate.py, commit a9f1c294e3251951c6a95007485abda7ed46e3d7, which is SQuAD
2.0's evaluate-v2.0.py in this. Its behaviour is kept where it is odd, because published numbers have it:

- Punctuation becomes nothing, not a space, before articles are looked for: "14.5 gal." is "145 gal", "the-a" is "thea".
- Marks beyond ASCII stay: curly quotes, dashes, currency signs other than the dollar.
- A right answer of which nothing is left ("The", '"') is no right answer. Where none is left at all, the empty answer
  is the right one, and so is any prediction of which nothing is left.
- F1 of two answers of which nothing is left is 1. (SQuAD 1.1's script gives 0 there; it has no such answers.)

The third metric of WebSRC, path overlap, needs the page's tag that the answer was taken from: a model that writes its
answer names none, so it is left out.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Return the answer as it is compared.

    Example:
        >>> normalise(' The 190.7 " ')
        '1907'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 where the prediction is one of the right answers, else 0.

    Args:
        prediction: as the model wrote it; empty is an answer like any other.
        answers: the right ones; none is the empty answer.
    """
    return float(normalise(prediction) in _right(answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the best F1 between the words of the prediction and those of a right answer, 0 to 1.

    Args:
        prediction: as the model wrote it; empty is an answer like any other.
        answers: the right ones; none is the empty answer.

    Example:
        >>> f1("about 28 City", ["28 City / 35 Hwy"])
        0.5714285714285715
    """
    given = normalise(prediction).split()
    return max(_f1(given, answer.split()) for answer in _right(answers))


def _right(answers: Sequence[str]) -> list[str]:
    return [answer for answer in map(normalise, answers) if answer] or [""]


def _f1(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    same = (Counter(given) & Counter(wanted)).total()
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(wanted)
    return 2 * precision * recall / (precision + recall)
