"""A snapshot tells a changed prompt from an unchanged one, and asks for a new version; it hides how pictures look."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import PIL.Image
import pytest

from kosmos_eval.plugins import Plugins, _Plugin
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.snapshots import compare, snapshot
from kosmos_eval.task import Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response


@dataclass(frozen=True, kw_only=True)
class Shade(Sample):
    image: Image


@dataclass(frozen=True)
class Shades:
    name: ClassVar[str] = "shades"
    version: ClassVar[int] = 4
    description: ClassVar[str] = "Dark or light?"
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of right answers"),)
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"polite": {"word": "Please"}}
    split: str = "val"
    exemplar_split: str = "train"
    word: str = "Say"
    red: int = 0
    options: tuple[str, ...] = field(default=tuple("abcdefghij"))

    def samples(self, split: str, source: Source) -> Iterator[Shade]:  # noqa: ARG002  there is one source
        for number in range(30):
            shade = (self.red, number, int(split == "val"))
            yield Shade(key=f"{split} {number}", image=Image(partial(PIL.Image.new, "RGB", (2, 2), shade), "a shade"))

    def ask(self, sample: Shade, exemplars: Sequence[Shade]) -> Generator[Request, Response, str]:
        shown = [Prompt.of(each.image, " dark ") for each in exemplars]
        said = yield Generate(Prompt.of(*shown, sample.image, f"{self.word}:"), 3, constraint=("dark", "light"))
        assert isinstance(said, Generated)
        yield ScoreRequest(Prompt.of(said.text, f" and {sample.key}"), tuple(map(Continuation, self.options)))
        return said.text

    def gold(self, _sample: Shade, request: Request) -> str | int:
        return "dark" if isinstance(request, Generate) else 0

    def score(self, _sample: Shade, answer: str) -> Score:
        return Score({"accuracy": float(answer == "dark")}, answer)


def taken(monkeypatch: pytest.MonkeyPatch, **defaults: object) -> str:
    fields = Shades.__dataclass_fields__
    kind: type[Any] = dataclass(frozen=True)(
        type("Other", (Shades,), {"__annotations__": {name: fields[name].type for name in defaults}, **defaults})
    )
    plugins = Plugins()
    plugins._add("task", _Plugin("shades", "this test", lambda: kind))
    monkeypatch.setattr(kind, "__module__", __name__)
    return snapshot("shades", plugins)


def test_every_variant_and_shot_count_is_shown_with_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    paragraphs = taken(monkeypatch).split("\n\n")
    assert paragraphs[0] == "shades, version 4"
    assert [each.splitlines()[0] for each in paragraphs[1:]] == [
        "== shades@mini|0 ==",
        "== shades@mini|2 ==",
        "== shades:polite@mini|0 ==",
        "== shades:polite@mini|2 ==",
    ]
    lines = paragraphs[2].splitlines()
    assert lines[1].startswith("digest of 20 samples: ")
    assert lines[2:8] == [
        "sample val 0:",
        "Generate max_new_tokens=3, stop=(), num_beams=1, length_penalty=1.0, no_repeat_ngram=0",
        "  prompt '<image> dark <image> dark <image>Say:'",
        "  allowed 'dark'",
        "  allowed 'light'",
        "Score",
    ]
    assert lines[8:] == [
        "  prompt 'dark and val 0'",
        *(f"  option '' [{each!r}]" for each in "abcdefgh"),
        "  and 2 more",
    ]


def test_how_a_picture_is_drawn_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, red=9) == taken(monkeypatch)


@pytest.mark.parametrize("changed", [{"word": "Tell"}, {"options": tuple("abcdefghiX")}], ids=["text", "last option"])
def test_a_changed_prompt_asks_for_a_new_version(monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]) -> None:
    before, now = taken(monkeypatch), taken(monkeypatch, **changed)
    message = compare(before, now, "make it")
    assert message.startswith("shades, version 4: its prompts changed, first at ")
    assert message.endswith("give the task the next `version`, then: make it")


def test_an_old_or_missing_snapshot_is_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    now = taken(monkeypatch)
    assert compare(now, now, "make it") == ""
    assert "have no snapshot; write it with: make it" in compare(None, now, "make it")
    assert "its snapshot is of shades, version 3; write it anew" in compare(now.replace("4", "3", 1), now, "make it")
