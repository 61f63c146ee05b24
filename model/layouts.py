"""The two public layouts of a KOSMOS-2 checkpoint: what their weights are called, and what shape they say.

    transformers    config.json with model_type kosmos-2, and safetensors whose keys begin with text_model,
                    vision_model and image_to_text_projection: microsoft/kosmos-2-patch14-224 on the Hub
    unilm           kosmos-2.pt, as fairseq writes it, with keys that begin with gpt_model, img_model and
                    img_connector; it states no configuration, so the shapes of its weights do

All renaming is in this file. A table's left side names modules and weights of `Kosmos`, its right side what a layout
calls them; `*` is the number of a layer; what follows a module's name is the same on both sides.

Sources: `Kosmos2ForConditionalGeneration` and `Kosmos2Config` of transformers 5.23; microsoft/unilm 768a3c87, kosmos-2.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from kosmos_eval.errors import DataError

from .config import KOSMOS_2, ConnectorConfig, DecoderConfig, KosmosConfig, VisionConfig
from .transformers_fields import UNDECIDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Shapes = Mapping[str, Sequence[int]]

STEM = "vision.stem.projection.weight"
"""Our linear map of a patch; both layouts have a convolution without bias in its place."""

HEAD = "decoder.head.weight"


@dataclass(frozen=True, slots=True)
class PublicLayout:
    """How a layout calls weights.

    Attributes:
        name: how messages call the layout.
        names: our modules and weights to the layout's.
        ignored: patterns of keys that decide nothing.
    """

    name: str
    names: Mapping[str, str]
    ignored: tuple[str, ...]

    def name_of(self, weight: str) -> str:
        """Return what the layout calls one of our weights.

        Raises:
            KeyError: the layout has no such weight.
        """
        number = re.search(r"\.\d+\.", weight)
        general = weight if number is None else weight.replace(number[0], ".*.", 1)
        head, tail = general, ""
        while head not in self.names:
            head, _, last = head.rpartition(".")
            if not head:
                raise KeyError(weight)
            tail = f".{last}{tail}"
        theirs = self.names[head] + tail
        return theirs if number is None else theirs.replace(".*.", number[0], 1)

    def wanted(self, shapes: Shapes, patch_size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return our weights' names, each with the layout's name for it and the shape it has there.

        Args:
            shapes: of our weights, the tied head not among them.
            patch_size: of the vision tower.
        """
        found = {ours: (self.name_of(ours), tuple(shape)) for ours, shape in shapes.items()}
        if STEM in found:
            found[STEM] = (found[STEM][0], (shapes[STEM][0], 3, patch_size, patch_size))
        return found

    def deciding(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that are not to be ignored."""
        ignored = [re.compile(pattern) for pattern in self.ignored]
        return [key for key in keys if not any(pattern.fullmatch(key) for pattern in ignored)]


_DECODER = {
    "decoder.embedding": "embed_tokens",
    "decoder.blocks.*.attention_norm": "layers.*.self_attn_layer_norm",
    "decoder.blocks.*.attention": "layers.*.self_attn",
    "decoder.blocks.*.attention.inner_norm": "layers.*.self_attn.inner_attn_ln",
    "decoder.blocks.*.feed_forward_norm": "layers.*.final_layer_norm",
    "decoder.blocks.*.feed_forward": "layers.*.ffn",
    "decoder.blocks.*.feed_forward.inner_norm": "layers.*.ffn.ffn_layernorm",
    "decoder.norm": "layer_norm",
}
_CONNECTOR = {"connector.dense": "dense", "connector.queries": "latent_query", "connector.attention": "x_attn"}


def _under(prefix: str, names: Mapping[str, str]) -> dict[str, str]:
    return {ours: f"{prefix}.{theirs}" for ours, theirs in names.items()}


TRANSFORMERS = PublicLayout(
    name="transformers",
    names=MappingProxyType(
        _under("text_model.model", _DECODER)
        | _under("image_to_text_projection", _CONNECTOR)
        | _under(
            "vision_model.model",
            {
                "vision.class_token": "embeddings.class_embedding",
                "vision.positions": "embeddings.position_embedding.weight",
                "vision.stem.projection": "embeddings.patch_embedding",
                "vision.first_norm": "pre_layrnorm",
                "vision.blocks.*.attention_norm": "encoder.layers.*.layer_norm1",
                "vision.blocks.*.attention": "encoder.layers.*.self_attn",
                "vision.blocks.*.feed_forward_norm": "encoder.layers.*.layer_norm2",
                "vision.blocks.*.fc1": "encoder.layers.*.mlp.fc1",
                "vision.blocks.*.fc2": "encoder.layers.*.mlp.fc2",
                "vision.last_norm": "post_layernorm",
            },
        )
        | {"decoder.head": "text_model.lm_head"}
    ),
    # Tables that older versions stored and everyone computes.
    ignored=(
        r"vision_model\.model\.embeddings\.position_ids",
        r"text_model\.model\.embed_positions\.weights",
    ),
)

UNILM = PublicLayout(
    name="unilm",
    names=MappingProxyType(
        _under("gpt_model.decoder", _DECODER)
        | _under("img_connector", _CONNECTOR)
        | _under(
            "img_model.visual",
            {
                "vision.class_token": "class_embedding",
                "vision.positions": "positional_embedding",
                "vision.stem.projection": "conv1",
                "vision.first_norm": "ln_pre",
                "vision.blocks.*.attention_norm": "transformer.resblocks.*.ln_1",
                "vision.blocks.*.attention": "transformer.resblocks.*.ts_attn",
                "vision.blocks.*.feed_forward_norm": "transformer.resblocks.*.ln_2",
                "vision.blocks.*.fc1": "transformer.resblocks.*.mlp.c_fc",
                "vision.blocks.*.fc2": "transformer.resblocks.*.mlp.c_proj",
                "vision.last_norm": "ln_post",
            },
        )
        | {"decoder.head": "gpt_model.decoder.output_projection"}
    ),
    # A buffer that carries a device, the scale of an xPos that is built and never called, and the attention of
    # open_clip that `ts_attn` stands in for.
    ignored=(
        r"gpt_model\.decoder\.embed_positions\._float_tensor",
        r"gpt_model\.decoder\.self_attn_sope\.scale",
        r"img_model\.visual\.transformer\.resblocks\.\d+\.attn\..*",
    ),
)

Plain = TypeVar("Plain", int, float, bool)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the name of what is read in front of a message that does not begin with it."""
    try:
        yield
    except DataError as error:
        message = str(error) if str(error).startswith(name) else f"{name}: {error}"
        raise DataError(message) from None


@dataclass(frozen=True, slots=True)
class _Section:
    """An object of named values; what it leaves out has the value that its library gives it.

    Attributes:
        values: by name.
        name: how messages call the object.
        known: names of the values that have been looked at.
    """

    values: Mapping[str, Any]
    name: str
    known: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, values: object, name: str) -> _Section:
        if values is not None and not isinstance(values, dict):
            message = f"{name}: expected an object with fields, got {values!r:.60}"
            raise DataError(message)
        return cls(values or {}, name)

    def read(self, key: str, default: Plain) -> Plain:
        self.known.add(key)
        value = self.values.get(key, default)
        kind: type[Any] = type(default)
        if type(value) not in {float: (int, float)}.get(kind, (kind,)):
            message = f"{self.name}: expected {key} to be a value such as {default!r}, got {value!r:.60}"
            raise DataError(message)
        if kind is int and value < 1:
            message = f"{self.name}: expected {key} to be 1 or more, got {value}"
            raise DataError(message)
        read: Plain = kind(value)
        return read

    def expect(self, key: str, value: object) -> None:
        """Raise if a field has another value than the one that the model computes with."""
        self.known.add(key)
        found = self.values.get(key)
        if found is not None and (type(found) is not type(value) or found != value):
            message = f"{self.name}: expected {key} to be {value!r}, as every KOSMOS-2 has it, got {found!r:.60}"
            raise DataError(message)

    def refuse_others(self) -> None:
        """Raise if there is a field that has not been looked at and may decide something."""
        said = {key for key, value in self.values.items() if value is not None}
        if others := sorted(said - self.known - UNDECIDING):
            message = f"{self.name}: expected only fields of a KOSMOS-2, got also {', '.join(others)}"
            raise DataError(message)


_FIXED: Mapping[str, object] = MappingProxyType(
    {
        "add_cross_attention": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "is_encoder_decoder": False,
        "pad_token_id": 1,
        "pruned_heads": {},
    }
)
"""What a transformers configuration may say in any of its objects, and never says otherwise for a KOSMOS-2."""


def transformers_config(values: Mapping[str, Any], name: str) -> KosmosConfig:
    """Return the configuration that a transformers config.json holds.

    Fields that decide nothing are passed over, all others are read or checked; a field that is not known is refused.

    Args:
        values: the parsed JSON.
        name: how messages call it.

    Raises:
        DataError: it is another kind of model's, or has a field or a value that KOSMOS-2 never has.
    """
    whole = _Section(values, name)
    if values.get("model_type") != "kosmos-2":
        message = f"{name}: expected model_type to be 'kosmos-2', got {values.get('model_type')!r:.60}"
        raise DataError(message)
    text = _Section.of(values.get("text_config"), f"{name}: text_config")
    vision = _Section.of(values.get("vision_config"), f"{name}: vision_config")
    for section in (whole, text, vision):
        for key, value in _FIXED.items():
            section.expect(key, value)
    text.expect("activation_function", "gelu")
    vision.expect("num_channels", 3)
    with _naming(name):
        config = _transformers_shape(whole, text, vision)
    whole.known.update(("text_config", "vision_config", "tie_word_embeddings"))
    text.known.add("tie_word_embeddings")
    for section in (whole, text, vision):
        section.refuse_others()
    return config


def _transformers_shape(whole: _Section, text: _Section, vision: _Section) -> KosmosConfig:
    vision.known.add("hidden_act")
    if (activation := vision.values.get("hidden_act", "quick_gelu")) not in ("quick_gelu", "gelu"):
        message = f"{vision.name}: expected hidden_act to be 'quick_gelu' or 'gelu', got {activation!r:.60}"
        raise DataError(message)
    heads, eps = text.read("attention_heads", 32), text.read("layer_norm_eps", 1e-5)
    return KosmosConfig(
        vision=VisionConfig(
            image_size=vision.read("image_size", 224),
            patch_size=vision.read("patch_size", 14),
            width=vision.read("hidden_size", 1024),
            layers=vision.read("num_hidden_layers", 24),
            heads=vision.read("num_attention_heads", 16),
            hidden=vision.read("intermediate_size", 4096),
            activation=activation,
            normalise=True,
            eps=vision.read("layer_norm_eps", 1e-5),
        ),
        connector=ConnectorConfig("x-attention", whole.read("latent_query_num", 64), heads, eps=eps),
        decoder=DecoderConfig(
            vocabulary=text.read("vocab_size", 65037),
            width=text.read("embed_dim", 2048),
            layers=text.read("layers", 24),
            heads=heads,
            hidden=text.read("ffn_dim", 8192),
            positions="sinusoidal",
            max_positions=text.read("max_position_embeddings", 2048),
            embedding_scale=text.read("scale_embedding", default=True),
            dropout=text.read("dropout", 0.1),
            attention_dropout=text.read("attention_dropout", 0.1),
            eps=eps,
        ),
    )


def has_own_head(values: Mapping[str, Any]) -> bool:
    """Return whether a transformers config.json says that the head is not the embedding, as it has to in both places.

    Where it does not, a stored head that differs from the embedding counts all the same.
    """
    sections = (values, values.get("text_config") or {})
    return all(section.get("tie_word_embeddings") is False for section in sections)


_HEAD_WIDTH = 64
"""Channels of a head in all three parts of the released KOSMOS-2: 2048 / 32 and 1024 / 16."""


def unilm_config(shapes: Shapes, name: str, options: Mapping[str, Any] = MappingProxyType({})) -> KosmosConfig:
    """Return the configuration that the shapes of a unilm checkpoint's weights tell, and its options.

    Shapes do not tell positions, taken to be 2,048 as released, nor heads. The decoder's are those of the options, and
    have 64 channels where there are none, as released; the tower's have 64 channels always, as all of open_clip's do.

    Args:
        shapes: key to shape.
        name: how messages call the checkpoint.
        options: of the model, as fairseq stores them; may be empty.

    Raises:
        DataError: the weights or the options are not those of a KOSMOS-2.
    """
    stated = _Section({key: value for key, value in options.items() if value is not None}, f"{name}: model options")
    stated.expect("activation_fn", "gelu")
    stated.expect("no_token_positional_embeddings", value=False)
    with _naming(name):
        return _unilm_shape(shapes, stated)


def _unilm_shape(shapes: Shapes, stated: _Section) -> KosmosConfig:

    def sizes(ours: str) -> Sequence[int]:
        key = UNILM.name_of(ours)
        if key not in shapes:
            message = f"expected the weights of a KOSMOS-2, got none named {key}"
            raise DataError(message)
        return shapes[key]

    def layers(prefix: str) -> int:
        before, _, after = UNILM.names[prefix].partition("*")
        return sum(key.startswith(before) and key.endswith(f"{after}.weight") for key in shapes)

    vocabulary, width = sizes("decoder.embedding.weight")
    vision_width, _, patch_size, _ = sizes(STEM)
    grid = round((sizes("vision.positions")[0] - 1) ** 0.5)
    heads = stated.read("decoder_attention_heads", width // _HEAD_WIDTH)
    for part, known in (("decoder", "decoder_attention_heads" in stated.values), ("tower", False)):
        size = width if part == "decoder" else vision_width
        if size % _HEAD_WIDTH and not known:
            message = f"expected the {part} to be a multiple of {_HEAD_WIDTH} channels wide, got {size}"
            raise DataError(message)
    return KosmosConfig(
        vision=VisionConfig(
            image_size=grid * patch_size,
            patch_size=patch_size,
            width=vision_width,
            layers=layers("vision.blocks.*.attention_norm"),
            heads=vision_width // _HEAD_WIDTH,
            hidden=sizes("vision.blocks.0.fc1.weight")[0],
            normalise=True,
        ),
        connector=ConnectorConfig("x-attention", queries=sizes("connector.queries")[0], heads=heads),
        decoder=replace(
            KOSMOS_2.decoder,
            vocabulary=vocabulary,
            width=width,
            layers=layers("decoder.blocks.*.attention_norm"),
            heads=heads,
            hidden=sizes("decoder.blocks.0.feed_forward.fc1.weight")[0],
            embedding_scale=not stated.read("no_scale_embedding", default=False),
        ),
    )
