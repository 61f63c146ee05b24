"""Rendered SST-2: is the opinion that is written in the picture positive or negative? With and without a rationale.

Source: KOSMOS-1 (arXiv 2302.14045), table 7 (plain) and table 9 (multimodal chain-of-thought): prompt "Question: what
is the sentiment of the opinion? Answer: {answer}", answer out of {positive, negative}, test split, accuracy. For the
rationale the model is first given the picture and "Introduce this picture in detail:"; then, as the paper's figure 5
shows, the picture again, the rationale, and the same question.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.data.folder import INTACT, list_folder, read_table, sub_folders
from kosmos_eval.data.hub import check_once, hub_rows
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.lettering import SMALLEST
from kosmos_eval.microworld.opinions import SENTIMENTS, opinion_items
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import About, Metric

from .closed_question import CHOSEN, ClosedQuestion, ClosedSample, Weighed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import PIL.Image

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Score, Task

QUESTION = "what is the sentiment of the opinion?"
_CURE = "get rendered-sst2 from torchvision.datasets.RenderedSST2(download=True), or SST-2 from gluebenchmark.com"
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_LABELS = {"0": "negative", "1": "positive", "negative": "negative", "positive": "positive", "-1": ""}
"""Label to sentiment; copies of unlabelled splits say -1."""


@dataclass(frozen=True, slots=True)
class _Split:
    """A split and what it is called where.

    Attributes:
        name: torchvision's, as users write it.
        folder: in the tree of pictures.
        table: the file of sentences.
        hub: in datasets on the hub.
    """

    name: str
    folder: str
    table: str
    hub: str


_SPLITS = (
    _Split("train", "train", "train.tsv", "train"),
    _Split("val", "valid", "dev.tsv", "validation"),
    _Split("test", "test", "test.tsv", "test"),
)

_COMPARED = (
    "By default choices are compared by the mean log-probability of a token: the only rule for a closed set that "
    "KOSMOS's authors have published (their SEED-Bench script)."
)
_OWN_DRAWING = (
    "Sentences drawn here are not the published pictures: font, size and line breaks are our own, their pixels depend "
    "on the version of Pillow, and letters outside ASCII lose their accents."
)


@dataclass(frozen=True)
class RenderedSST2(ClosedQuestion):
    """Rendered SST-2.

    Attributes:
        split: train, val or test. The paper's is test.
        exemplar_split: likewise.
        by: log-likelihood that the choices are compared by: total, per_token or per_character. A choice: per_token, as
            in the SEED-Bench script of KOSMOS-2's authors.
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        side: width and height of the pictures that sentences of a TSV file are drawn into, in pixels.
        font_size: of these sentences, in pixels; smaller where a sentence does not fit.
        hub_id: dataset on the hub, or a local copy of one. The default is a webdataset whose columns have not been
            seen: webp and cls are what the program that made it writes by default. It has no val.
        hub_revision: commit, branch or tag; `None` is the present state, whose commit is written into `run.json`.
        exemplar_hub_id: the same for the exemplar split; empty is the dataset of `hub_id`.
        exemplar_hub_revision: likewise.
        image_column: column of pictures on the hub.
        label_column: column of labels, 0 or negative and 1 or positive.
        key_column: column of ids; empty where there is none, and ids are numbers in the dataset's order.
    """

    name: ClassVar[str] = "rendered_sst2"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Sentiment of opinions rendered as pictures, as in KOSMOS-1 table 7."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "accuracy", "share of opinions whose sentiment is the likelier choice (KOSMOS-1, arXiv 2302.14045, table 7)"
        ),
    )
    splits: ClassVar[tuple[str, ...]] = tuple(each.name for each in _SPLITS)
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"kosmos1": ("",), "ocr": ("",)})
    about: ClassVar[About] = About(
        paper="KOSMOS-1, table 7: test split, zero-shot, accuracy.",
        files="- `rendered-sst2/{train,valid,test}/{negative,positive}/*.png`, as torchvision's RenderedSST2 unpacks "
        "it\n"
        "- or `SST-2/{train,dev,test}.tsv` with columns `sentence` and `label` (GLUE), drawn as pictures here; GLUE's "
        "test.tsv has no labels",
        licence="Stanford Sentiment Treebank; no licence comes with the rendered pictures.",
        deviations=(*CHOSEN, _COMPARED, _OWN_DRAWING),
    )
    choices: ClassVar[tuple[str, ...]] = ("positive", "negative")

    split: str = "test"
    exemplar_split: str = "train"
    side: int = 448
    font_size: int = 32
    hub_id: str = "clip-benchmark/wds_renderedsst2"
    image_column: str = "webp"
    label_column: str = "cls"
    key_column: str = "__key__"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.font_size < SMALLEST or self.side < 4 * self.font_size:
            expected = f"font_size from {SMALLEST} pixels and side at least four times that"
            message = f"{self.name}: expected {expected}, got {self.font_size} and {self.side}"
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[ClosedSample]:
        """Return the split's samples in the dataset's order, pictures unopened.

        Raises:
            DataError: a file or column is missing, or a label is none.
            UsageError: there is no such split.
        """
        found = _find_split(split)
        match source.kind:
            case "mini":
                return (_sample(each.key, each.image, each.sentiment) for each in opinion_items(found.name))
            case "folder":
                return _read_folder(source.folder, found, partial(_drawn, side=self.side, font_size=self.font_size))
            case "hub":
                return self._read_hub(found, exemplars=found != _find_split(self.split))

    def _read_hub(self, split: _Split, *, exemplars: bool) -> Iterator[ClosedSample]:
        repository, revision = self.hub_place(exemplars=exemplars)
        keys = (self.key_column,) if self.key_column else ()
        rows = hub_rows(
            repository,
            split.hub,
            revision=revision,
            columns=(self.label_column, *keys),
            image_columns=(self.image_column,),
        )
        return self._hub_samples(rows, f"dataset {repository}, split {split.hub}")

    def _hub_samples(self, rows: Iterable[Mapping[str, object]], label: str) -> Iterator[ClosedSample]:
        seen: set[str] = set()
        for number, row in enumerate(rows):
            key = str(row[self.key_column]) if self.key_column else str(number)
            check_once(key, seen, f"{label}, row {number}", "id")
            image = row[self.image_column]
            assert isinstance(image, Image)
            yield _sample(key, image, _sentiment(row[self.label_column], f"{label}, row {number}"))


@dataclass(frozen=True)
class RenderedSST2CoT(RenderedSST2):
    """Rendered SST-2 with a rationale: the model describes the picture, and chooses with its description at hand.

    The first stage is asked without exemplars, as there are no rationales to show; exemplars stand before the second.
    A rationale may be empty, which is said beside the score.

    Attributes:
        rationale_prompt: what follows the picture in the first stage.
        max_rationale_tokens: most tokens of the rationale. A choice: the paper does not say.
        rationale_beams: 1 is greedy. A choice: the paper does not say.
        rationale_stop: texts that end the rationale besides the model's end token. A choice: none.
    """

    name: ClassVar[str] = "rendered_sst2_cot"
    description: ClassVar[str] = (
        "Sentiment of rendered opinions after a rationale of the model's own, as in KOSMOS-1 table 9."
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "accuracy", "share of opinions whose sentiment is the likelier choice (KOSMOS-1, arXiv 2302.14045, table 9)"
        ),
    )
    about: ClassVar[About] = replace(
        RenderedSST2.about,
        paper="KOSMOS-1, figure 5 and table 9: test split, zero-shot, accuracy.",
        deviations=(
            *RenderedSST2.about.deviations,
            "How the rationale is decoded is not in the paper: greedy, and at most `max_rationale_tokens` tokens.",
            "Exemplars stand before the second stage only, and have no rationales.",
        ),
    )

    rationale_prompt: str = "Introduce this picture in detail:"
    max_rationale_tokens: int = 128
    rationale_beams: int = 1
    rationale_stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_rationale_tokens < 1 or self.rationale_beams < 1:
            got = f"{self.max_rationale_tokens} and {self.rationale_beams}"
            message = f"{self.name}: expected max_rationale_tokens and rationale_beams to be at least 1, got {got}"
            raise UsageError(message)
        if "" in self.rationale_stop:
            message = f"{self.name}: expected every text of rationale_stop to have characters, got ''"
            raise UsageError(message)

    def ask(self, sample: ClosedSample, exemplars: Sequence[ClosedSample]) -> Generator[Request, Response, Weighed]:
        """Ask for a rationale, and with it how likely each choice is; return what each weighs."""
        response = yield Generate(
            Prompt.of(sample.image, self.rationale_prompt),
            max_new_tokens=self.max_rationale_tokens,
            stop=self.rationale_stop,
            num_beams=self.rationale_beams,
        )
        assert isinstance(response, Generated)
        return (yield from self.weigh(sample, exemplars, response.text.strip()))

    def score(self, sample: ClosedSample, answer: Weighed) -> Score:
        """Return whether the choice that weighs most is right, and how long the rationale was."""
        score = super().score(sample, answer)
        words = len((answer.rationale or "").split())
        return replace(
            score, explanation=f"{score.explanation}, after {f'{words} words' if words else 'an empty rationale'}"
        )


def _find_split(name: str) -> _Split:
    for split in _SPLITS:
        if name in {split.name, split.folder, split.hub, split.table.removesuffix(".tsv")}:
            return split
    kind = "split of rendered_sst2"
    raise UnknownNameError(kind, name, [split.name for split in _SPLITS])


def _sample(key: str, image: Image, sentiment: str) -> ClosedSample:
    """Return a sample; one without a sentiment is unlabelled."""
    return ClosedSample(key=key, image=image, question=QUESTION, answer=sentiment, chance=0.5, labelled=bool(sentiment))


def _sentiment(label: object, where: str) -> str:
    found = _LABELS.get(str(label).strip().lower())
    if found is None or isinstance(label, bool):
        message = f"{where}: expected a label 0 (negative) or 1 (positive), got {label!r:.40}; {INTACT}"
        raise DataError(message)
    return found


def _drawn(text: str, name: str, *, side: int, font_size: int) -> Image:
    return Image(partial(_draw, text, side, font_size), name)


def _draw(text: str, side: int, font_size: int) -> PIL.Image.Image:
    from kosmos_eval.lettering import draw_text  # noqa: PLC0415  sentences are read without drawing

    return draw_text(text, side, side, font_size)


def _read_folder(folder: Path, split: _Split, draw: Callable[[str, str], Image]) -> list[ClosedSample]:
    """Return the samples of the official pictures, or of a file of sentences where there are none.

    Raises:
        DataError: there is neither, or one of them in several places, or something in them is wrong.
    """
    tree = _find(folder, "rendered-sst2", split.folder, lambda path: bool(_classes(path)))
    if tree is not None:
        return _read_tree(tree)
    table = _find(folder, "SST-2", split.table, lambda path: path.is_file())
    if table is not None:
        return _read_sentences(table, draw)
    message = (
        f"expected {split.folder}/negative and {split.folder}/positive, or {split.table}, in {folder} or a sub-folder "
        f"of it, found none; {_CURE}"
    )
    raise DataError(message)


def _find(folder: Path, usual: str, name: str, fits: Callable[[Path], bool]) -> Path | None:
    """Return what fits: in the sub-folder that the archive makes, in the folder, or in another sub-folder.

    Another sub-folder may have the archive's in it, too.

    Raises:
        DataError: several other sub-folders have it.
    """
    for path in (folder / usual / name, folder / name):
        if fits(path):
            return path
    others = [each for each in sub_folders(folder) if os.access(each, os.R_OK | os.X_OK)]  # lost+found may be shut
    found = [path for other in others for path in (other / usual / name, other / name) if fits(path)]
    if len(found) > 1:
        message = (
            f"expected one {name} in {folder}, got {' and '.join(map(str, found))}; name the folder of one of them"
        )
        raise DataError(message)
    return found[0] if found else None


def _classes(folder: Path) -> dict[str, Path]:
    """Return sentiment to the sub-folder of its pictures."""
    folders = [each.name for each in list_folder(folder) if each.is_folder]
    return {name.lower(): folder / name for name in folders if name.lower() in SENTIMENTS}


def _read_tree(folder: Path) -> list[ClosedSample]:
    """Return the samples of a folder of pictures, negative ones first, by their names."""
    samples: dict[str, ClosedSample] = {}
    classes = _classes(folder)
    for sentiment in SENTIMENTS:
        place = classes.get(sentiment, folder / sentiment)
        files = [place / each.name for each in list_folder(place) if not each.name.startswith(".")]
        pictures = [each for each in files if each.suffix.lower() in _PICTURES]
        if not pictures:
            message = f"{place}: expected pictures (*.png), found none; {_CURE}"
            raise DataError(message)
        for path in pictures:
            key = f"{sentiment}/{path.stem}"
            if key in samples:
                message = f"{path}: expected one picture {key}, got another that differs in its ending; remove one"
                raise DataError(message)
            samples[key] = _sample(key, Image.from_file(path), sentiment)
    return list(samples.values())


def _read_sentences(path: Path, draw: Callable[[str, str], Image]) -> list[ClosedSample]:
    """Return the samples of a TSV file of sentences, to be drawn when they are opened; without labels, unlabelled ones.

    Their ids are GLUE's: `index` where the file has it, else the number of the row from 0.
    """
    samples: dict[str, ClosedSample] = {}
    for number, (where, row) in enumerate(read_table(path, ["sentence"], "\t", quoted=False)):
        text, key = row["sentence"].strip(), row.get("index", str(number)).strip()
        if not text:
            message = f"{where}: expected a sentence, got none; {INTACT}"
            raise DataError(message)
        if key in samples:
            message = f"{where}: expected index {key} once, got it again; unpack or download it again"
            raise DataError(message)
        sentiment = _sentiment(row["label"], where) if "label" in row else ""
        samples[key] = _sample(key, draw(text, f"{path.name} sentence {key}"), sentiment)
    return list(samples.values())


if TYPE_CHECKING:
    _CHECKED: tuple[type[Task[ClosedSample, Weighed]], ...] = (RenderedSST2, RenderedSST2CoT)
