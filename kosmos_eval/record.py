"""The run record: what a run leaves on disk, and the same as values.

    RUN/
        run.json            resolved configuration, fingerprints, environment, timings
        plan.jsonl          the units of work, one a line
        journal/            every response, one SQLite file a process
        results.json        lm-eval's keys, and ours under new ones
        samples/            one JSONL and one Parquet file a task and shot count, and trial
        thumbnails/         small pictures of the samples that the report shows, by content
        report.html

`results.json` and `samples/` hold nothing that depends on when, where or by how many processes a run was done:
two runs of the same work give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kosmos_eval.errors import DataError
from kosmos_eval.fields import check_fields
from kosmos_eval.trials import cell_name, gather_trials
from kosmos_eval.verdicts import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kosmos_eval.trials import Trials

SCHEMA_VERSION = 1

SAMPLES_VERSION = 1
"""Of the columns of `samples/*.parquet`; files of before it was written have none."""

SAMPLES_KEY = "kosmos-eval samples"
"""Where it stands in the Parquet file's metadata."""


def file_stem(task: str, shots: int, trial: int = 0, control: str = "") -> str:
    """Return a cell's name in file names: `vqav2@mini_4shot`, `refcoco.testA@mini_0shot`, `raven@mini_2shot_trial2`.

    A control comes last: `vqav2@mini_4shot_image-none`. No name of a task, split or variant has a dot, so no two cells
    share a file; nor a colon, which not every file system takes.
    """
    stem = f"{task.replace(':', '.')}_{shots}shot" + (f"_trial{trial + 1}" if trial else "")
    return stem + (f"_{control.replace('=', '-')}" if control else "")


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A metric over a set of samples.

    Attributes:
        name: of the metric.
        value: the mean, or the metric of the whole corpus; `None` when nothing was scored, or where the samples leave
            it undefined: no data is no number.
        low, high: 95 % confidence interval; `None` when there is no value, a single cluster, or no spread to resample.
        stderr: cluster-robust standard error; `None` as above.
        count: samples that were scored.
        clusters: independent groups among them.
        unparsed: samples whose answer could not be read.
        truncated: samples whose generation ran out of tokens.
        chance: expected value for random answers, where known.
        higher_is_better: the direction of improvement.
        failed: samples that the model could not take; neither scored nor in any other count.
        lower, upper: least and greatest possible value; `None` where there is no such bound.
        percent: tables show it times 100.
        interval: how the interval was made (`wilson-clustered`, `t-clustered`, `bca-bootstrap`); empty when there is
            none.
        unavailable: why it could not be computed and how to get it, or, beside a value, why it has no interval; empty
            when there is nothing in the way.
        made_with: what computed it, where that is a choice.
        split_low, split_high: of a random subset, the 95 % interval for the mean over the whole split, narrower than
            that for all samples that could have been asked; `None` where the whole split was asked, the subset was not
            drawn, for metrics of the whole corpus, for categories, and in records of before it was kept.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    stderr: float | None
    count: int
    clusters: int
    unparsed: int
    truncated: int
    chance: float | None = None
    higher_is_better: bool = True
    failed: int = 0
    lower: float | None = 0.0
    upper: float | None = 1.0
    percent: bool = True
    interval: str = ""
    unavailable: str = ""
    made_with: str = ""
    split_low: float | None = None
    split_high: float | None = None


@dataclass(frozen=True, slots=True)
class MarginSummary:
    """How close the choices of a cell were; see `kosmos_eval.margins`.

    Attributes:
        count: samples whose margin is known.
        near_ties: those among them whose margin is below `threshold`.
        near_tie_share: the same as a share of `count`; `None` when that is 0.
        exact_ties: those whose margin is 0.
        median: of the margins, in nats; `None` when there are none.
        threshold: what a near tie is below, in nats.
    """

    count: int
    near_ties: int
    near_tie_share: float | None
    exact_ties: int
    median: float | None
    threshold: float


@dataclass(frozen=True, slots=True)
class CellResult:
    """A task at one shot count, in one trial of its exemplars, perhaps under an input control.

    Attributes:
        task: the label, such as `vqav2@mini`.
        shots: number of exemplars before each query.
        version: of the task.
        split: that was evaluated.
        metrics: the headline metric first.
        groups: breakdown to category to the headline metric over that category.
        samples: samples that were asked.
        total: samples in the split; more than `samples` when `--limit` took a subset.
        unlabelled: samples asked whose truth is not known.
        settings: the task's settings.
        fingerprints: of data, prompts and scorer.
        shown: keys of the samples that reports show, whose pictures are kept as thumbnails.
        failed: samples that the model could not take.
        failures: keys of the first of them, with the reason.
        margins: how close the model's choices were; `None` in records of before they were kept.
        trial: which of the exemplars' draws this is, from 0.
        exemplar_seed: of that draw; `None` for zero shots, and in records of before there were trials.
        control: name of the input control it was asked under (`kosmos_eval.controls`), `image=none`; empty without.
        stopped: the verdict that became certain before its end; `None` where it was asked to its end.
    """

    task: str
    shots: int
    version: int
    split: str
    metrics: tuple[MetricResult, ...]
    groups: Mapping[str, Mapping[str, MetricResult]]
    samples: int
    total: int
    unlabelled: int
    settings: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    shown: tuple[str, ...] = ()
    failed: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    margins: MarginSummary | None = None
    trial: int = 0
    exemplar_seed: int | None = None
    control: str = ""
    stopped: Stopped | None = None

    @property
    def name(self) -> str:
        """Its name in results: `vqav2@mini|4`, `vqav2@mini|4#2` for the second trial, `vqav2@mini|4~image=none`."""
        return cell_name(self.task, self.shots, self.trial, self.control)

    @property
    def file_stem(self) -> str:
        """The cell's name in file names: `vqav2@mini_4shot`."""
        return file_stem(self.task, self.shots, self.trial, self.control)

    @property
    def subset(self) -> bool:
        """Whether fewer samples were asked than the split has."""
        return self.samples < self.total


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a sample and its response, as they were.

    Attributes:
        kind: `Generate` or `Score`.
        prompt: what the model read, images as `<image:0123456789ab>` marks.
        images: digests of the prompt's images in reading order.
        options: for `Score`, each continuation with its lead, as text; else empty.
        option_images: for `Score`, digests of the images in each lead.
        response: as `kosmos_eval.request.response_to_json` writes it.
    """

    kind: str
    prompt: str
    images: tuple[str, ...]
    options: tuple[str, ...]
    option_images: tuple[tuple[str, ...], ...]
    response: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A sample, what was asked, what came back, and what it was worth.

    Attributes:
        key: the dataset's own id.
        content: SHA-256 of the sample, its pixels included.
        cluster: what the sample shares with others.
        groups: breakdown to category.
        exemplars: keys of the exemplars, in prompt order.
        exchanges: requests and responses in order.
        raw: the model's last text, or the text of the option it preferred.
        answer: as read out of the response; `None` is unparsed, unless the sample failed.
        target: the truth, for people.
        values: metric name to value, of the metrics that single samples have; empty when unlabelled or failed.
        margin: by how many nats the closest of the model's choices was won; `None` where that is not known.
        stop_reason: of the last generation; `None` where nothing was generated.
        explanation: why the score is what it is.
        failed: why the model could not take the last request; `None` when all were answered.
        near_tie: whether float rounding could turn the closest choice; `None` where there is no margin.
        asked: SHA-256 of the first request, all that it says; empty in records of before it was kept.
    """

    key: str
    content: str
    cluster: str
    groups: Mapping[str, str]
    exemplars: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    raw: str
    answer: str | None
    target: str
    values: Mapping[str, float]
    margin: float | None
    stop_reason: str | None
    explanation: str
    failed: str | None = None
    near_tie: bool | None = None
    asked: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run, read from its folder.

    Attributes:
        folder: where it lies.
        run: `run.json`: `config`, `model`, `environment`, `fingerprints`, `timings`.
        cells: one for each task and shot count, and trial, in the order they were asked for.
    """

    folder: Path
    run: Mapping[str, Any]
    cells: tuple[CellResult, ...] = field(default_factory=tuple)

    @property
    def trials(self) -> tuple[Trials, ...]:
        """The tasks and shot counts with several trials, and each metric's spread over them."""
        return gather_trials(self.cells)

    def samples(self, cell: CellResult) -> Iterator[SampleRecord]:
        """Yield the samples of a cell, one at a time, from its JSONL file.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.folder / "samples" / f"{cell.file_stem}.jsonl"
        try:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    values = json.loads(line)
                    values["exchanges"] = tuple(Exchange(**_tuples(each)) for each in values["exchanges"])
                    yield SampleRecord(**_tuples(values))
        except (OSError, ValueError, TypeError, KeyError) as error:
            message = f"{path}: cannot be read ({error}); make it again with: kosmos-eval rescore {self.folder}"
            raise DataError(message) from error

    def thumbnail(self, digest: str) -> Path | None:
        """Return the small JPEG of an image, by the image's digest; `None` if none was kept."""
        path = self.folder / "thumbnails" / f"{digest}.jpg"
        return path if path.exists() else None


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values with tuples for the lists that records hold as tuples."""
    return {key: _tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_tuple(value) if isinstance(value, list) else value for value in values)


def load(folder: Path | str) -> RunRecord:
    """Return the record of a run.

    Raises:
        DataError: the folder holds no run, one that has not been finished, or results that cannot be read.
    """
    folder = Path(folder)
    run = read_run(folder)
    path = folder / "results.json"
    if not path.exists():
        message = f"{folder}: the run is not finished; finish it with: kosmos-eval run --resume {folder}"
        raise DataError(message)
    results = _read_json(path)
    try:
        cells = tuple(cell_from_json(values) for values in results["cells"])
        check_once(cells)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path}: expected what this version writes, got something else ({error}); see kosmos-eval rescore"
        raise DataError(message) from error
    return RunRecord(folder, run, cells)


def check_once(cells: Sequence[CellResult]) -> None:
    """Raise `ValueError` unless each cell is there once."""
    for name, count in Counter(cell.name for cell in cells).items():
        if count > 1:
            message = f"expected each cell once, got {name} {count} times"
            raise ValueError(message)


def read_run(folder: Path) -> dict[str, Any]:
    """Return `run.json` of a run folder.

    Raises:
        DataError: there is none, it cannot be read, or a later version of this package wrote it.
    """
    path = folder / "run.json"
    if not path.exists():
        message = f"{folder}: expected a run folder, found no run.json in it"
        raise DataError(message)
    run = _read_json(path)
    if run.get("schema") != SCHEMA_VERSION:
        message = f"{path}: expected schema {SCHEMA_VERSION}, got {run.get('schema')!r}; another version wrote this run"
        raise DataError(message)
    for name in ("config", "model", "timings"):
        if not isinstance(run.get(name, {}), dict):
            message = f"{path}: expected {name} to be a JSON object, got {run[name]!r:.60}"
            raise DataError(message)
    return run


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: cannot be read ({error})"
        raise DataError(message) from error
    if not isinstance(values, dict):
        message = f"{path}: expected a JSON object, got {values!r:.60}"
        raise DataError(message)
    return values


def cell_from_json(values: Mapping[str, Any]) -> CellResult:
    """Return a cell's results from the values that `results.json` has of them.

    Raises:
        KeyError: a field is missing.
        TypeError: there is a field that this version does not know, or one is not of its type.
    """
    groups = {
        breakdown: {category: MetricResult(**metric) for category, metric in categories.items()}
        for breakdown, categories in values["groups"].items()
    }
    metrics = tuple(MetricResult(**metric) for metric in values["metrics"])
    margins = None if values.get("margins") is None else MarginSummary(**values["margins"])
    stopped = None if values.get("stopped") is None else Stopped(**values["stopped"])
    read = {"metrics": metrics, "groups": groups, "shown": tuple(values["shown"]), "margins": margins}
    cell = CellResult(**{**values, **read, "stopped": stopped})
    for each in (
        cell,
        *filter(None, [stopped]),
        *metrics,
        *(one for named in groups.values() for one in named.values()),
    ):
        try:
            check_fields(each)
        except TypeError as error:
            message = f"{each.name if isinstance(each, MetricResult) else 'cell'}: {error}"
            raise TypeError(message) from None
    return cell


class ReportWriter(Protocol):
    """What the `kosmos_eval.reports` entry points name."""

    name: str

    def write(self, record: RunRecord, folder: Path) -> Path:
        """Write the report into the folder and return its path; on failure no half-written file is left."""
        ...
