"""Hateful Memes: is a picture with its caption hateful? Memes are ranked by how likely "yes" is.

Source: KOSMOS-1 (arXiv 2302.14045), table 7: prompt "Question: does this picture contain real hate
speech? Answer: {answer}", answer out of {yes, no}, on the validation set, ROC AUC. The model reads the caption in the
picture: it is not given as text. The dataset and its metric: Kiela et al., arXiv 2005.04790.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from kosmos_eval.data.folder import INTACT, find_if_there, find_path, find_pictures, read_field, read_json_lines
from kosmos_eval.data.hub import hub_rows
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.microworld.memes import meme_items
from kosmos_eval.task import About, Metric, Sample, Score

from .closed_question import CHOSEN, ClosedQuestion, ClosedSample, Weighed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kosmos_eval.choice import By
    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.prompt import Image
    from kosmos_eval.task import Task

RankBy = Literal["difference", "yes"]
"""What memes are ranked by: log P(yes) - log P(no), or log P(yes) alone."""

QUESTION = "does this picture contain real hate speech?"
MINI_QUESTION = "does this caption contradict the picture?"

_CURE = "get the Hateful Memes archive (its form is at ai.meta.com/tools/hatefulmemes)"
_SPLITS = ("train", "dev_seen", "dev_unseen", "test_seen", "test_unseen")
_FIRST_RELEASE = {"dev_seen": "dev", "test_seen": "test"}
"""Split to its name in the first release, which had no unseen splits."""
_UNPACKED = ("defaults/annotations", "defaults/images", "data")
_LABELS = {"0": "no", "1": "yes"}


@dataclass(frozen=True, slots=True)
class RankedScore(Score):
    """A score with the meme's place in the ranking.

    Attributes:
        rank: what memes are ranked by, higher is more hateful; `None` where nothing could be compared.
        probability: of "yes".
    """

    rank: float | None = None
    probability: float = 0.5


@dataclass(frozen=True)
class HatefulMemes(ClosedQuestion):
    """Hateful Memes.

    Attributes:
        split: train, dev_seen, dev_unseen, test_seen or test_unseen. The paper's "validation set" may be dev_seen (500
            memes) or dev_unseen (540). A choice: dev_seen, the dev set of the first release.
        exemplar_split: likewise.
        by: log-likelihood that yes and no are compared by: total, per_token or per_character. A choice: total, so that
            the difference is a log-odds.
        rank_by: what memes are ranked by for ROC AUC: difference, log P(yes) - log P(no), or yes, log P(yes) alone. A
            choice: difference, whose sigmoid is the probability of yes among the two, with the same area. Accuracy
            compares yes with no either way.
        question: what is asked. The embedded stand-in has harmless pictures with true and false captions, and a
            question of its own: does this caption contradict the picture?
        separator: text after each exemplar. A choice: none, the next picture follows at once.
        hub_id: dataset on the hub, or a local copy of one: JSON lines or Parquet. The default has the official files,
            by its description; it has not been read.
        hub_revision: commit, branch or tag; `None` is the present state, whose commit is written into `run.json`.
        exemplar_hub_id: the same for the exemplar split; empty is the dataset of `hub_id`.
        exemplar_hub_revision: likewise.
        image_column: column of pictures on the hub, encoded or paths in the dataset. Ids are in a column `id`, or are
            the numbers in these paths.
    """

    name: ClassVar[str] = "hateful_memes"
    version: ClassVar[int] = 1
    description: ClassVar[str] = "Tell hateful memes from harmless ones, as in KOSMOS-1 table 7."
    sources: ClassVar[tuple[SourceKind, ...]] = ("mini", "hub", "folder")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            "roc_auc",
            "share of pairs whose hateful meme is ranked higher, ties at half (KOSMOS-1, arXiv 2302.14045, table 7)",
            corpus=True,
        ),
        Metric("accuracy", "share of memes whose label is the likelier choice (Kiela et al., arXiv 2005.04790)"),
    )
    splits: ClassVar[tuple[str, ...]] = _SPLITS
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"kosmos1": ("",), "ocr": ("",)})
    about: ClassVar[About] = About(
        paper="KOSMOS-1, table 7: validation set, zero-shot, ROC AUC. (The table's caption says "
        "accuracy; the text says ROC AUC.)",
        files="- `{train,dev_seen,dev_unseen,test_seen,test_unseen}.jsonl` with `id`, `img`, `label`, `text`; the "
        "first release's `dev.jsonl` and `test.jsonl` are read as dev_seen and test_seen\n"
        "- `img/*.png`, as `img` names them",
        licence="Hateful Memes Challenge research licence: to be accepted for the download; no redistribution.",
        deviations=(
            *CHOSEN,
            "The paper does not say which validation set, nor what the memes are ranked by: `split` and `rank_by`.",
            "The caption is read in the picture only, as in the paper; the dataset's `text` is not used.",
            "A meme whose log-probabilities are not finite loses every pair.",
            "The embedded stand-in is harmless: does a written caption contradict its picture?",
        ),
    )
    choices: ClassVar[tuple[str, ...]] = ("yes", "no")

    split: str = "dev_seen"
    exemplar_split: str = "train"
    by: By = "total"
    rank_by: RankBy = "difference"
    question: str = QUESTION
    hub_id: str = "neuralcatcher/hateful_memes"
    image_column: str = "img"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank_by not in get_args(RankBy):
            message = f"{self.name}: expected rank_by to be one of {', '.join(get_args(RankBy))}, got {self.rank_by!r}"
            raise UsageError(message)
        if not self.question.strip():
            message = f"{self.name}: expected question to have words, got {self.question!r}"
            raise UsageError(message)

    def samples(self, split: str, source: Source) -> Iterable[ClosedSample]:
        """Return the split's memes in the dataset's order, pictures unopened.

        Raises:
            DataError: a file, dataset, column, label or picture is missing or wrong.
            UsageError: there is no such split.
        """
        found = _find_split(split)
        match source.kind:
            case "mini":
                return self._read_mini(found)
            case "folder":
                return self._read_folder(source.folder, found)
            case "hub":
                return self._read_hub(found)

    def score(self, sample: ClosedSample, answer: Weighed) -> RankedScore:
        """Return whether the likelier choice is right, and what the meme is ranked by."""
        plain = super().score(sample, answer)
        values = {each.name: getattr(plain, each.name) for each in fields(plain)}
        if plain.answer is None:
            return RankedScore(**values)
        yes, no = answer.weights
        if self.rank_by == "yes":
            return RankedScore(**values, rank=yes, probability=math.exp(yes))
        return RankedScore(**values, rank=yes - no, probability=_sigmoid(yes - no))

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return the ROC AUC over the memes; unavailable where all have one label."""
        from kosmos_eval.corpus import CorpusScore  # noqa: PLC0415  numpy takes 100 ms to import; see `ls`
        from kosmos_eval.metrics.roc_auc import RocAuc  # noqa: PLC0415  as above

        labels = [score.target == "yes" for _, score in scored]
        if all(labels) or not any(labels):
            reason = (
                f'ROC AUC needs memes of both labels, got {len(labels)} "{scored[0][1].target}" only; ask more memes'
            )
            return {"roc_auc": CorpusScore(None, unavailable=reason)}
        return {"roc_auc": CorpusScore(RocAuc([_rank(score) for _, score in scored], labels))}

    def submission(self, answers: Iterable[tuple[Sample, Score]], folder: Path) -> Path:
        """Write the challenge's submission file, `id,proba,label`; what could not be compared is 0.5 and 0."""
        from kosmos_eval.writing import whole_file  # noqa: PLC0415  brings the statistics, which listing tasks needs not

        path = folder / f"hateful_memes_{_find_split(self.split)}.csv"
        with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("id", "proba", "label"))
            for sample, score in answers:
                assert isinstance(score, RankedScore)
                rows.writerow((sample.key, repr(score.probability), int(score.answer == "yes")))
        return path

    def _read_mini(self, split: str) -> Iterator[ClosedSample]:
        for item in meme_items(split):
            answer = "yes" if item.meme.contradicts else "no"
            yield ClosedSample(key=item.key, image=item.image, question=MINI_QUESTION, answer=answer, chance=0.5)

    def _read_folder(self, folder: Path, split: str) -> list[ClosedSample]:
        """Return the memes of the official files.

        Raises:
            DataError: something is missing or wrong; all is checked before the first sample is returned.
        """
        path = _find_lines(folder, split)
        records = [(f"{path.name}: meme {_key(record, where)}", record) for where, record in read_json_lines(path)]
        names = [_text(record, "img", where) for where, record in records]
        wanted = ((where, name) for (where, _), name in zip(records, names, strict=True))
        pictures = find_pictures(_find_pictures_folder(folder, path, names[0]), wanted, "unpack img/ again")
        images = [pictures[name] for name in names]
        return self._samples(records, [_key(record, where) for where, record in records], images, split)

    def _read_hub(self, split: str) -> list[ClosedSample]:
        """Return the memes of a dataset with the official fields as columns.

        Raises:
            DataError: the dataset cannot be read, lacks a column, or a row is wrong.
        """
        repository, revision = self.hub_place(exemplars=split != _find_split(self.split))
        rows = list(hub_rows(repository, split, revision=revision, image_columns=(self.image_column,)))
        label = f"dataset {repository}, split {split}, row"
        records = [(f"{label} {number}", row) for number, row in enumerate(rows)]
        if rows and "id" in rows[0]:
            keys = [_key(row, where) for where, row in records]
        else:
            paths = hub_rows(repository, split, revision=revision, columns=(self.image_column,))
            keys = [_number(row[self.image_column], f"{label} {number}") for number, row in enumerate(paths)]
        return self._samples(records, keys, [row[self.image_column] for row in rows], split)

    def _samples(
        self, records: Sequence[tuple[str, Any]], keys: Sequence[str], images: Sequence[Image], split: str
    ) -> list[ClosedSample]:
        """Return records as samples, all of them labelled or, in a test split, none."""
        labelled = not split.startswith("test") or any(
            record.get("label", -1) not in (None, -1) for _, record in records
        )
        samples: dict[str, ClosedSample] = {}
        for (where, record), key, image in zip(records, keys, images, strict=True):
            if key in samples:
                message = f"{where}: expected id {key} once, got it again; unpack or download it again"
                raise DataError(message)
            answer = _answer(record, where) if labelled else ""
            samples[key] = ClosedSample(
                key=key, image=image, question=self.question, answer=answer, chance=0.5, labelled=labelled
            )
        return list(samples.values())


def _find_split(name: str) -> str:
    first = {before: now for now, before in _FIRST_RELEASE.items()}
    if (found := first.get(name, name)) not in _SPLITS:
        kind = "split of hateful_memes"
        raise UnknownNameError(kind, name, _SPLITS)
    return found


def _find_lines(folder: Path, split: str) -> Path:
    """Return where the split's file lies, by its name in the first release if it has no other."""
    first = _FIRST_RELEASE.get(split, split)
    found = find_if_there(folder, f"{split}.jsonl", within=_UNPACKED) or find_if_there(
        folder, f"{first}.jsonl", within=_UNPACKED
    )
    return found or find_path(folder, f"{split}.jsonl", cure=_CURE)


def _find_pictures_folder(folder: Path, lines: Path, name: str) -> Path:
    """Return the folder that a picture's name starts from: that of its file, or another."""
    top = PurePosixPath(name).parts[0]
    if (lines.parent / top).exists():
        return lines.parent
    return find_path(folder, top, within=_UNPACKED, cure=f"unpack {top} beside {lines.name}").parent


def _key(record: object, where: str) -> str:
    """Return a meme's id, which files give as a number and copies as a text, `01456`."""
    value = record.get("id") if isinstance(record, dict) else None
    if isinstance(value, str) and value.strip().isdecimal():
        return str(int(value))
    return str(read_field(record, "id", int, where))


def _text(record: object, name: str, where: str) -> str:
    text = read_field(record, name, str, where)
    if not text.strip():
        message = f'{where}: expected "{name}" to have characters, got {text!r}; {INTACT}'
        raise DataError(message)
    return text


def _number(path: object, where: str) -> str:
    """Return the id that a picture's path says: `img/01456.png` is of meme 1456."""
    stem = PurePosixPath(path).stem if isinstance(path, str) else ""
    if not stem.isdecimal():
        message = f"{where}: expected a column id, or pictures as paths with their ids (img/01456.png), got neither"
        raise DataError(message)
    return str(int(stem))


def _answer(record: object, where: str) -> str:
    value = record.get("label") if isinstance(record, dict) else None
    found = None if isinstance(value, bool) else _LABELS.get(str(value).strip())
    if found is None:
        message = f'{where}: expected "label" to be 0 or 1, got {value!r:.40}; {INTACT}'
        raise DataError(message)
    return found


def _rank(score: Score) -> float:
    """Return the meme's place in the ranking; one that could not be compared loses every pair."""
    assert isinstance(score, RankedScore)
    if score.rank is None:
        return -math.inf if score.target == "yes" else math.inf
    return score.rank


def _sigmoid(log_odds: float) -> float:
    """Return the probability that log-odds stand for, without overflow."""
    if log_odds < 0:
        return math.exp(log_odds) / (1 + math.exp(log_odds))
    return 1 / (1 + math.exp(-log_odds))


if TYPE_CHECKING:
    _CHECKED: type[Task[ClosedSample, Weighed]] = HatefulMemes
