"""What lm-eval asks of a model, as requests of ours: from the arguments of its instances, without importing lm-eval.

`loglikelihood` and `multiple_choice` ask about a context and a continuation; those of one context are one `Score`.
`loglikelihood_rolling` is a `Score` in windows, `generate_until` a `Generate`. All are read as one text, so that they
have the values of lm-eval's own `hf` model. Where lm-eval's task layer hands pictures along, each `<image>` of the
context is one of them.
"""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Score, WholeText

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLACEHOLDER = "<image>"

_MAX_GEN_TOKS = 256
"""When the task says nothing, as in lm-eval's `hf` model."""

_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of one setting; lm-eval takes the first of them that is there."""

_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p")
"""Without effect on greedy search, which is all there is."""

_BEAMS = ("num_beams", "length_penalty", "no_repeat_ngram_size")


class ScoreOf(NamedTuple):
    """A request, and for each of its continuations the number of the pair that asked about it."""

    request: Score
    numbers: Sequence[int]


class Contexts:
    """Makes prompts of contexts and pictures; a picture that is handed along again is known again."""

    def __init__(self) -> None:
        """Know no picture."""
        self._known: dict[int, tuple[object, Image]] = {}
        """By identity, with the object, so that no other one takes its identity."""

    def prompt(self, context: str, multimodal: Mapping[str, object] | None = None) -> Prompt:
        """Return the prompt of a context, a picture in place of each `<image>` if pictures are handed along.

        Args:
            context: as lm-eval gives it.
            multimodal: what lm-eval hands along: under `visual`, pictures or where they are.

        Raises:
            DataError: there are not as many pictures as places for them, or one is no picture.
            UsageError: sounds are handed along.
        """
        if multimodal is None:
            return Prompt.of(context)
        if other := sorted(set(multimodal) - {"visual"}):
            message = f"expected lm-eval to hand along pictures alone, got {', '.join(other)}; the model knows no other"
            raise UsageError(message)
        images = [self._image(each) for each in _flat(multimodal.get("visual"))]
        texts = context.split(PLACEHOLDER)
        if len(images) != len(texts) - 1:
            message = (
                f"expected a picture for each {PLACEHOLDER} of the context, got {len(images)} for {len(texts) - 1} in "
                f"{context!r:.80}; lm-eval hands along the pictures of the query alone, so exemplars can have none"
            )
            raise DataError(message)
        parts: list[str | Image] = [texts[0]]
        for image, text in zip(images, texts[1:], strict=True):
            parts += [image, text]
        return Prompt(tuple(parts))

    def _image(self, visual: object) -> Image:
        known = self._known.setdefault(id(visual), (visual, _image(visual, f"picture {len(self._known) + 1}")))
        return known[1]


def _flat(visual: object) -> Iterator[object]:
    if isinstance(visual, list | tuple):
        for each in visual:
            yield from _flat(each)
    elif visual is not None:
        yield visual


def _image(visual: object, name: str) -> Image:
    """Return the image of what a dataset's image column, decoded or not, may give."""
    import PIL.Image  # noqa: PLC0415  30 ms that requests without pictures need not take

    match visual:
        case PIL.Image.Image():
            return Image(visual.copy, name)  # a copy, for who opens a picture closes it
        case str() if visual.startswith("data:") and ";base64," in visual:
            return Image(lambda: PIL.Image.open(io.BytesIO(_decoded(visual, name))), name)
        case str() | Path():
            return Image.from_file(visual)
        case bytes(encoded) | {"bytes": bytes(encoded)}:
            return Image.from_bytes(encoded, name)
        case {"path": str() as path}:
            return Image.from_file(path)
    message = f"expected {name} to be a picture, its bytes or its path, got {visual!r:.60}"
    raise DataError(message)


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text.partition(";base64,")[2], validate=True)
    except binascii.Error as error:
        message = f"image {name}: cannot be read ({error})"
        raise DataError(message) from None


def score_requests(pairs: Sequence[tuple[Prompt, str]], whole: WholeText) -> list[ScoreOf]:
    """Return what weighs each continuation behind its context; those of one context are one request.

    Args:
        pairs: of a context and its continuation.
        whole: how they are read.

    Raises:
        DataError: a continuation is blank.
    """
    numbers: dict[Prompt, list[int]] = {}
    for number, (prompt, text) in enumerate(pairs):
        if not text.strip():
            message = f"expected a continuation with characters behind {prompt.text()!r:.80}, got {text!r}"
            raise DataError(message)
        numbers.setdefault(prompt, []).append(number)
    return [
        ScoreOf(Score(prompt, tuple(Continuation(pairs[each][1]) for each in of_prompt), whole), of_prompt)
        for prompt, of_prompt in numbers.items()
    ]


def rolling_request(text: str, whole: WholeText) -> Score | None:
    """Return what weighs a whole text, in windows; `None` for a text without characters, whose likelihood is 0."""
    if not text.strip():
        return None
    return Score(Prompt(), (Continuation(text),), WholeText(whole.begin, whole.most, rolling=True))


def generate_request(prompt: Prompt, settings: Mapping[str, object], whole: WholeText) -> Generate:
    """Return what continues a context under the `generation_kwargs` of a task.

    Raises:
        UnknownNameError: a setting is unknown.
        UsageError: a setting is malformed, or asks for sampling.
    """
    for name in settings:
        if name not in {"until", *_LENGTHS, *_SAMPLING, *_BEAMS}:
            kind = "setting of generation_kwargs"
            raise UnknownNameError(kind, name, ("until", *_LENGTHS, *_SAMPLING, *_BEAMS))
    temperature, do_sample = _number(settings, "temperature", 0.0), settings.get("do_sample")
    if do_sample or (do_sample is None and temperature > 0):
        message = f"expected do_sample=False and temperature=0, as answers are not drawn, got {dict(settings)}"
        raise UsageError(message)
    length = next((name for name in _LENGTHS if settings.get(name) is not None), _LENGTHS[0])
    return Generate(
        prompt,
        max_new_tokens=_count(settings, length, _MAX_GEN_TOKS),
        stop=_stops(settings.get("until")),
        num_beams=_count(settings, "num_beams", 1),
        length_penalty=_number(settings, "length_penalty", 1.0),
        no_repeat_ngram=_count(settings, "no_repeat_ngram_size", 0, least=0),
        whole=whole,
    )


def _stops(until: object) -> tuple[str, ...]:
    """Return the texts that end an answer; an empty one ends none, as in lm-eval."""
    texts = [until] if isinstance(until, str) else until or []
    if not isinstance(texts, list | tuple) or any(not isinstance(each, str) for each in texts):
        message = f"expected until of generation_kwargs to be a text or a list of texts, got {until!r}"
        raise UsageError(message)
    return tuple(dict.fromkeys(each for each in texts if each))


def _number(settings: Mapping[str, object], name: str, otherwise: float) -> float:
    value = settings.get(name)
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"expected {name} of generation_kwargs to be a number, got {value!r}"
        raise UsageError(message)
    return float(value)


def _count(settings: Mapping[str, object], name: str, otherwise: int, least: int = 1) -> int:
    value = _number(settings, name, otherwise)
    if value < least or value != int(value):
        message = f"expected {name} of generation_kwargs to be a whole number from {least}, got {settings[name]!r}"
        raise UsageError(message)
    return int(value)
