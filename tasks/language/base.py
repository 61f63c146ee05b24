"""What the language tasks share: where the papers have them, and what a benchmark adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kosmos_eval.lm_eval_tasks.task import LmEvalTask
from kosmos_eval.microworld.language import language_rows
from kosmos_eval.task import Metric

from .files import find_first, json_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kosmos_eval.data.source import SourceKind

    from .files import Row

PAPER = (
    "KOSMOS-1 (arXiv 2302.14045), table 13: 0, 1 and 4 shots, of the model without instruction tuning; zero-shot also "
    "KOSMOS-2 (arXiv 2306.14824), table 6."
)
DEVIATIONS = (
    (
        "The papers' prompts and scoring are not published: prompts, candidates and scores are lm-eval's (0.4.13), so "
        "that published numbers are comparable only approximately."
    ),
    (
        "The papers' language rows are of models without instruction tuning, so the task is in the group `language` "
        "alone, and not among the rows of `kosmos1` and `kosmos2`."
    ),
    "Exemplars are drawn by the seed, the task and the sample's key, not by lm-eval's sampler.",
    "A candidate without characters cannot be weighed, and is never chosen.",
)
ACC = Metric("acc", "share whose right candidate is the likeliest by the sum over tokens, as lm-eval has it")
ACC_NORM = Metric("acc_norm", "the same by the mean a character of the candidate, as lm-eval has it")
_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Language(LmEvalTask):
    """What all of them share.

    Attributes:
        split: the dataset's own name, by default the one with public answers that lm-eval evaluates.
        exemplar_split: likewise; exemplars are drawn from the training split where there is one.
    """

    version: ClassVar[int] = 1
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (ACC,)
    splits: ClassVar[tuple[str, ...]] = _SPLITS
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"language": ("",)}
    yaml: ClassVar[str]
    mini: ClassVar[str]
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Split to the names that its file may have."""
    cure: ClassVar[str] = ""

    split: str = "validation"
    exemplar_split: str = "train"

    @property
    def recipe(self) -> str:
        """The task's YAML file, under lm-eval's `tasks`."""
        return self.yaml

    def mini_rows(self, split: str) -> list[tuple[str, Row]]:
        """Return the embedded data's rows, each with its key."""
        return language_rows(self.mini, split)

    def folder_rows(self, split: str, folder: Path) -> list[tuple[str, Row]]:
        """Return the official files' rows, each with `FILE: line N`."""
        return json_rows(find_first(folder, self.files[split], self.cure))
