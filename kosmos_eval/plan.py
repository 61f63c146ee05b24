"""From a configuration to the work to do: which samples, which prompts, in which units.

A *cell* is a task at one shot count, in one trial of its exemplars. A *unit* is a piece of a cell: whole clusters (all
questions on one picture), a few seconds to a minute of work, the same units for any number of processes. A process
takes whole units and the journal commits whole units, and a model answers a unit the same whatever it answered before;
so neither process count nor a crash can change a result. Under an input control a cell is asked once more: a cell of
its own, whose units are taken, asked and committed together with those of the cell that it controls.

Planning reads every sample and builds every first prompt; what could stop the run later is then checked by
`preflight.py`, all before a weight is loaded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kosmos_eval.controls import Controlled, obstacle, parse_control
from kosmos_eval.cutting import cut, rough_tokens
from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.fingerprint import digest_lines, scorer_fingerprint
from kosmos_eval.model_names import find_model
from kosmos_eval.preflight import check_requirements
from kosmos_eval.request import request_digest
from kosmos_eval.selection import select
from kosmos_eval.subset import choose, unique
from kosmos_eval.trials import cell_name
from kosmos_eval.watched import in_random_order

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.config import RunConfig
    from kosmos_eval.exemplars import Nearest
    from kosmos_eval.language_model import ModelSpec
    from kosmos_eval.plugins import Plugins
    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Sample, Task
    from kosmos_eval.watched import Watched


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work that one process does whole.

    Attributes:
        id: unique in the plan, and the same in every plan of the same work.
        cell: name of its cell.
        keys: its samples.
        main: of a unit under a control, id of the unit without it, which is asked at the same time; else empty.
    """

    id: str
    cell: str
    keys: tuple[str, ...]
    main: str = ""


def bundles_of(units: Iterable[Unit]) -> list[tuple[Unit, ...]]:
    """Return units in bundles, each done by one process and committed as a whole: a unit, then those of its controls.

    Asked at the same time, they share what they have in common: exemplars, pictures, text.
    """
    bundles: dict[str, list[Unit]] = {}
    for unit in units:
        bundles.setdefault(unit.main or unit.id, []).append(unit)
    return [tuple(bundle) for bundle in bundles.values()]


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
    """A task at one shot count, in one trial of its exemplars, with its samples; perhaps under an input control.

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
        main: the cell that a control is of, with the same samples and exemplars; `None` without a control.
        others: what a control draws pictures or answers from.
        nearest: the samples' most similar exemplars, which `rices` chooses; made by `rices.py`.
        watched: how a gate follows it while it is asked; `None` where it is asked to its end.
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
    main: Cell | None = field(default=None, repr=False)
    others: Sequence[Sample] = field(default=(), repr=False)
    nearest: Nearest = field(default_factory=dict, repr=False)
    watched: Watched | None = field(default=None, repr=False)
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
        drawn = self.shots and self.config.exemplars != "rices" and not self._in_order
        return self.config.exemplar_seeds[self.trial] if drawn else None

    @property
    def _in_order(self) -> bool:
        return bool(getattr(self.task, "exemplars_in_order", False))

    def exemplars(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the exemplars of one of the cell's samples, in prompt order; drawn once, for every later step."""
        if not self.shots:
            return ()
        if self.main is not None:
            return self.main.exemplars(sample)
        if sample.key not in self._drawn:
            self._drawn[sample.key] = self._draw(sample)
        return self._drawn[sample.key]

    def _draw(self, sample: Sample) -> tuple[Sample, ...]:
        policy = self.config.exemplars
        if self._in_order:
            return self.pool.first(sample, self.shots, task=self.task.name)
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
    def _controlled(self) -> Controlled | None:
        if not self.control:
            return None
        return Controlled(self.task, parse_control(self.control), self.others, self.config.seed)

    def ask(self, sample: Sample, exemplars: Sequence[Sample]) -> Generator[Request, Response, Any]:
        """Ask a model about one of the cell's samples, under the cell's control: see `Task.ask`."""
        asker = self.task if self._controlled is None else self._controlled
        return asker.ask(sample, exemplars)

    def pictures(self, sample: Sample) -> Iterator[Image]:
        """Yield the images that a model reads about one of the cell's samples, those of its exemplars first."""
        if self._controlled is not None:
            return self._controlled.pictures(sample, self.exemplars(sample))
        return (image for each in (*self.exemplars(sample), sample) for image in each.images)

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
                request = next(self.ask(sample, self.exemplars(sample)))
            except StopIteration as error:
                message = f"{self.label}: expected sample {key} to ask something, but its ask yielded no request"
                raise DataError(message) from error
            tokens[key] = rough_tokens(request)
            yield f"{key} {request_digest(request)}"

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Digests of the samples and exemplars that are used, of the prompts made of them, and of the scorer."""
        if self.main is not None:
            return {**self.main.fingerprints, "prompts": self.first_requests.digest}
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
            **({"gate": self.watched.gate} if self.watched else {}),
        }

    def units(self) -> Iterator[Unit]:
        """Cut the cell into units; those of a control hold the same samples as those of the cell that it controls."""
        main = self.main or self
        samples: Iterable[Sample] = main.samples.values()
        if self.watched is not None:
            samples = in_random_order(samples, f"{self.config.seed}|{self.task.name}")
        for number, keys in enumerate(cut(samples, main.first_requests.tokens)):
            together = "" if main is self else f"{main.name}/{number:05d}"
            yield Unit(f"{self.name}/{number:05d}", self.name, keys, together)


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
    def bundles(self) -> tuple[tuple[Unit, ...], ...]:
        """All units, each with those of its controls, cell after cell."""
        return tuple(bundles_of(unit for cell in self.cells for unit in cell.units()))

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """All units, bundle after bundle."""
        return tuple(unit for bundle in self.bundles for unit in bundle)

    def uncontrolled(self, control: str) -> dict[str, str]:
        """Return label to reason of the tasks that a control cannot be applied to at any shot count."""
        controlled = {cell.label for cell in self.cells if cell.control == control}
        return {
            cell.label: obstacle(parse_control(control), cell.task, cell.samples.values(), cell.shots)
            for cell in self.cells
            if cell.label not in controlled
        }

    @property
    def fingerprints(self) -> dict[str, dict[str, str]]:
        """Cell name to its fingerprints."""
        return {cell.name: dict(cell.fingerprints) for cell in self.cells}


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
        UsageError: a name or setting is unknown, a task cannot read the source, or a control applies to no task.
        DataError: the data cannot be read.
    """
    spec, config = resolve_model(config, plugins)
    source = Source.parse(config.data or "mini")
    parts, made = select(config, plugins)
    config = config.model_copy(update={"tasks": tuple(part.name for part in parts)})
    for name in config.report:
        plugins.report(name)
    for task in made:
        check_requirements(task, source_of(task, source))
    named = zip(parts, made, strict=True)
    cells = tuple(cell for part, task in named for cell in _cells(part.name, task, source_of(task, source), config))
    if config.gate is not None:
        from kosmos_eval.watching import watch  # noqa: PLC0415  reads results, which needs what plans are made of

        cells = watch(cells, config)
    plan = Plan(config, spec, cells)
    for control in config.controls:
        if not any(cell.control == control for cell in cells):
            why = "; ".join(f"{label}: {reason}" for label, reason in plan.uncontrolled(control).items())
            message = f"expected a task that control {control} applies to, got none ({why}); leave out {control}"
            raise UsageError(message)
    return plan


def source_of(task: Task[Any, Any], source: Source) -> Source:
    """Return where a task's samples come from: the run's source, unless the task brings its own data."""
    return Source("hub") if getattr(task, "own_data", False) else source


def with_nearest(plan: Plan, rankings: Mapping[str, Nearest]) -> Plan:
    """Return a plan whose cells choose exemplars by a ranking; the plan itself if there is none.

    Args:
        plan: of a run.
        rankings: label of a task to the ranking.
    """
    if not rankings:
        return plan
    cells: dict[str, Cell] = {}
    for cell in plan.cells:  # a control comes behind its cell, whose exemplars it has
        main = None if cell.main is None else cells[cell.main.name]
        nearest = rankings.get(cell.label, {}) if main is None else {}
        cells[cell.name] = replace(cell, nearest=nearest, main=main)
    return replace(plan, cells=tuple(cells.values()))


def _cells(part: str, task: Task[Any, Any], source: Source, config: RunConfig) -> Iterator[Cell]:
    everything = unique(task.samples(task.split, source), f"{source.label(part)} split {task.split}")
    if not everything:
        message = f"{source.label(part)}: split {task.split} of {source} holds no samples"
        raise DataError(message)
    chosen = choose(everything, config, task.name)
    samples = {each.key: each for each in sorted(chosen, key=lambda sample: (sample.cluster, sample.key))}
    pool = ExemplarPool[Any](())
    if any(config.shots):
        split = task.exemplar_split
        place = f"{source.label(part)} split {split}"
        pool = ExemplarPool(everything if split == task.split else unique(task.samples(split, source), place))
    for shots in config.shots:
        for trial in range(config.trials if shots else 1):
            cell = Cell(task, source, shots, samples, len(everything), config, pool, part, trial)
            yield cell
            yield from _under_controls(cell, everything)


def _under_controls(cell: Cell, everything: Sequence[Sample]) -> Iterator[Cell]:
    """Yield a cell under each control of the run that can be applied to it.

    Args:
        cell: without a control.
        everything: in its split.
    """
    for name in cell.config.controls:
        control = parse_control(name)
        if not obstacle(control, cell.task, cell.samples.values(), cell.shots):
            draws = {"other-sample": everything, "shuffled-labels": cell.pool.samples}
            others = sorted(draws.get(control.change, ()), key=lambda each: each.key)
            yield replace(cell, control=name, main=cell, others=others)
