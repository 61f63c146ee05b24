"""Any text task of lm-eval as a benchmark: `--tasks lm_eval:NAME`.

Samples are lm-eval's documents. Its own code makes contexts of them, says what is asked, filters answers, scores them
and aggregates the scores; asking, exemplars, records and intervals are ours. So values are those of lm-eval with the
same weights, and of its `hf` model where `kosmos_eval.model.lm_eval_bridge` says that they are.

Deviations:
    - Exemplars are drawn by the seed, the task and the sample's key; the first ones are taken in the data's order where
      the task asks for that (`sampler: first_n`). A task's own number of shots is not taken unasked.
    - Filters see one sample's answers at a time.
    - A candidate without characters cannot be weighed, and is never chosen.
    - Where a candidate's log-likelihood is no number, the sample is unparsed and earns nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from kosmos_eval.choice import choose
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.lm_eval_tasks.measures import SHARES, Measure, aggregation_of, filtered, find_measures, metric_of
from kosmos_eval.lm_eval_tasks.names import PREFIX
from kosmos_eval.lm_eval_tasks.recipe import data_provenance, make_task, scoring_digest
from kosmos_eval.lm_eval_tasks.requests import generate_request, rolling_request
from kosmos_eval.lm_eval_tasks.task import instances_of, numbered, weigh
from kosmos_eval.prompt import Prompt
from kosmos_eval.request import Generated, Scored, WholeText
from kosmos_eval.task import About, Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from kosmos_eval.corpus import CorpusScore
    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.lm_eval_tasks.names import Recipe
    from kosmos_eval.request import Request, Response

Results = tuple[Any, ...]
"""What a model of lm-eval's answers to each instance of a document: log-likelihood and greediness, a text, a sum."""

_UNREAD = "[invalid]"
"""What lm-eval's filters make of an answer that they find nothing in."""
_SAMPLERS = ("default", "first_n")
_NO_ITEMS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Document(Sample):
    """A document of an lm-eval task.

    Attributes:
        doc: as lm-eval's code takes it.
    """

    doc: Mapping[str, Any]

    @property
    def content(self) -> str:
        """The SHA-256 of the document: 64 hex digits."""
        return _digest(self.doc)


@dataclass(frozen=True, slots=True)
class ItemScore(Score):
    """What an answer is worth, with what lm-eval's aggregations take of it.

    Attributes:
        items: metric to item, for metrics that belong to all samples together.
    """

    items: Mapping[str, object] = field(default_factory=lambda: _NO_ITEMS)


@dataclass(frozen=True)
class NamedLmEvalTask:
    """A text task of lm-eval; a class is made for each that is asked for, see `named_task`."""

    name: ClassVar[str]
    description: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    scored_by: ClassVar[str]
    """Digest of what scores follow from, besides our own code."""
    exemplars_in_order: ClassVar[bool]
    version: ClassVar[int] = 1
    sources: ClassVar[tuple[SourceKind, ...]] = ("hub",)
    own_data: ClassVar[bool] = True
    about: ClassVar[About] = About(
        deviations=(
            "Exemplars are drawn by the seed, the task and the sample's key, not by lm-eval's sampler.",
            "A task's own number of shots is not taken unasked: --shots says how many.",
        )
    )
    _lm_eval: ClassVar[Any]
    _measures: ClassVar[tuple[Measure, ...]]

    @property
    def split(self) -> str:
        """As the dataset calls it."""
        config = self._lm_eval.config
        return str(config.test_split if config.test_split is not None else config.validation_split)

    @property
    def exemplar_split(self) -> str:
        """Likewise; `fewshot` where documents are made otherwise there, or stand in the task itself."""
        config = self._lm_eval.config
        shown = config.fewshot_config
        if shown.split is None and shown.samples is not None:
            return "fewshot"
        first = next(
            (each for each in (config.training_split, config.validation_split) if each is not None), self.split
        )
        made_alike = shown.split is None or shown.process_docs is config.process_docs
        return str(shown.split or first) if made_alike else "fewshot"

    @property
    def no_exemplars(self) -> str:
        """Why the task takes no exemplars; empty where it does."""
        config = self._lm_eval.config
        sampler = config.fewshot_config.sampler
        if config.output_type == "loglikelihood_rolling":
            return "a text that is scored whole has none"
        if config.num_fewshot == 0:
            return "its YAML file fixes num_fewshot: 0"
        return "" if sampler in _SAMPLERS else f"it draws them by code of its own ({sampler})"

    def samples(self, split: str, source: Source) -> list[Document]:  # noqa: ARG002  a task names its own data
        """Return the split's documents in the dataset's order.

        Raises:
            UnknownNameError: the split is neither the evaluated one nor that of the exemplars.
        """
        if split == self.split:
            docs: Iterable[Mapping[str, Any]] = self._lm_eval.task_docs
        elif split == self.exemplar_split:
            docs = self._lm_eval.sampler.df
        else:
            kind = f"split of {self.name}"
            raise UnknownNameError(kind, split, {self.split, self.exemplar_split})
        held = [dict(doc) for doc in docs]
        keys = numbered(_digest(doc)[:16] for doc in held)
        return [Document(key=key, doc=doc, chance=self._chance(doc)) for key, doc in zip(keys, held, strict=True)]

    def _chance(self, doc: Mapping[str, Any]) -> float | None:
        if self._lm_eval.config.output_type != "multiple_choice" or self.metrics[0].name not in SHARES[:-1]:
            return None
        return 1 / len(self._lm_eval.doc_to_choice(doc))

    def ask(self, sample: Document, exemplars: Sequence[Document]) -> Generator[Request, Response, Results]:
        """Ask what lm-eval asks about the document; return what a model of lm-eval's would.

        Raises:
            DataError: lm-eval's code cannot read the document, or there is nothing to weigh.
            UsageError: exemplars are shown to a task that takes none.
        """
        where = f"{self.name}, sample {sample.key}"
        if exemplars and self.no_exemplars:
            message = f"{self.name} takes no exemplars: {self.no_exemplars}; run it with --shots 0"
            raise UsageError(message)
        kind = self._lm_eval.config.output_type
        arguments = [each.args for each in self._instances(where, sample, exemplars)]
        if kind in {"loglikelihood", "multiple_choice"}:
            return (yield from weigh([(context, text) for context, text in arguments], where))
        if kind == "generate_until":
            ((context, settings),) = arguments
            written = yield generate_request(Prompt.of(context), settings, WholeText())
            assert isinstance(written, Generated)
            return (written.text,)
        request = rolling_request(arguments[0][0], WholeText())
        if request is None:
            message = f"{where}: expected a text with characters, got {arguments[0][0]!r}"
            raise DataError(message)
        weighed = yield request
        assert isinstance(weighed, Scored)
        return (weighed.continuations[0].total,)

    def _instances(self, where: str, sample: Document, exemplars: Sequence[Document]) -> list[Any]:
        try:
            return instances_of(self._lm_eval, sample.doc, [each.doc for each in exemplars])
        except Exception as error:
            message = f"{where}: lm-eval cannot ask about it ({type(error).__name__}: {error!s:.120}); mend its data"
            raise DataError(message) from error

    def score(self, sample: Document, answer: Results) -> Score:
        """Return what lm-eval's filters and scoring make of the answers."""
        task = self._lm_eval
        target = self._target(sample.doc)
        means = [metric.name for metric in self.metrics if not metric.corpus]
        totals = [each[0] if isinstance(each, tuple) else each for each in answer if not isinstance(each, str)]
        if totals and (any(math.isnan(each) or each == math.inf for each in totals) or max(totals) == -math.inf):
            return ItemScore(dict.fromkeys(means, 0.0), None, target, "a log-likelihood is not a number")
        found_by = filtered(task, sample.doc, answer)
        found = {
            Measure(key, name).name: value
            for name, results in found_by.items()
            for key, value in task.process_results(dict(sample.doc), list(results)).items()
        }
        values = {name: float(found[name]) for name in means}
        items = {metric.name: found[metric.name] for metric in self.metrics if metric.corpus and metric.name in found}
        said = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        read, margin = self._read(sample.doc, answer, next(iter(found_by.values())))
        return ItemScore(values, read, target, said, margin, items)

    def _read(
        self, doc: Mapping[str, Any], answer: Results, filtered: Sequence[Any]
    ) -> tuple[str | None, float | None]:
        """Return the answer for people, `None` where a filter found none, and by how much it was chosen."""
        kind = self._lm_eval.config.output_type
        if kind == "multiple_choice":
            texts = self._choices(doc)
            totals = [total for total, _ in answer[: len(texts)]]
            finite = [each for each in totals if each != -math.inf]
            return texts[totals.index(max(totals))].strip(), choose(finite).margin if finite else None
        if kind == "generate_until":
            read = filtered[0] if isinstance(filtered[0], str) else str(filtered[0])
            return (None if read == _UNREAD else read), None
        if kind == "loglikelihood":
            return f"{answer[0][0]:.4g} nats, {'the' if answer[0][1] else 'not the'} likeliest text", None
        return f"{answer[0]:.6g} nats", None

    def _choices(self, doc: Mapping[str, Any]) -> list[str]:
        """Return what is chosen from, as text."""
        return [str(each) for each in self._lm_eval.doc_to_choice(dict(doc))]

    def _target(self, doc: Mapping[str, Any]) -> str:
        task, held = self._lm_eval, dict(doc)
        if task.config.output_type == "loglikelihood_rolling":
            return ""
        target = task.doc_to_text(held) if task.multiple_input else task.doc_to_target(held)
        if isinstance(target, int) and task.config.doc_to_choice is not None:
            choices = self._choices(doc)
            return choices[target].strip() if 0 <= target < len(choices) else str(target)
        return str(target).strip()

    def score_corpus(self, scored: Sequence[tuple[Sample, Score]]) -> Mapping[str, CorpusScore]:
        """Return the metrics that lm-eval aggregates otherwise than by the mean of shares."""
        from kosmos_eval.lm_eval_tasks.metrics import MISSING, corpus_score  # noqa: PLC0415  as numpy, needed when scoring

        declared = {metric.name for metric in self.metrics if metric.corpus}
        return {
            each.name: corpus_score(
                aggregation_of(self._lm_eval, each.key),
                [score.items.get(each.name, MISSING) for _, score in scored if isinstance(score, ItemScore)],
            )
            for each in self._measures
            if each.name in declared
        }

    def provenance(self, source: Source) -> dict[str, str | None]:  # noqa: ARG002  as above
        """Return which version of lm-eval's task was run, and the data that it read, to their version."""
        from importlib.metadata import version  # noqa: PLC0415  of use when a run ends

        said = f"task version {self._lm_eval.VERSION}, lm-eval {version('lm-eval')}"
        return {f"lm-eval {self.name.removeprefix(PREFIX)}": said, **data_provenance(self._lm_eval)}


def named_task(recipe: Recipe) -> type[NamedLmEvalTask]:
    """Return the benchmark of one of lm-eval's tasks, its data read.

    Raises:
        UsageError: the task asks for what we do not do.
        DataError: its data or its file cannot be read.
    """
    task = make_task(recipe)
    measures = find_measures(recipe.name, task)
    metrics = tuple(metric_of(task, each) for each in measures)
    shots = task.config.num_fewshot
    usual = f"; lm-eval runs it with {shots} shots" if shots else ""
    return type(
        "NamedLmEvalTask",
        (NamedLmEvalTask,),
        {
            "__module__": __name__,
            "__doc__": None,
            "name": f"{PREFIX}{recipe.name}",
            "description": f"lm-eval's {recipe.name} ({task.config.output_type}{usual}).",
            "metrics": metrics,
            "scored_by": scoring_digest(recipe),
            "exemplars_in_order": task.config.fewshot_config.sampler == "first_n",
            "_lm_eval": task,
            "_measures": measures,
        },
    )


def _digest(doc: Mapping[str, Any]) -> str:
    held = json.dumps(doc, sort_keys=True, ensure_ascii=False, default=_as_text)
    return hashlib.sha256(held.encode()).hexdigest()


def _as_text(value: Any) -> object:  # noqa: ANN401  whatever a dataset holds
    """Return what stands for a value that JSON does not know in a document's digest: the same in every process."""
    match value:
        case bytes():
            return value.hex()
        case dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            return dict(value)
        case _ if hasattr(value, "tobytes"):  # pictures and arrays
            return hashlib.sha256(value.tobytes()).hexdigest()
        case _ if hasattr(value, "__iter__"):
            return list(value)
        case _:
            return type(value).__qualname__
