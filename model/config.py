"""What decides a Kosmos model's shape, as values, and the published models and the embedded one among them.

Sources of the presets:
    KOSMOS-1: arXiv 2302.14045, sections 2 and 3 and appendix A; Flamingo (arXiv 2204.14198, appendix A.1.1) for the
        resampler.
    KOSMOS-2: arXiv 2306.14824, table 7; microsoft/unilm 768a3c87, folder kosmos-2, for what the paper leaves out.

What KOSMOS-1 leaves unsaid and is chosen here: the size of the resampler, and that embeddings are scaled by the square
root of the width (as KOSMOS-2's are).

How large the resampler can be follows from "about 1.3B" for the decoder and "about 1.6B" for the whole:

    decoder     embedding, which the head shares      64,007 x 2,048            131,086,336
                24 layers of                          4 x (2,048^2 + 2,048)      16,785,408   attention
                                                      2 x 2,048 x 8,192 + 10,240 33,564,672   feed-forward
                                                      6 x 2,048 + 2 x 8,192          28,672   four norms
                final norm                            2 x 2,048                       4,096
                in all                                                        1,340,180,480
    tower       CLIP ViT-L/14, without its projection                           303,179,776
    both                                                                      1,643,360,256
    resampler   what leaves the whole below 1.65B                     at most     6,639,743

Flamingo's resampler has six layers, 64 latents, feed-forward layers four times as wide as the rest, and the width of
its tower. With a width of 1,024 it would have 78,806,016 parameters, 1.72B in all. `FLAMINGO_NARROW` keeps all but the
width: 256 is the largest for which heads have 64 channels, as all others in the model, and the whole rounds to 1.6B.

    resampler   to the width and from it              1,025 x 256 + 257 x 2,048     788,736
                latents and final norm                64 x 256 + 2 x 256             16,896
                six layers of                         12 x 256^2 + 15 x 256         790,272
                in all                                                            5,547,264
    the whole                                                                 1,648,907,520

A wider one is no contradiction if "about 1.6B" is cut off rather than rounded: KOSMOS-2, of 1,664,485,376 parameters,
is called so too. `dataclasses.replace(KOSMOS_1, connector=...)` makes one.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kosmos_eval.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The vision tower: a ViT that returns a token for each patch, behind a class token.

    Attributes:
        image_size: side of the square input, in pixels.
        patch_size: pixels a side that one token stands for.
        width, layers, heads, hidden: of the Transformer; `hidden` is its feed-forward width.
        stem: `patch`, one linear map a patch, or `conv`, stride-2 convolutions down to the patch grid.
        stem_widths: channels of each stride-2 stage of a `conv` stem, the last one being `width`.
        stem_depths: convolutions in each of these stages.
        activation: of the feed-forward layers.
        normalise: whether tokens are scaled to unit length at the end.
        eps: of the layer norms.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    hidden: int
    stem: Literal["patch", "conv"] = "patch"
    stem_widths: tuple[int, ...] = ()
    stem_depths: tuple[int, ...] = ()
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    normalise: bool = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _expect_multiple("vision.image_size", self.image_size, "patch_size", self.patch_size)
        _expect_multiple("vision.width", self.width, "heads", self.heads)
        if self.stem == "patch":
            return
        stride = 2 ** len(self.stem_widths)
        if stride != self.patch_size or self.stem_widths[-1:] != (self.width,):
            message = (
                f"expected vision.stem_widths to halve {self.patch_size} pixels to one and to end in {self.width} "
                f"channels, got {self.stem_widths}"
            )
            raise DataError(message)
        if len(self.stem_depths) != len(self.stem_widths) or min(self.stem_depths) < 1:
            message = f"expected vision.stem_depths to give each of {self.stem_widths} a depth, got {self.stem_depths}"
            raise DataError(message)

    @property
    def grid(self) -> int:
        """Tokens a side of the image, the class token not among them."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens an image, the class token included."""
        return self.grid**2 + 1


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    """What turns an image's tokens into a fixed number of embeddings for the decoder.

    Attributes:
        kind: `resampler`, Flamingo's Perceiver resampler, or `x-attention`, KOSMOS-2's single cross-attention.
        queries: embeddings an image.
        heads: of the attention.
        layers, width, hidden: of the resampler; the single cross-attention has the decoder's width.
        anchored: whether the resampler's queries stand on a square grid and each starts from its own cell's features.
        eps: of the layer norms.
    """

    kind: Literal["resampler", "x-attention"]
    queries: int
    heads: int
    layers: int = 1
    width: int = 0
    hidden: int = 0
    anchored: bool = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.kind == "resampler":
            if self.width < 1 or self.hidden < 1:
                message = f"expected a resampler to have connector.width and hidden, got {self.width}, {self.hidden}"
                raise DataError(message)
            _expect_multiple("connector.width", self.width, "heads", self.heads)
        if self.anchored and self.side**2 != self.queries:
            message = f"expected anchored connector.queries to be a square number, got {self.queries}"
            raise DataError(message)

    @property
    def side(self) -> int:
        """Queries a side of the grid that anchored ones stand on."""
        return math.isqrt(self.queries)


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The language model: a Magneto (sub-LayerNorm) decoder with a tied head.

    Attributes:
        vocabulary: number of token ids.
        width, layers, heads, hidden: of the Transformer; `hidden` is its feed-forward width.
        positions: `xpos` (rotation with decay, relative) or `sinusoidal` (added to the embeddings, absolute).
        max_positions: longest sequence it was made for. Sinusoidal positions end there; xPos ones go on, in float32 and
            bfloat16 to some 30,000 with a base of 512.
        embedding_scale: whether embeddings, those of images too, are multiplied by the square root of the width.
        xpos_base: positions over which xPos decays by one power; 512 in KOSMOS-1's TorchScale.
        pad: id of the padding token, whose embedding starts as zeros.
        dropout: share of activations dropped in training.
        attention_dropout: share of attention weights dropped in training.
        eps: of the layer norms.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int
    positions: Literal["xpos", "sinusoidal"]
    max_positions: int = 2048
    embedding_scale: bool = True
    xpos_base: int = 512
    pad: int = 1
    dropout: float = 0.0
    attention_dropout: float = 0.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _expect_multiple("decoder.width", self.width, "heads", self.heads)
        _expect_multiple("decoder.width", self.width, "2 x heads", 2 * self.heads)

    @property
    def scale(self) -> float:
        """What embeddings are multiplied by."""
        return float(self.width) ** 0.5 if self.embedding_scale else 1.0


@dataclass(frozen=True, slots=True)
class KosmosConfig:
    """A whole model: tower, connector, decoder; or a decoder alone, which reads no images."""

    vision: VisionConfig | None
    connector: ConnectorConfig | None
    decoder: DecoderConfig

    def __post_init__(self) -> None:
        if (self.vision is None) != (self.connector is None):
            message = "expected vision and connector to be there both or not at all, got one without the other"
            raise DataError(message)

    @property
    def image_tokens(self) -> int:
        """Embeddings an image; 0 for a decoder alone."""
        return 0 if self.connector is None else self.connector.queries

    @property
    def image_size(self) -> int:
        """Side of the square that images are brought to, in pixels; 0 for a decoder alone."""
        return 0 if self.vision is None else self.vision.image_size

    def to_json(self) -> str:
        """Return the configuration as JSON text, one field a line, which `from_json` reads back."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "config.json") -> KosmosConfig:
        """Return the configuration that a JSON text holds.

        Args:
            text: what `to_json` wrote.
            name: how messages call the text.

        Raises:
            DataError: it is not JSON, has an unknown or missing field, or a value of another type.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            message = f"{name}: expected JSON, got text that is not ({error})"
            raise DataError(message) from error
        parts = _read(_Parts, values, name)
        vision, connector = parts.vision, parts.connector
        return cls(
            vision=None if vision is None else _read(VisionConfig, vision, f"{name}: vision"),
            connector=None if connector is None else _read(ConnectorConfig, connector, f"{name}: connector"),
            decoder=_read(DecoderConfig, parts.decoder, f"{name}: decoder"),
        )

    @classmethod
    def from_file(cls, path: Path) -> KosmosConfig:
        """Return the configuration of a file.

        Raises:
            DataError: the file is missing or malformed.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: expected a model configuration, which cannot be read ({type(error).__name__})"
            raise DataError(message) from error
        return cls.from_json(text, str(path))


@dataclass(frozen=True)
class _Parts:
    decoder: dict[str, Any]
    vision: dict[str, Any] | None = None
    connector: dict[str, Any] | None = None


Config = TypeVar("Config", _Parts, VisionConfig, ConnectorConfig, DecoderConfig)


def _read(kind: type[Config], values: Mapping[str, Any], name: str) -> Config:
    """Return a dataclass of plain fields from JSON values, refusing what it does not know."""
    if not isinstance(values, dict):
        message = f"{name}: expected an object with fields, got {values!r:.60}"
        raise DataError(message)
    types = get_type_hints(kind)
    if unknown := sorted(values.keys() - types.keys()):
        message = f"{name}: expected fields among {', '.join(sorted(types))}; got unknown {', '.join(unknown)}"
        raise DataError(message)
    read: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in values:
            read[field.name] = _value(types[field.name], values[field.name], f"{name}: {field.name}")
    try:
        return kind(**read)
    except TypeError as error:
        missing = [field.name for field in fields(kind) if field.name not in read]
        message = f"{name}: expected all fields without a default to be given, got none of {', '.join(missing)}"
        raise DataError(message) from error


def _value(kind: Any, value: Any, name: str) -> Any:  # noqa: ANN401  a type hint and a JSON value can be anything
    if get_origin(kind) is Literal:
        fits, wanted = value in get_args(kind), f"one of {', '.join(map(repr, get_args(kind)))}"
    elif get_origin(kind) is tuple:
        fits, wanted = isinstance(value, list) and all(type(item) is int for item in value), "a list of whole numbers"
        value = tuple(value) if fits else value
    elif get_origin(kind) is dict or isinstance(kind, UnionType):
        fits, wanted = isinstance(value, dict) or (value is None and get_origin(kind) is not dict), "an object"
    elif kind is float:
        fits, wanted = type(value) in (int, float), "a number"
    else:
        fits, wanted = type(value) is kind, {"int": "a whole number", "bool": "true or false"}[kind.__name__]
    if not fits:
        message = f"{name}: expected {wanted}, got {value!r:.60}"
        raise DataError(message)
    return value


def _expect_multiple(name: str, value: int, of_name: str, of: int) -> None:
    if of < 1 or value < 1 or value % of:
        message = f"expected {name} to be a multiple of {of_name} ({of}), got {value}"
        raise DataError(message)


_CLIP_LARGE_14 = VisionConfig(image_size=224, patch_size=14, width=1024, layers=24, heads=16, hidden=4096)

FLAMINGO_NARROW = ConnectorConfig("resampler", queries=64, heads=4, layers=6, width=256, hidden=1024)
"""Flamingo's Perceiver resampler, as wide as a KOSMOS-1 of 1.6B parameters has room for; see the top of the module."""

KOSMOS_1 = KosmosConfig(
    vision=_CLIP_LARGE_14,
    connector=FLAMINGO_NARROW,
    decoder=DecoderConfig(
        vocabulary=64007,
        width=2048,
        layers=24,
        heads=32,
        hidden=8192,
        positions="xpos",
        dropout=0.1,
        attention_dropout=0.1,
    ),
)

KOSMOS_2 = KosmosConfig(
    vision=VisionConfig(image_size=224, patch_size=14, width=1024, layers=24, heads=16, hidden=4096, normalise=True),
    connector=ConnectorConfig("x-attention", queries=64, heads=32),
    decoder=DecoderConfig(
        vocabulary=65037,
        width=2048,
        layers=24,
        heads=32,
        hidden=8192,
        positions="sinusoidal",
        dropout=0.1,
        attention_dropout=0.1,
    ),
)

KOSMOS_TINY = KosmosConfig(
    vision=VisionConfig(
        image_size=96,
        patch_size=16,
        width=160,
        layers=4,
        heads=5,
        hidden=640,
        stem="conv",
        stem_widths=(24, 48, 96, 160),
        stem_depths=(1, 1, 2, 1),
        activation="gelu",
    ),
    connector=ConnectorConfig("resampler", queries=9, heads=6, layers=2, width=192, hidden=576, anchored=True),
    decoder=DecoderConfig(vocabulary=2240, width=192, layers=4, heads=6, hidden=512, positions="xpos"),
)
