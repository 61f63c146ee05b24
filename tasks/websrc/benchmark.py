"""WebSRC: questions about a web page, answered from its picture and its text, from one of them, or from both.

Source: KOSMOS-1 (arXiv 2302.14045), section 4.4 and table 8: the prompt, verbatim and with its misspelling, with the
picture in front. The paper does not say which split it measured, how the text was extracted, how much of it was read,
how exemplars look or how answers were decoded: these are settings here, and their defaults are our choice. The text
is that of WebSRC's own baseline (X-LANCE/WebSRC-Baseline, src/utils.py, T-PLM): the page's strings in their order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import UnknownNameError, UsageError
from kosmos_eval.metrics.squad import exact_match, f1
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import About, Metric, Sample, Score

from .sources import SPLITS, WebSRCSample, read_folder, read_hub, read_mini

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

_INSTRUCTION = (
    "Given the context below from web page, extract the answer from the given text like this: "
    "Qusestion: Who is the publisher of this book? Answer: Penguin Books Ltd. "
)
_SCORER = "X-LANCE/WebSRC-Baseline, src/utils_evaluate.py, commit a9f1c294"
_TEST_HUB_ID = "rootsautomation/websrc-test"


@dataclass(frozen=True)
class WebSRC(HubSettings):
    """WebSRC.

    Attributes:
        split: train, dev or test. The paper does not say; dev is the default, since test has no public answers.
        exemplar_split: likewise.
        page_text: whether the prompt has the page's text.
        page_image: whether the prompt has the page's picture; without it, it is that of the paper's language model.
        max_words: most words of the page's text that are read, from its beginning. A choice: with four exemplars they
            fit 2,048 positions, at one and a half tokens a word.
        exemplar_max_words: the same for the page of an exemplar. A choice.
        max_new_tokens: most tokens of an answer. A choice.
        stop: texts that end an answer besides the model's end token. A choice: a line break, and what begins another
            question or page.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        hub_id: dataset on the hub, or a local copy of one, with the columns of rootsautomation/websrc: no page's text,
            so that it serves `websrc:image-only` alone. No commit is known to be the right one.
        hub_revision: commit, branch or tag; by default the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: another dataset for the exemplars; empty is that of `hub_id`.
        exemplar_hub_revision: likewise.
        test_hub_id: dataset of the test split, with ids and without answers.
        test_hub_revision: likewise.
    """

    name: ClassVar[str] = "websrc"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Questions about web pages (WebSRC), as in KOSMOS-1 table 8."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    splits: ClassVar[tuple[str, ...]] = SPLITS
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "image-only": {"page_text": False},
        "text-only": {"page_image": False},
    }
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos1": ("", "image-only"), "ocr": ("", "image-only")}
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("exact_match", f"share of answers that are the right one, normalised ({_SCORER})"),
        Metric("f1", "F1 over words (as above)"),
    )
    asked_in: ClassVar[tuple[str, ...]] = ("question",)
    answered_in: ClassVar[tuple[str, ...]] = ("answer",)
    about: ClassVar[About] = About(
        paper='KOSMOS-1 (arXiv 2302.14045), table 8: EM 15.8 and F1 31.3, "image-only" 3.8 and 10.6.',
        files="""\
`dataset_split_release.json` or `dataset_split.json`: which site is in which split; x-lance.github.io/WebSRC
`auto/03/dataset.csv`, one for each site: questions and answers
`auto/03/processed_data/0300542.html` and `0300542.png`, for each page""",
        licence="CC BY 4.0 (the dataset), MIT (its sample); the pages are their owners'.",
        deviations=(
            "the third metric of WebSRC, path overlap, needs the tag of the answer, which a written answer has not",
            "image-only leaves out the words Context: and what follows it, and keeps the rest of the prompt",
            "an exemplar has the whole prompt, with its answer, and less of its page's text",
            "a split of which only some sites are there is read as far as it is there: compare the number of samples",
        ),
        exempt={
            "leak": "an answer is a span of the page's text, which stands in the prompt",
            "text-only:images": "shows no picture of the page",
        },
    )

    split: str = "dev"
    exemplar_split: str = "train"
    page_text: bool = True
    page_image: bool = True
    max_words: int = 500
    exemplar_max_words: int = 100
    max_new_tokens: int = 32
    stop: tuple[str, ...] = ("\n", "Q:", "Context:", "Given the context")
    separator: str = ""
    hub_id: str = "rootsautomation/websrc"
    test_hub_id: str = _TEST_HUB_ID
    test_hub_revision: str | None = None

    def __post_init__(self) -> None:
        if not (self.page_text or self.page_image):
            message = "websrc: expected page_text or page_image or both, got neither"
            raise UsageError(message)
        for name in ("max_words", "exemplar_max_words", "max_new_tokens"):
            if getattr(self, name) < 1:
                message = f"websrc: expected {name} to be at least 1, got {getattr(self, name)}"
                raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[WebSRCSample]:
        """Return the split's questions in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dataset, page or answer is missing or inconsistent.
            UsageError: there is no such split, or the source has no text of its pages.
        """
        if split not in self.splits:
            kind = "split of websrc"
            raise UnknownNameError(kind, split, self.splits)
        match source.kind:
            case "mini":
                return read_mini(split, text=self.page_text)
            case "folder":
                return read_folder(source.folder, split, text=self.page_text)
            case "hub":
                if self.page_text:
                    message = (
                        "websrc: the hub's dataset has no text of its pages; ask websrc:image-only "
                        "(page_text=false), or name a folder of the official files (--data DIR)"
                    )
                    raise UsageError(message)
                return read_hub(*self.hub_place(exemplars=split != self.split), split)

    def hub_place(self, *, exemplars: bool) -> tuple[str, str | None]:
        """Return id and revision of the dataset that the evaluated split, or the exemplars, come from."""
        if (self.exemplar_split if exemplars else self.split) == "test":
            return self.test_hub_id, self.test_hub_revision
        return super().hub_place(exemplars=exemplars)

    def ask(self, sample: WebSRCSample, exemplars: Sequence[WebSRCSample]) -> Generator[Request, Response, str]:
        """Ask for the answer, the exemplars with theirs in front; return what was written."""
        solved = [
            self._prompt(each, self.exemplar_max_words) + Prompt.of(f" {each.answer}{self.separator}")
            for each in exemplars
        ]
        prompt = Prompt.of(*solved, self._prompt(sample, self.max_words))
        response = yield Generate(prompt, max_new_tokens=self.max_new_tokens, stop=self.stop)
        assert isinstance(response, Generated)
        return response.text

    def _prompt(self, sample: WebSRCSample, words: int) -> Prompt:
        shown = (sample.image,) if self.page_image else ()
        context = f"Context: {_first_words(sample.text, words)} " if self.page_text else ""
        return Prompt.of(*shown, f"{_INSTRUCTION}{context}Q: {sample.question} A:")

    def gold(self, sample: WebSRCSample, request: Request) -> str:  # noqa: ARG002  of the contract
        """Return the right answer."""
        return sample.answer

    def score(self, sample: WebSRCSample, answer: str) -> Score:
        """Return exact match and F1; an empty answer is unparsed, and earns what the script gives it."""
        text = answer.strip()
        total = len(sample.text.split()) if self.page_text else 0
        cut = f"the context was cut to {self.max_words} of {total:,} words" if total > self.max_words else ""
        if not sample.labelled:
            return Score({}, text or None, explanation="; ".join(filter(None, ("its answer is not public", cut))))
        if cut and sample.answer not in _first_words(sample.text, self.max_words):
            cut += ", and lacks the answer"
        values = {"exact_match": exact_match(text, (sample.answer,)), "f1": f1(text, (sample.answer,))}
        return Score(values, text or None, sample.answer, cut)

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write the two files that the authors take: answers by their ids, and their tags, none of them known (-1)."""
        from kosmos_eval.writing import whole_file  # noqa: PLC0415  brings the statistics, which listing tasks needs not

        given = {sample.key: score.answer or "" for sample, score in answers}
        path = folder / "prediction.json"
        for name, content in ((folder / "tag_prediction.json", dict.fromkeys(given, -1)), (path, given)):
            with whole_file(name) as draft, draft.open("w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
        return path


def _first_words(text: str, words: int) -> str:
    return " ".join(text.split(" ", words)[:words])


if TYPE_CHECKING:
    _CHECKED: type[Task[WebSRCSample, str]] = WebSRC
