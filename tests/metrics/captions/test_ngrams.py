from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from kosmos_eval.metrics.captions.ngrams import bleu, cider, rouge_l

if TYPE_CHECKING:
    from kosmos_eval.corpus import CorpusScore

WORDS = [
    "a",
    "the",
    "dog",
    "dogs",
    "cat",
    "running",
    "runs",
    "on",
    "in",
    "of",
    "green",
    "lawn",
    "grass",
    "red",
    "square",
    "large",
    "small",
    "man",
]

Corpus = tuple[list[str], list[list[str]]]


def drawn(seed: int, images: int, shortest: int = 0) -> Corpus:
    draw = random.Random(seed)

    def caption(least: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.choice([least, 1, 2, 3, 5, 8, 12])))

    candidates = [caption(0) for _ in range(images)]
    return candidates, [[caption(shortest) for _ in range(draw.randint(1, 5))] for _ in range(images)]


HARD: dict[str, Corpus] = {
    "an empty candidate": (["", "a dog"], [["a dog", "the dog"], ["a dog runs"]]),
    "all candidates empty": (["", ""], [["a dog"], ["a cat"]]),
    "an empty candidate and an empty reference": (["", "a"], [["", "a dog"], ["a"]]),
    "one image": (["a dog runs"], [["a dog runs", "dogs run"]]),
    "one image, one word": (["dog"], [["dog"]]),
    "one reference each": (["a dog", "a red cat"], [["a dog"], ["the red cat"]]),
    "the same caption everywhere": (["a dog on grass"] * 3, [["a dog on grass"] * 5] * 3),
    "no word in common": (["a b c d e", "f g"], [["h i j"], ["k l m n"]]),
    "a word again and again": (["a a a a a a", "a a"], [["a a", "a"], ["a a a a a a a a a"]]),
    "candidates shorter and longer than references": (["a", "a b c d e f g h"], [["a b c d"], ["a b"]]),
    "two references equally far in length": (["a b c"], [["a b", "a b c d"]]),
    "runs of spaces": (["a dog", "cat"], [["a  dog"], ["cat "]]),
    "many images": drawn(1, 60),
    "some empty references": drawn(2, 40, 0),
}


def official(scorer: Bleu | Cider | Rouge, corpus: Corpus, **settings: int) -> tuple[Any, Any]:
    candidates, references = corpus
    wanted = dict(enumerate(references))
    value, own = scorer.compute_score(wanted, {place: [given] for place, given in enumerate(candidates)}, **settings)
    return value, own


def whole(score: CorpusScore) -> float:
    assert score.weighed is not None
    return float(score.weighed.values(np.ones((1, score.weighed.count)))[0])


@pytest.mark.parametrize("name", HARD)
def test_bleu_equals_the_official_scorer(name: str) -> None:
    values, own = official(Bleu(4), HARD[name], verbose=0)
    for score, value, each in zip(bleu(*HARD[name]), values, own, strict=True):
        assert whole(score) == pytest.approx(value, abs=1e-12)
        assert score.own == pytest.approx(np.array(each), abs=1e-12)


@pytest.mark.parametrize("name", HARD)
def test_cider_equals_the_official_scorer(name: str) -> None:
    value, own = official(Cider(), HARD[name])
    assert whole(cider(*HARD[name])) == pytest.approx(value, abs=1e-12)
    assert cider(*HARD[name]).own == pytest.approx(own, abs=1e-12)


@pytest.mark.parametrize("name", HARD)
def test_rouge_equals_the_official_scorer(name: str) -> None:
    value, own = official(Rouge(), HARD[name])
    assert whole(rouge_l(*HARD[name])) == pytest.approx(value, abs=1e-12)
    assert rouge_l(*HARD[name]).own == pytest.approx(own, abs=1e-12)


def test_cider_without_a_word_in_any_reference_is_nothing_where_the_official_scorer_ends() -> None:
    empty: Corpus = (["a dog", ""], [[""], ["", ""]])
    with pytest.raises(ValueError, match="empty"):
        official(Cider(), empty)
    assert whole(cider(*empty)) == 0.0


def test_captions_longer_than_a_machine_word_have_a_longest_common_subsequence_too() -> None:
    draw = random.Random(3)
    long: Corpus = (
        [" ".join(draw.choice("abcde") for _ in range(150))],
        [[" ".join(draw.choice("abcde") for _ in range(130)) for _ in range(2)]],
    )
    value, _ = official(Rouge(), long)
    assert whole(rouge_l(*long)) == pytest.approx(value, abs=1e-12)


def test_a_weight_is_how_often_an_image_counts() -> None:
    candidates, references = drawn(4, 12)
    weights = np.array([draw % 3 for draw in range(12)], dtype=np.float64)
    again = [place for place, times in enumerate(weights) for _ in range(int(times))]
    repeated: Corpus = ([candidates[place] for place in again], [references[place] for place in again])
    for once, often in zip(bleu(candidates, references), bleu(*repeated), strict=True):
        assert once.weighed is not None
        assert once.weighed.values(weights[None])[0] == pytest.approx(whole(often), abs=1e-12)
    score = cider(candidates, references)  # its document frequencies stay the corpus's
    assert score.weighed is not None
    assert score.own is not None
    assert score.weighed.values(weights[None])[0] == pytest.approx(np.average(score.own, weights=weights), abs=1e-12)


def test_no_weight_at_all_is_no_number() -> None:
    for score in (*bleu(["a"], [["a"]]), cider(["a"], [["a"]]), rouge_l(["a"], [["a"]])):
        assert score.weighed is not None
        assert np.isnan(score.weighed.values(np.zeros((2, 1)))).all()


def test_the_order_of_images_and_of_references_does_not_matter() -> None:
    candidates, references = drawn(5, 20)
    turned: Corpus = (candidates[::-1], [known[::-1] for known in references[::-1]])
    pairs = zip(
        (*bleu(candidates, references), cider(candidates, references), rouge_l(candidates, references)),
        (*bleu(*turned), cider(*turned), rouge_l(*turned)),
        strict=True,
    )
    for score, other in pairs:
        assert score.own is not None
        assert other.own is not None
        assert other.own[::-1] == pytest.approx(score.own, abs=1e-12)
        assert whole(other) == pytest.approx(whole(score), abs=1e-12)
