"""Stories, activities, schemas and ways: the language tasks of KOSMOS-1, table 13, that are not SuperGLUE's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from kosmos_eval.data.folder import find_if_there
from kosmos_eval.errors import UsageError
from kosmos_eval.task import About

from .base import ACC, ACC_NORM, DEVIATIONS, PAPER, Language
from .files import find_first, label_of, labelled_rows, story_rows, winograd_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kosmos_eval.data.source import SourceKind
    from kosmos_eval.lm_eval_tasks.task import Likelihoods, LmEvalSample
    from kosmos_eval.task import Metric, Task

    from .files import Row


@dataclass(frozen=True)
class StoryCloze(Language):
    """The right ending of a story in four sentences.

    Attributes:
        split: validation or test. The paper does not say; lm-eval evaluates test. The answers to 2018's test split are
            not public.
        exemplar_split: likewise; the training stories have no wrong endings.
        year: 2016 or 2018, the edition. A choice: the paper does not say.
    """

    name: ClassVar[str] = "story_cloze"
    description: ClassVar[str] = "The right ending of a short story (Story Cloze Test), through lm-eval's task code."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "folder")
    splits: ClassVar[tuple[str, ...]] = ("validation", "test")
    variants: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "2018": {"year": "2018", "split": "validation", "exemplar_split": "validation"}
    }
    mini: ClassVar[str] = "story_cloze"
    columns: ClassVar[Mapping[str, type]] = {
        **{f"input_sentence_{number}": str for number in range(1, 5)},
        "sentence_quiz1": str,
        "sentence_quiz2": str,
        "answer_right_ending": int,
    }
    cure: ClassVar[str] = "ask for it at cs.rochester.edu/nlp/rocstories"
    about: ClassVar[About] = About(
        paper=PAPER,
        files="- `cloze_test_test__spring2016*.csv` and, for exemplars, `cloze_test_val__spring2016*.csv`; for "
        "`story_cloze:2018` `cloze_test_val__winter2018*.csv`: on request, cs.rochester.edu/nlp/rocstories",
        licence="On request from its authors, for research.",
        deviations=(
            *DEVIATIONS,
            "The dataset on the hub is a loading script, which no longer loads: the official files are read instead.",
        ),
    )

    split: str = "test"
    exemplar_split: str = "validation"
    year: Literal["2016", "2018"] = "2016"

    def __post_init__(self) -> None:
        if self.year not in get_args(Literal["2016", "2018"]):
            message = f"{self.name}: expected year to be 2016 or 2018, got {self.year!r}"
            raise UsageError(message)

    @property
    def recipe(self) -> str:
        """The YAML file of the edition."""
        return f"storycloze/storycloze_{self.year}.yaml"

    def folder_rows(self, split: str, folder: Path) -> list[tuple[str, Row]]:
        """Return the rows of the edition's CSV file, each with `FILE: line N`."""
        return story_rows(folder, {"validation": "val", "test": "test"}[split], self.year, self.cure)

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with the number of its right ending."""
        return {**row, "answer_right_ending": label_of(row, "answer_right_ending", {"1": 1, "2": 2}, where)}

    def key_of(self, row: Row) -> str:
        """Return the story's id."""
        return str(row.get("InputStoryid", ""))


@dataclass(frozen=True)
class HellaSwag(Language):
    """The right one of four endings."""

    name: ClassVar[str] = "hellaswag"
    description: ClassVar[str] = "The right ending of a description of what people do, through lm-eval's task code."
    metrics: ClassVar[tuple[Metric, ...]] = (ACC, ACC_NORM)
    yaml: ClassVar[str] = "hellaswag/hellaswag.yaml"
    mini: ClassVar[str] = "hellaswag"
    columns: ClassVar[Mapping[str, type]] = {
        "activity_label": str,
        "ctx_a": str,
        "ctx_b": str,
        "endings": list,
        "label": str,
    }
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": ("hellaswag_train.jsonl",),
        "validation": ("hellaswag_val.jsonl",),
    }
    cure: ClassVar[str] = "get it at github.com/rowanz/hellaswag, data/"
    about: ClassVar[About] = About(
        paper=PAPER,
        files="- `hellaswag_val.jsonl` and, for exemplars, `hellaswag_train.jsonl`: github.com/rowanz/hellaswag",
        licence="MIT.",
        deviations=DEVIATIONS,
    )

    hub_id: str = "Rowan/hellaswag"

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with its label as text, as on the hub."""
        number = label_of(row, "label", {str(each): each for each in range(4)}, where)
        return {**row, "label": str(number)}

    def key_of(self, row: Row) -> str:
        """Return the row's own number in the dataset."""
        return str(row.get("ind", ""))

    def cluster_of(self, row: Row) -> str:
        """Return the video or article that the row is about."""
        return str(row.get("source_id", ""))


@dataclass(frozen=True)
class Winograd285(Language):
    """What a pronoun stands for, in 285 schemas.

    Attributes:
        exemplar_split: there is no other split than test, so exemplars are other schemas.
        hub_id: dataset on the hub, or a local copy of one; its parquet files have not been read here.
    """

    name: ClassVar[str] = "winograd_wsc285"
    description: ClassVar[str] = "What a pronoun stands for (Winograd schemas, all 285), through lm-eval's task code."
    splits: ClassVar[tuple[str, ...]] = ("test",)
    yaml: ClassVar[str] = "wsc273/default.yaml"
    mini: ClassVar[str] = "winograd"
    size: ClassVar[int] = 285
    hub_config: ClassVar[str | None] = "wsc285"
    columns: ClassVar[Mapping[str, type]] = {
        "text": str,
        "pronoun": str,
        "pronoun_loc": int,
        "options": list,
        "label": int,
    }
    cure: ClassVar[str] = "get it at cs.nyu.edu/~davise/papers/WinogradSchemas"
    about: ClassVar[About] = About(
        paper=f"{PAPER} The percentages that the papers print fit 285 schemas, and none of them fits 273.",
        files="- `WSCollection.xml`: cs.nyu.edu/~davise/papers/WinogradSchemas; or the hub's rows as `wsc285.jsonl` "
        "(`wsc273.jsonl`). The 273 are the first of the 285.",
        licence="CC BY 4.0.",
        deviations=(
            *DEVIATIONS,
            "lm-eval has a task of the first 273 schemas alone: its code is run on all 285.",
            "Candidates stand in the context, and what follows the pronoun is weighed behind each.",
            "There is no training split: exemplars are other schemas, which may be the other one of a pair.",
            "The official file has text before and behind the pronoun: a space joins them, as on the hub.",
        ),
    )

    split: str = "test"
    exemplar_split: str = "test"
    hub_id: str = "coref-data/davis_wsc_raw"

    def folder_rows(self, split: str, folder: Path) -> list[tuple[str, Row]]:
        """Return the schemas of the official file, each with its number."""
        del split
        return winograd_rows(folder, self.size, self.cure)


@dataclass(frozen=True)
class Winograd273(Winograd285):
    """What a pronoun stands for, in the first 273 schemas, as lm-eval has them.

    Attributes:
        hub_id: dataset on the hub, or a local copy of one.
    """

    name: ClassVar[str] = "winograd_wsc273"
    description: ClassVar[str] = "What a pronoun stands for (273 Winograd schemas), through lm-eval's task code."
    size: ClassVar[int] = 273
    hub_config: ClassVar[str | None] = "wsc273"
    about: ClassVar[About] = About(
        paper="lm-eval's `wsc273`. The percentages that KOSMOS-1 and KOSMOS-2 print fit 285 schemas: see "
        "`winograd_wsc285`.",
        files=Winograd285.about.files,
        licence=Winograd285.about.licence,
        deviations=(*DEVIATIONS, *Winograd285.about.deviations[-3:]),
    )

    hub_id: str = "lighteval/winograd_wsc"


@dataclass(frozen=True)
class Winogrande(Language):
    """What a blank stands for."""

    name: ClassVar[str] = "winogrande"
    description: ClassVar[str] = "What a blank stands for (Winogrande XL), through lm-eval's task code."
    yaml: ClassVar[str] = "winogrande/default.yaml"
    mini: ClassVar[str] = "winogrande"
    hub_config: ClassVar[str | None] = "winogrande_xl"
    columns: ClassVar[Mapping[str, type]] = {"sentence": str, "option1": str, "option2": str, "answer": str}
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": ("winogrande_1.1/train_xl.jsonl", "train_xl.jsonl"),
        "validation": ("winogrande_1.1/dev.jsonl", "winogrande/dev.jsonl", "./dev.jsonl"),
    }
    cure: ClassVar[str] = "get winogrande_1.1.zip at winogrande.allenai.org"
    about: ClassVar[About] = About(
        paper=PAPER,
        files="- `dev.jsonl` and, for exemplars, `train_xl.jsonl`, in the folder or `winogrande_1.1/`: "
        "winogrande.allenai.org",
        licence="CC BY.",
        deviations=(
            *DEVIATIONS,
            "Candidates stand in the context, and what follows the blank is weighed behind each.",
        ),
    )

    hub_id: str = "allenai/winogrande"

    def folder_rows(self, split: str, folder: Path) -> list[tuple[str, Row]]:
        """Return the rows; labels that the file lacks are taken from the file beside it."""
        return labelled_rows(find_first(folder, self.files[split], self.cure), "answer")

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with the number of its answer as text."""
        return {**row, "answer": str(label_of(row, "answer", {"1": 1, "2": 2}, where))}

    def key_of(self, row: Row) -> str:
        """Return the question's id."""
        return str(row.get("qID", ""))

    def cluster_of(self, row: Row) -> str:
        """Return what the two sentences of a pair share of their ids."""
        return self.key_of(row).rpartition("-")[0]


@dataclass(frozen=True)
class PIQA(Language):
    """Which of two ways reaches a goal."""

    name: ClassVar[str] = "piqa"
    description: ClassVar[str] = "Which of two ways reaches a physical goal (PIQA), through lm-eval's task code."
    metrics: ClassVar[tuple[Metric, ...]] = (ACC, ACC_NORM)
    yaml: ClassVar[str] = "piqa/piqa.yaml"
    mini: ClassVar[str] = "piqa"
    columns: ClassVar[Mapping[str, type]] = {"goal": str, "sol1": str, "sol2": str, "label": int}
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": ("piqa/train.jsonl", "physicaliqa-train-dev/train.jsonl", "./train.jsonl"),
        "validation": (
            *("piqa/valid.jsonl", "physicaliqa-train-dev/dev.jsonl", "./valid.jsonl", "./dev.jsonl"),
            "valid.jsonl",
        ),
    }
    cure: ClassVar[str] = "get it at yonatanbisk.com/piqa"
    about: ClassVar[About] = About(
        paper=PAPER,
        files="- `valid.jsonl` with `valid-labels.lst` and, for exemplars, `train.jsonl` with `train-labels.lst`, in "
        "the folder or `piqa/`: yonatanbisk.com/piqa; or `physicaliqa-train-dev/` with `dev.jsonl`",
        licence="AFL 3.0.",
        deviations=DEVIATIONS,
    )

    hub_id: str = "baber/piqa"

    def folder_rows(self, split: str, folder: Path) -> list[tuple[str, Row]]:
        """Return the rows with the labels of the file beside theirs.

        Many benchmarks have a `train.jsonl`: in a folder of any name, it is the one beside `valid.jsonl`.
        """
        valid = find_if_there(folder, "valid.jsonl") if split == "train" else None
        beside = valid.with_name("train.jsonl") if valid is not None else folder
        path = beside if beside.is_file() else find_first(folder, self.files[split], self.cure)
        return labelled_rows(path, "label")

    def normalise(self, row: Row, where: str) -> Row:
        """Return a row with its label as a number."""
        return {**row, "label": label_of(row, "label", {"0": 0, "1": 1}, where)}

    def key_of(self, row: Row) -> str:
        """Return the question's id, which some copies have."""
        return str(row.get("id", ""))


if TYPE_CHECKING:
    _CHECKED: tuple[type[Task[LmEvalSample, Likelihoods]], ...] = (
        *(StoryCloze, HellaSwag, Winograd285, Winograd273),
        *(Winogrande, PIQA),
    )
