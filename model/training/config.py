"""What a training run is told: a TOML file of tables, each key checked.

[run]       seed, steps, how often to save and to measure
[start]     an earlier run whose weights it goes on from
[streams]   the documents of a forward pass, mixed by their share of its tokens
[own]       where the documents of the stream `own` lie
[optimiser] AdamW, its schedule, and what of the tower is trained
[dense]     the auxiliary loss on what is in the pictures
[model]     the model's own configuration, as `config.json` has it
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_type_hints

from kosmos_eval.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Precision = Literal["no", "bf16", "fp16"]
Decay = Literal["linear", "cosine"]
Trained = Literal["whole", "last layer", "nothing"]
Broken = Literal["stop", "skip"]

STREAMS = ("text", "captions", "grounded", "interleaved", "instructions", "own")
"""Streams of documents, by the names of their shares."""

Part = Literal["vision", "connector", "decoder", "heads"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Parts of a run that another can go on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How long, and what is left on the way.

    Attributes:
        seed: of the weights and of the streams of documents.
        steps: optimiser steps in all.
        save_every: steps between states that `--resume` can start from.
        measure_every: steps between examinations on the microworld; 0 examines at the end only.
        measure_items: how many pictures or texts of a kind are asked about.
        final_items: likewise at the end; 0 for no examination.
        log_every: steps between progress lines.
        precision: `no` is float32.
        accumulation: forward passes whose gradients make one step.
        workers: processes that draw pictures ahead; 0 draws between the steps.
    """

    seed: int
    steps: int
    save_every: int = 500
    measure_every: int = 1000
    measure_items: int = 100
    final_items: int = 400
    log_every: int = 50
    precision: Precision = "no"
    accumulation: int = 1
    workers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSettings:
    """Where the weights come from.

    Attributes:
        run: folder of an earlier run or of a model, or the name of an embedded model; empty for weights that the seed
            draws. Without `[model]`, the model's shape is taken from there too.
        parts: what is taken from it, among `PARTS`; the rest is drawn.
        words: words that become pieces of the tokenizer, after those that it has, with embeddings that the seed draws.
    """

    run: str = ""
    parts: tuple[Part, ...] = PARTS
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """What the documents are.

    Attributes:
        tokens: text tokens of one forward pass, over all streams; image embeddings are not counted.
        room: tokens of a row that several documents are packed into, image embeddings included.
        text: share of the tokens in plain text, in full sentences.
        captions: share in pictures with captions.
        grounded: share in captions whose phrases have boxes, in the form of KOSMOS-2's GRIT.
        interleaved: share in documents of one to several pictures with text between.
        instructions: share in instructions without pictures; only what is to be written is learnt.
        own: share in the documents of `[own]`.
        passage: text tokens of a document of plain text, at most.
        labelled: pictures of a forward pass that have labels and no text.
        prompts: weight of the loss on questions and prompts, beside 1 for what follows them.
        questions: questions packed behind one picture.
        imageless: share of questions' pictures that are left out.
        reading: share of interleaved documents that ask for a rendered word.
        few_shot: share of interleaved documents that are solved questions on several pictures.
        pages: share of interleaved documents that are pages of pictures and sentences.
        raven: share of interleaved documents that are Raven matrices.
        most_pictures: pictures in the longest few-shot document and page.
        kinds: share of captioned pictures and interleaved documents that show named kinds of things, whose looks no
            word beside a picture tells.
        facts: share of passages of text and instructions that tell what things of some of these kinds look like.
    """

    tokens: int = 0
    room: int = 256
    text: float = 0.0
    captions: float = 0.0
    grounded: float = 0.0
    interleaved: float = 0.0
    instructions: float = 0.0
    own: float = 0.0
    passage: int = 120
    labelled: int = 0
    prompts: float = 0.1
    questions: int = 4
    imageless: float = 0.05
    reading: float = 0.25
    few_shot: float = 0.15
    pages: float = 0.1
    raven: float = 0.03
    most_pictures: int = 5
    kinds: float = 0.0
    facts: float = 0.0

    def __post_init__(self) -> None:
        whole = sum(self.shares.values())
        if self.tokens and abs(whole - 1) > _ROUNDING:
            message = f"[streams]: expected the shares of {', '.join(STREAMS)} to sum to 1, got {whole:g}"
            raise UsageError(message)
        if not self.tokens and not self.labelled:
            message = "[streams]: expected tokens or labelled pictures in a forward pass, got none of either"
            raise UsageError(message)

    @property
    def shares(self) -> dict[str, float]:
        """The streams that have a share, with it."""
        named = {name: float(getattr(self, name)) for name in STREAMS}
        return {name: share for name, share in named.items() if share > 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSettings:
    """A user's own pictures with text.

    A field of the shards is the extension of a member, or several apart by `;` of which the first that is there
    counts, and with `:` behind it a key of the JSON object that the member holds: `txt`, `jpg;png`, `json:caption`.
    A field of a dataset is a column.

    Attributes:
        shards: WebDataset shards, a path that may have `*` and `{0000..0099}` in it; or
        dataset: a folder that `datasets` has saved, a Parquet file, a folder of pictures, or a dataset of the Hugging
            Face Hub, OWNER/NAME,
        split: of the dataset,
        revision: of a dataset of the Hub; empty for its main branch.
        image: field of the picture; empty for the usual extensions, or the column `image`; `none` for text alone.
        text: field of the text; empty for the extension `txt`, or the column `text`.
        prompt: text in front of each text, learnt by the weight `[streams] prompts`; `{field}` stands for a field of
            the record.
        most_tokens: of a text; a longer one is cut there, and has no end to be learnt.
        broken: what becomes of a record without text, or with a picture that cannot be read: `stop` the run, or
            `skip` it with a warning and draw another.
    """

    shards: str = ""
    dataset: str = ""
    split: str = "train"
    revision: str = ""
    image: str = ""
    text: str = ""
    prompt: str = ""
    most_tokens: int = 200
    broken: Broken = "stop"

    def __post_init__(self) -> None:
        if self.shards and self.dataset:
            message = "[own]: expected shards or dataset, got both; put one of them into another format"
            raise UsageError(message)
        if self.shards and self.revision:
            message = "[own] revision: expected to go with a dataset of the Hugging Face Hub, got shards"
            raise UsageError(message)
        if self.most_tokens < 1:
            message = f"[own] most_tokens: expected at least 1, got {self.most_tokens}"
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101): a linear warm-up, the peak, and a decay to nothing.

    Attributes:
        rate: peak learning rate.
        warmup: steps to the peak.
        decay: the shape of the way down.
        cooldown: steps of the way down, the last ones; `None` is all that the warm-up leaves.
        betas: of the running means.
        weight_decay: on matrices; vectors have none.
        clip: largest gradient norm.
        tower: what of the vision tower is trained; KOSMOS-1 trains its last layer.
    """

    rate: float = 1e-3
    warmup: int = 100
    decay: Decay = "linear"
    cooldown: int | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0
    tower: Trained = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseSettings:
    """The auxiliary loss: what stands in each part of the picture.

    Attributes:
        weight: of this loss beside the language loss; with 0 nothing is made for it.
    """

    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A training run."""

    run: RunSettings
    streams: StreamSettings
    start: StartSettings = field(default_factory=StartSettings)
    own: OwnSettings = field(default_factory=OwnSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    dense: DenseSettings = field(default_factory=DenseSettings)
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = bool(self.own.shards or self.own.dataset)
        if named != ("own" in self.streams.shares):
            got = "none" if not named else "data without a share"
            message = f"[own]: expected shards or dataset, and a share `own` of [streams] with it, got {got}"
            raise UsageError(message)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as plain JSON values."""
        return asdict(self)


_ROUNDING = 1e-6
_TABLES: dict[str, type] = {
    "run": RunSettings,
    "start": StartSettings,
    "streams": StreamSettings,
    "own": OwnSettings,
    "optimiser": OptimiserSettings,
    "dense": DenseSettings,
}
_NEEDED = {"run": ("seed", "steps")}

T = TypeVar("T")


def read_config(path: Path) -> TrainingConfig:
    """Return the training run that a TOML file describes.

    Raises:
        UsageError: the file is missing, or a key is unknown, missing or of the wrong kind.
        DataError: the file is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror or error}); name a training configuration in TOML"
        raise UsageError(message) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: expected TOML ({error})"
        raise DataError(message) from None
    return config_from_tables(tables, path.name)


def config_from_tables(tables: Mapping[str, Any], name: str) -> TrainingConfig:
    """Return the training run that tables describe.

    Args:
        tables: as TOML or JSON has them.
        name: how messages call them.

    Raises:
        UsageError: a key is unknown, missing or of the wrong kind.
    """
    for table in tables:
        if table not in (*_TABLES, "model"):
            kind = f"table of {name}"
            raise UnknownNameError(kind, table, (*_TABLES, "model"))
    parts: dict[str, Any] = {
        table: _settings(cls, tables.get(table, {}), f"{name} [{table}]") for table, cls in _TABLES.items()
    }
    return TrainingConfig(**parts, model=tables.get("model", {}))


def _settings(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(cls)
    names = list(hints)
    for name in values:
        if name not in names:
            kind = f"setting of {where}"
            raise UnknownNameError(kind, name, names)
    for name in _NEEDED.get(where.rsplit("[", 1)[1].rstrip("]"), ()):
        if name not in values:
            message = f"{where}: expected a value for {name!r}, got none"
            raise UsageError(message)
    return cls(**{name: _value(hints[name], value, f"{where} {name}") for name, value in values.items()})


def _value(kind: Any, value: object, where: str) -> object:  # noqa: ANN401  a type hint, which has no type of its own
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and number:
        return float(value)  # type: ignore[arg-type]  # a number, as the line before last says
    if kind in {int, int | None} and number and isinstance(value, int):
        return value
    if (kind == int | None and value is None) or (kind is str and isinstance(value, str)):
        return value
    if kind in {Precision, Decay, Trained, Broken} and value in get_args(kind):
        return value
    if isinstance(value, (list, tuple)) and _fits(kind, value):
        return tuple(value)
    message = f"{where}: expected {_called(kind)}, got {value!r}"
    raise UsageError(message)


def _fits(kind: Any, values: Sequence[object]) -> bool:  # noqa: ANN401  as above
    if kind == tuple[float, float]:
        numbers = [each for each in values if isinstance(each, (int, float)) and not isinstance(each, bool)]
        return len(numbers) == len(values) == len(get_args(kind))
    if kind == tuple[Part, ...]:
        return all(each in PARTS for each in values)
    return bool(kind == tuple[str, ...]) and all(isinstance(each, str) for each in values)


def _called(kind: Any) -> str:  # noqa: ANN401  as above
    if kind == tuple[Part, ...]:
        return f"a list of {', '.join(PARTS)}"
    if kind == tuple[str, ...]:
        return "a list of texts"
    if kind in {Precision, Decay, Trained, Broken}:
        return " or ".join(map(repr, get_args(kind)))
    return getattr(kind, "__name__", str(kind))
