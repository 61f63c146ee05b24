"""The metrics of a task of lm-eval: each of its own, of what each of its filters lets through."""

from __future__ import annotations

import math
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from kosmos_eval.errors import KosmosEvalError, UsageError
from kosmos_eval.lm_eval_tasks.names import PREFIX
from kosmos_eval.lm_eval_tasks.task import instances_of, quiet
from kosmos_eval.task import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHARES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""lm-eval's metrics that are a mean of zeros and ones; others are aggregated as lm-eval says."""
_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(("perplexity", "weighted_perplexity", "bits_per_byte", "ter"), (0.0, math.inf)),
        **dict.fromkeys(("bleu", "chrf", "chrf++"), (0.0, 100.0)),
        "f1": (0.0, 1.0),
        "matthews_corrcoef": (-1.0, 1.0),
        "brier_score": (0.0, 2.0),
    }
)
"""Least and greatest value of lm-eval's aggregations; those of others are not known."""


class Measure(NamedTuple):
    """A metric: lm-eval's name of it, and the filter that answers go through."""

    key: str
    filtered: str

    @property
    def name(self) -> str:
        """As results spell it; lm-eval's `acc,none` is `acc`."""
        return self.key if self.filtered == "none" else f"{self.key},{self.filtered}"


def find_measures(name: str, task: Any) -> tuple[Measure, ...]:  # noqa: ANN401  lm-eval ships no types
    """Return a task's metrics, the headline first: those of its list, and those that scoring a first document shows.

    A document is scored as if the model had answered something: some metrics have other names than those of the list.
    """
    declared = list(task.aggregation())
    tried = _tried(task)
    shown = declared if tried is None else tried
    keys = dict.fromkeys([*(key for key in declared if key in shown), *shown])
    if _scores_itself(task):  # and may give other documents others of the list
        keys |= dict.fromkeys(declared)
    filters = list(dict.fromkeys(each.name for each in task._filters))  # noqa: SLF001  lm-eval names them nowhere else
    if not keys:
        message = f"{PREFIX}{name}: cannot be run: lm-eval knows no metric of it; give its YAML file a metric_list"
        raise UsageError(message)
    return tuple(Measure(key, each) for key in keys for each in filters)


def _scores_itself(task: Any) -> bool:  # noqa: ANN401  as above
    """Return whether a task's own code scores answers."""
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415  lm-eval takes seconds to import

    own_class = type(task).process_results is not ConfigurableTask.process_results
    return own_class or callable(task.config.process_results)


def _tried(task: Any) -> list[str] | None:  # noqa: ANN401  as above
    """Return the metrics that a first document has; `None` where it cannot be scored so."""
    doc = dict(task.task_docs[0])
    try:
        with quiet():
            asked = instances_of(task, doc, ())
            text = str(task.doc_to_target(doc))
            answers = {"generate_until": text, "loglikelihood_rolling": -1.0}
            results = [answers.get(each.request_type, (-1.0 - place, False)) for place, each in enumerate(asked)]
            results = next(iter(filtered(task, doc, results).values()))
            return list(task.process_results(doc, list(results)))
    except KosmosEvalError:
        raise
    except Exception:  # noqa: BLE001  of a task's own code, which may be made for answers of a certain form
        return None


def aggregation_of(task: Any, key: str) -> Any:  # noqa: ANN401  as above
    """Return how lm-eval makes one number of a metric's items; the mean where the task does not say."""
    from lm_eval.api.metrics import mean  # noqa: PLC0415  as above

    return task.aggregation().get(key, mean)


def metric_of(task: Any, measure: Measure) -> Metric:  # noqa: ANN401  as above
    """Return a metric: a mean where lm-eval's is a mean of zeros and ones, else one of all samples together."""
    from kosmos_eval.lm_eval_tasks.metrics import aggregation_name  # noqa: PLC0415  as above

    how = aggregation_name(aggregation_of(task, measure.key))
    share = how == "mean" and measure.key in SHARES and not _scores_itself(task)
    lower, upper = (0.0, 1.0) if share else _BOUNDS.get(how, (-math.inf, math.inf))
    through = "" if measure.filtered == "none" else f" of what the filter {measure.filtered} lets through"
    return Metric(
        measure.name,
        f"lm-eval's {measure.key}{through}, aggregated by {how}",
        higher_is_better=bool(task.higher_is_better().get(measure.key, True)),
        lower=lower,
        upper=upper,
        corpus=not share,
        percent=share or how == "f1",
    )


def filtered(task: Any, doc: Mapping[str, Any], answers: Sequence[Any]) -> dict[str, list[Any]]:  # noqa: ANN401  as above
    """Return filter to what it makes of the answers to a document's instances."""
    from lm_eval.api.instance import Instance  # noqa: PLC0415  as above

    kind = task.config.output_type
    instances = [Instance(kind, dict(doc), (), place, resps=[each]) for place, each in enumerate(answers)]
    asked = copy(task)
    asked._instances = instances  # noqa: SLF001  where lm-eval's `apply_filters` takes them from
    asked.apply_filters()
    return {name: [each.filtered_resps[name] for each in instances] for name in instances[0].filtered_resps}
