"""RefCOCOg the other way round: say which thing is in a box.

Source: KOSMOS-2 (arXiv 2306.14824), section 4.2, figure 5 and table 4: the prompt is the picture and "<phrase> It
</phrase><object>{box}</object> is", the answer greedy, and the metrics METEOR and CIDEr; with 2 or 4 exemplars, each a
picture with such a prompt and an expression. The code of this evaluation was not released, and the paper does not say
which split it is on, how long an answer may be, which of a thing's expressions an exemplar shows, or how exemplars are
separated: these are settings, or choices that the class names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.data.hub import HubSettings
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.grounding import GROUNDING, object_text, phrase_text, plain_text
from kosmos_eval.metrics.boxes import in_shares
from kosmos_eval.metrics.captions import CAPTION_METRICS, caption_scores
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import About, Metric, Sample, Score

from .benchmark import files_of
from .sources import REFCOCOG, picture_size, read_items

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.locations import Box
    from kosmos_eval.metrics.boxes import Size
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task

    from .sources import Referred

_METRICS = ("meteor", "cider")


@dataclass(frozen=True, kw_only=True)
class DescribedSample(Sample):
    """A thing of a picture. Its key is the thing's id, its cluster the picture's.

    Attributes:
        image: the picture.
        size: of the picture in pixels; `None` where only the picture itself says it.
        box: of the thing, in pixels.
        expressions: what people called it.
    """

    image: Image
    size: Size | None
    box: Box
    expressions: tuple[str, ...]


@dataclass(frozen=True)
class RefCOCOgGeneration(HubSettings):
    """RefCOCOg's things, to be described.

    Attributes:
        split: val (2,573 things in full) or test (5,023); also train. The paper does not say which: val is a choice.
        exemplar_split: likewise.
        grounding: begin prompts with `<grounding>`, which asks for boxes in the answer. The paper's prompt has none.
        max_new_tokens: most tokens of an answer. A choice: four times as many as a long expression has.
        stop: texts that end an answer besides the model's end token. A choice: a line break, and the beginning of the
            next exemplar's prompt, where a model goes on with the pattern.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        hub_id: dataset on the hub, or a local copy of one, with the columns of lmms-lab/RefCOCOg. Its val is refused:
            7,573 things, of which 5,000 are another division's and cannot be told apart.
        hub_revision: commit, branch or tag; `None` is the dataset's present state, whose commit is written into
            `run.json`.
        exemplar_hub_id: the same for the exemplar split, as lmms-lab/RefCOCOg has no train split.
        exemplar_hub_revision: likewise.
    """

    name: ClassVar[str] = "refcocog_generation"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Say which thing is in a box (RefCOCOg), as in KOSMOS-2 table 4."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = tuple(CAPTION_METRICS[name] for name in _METRICS)
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"kosmos2": ("",), "grounding": ("",)}
    answered_in: ClassVar[tuple[str, ...]] = ("expressions",)
    about: ClassVar[About] = About(
        paper="KOSMOS-2 (arXiv 2306.14824), section 4.2, table 4: METEOR / CIDEr 12.2 / 60.3 zero-shot, 13.8 / 62.2 "
        "with 2 and 14.1 / 62.3 with 4 exemplars",
        files=files_of(REFCOCOG),
        licence="as RefCOCOg's",
        deviations=(
            "A thing is asked about once, and all its expressions are references; the paper does not say so.",
            "An exemplar shows the first expression of its thing.",
            "Boxes and marks in an answer are taken out before it is compared.",
            "Answers are compared as coco-caption does, whose METEOR and CIDEr others report for this task.",
        ),
        exempt={"gold.cider": "no single expression reaches its bound"},
    )

    split: str = "val"
    exemplar_split: str = "train"
    grounding: bool = False
    max_new_tokens: int = 64
    stop: tuple[str, ...] = ("\n", "<phrase> It")
    separator: str = ""
    hub_id: str = "lmms-lab/RefCOCOg"

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or "" in self.stop:
            message = (
                f"{self.name}: expected max_new_tokens to be at least 1 and stop texts with characters, "
                f"got {self.max_new_tokens} and {self.stop!r}"
            )
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[DescribedSample]:
        """Return a sample for each thing of the split, pictures unopened.

        Raises:
            DataError: a file, dataset, annotation or picture is missing, unreadable or inconsistent.
            UsageError: there is no such split.
        """
        hub = self.hub_place(exemplars=split == self.exemplar_split != self.split)
        things: dict[str, list[Referred]] = {}
        for item in read_items(REFCOCOG, split, source, hub, described=True):
            others = things.setdefault(item.object_key, [])
            if others and (others[0].truth, others[0].cluster) != (item.truth, item.cluster):
                message = (
                    f"{item.where}: expected thing {item.object_key} to have one box in one picture, got another than "
                    f"in {others[0].where}; unpack the file again"
                )
                raise DataError(message)
            others.append(item)
        return [
            DescribedSample(
                key=key,
                cluster=items[0].cluster,
                image=items[0].image,
                size=items[0].size,
                box=items[0].truth,
                expressions=tuple(expression for item in items for expression in item.expressions),
            )
            for key, items in things.items()
        ]

    def ask(self, sample: DescribedSample, exemplars: Sequence[DescribedSample]) -> Generator[Request, Response, str]:
        """Ask what is in the box, the exemplars with their first expressions in front; return what was written."""
        shown = [
            Prompt.of(each.image, f"{self._asked(each)} {each.expressions[0]}{self.separator}") for each in exemplars
        ]
        prompt = Prompt.of(*shown, sample.image, self._asked(sample))
        response = yield Generate(prompt, max_new_tokens=self.max_new_tokens, stop=self.stop)
        assert isinstance(response, Generated)
        return response.text

    def _asked(self, sample: DescribedSample) -> str:
        box = in_shares(sample.box, picture_size(sample.image, sample.size))
        return f"{GROUNDING if self.grounding else ''}{phrase_text(' It ')}{object_text([box])} is"

    def score(self, sample: DescribedSample, answer: str) -> Score:
        """Return the answer without markup; its metrics are the corpus's. An empty one is unparsed."""
        text = plain_text(answer)
        return Score({}, text or None, target=" / ".join(sample.expressions), explanation="" if text else "empty")

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> dict[str, CorpusScore]:
        """Return METEOR and CIDEr over the samples; an unparsed answer is an empty one."""
        references = [sample.expressions for sample, _ in scored if isinstance(sample, DescribedSample)]
        return caption_scores([score.answer or "" for _, score in scored], references, _METRICS)

    def gold(self, sample: DescribedSample, request: Request) -> str:
        """Return the thing's first expression."""
        del request
        return sample.expressions[0]


if TYPE_CHECKING:
    _CHECKED: type[Task[DescribedSample, str]] = RefCOCOgGeneration
