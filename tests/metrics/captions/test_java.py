"""The Java machine: what it answers, and what is said when it does not."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosmos_eval.metrics.captions import CAPTION_METRICS, caption_scores, java, tokenizer_name, tokens
from kosmos_eval.metrics.captions.java import JavaError, Machine, machine, missing
from kosmos_eval.metrics.captions.meteor import score, statistics
from kosmos_eval.metrics.captions.ptb import ptb_tokens

GOLDEN = Path(__file__).parent.parent / "golden" / "meteor.json"

needs_java = pytest.mark.skipif(bool(missing()), reason=missing() or "Java is here")


@pytest.fixture(scope="module")
def shared() -> Machine:
    """Return the machine of this process: one start for all tests."""
    return machine()


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    fresh = Machine()
    monkeypatch.setattr("kosmos_eval.metrics.captions.tokens.machine", lambda: fresh)
    monkeypatch.setattr("kosmos_eval.metrics.captions.meteor.machine", lambda: fresh)


def fake(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


@needs_java
def test_meteor_s_statistics_are_those_of_the_official_command(shared: Machine, golden: dict[str, Any]) -> None:
    assert shared.align(golden["candidates"], golden["references"]) == golden["lines"]


def test_meteor_equals_the_official_scorer_for_the_corpus_and_for_parts_of_it(golden: dict[str, Any]) -> None:
    counts = statistics(golden["lines"])
    for corpus in golden["corpora"]:
        weights = np.bincount(corpus["images"], minlength=len(counts)).astype(np.float64)
        assert score(weights[None] @ counts)[0] == pytest.approx(corpus["value"], abs=1e-12)
        assert score(counts[corpus["images"]]) == pytest.approx(np.array(corpus["own"]), abs=1e-12)


def test_meteor_of_no_sentence_is_no_number_and_of_no_match_nothing() -> None:
    nothing = np.zeros((1, 24))
    assert np.isnan(score(nothing)).all()
    nothing[0, [0, 1, 23]] = 3, 4, 1
    assert score(nothing)[0] == 0.0


@needs_java
def test_the_official_tokens_are_those_of_pycocoevalcap(shared: Machine) -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer  # noqa: PLC0415  beside what starts Java

    assert shared is machine()
    captions = [
        "A man's dog can't swim.",
        "two\nlines",
        "",
        "“Quoted” \u2013 in the U.S.",
        "a  (red) [square] 1 1/2 😀 é",
    ]
    official = PTBTokenizer().tokenize({0: [{"caption": caption} for caption in captions]})[0]
    assert tokens.tokenise(captions) == official
    assert tokenizer_name() == tokens.OFFICIAL


@needs_java
def test_line_breaks_inside_a_caption_move_no_other_one(shared: Machine) -> None:
    assert shared is machine()
    captions = ["line\u2028break\x0b\r", "a caption", "half \ud83d", "the end"]
    assert tokens.tokenise(captions) == ["line break", "a caption", "half", "the end"]


@needs_java
def test_the_end_of_a_caption_sees_the_next_one_as_there(shared: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer  # noqa: PLC0415  beside what starts Java

    captions = ["the letter K.", "A man", "the letter K.", "a sign saying no.", "5 dogs", "the etc.1"]
    official = PTBTokenizer().tokenize({0: [{"caption": caption} for caption in captions]})[0]
    assert official[:3] == ["the letter k", "a man", "the letter k."]
    assert tokens.tokenise(captions) == official
    assert shared._process is not None
    monkeypatch.setattr(tokens, "machine", lambda: Machine(20, fake("raise SystemExit(1)")))
    assert tokens.tokenise(captions) == official


@needs_java
def test_all_metrics_use_one_java_process(shared: Machine) -> None:
    first = caption_scores(["a dog"], [["the dog"]], ["meteor", "cider"])
    process = shared._process
    second = caption_scores(["a cat"], [["the dog", "a cat sits"]], list(CAPTION_METRICS))
    assert process is not None
    assert shared._process is process
    assert first["meteor"].made_with == second["rouge_l"].made_with == tokens.OFFICIAL
    assert second["meteor"].weighed is not None


@pytest.mark.usefixtures("no_java")
def test_without_java_tokens_are_ours_and_meteor_and_spice_say_what_they_need() -> None:
    found = caption_scores(["A man's dog."], [["the man's dog", "a dog"]], list(CAPTION_METRICS))
    assert found["cider"].made_with == tokens.OWN
    for name in ("meteor", "spice"):
        assert found[name].weighed is None
        assert "no `java` on PATH" in found[name].unavailable
        assert "\n" not in found[name].unavailable
    for name in ("cider", "rouge_l", "bleu_1", "bleu_4"):
        assert found[name].weighed is not None, name
        assert found[name].unavailable == ""


@pytest.mark.usefixtures("no_java")
def test_java_that_comes_later_is_used_then(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Machine()
    with pytest.raises(JavaError, match="no `java` on PATH"):
        late.version()
    monkeypatch.setattr(java, "missing", lambda: "")
    monkeypatch.setattr(java, "_command", lambda: fake('input(); print(\'{"lines": ["99"]}\')'))
    assert late.version() == "99"
    late.close()


def test_without_jpype_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: "/usr/bin/java")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert "pip install jpype1" in missing()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time; time.sleep(60)", "did not answer within 0.5 seconds and was stopped"),
        ("import sys; sys.exit('no heap left')", "ended with code 1: no heap left"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended with code -9"),
        ("""input(); print('{"error": "OutOfMemoryError: heap"}')""", "OutOfMemoryError: heap"),
        ("""input(); print('{"lines": []}')""", "answered 0 lines for 1 captions"),
        ("""input(); print('not JSON')""", "answered what cannot be read"),
    ],
)
def test_a_failure_is_one_line_and_the_same_for_who_asks_next(code: str, said: str) -> None:
    broken = Machine(0.5 if "sleep" in code else 20, fake(code))
    with pytest.raises(JavaError) as first:
        broken.tokenise(["a dog"])
    assert said in str(first.value)
    assert "\n" not in str(first.value)
    with pytest.raises(JavaError) as second:
        broken.align(["a dog"], [["a dog"]])
    assert str(second.value) == str(first.value)
    assert broken._process is None


def test_a_command_that_cannot_be_started_is_a_failure_like_any_other() -> None:
    with pytest.raises(JavaError, match="Java failed"):
        Machine(5, ["/no/such/program"]).version()


def test_a_failing_java_loses_no_caption(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Machine(20, fake("raise SystemExit(3)"))
    monkeypatch.setattr("kosmos_eval.metrics.captions.tokens.machine", lambda: broken)
    assert tokens.tokenise(["A man's dog."]) == [" ".join(ptb_tokens("a man's dog"))]
    assert tokenizer_name() == tokens.OWN
