"""METEOR 1.5 for English: sentences are aligned by the official Java program, scores are made from its statistics.

A sentence's statistics are sums, so those of a corpus are sums over its sentences, and METEOR of the corpus is the
score of the sums: it is no mean of the sentences' scores. Weighing a sentence weighs its statistics.

Source: Denkowski and Lavie 2014; meteor-1.5.jar with `-l en -norm`, in salaniz/pycocoevalcap 1.2. References are given
to it one by one: a reference that holds `|||` stays one (there: it becomes two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kosmos_eval.corpus import CorpusScore, Summed

from .java import JavaError, machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_STAGES = np.array([1.0, 0.6, 0.8, 0.6])  # what a match is worth: exact, stem, synonym, paraphrase
_CHUNKS = 20  # their place among the statistics


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """Return METEOR of tokenised captions.

    Args:
        candidates: tokens joined by spaces, one caption an image.
        references: of each image, one or more.

    Returns:
        Without a value where Java is missing or failed: `unavailable` says why.
    """
    try:
        lines = machine().align([_plain(each) for each in candidates], references)
    except JavaError as error:
        return CorpusScore(None, unavailable=f"METEOR needs Java: {error}")
    counts = statistics(lines)
    return CorpusScore(Summed(counts, "meteor"), score(counts))


def statistics(lines: Sequence[str]) -> Floats:
    """Return what each sentence adds to the sums that `score` takes, from METEOR's lines: [sentences, 24].

    METEOR does not count the one chunk of a sentence that matches its reference whole, neither alone nor in sums.
    """
    counts = np.array([[*map(float, line.split()), 1.0] for line in lines])
    of_candidate, of_reference = (
        counts[:, 4:20].reshape(-1, 4, 4)[:, :, [side, side + 2]].sum((1, 2)) for side in (0, 1)
    )
    whole = (of_candidate == counts[:, 0]) & (of_reference == counts[:, 1]) & (counts[:, _CHUNKS] == 1)
    counts[whole, _CHUNKS] = 0
    return counts


def score(sums: Floats) -> Floats:
    """Return METEOR for each row of sums over sentences; not a number where there is no sentence.

    Args:
        sums: [rows, 24]: words, reference words, function words, reference function words; for each of four stages the
            matched content words, reference content words, function words, reference function words; chunks, matched
            words, matched reference words; sentences.
    """
    length, reference_length, function, reference_function = sums[:, :4].T
    content_matches, reference_content_matches, matches, reference_matches = (
        sums[:, 4:20].reshape(-1, 4, 4).transpose(2, 0, 1)  # [rows, stages] each
    )
    chunks, matched, reference_matched, sentences = sums[:, _CHUNKS:].T

    def share(content: Floats, plain: Floats, words: Floats, plain_words: Floats) -> Floats:
        worth = _DELTA * (content @ _STAGES) + (1 - _DELTA) * (plain @ _STAGES)
        return np.asarray(worth / (_DELTA * (words - plain_words) + (1 - _DELTA) * plain_words))

    with np.errstate(divide="ignore", invalid="ignore"):  # as in Java: no match at all is not a number, and 0 below
        precision = share(content_matches, matches, length, function)
        recall = share(reference_content_matches, reference_matches, reference_length, reference_function)
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        penalty = _GAMMA * (chunks / ((matched + reference_matched) / 2)) ** _BETA
        value = np.maximum(np.nan_to_num(mean * (1 - penalty), nan=0.0), 0.0)
    return np.where(sentences > 0, value, np.nan)


def _plain(caption: str) -> str:
    """Return a candidate as pycocoevalcap hands it over: without what separates captions there."""
    return caption.replace("|||", "").replace("  ", " ")
