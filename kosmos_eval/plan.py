"""From a configuration to the work to do: which samples, which prompts, in which units.

A *cell* is a task at one shot count, in one trial of its exemplars. A *unit* is a piece of a cell: whole clusters (all
questions on one picture), a few seconds to a minute of work, the same units for any number of processes. A process
takes whole units and the journal commits whole units, and a model answers a unit the same whatever it answered before;
so neither process count nor a crash can change a result.

Planning reads every sample and builds every first prompt; what could stop the run later is then checked by
`preflight.py`, all before a weight is loaded.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.fingerprint import digest_lines, scorer_fingerprint
from kosmos_eval.preflight import check_requirements
from kosmos_eval.request import Generate, request_digest
from kosmos_eval.selection import select
from kosmos_eval.trials import cell_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.config import RunConfig
    from kosmos_eval.exemplars import Nearest
    from kosmos_eval.language_model import ModelSpec
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Request
    from kosmos_eval.task import Sample, Task

UNIT_SAMPLES = 64
UNIT_TOKENS = 32_768
_TOKENS_AN_IMAGE = 24
_CHARACTERS_A_TOKEN = 4

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""What may be a checkpoint on the Hub: an owner and a name."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work that one process does whole.

    Attributes:
        id: unique in the plan, and the same in every plan of the same work.
        cell: name of its cell.
        keys: its samples.
    """

    id: str
    cell: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstRequests:
    """What is known of the first requests of a cell's samples; the requests themselves are made again when asked.

    Attributes:
        digest: of all of them, with their samples' keys.
        tokens: sample key to the rough length of its request.
    """

    digest: str
    tokens: Mapping[str, int]


@dataclass(frozen=True)
class Cell:
    """A task at one shot count, in one trial of its exemplars, with its samples.

    Attributes:
        task: the benchmark, with its settings.
        source: where its samples come from.
        shots: exemplars before each query.
        samples: key to sample, in canonical order: by cluster, then key.
        total: samples in the split, of which `samples` may be a subset.
        config: of the run.
        pool: what exemplars are drawn from.
        part: the name that `--tasks` knows it by, `refcoco:testA`; empty for the task's own.
        trial: which of the exemplars' draws this is, from 0; the first is the same in a run without others.
        control: name of the input control it is asked under, `image=none`; empty without.
        nearest: the samples' most similar exemplars, which `rices` chooses; made by `rices.py`.
    """

    task: Task[Any, Any]
    source: Source
    shots: int
    samples: Mapping[str, Sample]
    total: int
    config: RunConfig
    pool: ExemplarPool[Sample]
    part: str = ""
    trial: int = 0
    control: str = ""
    nearest: Nearest = field(default_factory=dict, repr=False)
    _drawn: dict[str, tuple[Sample, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name of the task or of its part as results show it, `vqav2@mini`, `refcoco:testA@mini`."""
        return self.source.label(self.part or self.task.name)

    @property
    def name(self) -> str:
        """The cell's name, `vqav2@mini|4`, `vqav2@mini|4#2` for the second trial, `vqav2@mini|4~image=none`."""
        return cell_name(self.label, self.shots, self.trial, self.control)

    @property
    def exemplar_seed(self) -> int | None:
        """The seed of the exemplars' draw; `None` where none are drawn."""
        return self.config.exemplar_seeds[self.trial] if self.shots and self.config.exemplars != "rices" else None

    def exemplars(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the exemplars of one of the cell's samples, in prompt order; drawn once, for every later step."""
        if not self.shots:
            return ()
        if sample.key not in self._drawn:
            self._drawn[sample.key] = self._draw(sample)
        return self._drawn[sample.key]

    def _draw(self, sample: Sample) -> tuple[Sample, ...]:
        policy = self.config.exemplars
        if policy != "rices":
            seed = self.config.exemplar_seeds[self.trial]
            return self.pool.draw(sample, self.shots, seed=seed, task=self.task.name, policy=policy)
        nearest = self.nearest.get(sample.key, ())[: self.shots]
        if len(nearest) < self.shots:
            message = f"{self.label}: expected {self.shots} exemplars to be chosen for sample {sample.key}, "
            message += f"got {len(nearest)}; start a new run"
            raise DataError(message)
        return self.pool.pick(reversed(nearest))

    @cached_property
    def first_requests(self) -> FirstRequests:
        """What the samples ask first; opens every image.

        Raises:
            DataError: an image is corrupt, or the exemplars do not suffice.
        """
        tokens: dict[str, int] = {}
        return FirstRequests(digest_lines(self._first_requests(tokens)), tokens)

    def _first_requests(self, tokens: dict[str, int]) -> Iterator[str]:
        """Yield key and digest of each first request, in the order of the keys, and note its rough length."""
        for key in sorted(self.samples):
            sample = self.samples[key]
            try:
                request = next(self.task.ask(sample, self.exemplars(sample)))
            except StopIteration as error:
                message = f"{self.label}: expected sample {key} to ask something, but its ask yielded no request"
                raise DataError(message) from error
            tokens[key] = _tokens(request)
            yield f"{key} {request_digest(request)}"

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Digests of the samples and exemplars that are used, of the prompts made of them, and of the scorer."""
        used = {sample.key: sample for sample in self.samples.values()}
        shown = {each.key: each for sample in self.samples.values() for each in self.exemplars(sample)}
        return {
            "data": digest_lines(
                f"{kind} {key} {of[key].content}"
                for kind, of in (("query", used), ("exemplar", shown))
                for key in sorted(of)
            ),
            "prompts": self.first_requests.digest,
            "scorer": scorer_fingerprint(type(self.task)),
        }

    def units(self) -> Iterator[Unit]:
        """Cut the cell into units: whole clusters, unless one is larger than a unit may be."""
        lengths = self.first_requests.tokens
        held: list[str] = []
        tokens = number = 0
        for cluster in _clusters(self.samples.values()):
            weight = sum(lengths[key] for key in cluster)
            if held and (len(held) + len(cluster) > UNIT_SAMPLES or tokens + weight > UNIT_TOKENS):
                yield self._unit(number, held)
                held, tokens, number = [], 0, number + 1
            for key in cluster:
                if len(held) == UNIT_SAMPLES:
                    yield self._unit(number, held)
                    held, tokens, number = [], 0, number + 1
                held.append(key)
                tokens += lengths[key]
        if held:
            yield self._unit(number, held)

    def _unit(self, number: int, keys: Sequence[str]) -> Unit:
        return Unit(f"{self.name}/{number:05d}", self.name, tuple(keys))


def _clusters(samples: Iterable[Sample]) -> Iterator[list[str]]:
    """Yield runs of neighbouring samples of one cluster, as keys; a sample without a cluster stands alone."""
    run: list[str] = []
    last = ""
    for sample in samples:
        if run and not (sample.cluster and sample.cluster == last):
            yield run
            run = []
        run.append(sample.key)
        last = sample.cluster
    if run:
        yield run


def _tokens(request: Request) -> int:
    """Return a request's rough length: what it costs, for cutting units of like size."""
    size = _prompt_tokens(request.prompt)
    if isinstance(request, Generate):
        return size + request.max_new_tokens
    return size + sum(
        _prompt_tokens(each.lead) + len(each.text) // _CHARACTERS_A_TOKEN for each in request.continuations
    )


def _prompt_tokens(prompt: Prompt) -> int:
    return sum(len(part) // _CHARACTERS_A_TOKEN if isinstance(part, str) else _TOKENS_AN_IMAGE for part in prompt.parts)


@dataclass(frozen=True)
class Plan:
    """All the work of a run.

    Attributes:
        config: of the run.
        model: that is asked.
        cells: in the order they were asked for.
    """

    config: RunConfig
    model: ModelSpec
    cells: tuple[Cell, ...]
    _by_name: dict[str, Cell] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {cell.name: cell for cell in self.cells})

    def cell(self, name: str) -> Cell:
        """Return the cell of that name."""
        return self._by_name[name]

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """All units, cell after cell."""
        return tuple(unit for cell in self.cells for unit in cell.units())

    @property
    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Cell name to its fingerprints."""
        return {cell.name: dict(cell.fingerprints) for cell in self.cells}


def find_model(name: str, arguments: Mapping[str, str], plugins: Plugins) -> tuple[ModelSpec, dict[str, str]]:
    """Return the model that `--model` names, and its arguments.

    What is no plugin's name but a folder on disk, or looks like a checkpoint on the Hub (`owner/name`), is read by the
    `kosmos` model: its place joins the arguments.

    Raises:
        UnknownNameError: there is neither a model nor a folder of that name.
    """
    if name not in plugins.names("model"):
        folder = os.path.abspath(os.path.expanduser(name))  # noqa: PTH100, PTH111  Path would swallow a trailing slash
        checkpoint = folder if os.path.isdir(folder) else name if HUB_ID.fullmatch(name) else None  # noqa: PTH112  as above
        if checkpoint:
            return plugins.model("kosmos"), {**arguments, "pretrained": checkpoint}
    return plugins.model(name), dict(arguments)


def resolve_model(config: RunConfig, plugins: Plugins) -> tuple[ModelSpec, RunConfig]:
    """Return the model that the configuration names, and the configuration with its data source settled.

    Raises:
        UnknownNameError: there is neither a model nor a folder of that name.
    """
    spec, arguments = find_model(config.model, config.model_args, plugins)
    config = config.model_copy(update={"model": spec.name, "model_args": arguments})
    if config.data is None:
        config = config.model_copy(update={"data": "mini" if spec.embedded else "hub"})
    return spec, _anywhere(config)


def _anywhere(config: RunConfig) -> RunConfig:
    """Return the configuration with whole paths, so that a run can be resumed and scored from any folder."""
    paths = tuple(os.path.abspath(path) for path in config.include_path)  # noqa: PTH100  Path.resolve would follow links
    return config.model_copy(update={"data": str(Source.parse(config.data or "mini")), "include_path": paths})


def make_plan(config: RunConfig, plugins: Plugins) -> Plan:
    """Return the plan of a run: read its samples, take the subset, and set up its cells.

    Args:
        config: of the run.
        plugins: where tasks and the model are found.

    Raises:
        UsageError: a name or setting is unknown, or a task cannot read the source.
        DataError: the data cannot be read.
    """
    spec, config = resolve_model(config, plugins)
    source = Source.parse(config.data or "mini")
    parts, made = select(config, plugins)
    config = config.model_copy(update={"tasks": tuple(part.name for part in parts)})
    for name in config.report:
        plugins.report(name)
    for task in made:
        check_requirements(task, source)
    named = zip(parts, made, strict=True)
    return Plan(config, spec, tuple(cell for part, task in named for cell in _cells(part.name, task, source, config)))


def with_nearest(plan: Plan, rankings: Mapping[str, Nearest]) -> Plan:
    """Return a plan whose cells choose exemplars by a ranking; the plan itself if there is none.

    Args:
        plan: of a run.
        rankings: label of a task to the ranking.
    """
    if not rankings:
        return plan
    return replace(plan, cells=tuple(replace(cell, nearest=rankings.get(cell.label, {})) for cell in plan.cells))


def _cells(part: str, task: Task[Any, Any], source: Source, config: RunConfig) -> Iterator[Cell]:
    everything = _unique(task.samples(task.split, source), f"{source.label(part)} split {task.split}")
    if not everything:
        message = f"{source.label(part)}: split {task.split} of {source} holds no samples"
        raise DataError(message)
    chosen = choose(everything, config, task.name)
    samples = {each.key: each for each in sorted(chosen, key=lambda sample: (sample.cluster, sample.key))}
    pool = ExemplarPool[Any](())
    if any(config.shots):
        split = task.exemplar_split
        place = f"{source.label(part)} split {split}"
        pool = ExemplarPool(everything if split == task.split else _unique(task.samples(split, source), place))
    for shots in config.shots:
        for trial in range(config.trials if shots else 1):
            yield Cell(task, source, shots, samples, len(everything), config, pool, part, trial)


def _unique(samples: Iterable[Sample], place: str) -> list[Sample]:
    seen: dict[str, Sample] = {}
    for sample in samples:
        key: object = sample.key
        if not isinstance(key, str) or not key:
            message = f"{place}: expected every sample's key to be a text with characters, got {key!r}"
            raise DataError(message)
        if sample.key in seen:
            message = f"{place}: expected every sample to have its own key, got {sample.key!r} twice"
            raise DataError(message)
        seen[sample.key] = sample
    return list(seen.values())


def choose(samples: Sequence[Sample], config: RunConfig, task: str) -> Sequence[Sample]:
    """Return the samples that `--limit` keeps: a subset drawn by hashing seed, task and key, or the first.

    A smaller limit's subset lies within a larger one's. A drawn subset does not depend on the order of the dataset.
    """
    if config.limit is None:
        return samples
    count = int(config.limit) if config.limit >= 1 else max(1, round(config.limit * len(samples)))
    if config.sample_order == "first":
        return samples[:count]

    def rank(sample: Sample) -> bytes:
        return hashlib.sha256(f"limit|{config.seed}|{task}|{sample.key}".encode()).digest()

    return sorted(samples, key=rank)[:count]
