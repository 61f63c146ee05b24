"""Benchmarks whose prompts, candidates and scores are those of a multiple-choice task of lm-eval.

The task's own YAML file is loaded, and its own code makes contexts of documents and scores of log-likelihoods. Samples,
exemplars, asking and records are ours: the data come from official files, and exemplars are drawn as for any task. A
context and its candidate are read as one text, so that log-likelihoods are those of lm-eval's `hf` model.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.choice import choose
from kosmos_eval.data.folder import read_field
from kosmos_eval.data.hub import HubSettings, hub_rows
from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Continuation, Scored, WholeText
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.task import Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import Source
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Metric

Row = dict[str, Any]
"""A document as the YAML file expects it: column to value."""

Likelihoods = tuple[tuple[float, bool], ...]
"""For each candidate its log-likelihood in nats, and whether greedy search would write it."""

_BLANK = (-math.inf, False)
_UNREADABLE = (AttributeError, IndexError, KeyError, SyntaxError, TypeError, ValueError)
_ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}


@dataclass(frozen=True, kw_only=True)
class LmEvalSample(Sample):
    """A document of an lm-eval task.

    Attributes:
        doc: as lm-eval's code takes it.
        choices: what is chosen from; where the contexts differ and the continuation is shared, how each context ends.
        target: index of the right one.
    """

    doc: Mapping[str, Any]
    choices: tuple[str, ...]
    target: int


@dataclass(frozen=True)
class LmEvalTask(HubSettings):
    """A multiple-choice task of lm-eval; a benchmark adds its columns and readers."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    splits: ClassVar[tuple[str, ...]]
    columns: ClassVar[Mapping[str, type]]
    """What a document must hold, and of which kind."""
    hub_config: ClassVar[str | None] = None
    """Which of the datasets that the hub's repository holds."""

    @property
    def recipe(self) -> str:
        """The task's YAML file, under lm-eval's `tasks`."""
        raise NotImplementedError

    def mini_rows(self, split: str) -> Iterable[tuple[str, Row]]:
        """Return the embedded data's rows, each with its key."""
        raise NotImplementedError

    def folder_rows(self, split: str, folder: Path) -> Iterable[tuple[str, Row]]:
        """Return the official files' rows, each with `FILE: line N`."""
        raise NotImplementedError

    def normalise(self, row: Row, where: str) -> Row:  # noqa: ARG002  benchmarks name the row at fault
        """Return an official row with the columns that the YAML file expects; it may hold others."""
        return row

    def key_of(self, row: Row) -> str:  # noqa: ARG002  as it says
        """Return the dataset's own id of an official row; empty where it has none, and is known by its content."""
        return ""

    def cluster_of(self, row: Row) -> str:  # noqa: ARG002  as above
        """Return what a row shares with others; empty where it stands alone."""
        return ""

    def provenance(self, source: Source) -> dict[str, str | None]:
        """Return dataset to the commit that was read, and which version of lm-eval's task was run."""
        from importlib.metadata import version  # noqa: PLC0415  of use when a run ends

        metadata = _recipe(self.recipe).get("metadata") or {}
        said = f"task version {metadata.get('version')}, lm-eval {version('lm-eval')}"
        return {**super().provenance(source), f"lm-eval {self.recipe}": said}

    def samples(self, split: str, source: Source) -> list[LmEvalSample]:
        """Return the split's samples in the dataset's order.

        Raises:
            DataError: a file is missing, or a row is not as the YAML file expects it.
            UnknownNameError: there is no such split.
        """
        wanted = _ALIASES.get(split, split)
        if wanted not in self.splits:
            kind = f"split of {self.name}"
            raise UnknownNameError(kind, split, self.splits)
        if source.kind == "mini":
            official = list(self.mini_rows(wanted))
            keys, clusters = [key for key, _ in official], [""] * len(official)
        else:
            official = [(where, self.normalise(row, where)) for where, row in self._official(wanted, source)]
            keys = numbered(self.key_of(row) or _content(row, self.columns) for _, row in official)
            clusters = [self.cluster_of(row) for _, row in official]
        rows: list[Row] = [
            {name: read_field(row, name, kind, where) for name, kind in self.columns.items()} for where, row in official
        ]
        places = [where for where, _ in official]
        docs = _processed(self.recipe, rows, places[0] if places else "")
        named = zip(docs, places, keys, clusters, strict=True)
        return [self._sample(doc, where, key, cluster) for doc, where, key, cluster in named]

    def _official(self, split: str, source: Source) -> Iterable[tuple[str, Row]]:
        if source.kind == "folder":
            return self.folder_rows(split, source.folder)
        repository, revision = self.hub_place(exemplars=split == getattr(self, "exemplar_split", None))
        columns = tuple(self.columns)
        rows = hub_rows(repository, split, revision=revision, config=self.hub_config, columns=columns)
        return ((f"{repository} {split} row {number}", dict(row)) for number, row in enumerate(rows))

    def _sample(self, doc: Row, where: str, key: str, cluster: str) -> LmEvalSample:
        try:
            task = _task(self.recipe, doc)  # lm-eval looks at the first document as it makes the task
            choices = tuple(task.doc_to_choice(doc))
            target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
        except _UNREADABLE as error:
            raise _unreadable(self.recipe, where, error) from error
        if isinstance(target, str) and target in choices:
            target = choices.index(target)
        if isinstance(target, bool) or not isinstance(target, int) or not 0 <= target < len(choices):
            message = f"{where}: expected the right one of {len(choices)} choices, from 0, got {target!r:.40}"
            raise DataError(message)
        chance = 1 / len(choices)
        return LmEvalSample(key=key, cluster=cluster, chance=chance, doc=doc, choices=choices, target=target)

    def ask(self, sample: LmEvalSample, exemplars: Sequence[LmEvalSample]) -> Generator[Request, Response, Likelihoods]:
        """Ask how likely each candidate is in the context that lm-eval makes; return the log-likelihoods.

        A candidate without characters cannot be asked about, and is never chosen.
        """
        task = _task(self.recipe, sample.doc)
        pairs = [each.args for each in instances_of(task, sample.doc, [each.doc for each in exemplars])]
        return (yield from weigh(pairs, f"{self.name}, sample {sample.key}"))

    def score(self, sample: LmEvalSample, answer: Likelihoods) -> Score:
        """Return what lm-eval's task makes of the log-likelihoods.

        As in lm-eval, the first of candidates that tie exactly is chosen. Where a log-likelihood is no number, nothing
        can be compared: the answer is unparsed and earns nothing.
        """
        means = [metric.name for metric in self.metrics if not metric.corpus]
        totals = [total for total, _ in answer]
        target = sample.choices[sample.target].strip()
        if not all(each < math.inf for each in totals) or max(totals) == -math.inf:
            return Score(dict.fromkeys(means, 0.0), None, target, "a log-likelihood is not a number")
        task = _task(self.recipe, sample.doc)
        values = task.process_results(dict(sample.doc), list(answer))
        chosen = sample.choices[totals.index(max(totals))].strip()
        finite = [each for each in totals if each != -math.inf]
        margin = choose(finite).margin
        said = f"{chosen!r:.80} is likeliest" + (f" by {margin:.3g} nats" if margin is not None else "")
        return Score({name: float(values[name]) for name in means}, chosen, target, said, margin)

    def gold(self, sample: LmEvalSample, request: Request) -> int:
        """Return the place of the right candidate among those that can be asked about."""
        assert isinstance(request, ScoreRequest)
        return sum(1 for each in sample.choices[: sample.target] if each.strip())


def instances_of(
    task: Any,  # noqa: ANN401  lm-eval ships no types
    doc: Mapping[str, Any],
    exemplars: Sequence[Mapping[str, Any]],
) -> list[Any]:
    """Return what lm-eval asks about a document (its `Instance`s), after exemplars that were drawn for it."""
    task, asked = copy(task), dict(doc)
    task.sampler = _Shown([dict(each) for each in exemplars])
    context = task.fewshot_context(asked, len(exemplars), gen_prefix=task.doc_to_prefix(asked))
    made = task.construct_requests(asked, context, metadata=(task.config.task, 0, 1))
    return made if isinstance(made, list) else [made]


def weigh(pairs: Sequence[tuple[str, str]], where: str) -> Generator[Request, Response, Likelihoods]:
    """Ask how likely each continuation is in its context; return the log-likelihoods.

    A continuation without characters cannot be asked about, and is never chosen.

    Args:
        pairs: of a context and its continuation.
        where: task and sample, for the message.

    Raises:
        DataError: no continuation has characters.
    """
    asked = [place for place, (_, text) in enumerate(pairs) if text.strip()]
    if not asked:
        message = f"{where}: expected candidates with characters, got {pairs[0][1]!r}"
        raise DataError(message)
    response = yield _request([pairs[place] for place in asked])
    assert isinstance(response, Scored)
    found = dict(zip(asked, response.continuations, strict=True))
    return tuple((found[place].total, found[place].greedy) if place in found else _BLANK for place in range(len(pairs)))


class _Shown:
    """Gives lm-eval the exemplars that were drawn."""

    def __init__(self, docs: list[Row]) -> None:
        self._docs = docs

    def sample(self, n: int, eval_doc: object = None, **_: object) -> list[Row]:
        """Return them."""
        del n, eval_doc
        return self._docs


def _request(pairs: Sequence[tuple[str, str]]) -> ScoreRequest:
    """Return what weighs each continuation behind its context; contexts that differ are leads of an empty prompt."""
    contexts = {context for context, _ in pairs}
    if len(contexts) == 1:
        return ScoreRequest(Prompt.of(pairs[0][0]), tuple(Continuation(text) for _, text in pairs), WholeText())
    continuations = tuple(Continuation(text, Prompt.of(context)) for context, text in pairs)
    return ScoreRequest(Prompt(), continuations, WholeText())


def _content(row: Row, columns: Iterable[str]) -> str:
    """Return the head of the SHA-256 of a row's content."""
    held = json.dumps([row.get(name) for name in columns], ensure_ascii=False)
    return hashlib.sha256(held.encode()).hexdigest()[:16]


def numbered(found: Iterable[str]) -> list[str]:
    """Return the keys; one that comes again has its count behind it, as some datasets hold a row twice."""
    seen: dict[str, int] = {}
    keys = []
    for key in found:
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return keys


@cache
def _recipe(path: str) -> Mapping[str, Any]:
    """Return what a YAML file of lm-eval's says."""
    import lm_eval  # noqa: PLC0415  lm-eval takes a second to import
    from lm_eval.tasks._yaml_loader import load_yaml  # noqa: PLC0415  as above

    keep_templates()
    found: Mapping[str, Any] = load_yaml(Path(lm_eval.__path__[0]) / "tasks" / path)
    return found


@cache
def keep_templates() -> None:
    """Have lm-eval compile each template once: it does so for each document anew, which takes a millisecond a time."""
    from lm_eval import utils  # noqa: PLC0415  as above

    utils.env.from_string = cache(utils.env.from_string)


_TASKS: dict[tuple[str, tuple[str, ...]], Any] = {}


def _task(path: str, example: Mapping[str, Any]) -> Any:  # noqa: ANN401  lm-eval ships no types
    """Return lm-eval's task of a YAML file, which knows of its documents which columns they have.

    Args:
        path: of the YAML file.
        example: a document; lm-eval looks at one as it makes the task.
    """
    key = (path, tuple(example))
    if key not in _TASKS:
        import datasets  # noqa: PLC0415  as above
        from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415  as above

        said = {name: value for name, value in _recipe(path).items() if name not in {"tag", "process_docs"}}
        splits = {"training_split": None, "validation_split": None, "test_split": "asked"}
        doc = dict(example)

        def rows(**_: object) -> dict[str, Any]:
            return {"asked": datasets.Dataset.from_list([doc])}

        with quiet():
            _TASKS[key] = ConfigurableTask(config={**said, **splits, "custom_dataset": rows, "metadata": None})
    return _TASKS[key]


def _processed(path: str, rows: list[Row], where: str) -> list[Row]:
    """Return rows as the YAML file's `process_docs` makes documents of them."""
    process = _recipe(path).get("process_docs")
    if process is None or not rows:
        return rows
    import datasets  # noqa: PLC0415  as above

    try:
        with quiet():
            return [dict(row) for row in process(datasets.Dataset.from_list(rows))]
    except _UNREADABLE as error:
        raise _unreadable(path, f"the rows from {where} on", error) from error


def _unreadable(path: str, where: str, error: Exception) -> DataError:
    message = f"{where}: lm-eval's {path} cannot read it ({type(error).__name__}: {error}); take an intact copy"
    return DataError(message)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back progress bars, and lm-eval's remarks on tasks that are made in code."""
    from datasets import utils  # noqa: PLC0415  as above

    loggers = [logging.getLogger(name) for name in ("lm_eval.api.task", "lm_eval.config.task")]
    shown, before = not utils.are_progress_bars_disabled(), [each.disabled for each in loggers]
    utils.disable_progress_bars()
    for each in loggers:
        each.disabled = True
    try:
        yield
    finally:
        for each, disabled in zip(loggers, before, strict=True):
            each.disabled = disabled
        if shown:
            utils.enable_progress_bars()
