"""BLEU, CIDEr-D and ROUGE-L over tokenised captions, equal to coco-caption's within float rounding.

Source: tylin/coco-caption, pycocoevalcap/{bleu,cider,rouge}, in salaniz/pycocoevalcap 1.2. Kept where it is odd:

- BLEU takes the reference length that is closest to the candidate's, the shorter of two; adds 1e-15 to counts of
  matches and 1e-9 to counts of n-grams, so that an empty candidate is worth 0 and nothing is divided by zero.
- CIDEr-D clips a candidate's weight at the reference's; its length penalty is over numbers of bigrams, so a caption of
  one word is as long as an empty one; document frequencies are those of the corpus's own references, so in a corpus of
  one image every n-gram is in all documents and CIDEr is 0.
- ROUGE-L takes the best precision and the best recall, of different references perhaps; an empty caption is one empty
  word, so an empty candidate with an empty reference among its own is worth more than 0.

Deviation: CIDEr of a corpus without a word in any reference is 0 (there: an exception).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kosmos_eval.corpus import CorpusScore, Summed, mean_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

LONGEST = 4
"""Words of the longest n-gram."""

_SMALL, _TINY = 1e-9, 1e-15  # BLEU's: what guards the division, and less of it above than below
_SIGMA = 6.0  # of CIDEr-D's length penalty, in n-grams
_BETA = 1.2  # of ROUGE-L: how much recall counts over precision


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[CorpusScore]:
    """Return BLEU-1 to BLEU-4 of tokenised captions.

    Args:
        candidates: tokens joined by spaces, one caption an image.
        references: of each image, one or more.
    """
    counts = np.array([_bleu_counts(given, known) for given, known in zip(candidates, references, strict=True)])
    return [CorpusScore(Summed(counts, f"bleu-{n}"), bleu_of(n, counts)) for n in range(1, LONGEST + 1)]


def _bleu_counts(candidate: str, references: Sequence[str]) -> list[float]:
    """Return matches of 1 to 4 words, n-grams of 1 to 4 words, the candidate's length, the reference's, and 1."""
    words = candidate.split()
    known = [reference.split() for reference in references]
    length = min((abs(len(each) - len(words)), len(each)) for each in known)[1]
    matches = []
    for n in range(1, LONGEST + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for each in known:
            most |= _grams(each, n)
        matches.append((_grams(words, n) & most).total())
    return [*matches, *(max(0, len(words) - n) for n in range(LONGEST)), len(words), length, 1]


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[place:] for place in range(n)), strict=False))


def bleu_of(n: int, sums: Floats) -> Floats:
    """Return BLEU-n of sums of what `bleu` counts, [rows, 11]; not a number where there is no caption."""
    precision = np.prod((sums[:, :n] + _TINY) / (sums[:, LONGEST : LONGEST + n] + _SMALL), axis=1) ** (1 / n)
    ratio = (sums[:, -3] + _TINY) / (sums[:, -2] + _SMALL)
    value = precision * np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return np.where(sums[:, -1] > 0, value, np.nan)


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """Return CIDEr-D, 0 to 10, of tokenised captions; see `bleu`.

    The n-grams of each length are numbered, so that counting, weighing and comparing are operations on arrays.
    """
    images = len(candidates)
    captions = [*candidates, *(reference for known in references for reference in known)]
    image = np.repeat(np.arange(images), [len(known) for known in references])
    image = np.concatenate([np.arange(images), image])  # of each caption
    similarity = np.zeros(len(captions) - images)
    lengths, grams = _numbered(captions)
    for caption, gram in grams:
        similarity += _cosine(_counted(caption, gram, len(captions)), image, images)
    bigrams = np.maximum(lengths - 1, 0)
    apart = (bigrams[image[images:]] - bigrams[images:]).astype(np.float64)
    similarity *= np.exp(-(apart**2) / (2 * _SIGMA**2)) / LONGEST
    own = 10.0 * np.bincount(image[images:], similarity, images) / np.bincount(image[images:], minlength=images)
    return CorpusScore(mean_of(own, "cider"), own)


@dataclass(frozen=True, slots=True)
class _Counts:
    """How often each caption has each n-gram: one entry for each pair that occurs.

    Attributes:
        caption, gram, times: of each entry, sorted by caption, then n-gram; [entries].
        captions, grams: how many there are.
    """

    caption: Integers
    gram: Integers
    times: Integers
    captions: int
    grams: int


def _numbered(captions: Sequence[str]) -> tuple[Integers, list[tuple[Integers, Integers]]]:
    """Return the captions' lengths in words and, for n of 1 to 4, (caption, number) of every n-gram in them."""
    split = [caption.split() for caption in captions]
    lengths = np.array([len(words) for words in split], dtype=np.int64)
    numbers: dict[str, int] = {}
    words = np.array([numbers.setdefault(word, len(numbers)) for each in split for word in each], dtype=np.int64)
    caption = np.repeat(np.arange(len(split)), lengths)
    found, gram, start = [], words, np.arange(len(words))
    for n in range(1, LONGEST + 1):
        found.append((caption[start], gram))
        stays = start + n < len(words)
        stays[stays] = caption[start[stays] + n] == caption[start[stays]]
        start = start[stays]
        gram = np.unique(gram[stays] * len(numbers) + words[start + n], return_inverse=True)[1].astype(np.int64)
    return lengths, found


def _counted(caption: Integers, gram: Integers, captions: int) -> _Counts:
    grams = int(gram.max(initial=-1)) + 1
    pair, times = np.unique(caption * max(grams, 1) + gram, return_counts=True)
    return _Counts(pair // max(grams, 1), pair % max(grams, 1), times.astype(np.int64), captions, grams)


def _cosine(counts: _Counts, image: Integers, images: int) -> Floats:
    """Return the clipped cosine of each reference with its candidate, for one length of n-gram; [references]."""
    known = counts.caption >= images
    places = np.unique(image[counts.caption[known]] * max(counts.grams, 1) + counts.gram[known])
    documents = np.bincount(places % max(counts.grams, 1), minlength=counts.grams)
    rarity = math.log(images) - np.log(np.maximum(1, documents))
    weight = counts.times * rarity[counts.gram]
    norm = np.sqrt(np.bincount(counts.caption, weight**2, counts.captions))

    # The candidates come first, so their entries are sorted by image and n-gram, to be looked up.
    key = image[counts.caption] * max(counts.grams, 1) + counts.gram
    given, wanted = key[~known], key[known]
    if not len(given) or not len(wanted):
        return np.zeros(counts.captions - images)
    place = np.minimum(np.searchsorted(given, wanted), len(given) - 1)
    clipped = np.where(given[place] == wanted, np.minimum(weight[~known][place], weight[known]), 0.0)
    dot = np.bincount(counts.caption[known] - images, clipped * weight[known], counts.captions - images)
    scale = norm[image[images:]] * norm[images:]
    return np.where(scale > 0, dot / np.where(scale > 0, scale, 1.0), 0.0)


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore:
    """Return ROUGE-L of tokenised captions; see `bleu`."""
    own = np.array([_rouge(given, known) for given, known in zip(candidates, references, strict=True)])
    return CorpusScore(mean_of(own), own)


def _rouge(candidate: str, references: Sequence[str]) -> float:
    words = candidate.split(" ")
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    precision = recall = 0.0
    for reference in references:
        known = reference.split(" ")
        common = _common_subsequence(places, len(words), known)
        precision, recall = max(precision, common / len(words)), max(recall, common / len(known))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_subsequence(places: Mapping[str, int], length: int, words: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of two captions.

    One bit a word of the first caption: a zero is a place at which the subsequence with what has been read of the
    second grows by one (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").

    Args:
        places: word to the bits of its places in the first caption.
        length: of the first caption, in words.
        words: the second caption.
    """
    whole = (1 << length) - 1
    row = whole
    for word in words:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & whole
    return length - row.bit_count()
