from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kosmos_eval.errors import UnknownNameError
from kosmos_eval.metrics.captions import CAPTION_METRICS, caption_scores, tokens
from kosmos_eval.metrics.captions.java import Machine


@pytest.fixture(autouse=True)
def _without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Machine(20, [sys.executable, "-c", "raise SystemExit(1)"])
    monkeypatch.setattr(tokens, "machine", lambda: broken)


def test_every_metric_is_the_corpus_s_and_names_its_source() -> None:
    assert set(CAPTION_METRICS) == {"cider", "spice", "meteor", "rouge_l", *(f"bleu_{n}" for n in (1, 2, 3, 4))}
    for name, metric in CAPTION_METRICS.items():
        assert metric.name == name
        assert metric.corpus
        assert "coco-caption" in metric.description
    assert CAPTION_METRICS["cider"].upper == 10.0


def test_captions_are_tokenised_before_they_are_compared() -> None:
    found = caption_scores(["A Dog, running!"], [["a dog running.", "a cat"]], ["bleu_1", "rouge_l", "bleu_3"])
    assert list(found) == ["bleu_1", "rouge_l", "bleu_3"]
    for name, score in found.items():
        assert score.own is not None
        assert score.own == pytest.approx([1.0], abs=1e-6), name


def test_each_image_keeps_its_own_references() -> None:
    found = caption_scores(["a dog", "a cat", "x"], [["a dog"], ["y", "a cat"], ["a", "b", "c"]], ["rouge_l"])[
        "rouge_l"
    ]
    assert found.own == pytest.approx([1.0, 1.0, 0.0])
    assert found.weighed is not None
    assert found.weighed.values(np.ones((1, 3)))[0] == pytest.approx(2 / 3)


def test_no_captions_are_no_number() -> None:
    found = caption_scores([], [], ["cider", "bleu_4"])
    assert all(score.weighed is None and score.unavailable for score in found.values())


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cider'"):
        caption_scores(["a"], [["a"]], ["cidre"])
    with pytest.raises(ValueError, match="references for each of 2 candidates, got 1"):
        caption_scores(["a", "b"], [["a"]], ["cider"])
    with pytest.raises(ValueError, match="got none for candidate 1"):
        caption_scores(["a", "b"], [["a"], []], ["cider"])


def test_naming_the_metrics_brings_in_no_numpy() -> None:
    code = "import sys, kosmos_eval.metrics.captions; raise SystemExit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
