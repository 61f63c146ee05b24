"""What can be asked of a model, and what comes back.

Two requests: `Generate` continues a prompt, `Score` weighs given continuations of one. Both are values: equal
requests have equal digests, and the same request to the same model has the same answer.

Log-likelihoods are in nats. Three ways to compare continuations of unequal length are in use in the field, so all
three are kept and separately named: the sum over tokens, the mean a token, and the mean a character.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kosmos_eval.prompt import Image, Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

StopReason = Literal["eos", "stop", "length"]


@dataclass(frozen=True, slots=True)
class Continuation:
    """Text to be scored after a prompt, and what leads up to it.

    Attributes:
        text: what is scored; begins at a word boundary, whether or not a space is written in front, unless the
            request reads it as one text with what is in front.
        lead: read after the prompt and before the text, and not scored: a candidate image and the question about
            it, say. The prompt is what all continuations share, the lead is each one's own.
    """

    text: str
    lead: Prompt = field(default_factory=Prompt)

    def __post_init__(self) -> None:
        if not self.text.strip():
            message = f"expected a continuation with text to score, got {self.text!r}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class WholeText:
    """That a prompt and what follows it are one text, read as lm-eval's `hf` model reads it.

    Spaces at the prompt's end belong to the continuation, and both become tokens together: what comes behind as many
    tokens as the prompt has alone is scored. So a continuation may go on in the middle of a word. A sequence of tokens
    alone that is too long loses its beginning; one with images fails.

    Attributes:
        begin: whether `<s>` stands in front; it does anyway where there is no prompt.
        most: tokens that are read at once; `None` is the model's positions.
        rolling: the continuation is scored from its own `<s>` on, however long: in windows of `most` tokens, each as
            full as can be, of which every token is scored once. There is no prompt.
    """

    begin: bool = True
    most: int | None = None
    rolling: bool = False

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            message = f"expected most to be None (the model's positions) or at least 1, got {self.most}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a prompt.

    Attributes:
        prompt: what the model reads first.
        max_new_tokens: how many tokens it may write.
        stop: texts that end the answer; the answer is cut before the first of them.
        num_beams: 1 is greedy.
        length_penalty: beam scores are divided by length to this power.
        no_repeat_ngram: no n-gram of this many tokens is written twice; 0 is off.
        constraint: the answer must be one of these texts, none of them blank; `None` is free.
        whole: how the prompt is cut where it leaves no room for the answer; `None` does not cut it.
    """

    prompt: Prompt
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram: int = 0
    constraint: tuple[str, ...] | None = None
    whole: WholeText | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            message = f"expected max_new_tokens to be at least 1, got {self.max_new_tokens}"
            raise ValueError(message)
        if self.num_beams < 1:
            message = f"expected num_beams to be at least 1, got {self.num_beams}"
            raise ValueError(message)
        stop: object = self.stop
        if not isinstance(stop, tuple) or "" in stop:
            message = f"expected stop to be a tuple of texts with characters, got {stop!r}"
            raise ValueError(message)
        if self.no_repeat_ngram < 0:
            message = f"expected no_repeat_ngram to be 0 (off) or more, got {self.no_repeat_ngram}"
            raise ValueError(message)
        if self.constraint is not None and not self.constraint:
            message = "expected constraint to be None (free) or to name at least one text, got none"
            raise ValueError(message)
        if blank := [text for text in self.constraint or () if not text.strip()]:
            message = f"expected the texts of constraint to have characters, got {blank[0]!r}"
            raise ValueError(message)
        if self.whole is not None and self.whole.rolling:
            message = "expected whole.rolling to be False where nothing is scored, got True"
            raise ValueError(message)
        object.__setattr__(self, "length_penalty", float(self.length_penalty))  # 1 == 1.0, so their digests are one

    @property
    def images(self) -> tuple[Image, ...]:
        """All images in reading order, repeated ones included."""
        return self.prompt.images


@dataclass(frozen=True, slots=True)
class Score:
    """Weigh continuations of one prompt: the log-likelihood of each, given the prompt and its own lead.

    Attributes:
        prompt: what all continuations share.
        continuations: at least one; duplicates are allowed and score alike.
        whole: how prompt and continuation are read as one text; `None` reads each as a text of its own.
    """

    prompt: Prompt
    continuations: tuple[Continuation, ...]
    whole: WholeText | None = None

    def __post_init__(self) -> None:
        if not self.continuations:
            message = "expected at least one continuation to score, got none"
            raise ValueError(message)
        rolling = self.whole is not None and self.whole.rolling
        if rolling and (self.prompt.parts or any(each.lead.parts for each in self.continuations)):
            message = "expected no prompt and no lead in front of a text that is scored in windows, got one"
            raise ValueError(message)

    @property
    def images(self) -> tuple[Image, ...]:
        """All images in reading order, those of the leads and repeated ones included."""
        return (*self.prompt.images, *(image for each in self.continuations for image in each.lead.images))


Request = Generate | Score


@dataclass(frozen=True, slots=True)
class Generated:
    """The answer to `Generate`.

    Attributes:
        text: what was written, cut before the stop text, without special tokens.
        tokens: the ids that were written, the end token included.
        logprobs: log-probability of each of these tokens when it was chosen, in nats.
        stop_reason: `eos` the model ended, `stop` a stop text came, `length` the tokens ran out (truncated).
        margins: by how many nats each of these tokens was likelier than the best other one that was allowed in its
            place, infinity where there was none; empty when that is not known, as in beam search.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    stop_reason: StopReason
    margins: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.margins and len(self.margins) != len(self.tokens):
            message = f"expected a margin for each of {len(self.tokens)} tokens, or none, got {len(self.margins)}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """How likely one continuation is, in nats.

    Attributes:
        tokens: the continuation's token ids.
        logprobs: log-probability of each token given all before it.
        characters: length of the continuation's text.
        greedy: whether every token is the model's first choice.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    characters: int
    greedy: bool

    @property
    def total(self) -> float:
        """The sum over tokens."""
        return math.fsum(self.logprobs)

    @property
    def per_token(self) -> float:
        """The mean over tokens."""
        return self.total / len(self.logprobs)

    @property
    def per_character(self) -> float:
        """The sum divided by the number of characters."""
        return self.total / self.characters


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer to `Score`: one log-likelihood for each continuation, in their order."""

    continuations: tuple[LogLikelihood, ...]


Response = Generated | Scored


@dataclass(frozen=True, slots=True)
class Failed:
    """In place of an answer: the model could not take this one request, and goes on with the others.

    Attributes:
        reason: one line that says what was too big or too long, and the cure.
        excess: tokens beyond what the model's positions reach; `None` when that is not the reason.
    """

    reason: str
    excess: int | None = None


def request_digest(request: Request) -> str:
    """Return the SHA-256 of all that a request says, images by their pixels: 64 hex digits."""
    canonical = json.dumps([type(request).__name__, _canonical(request)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: object) -> object:
    match value:
        case Prompt():
            return [{"image": part.digest} if isinstance(part, Image) else part for part in value.parts]
        case Generate() | Score() | Continuation() | WholeText():
            values = {name: getattr(value, name) for name in value.__dataclass_fields__}
            if values.get("whole", value) is None:  # as it was before there was such a field
                del values["whole"]
            return {name: _canonical(each) for name, each in values.items()}
        case tuple():
            return [_canonical(item) for item in value]
        case _:
            return value


def response_to_json(response: Response | Failed) -> dict[str, Any]:
    """Return a response, or what stands in its place, as plain JSON values; `response_from_json` reads it unchanged."""
    values: dict[str, Any] = {name: getattr(response, name) for name in response.__dataclass_fields__}
    if isinstance(response, Scored):
        rows = ({name: getattr(row, name) for name in row.__dataclass_fields__} for row in response.continuations)
        values["continuations"] = tuple(rows)
    return {"kind": type(response).__name__, **values}


def response_from_json(values: Mapping[str, Any]) -> Response | Failed:
    """Return what `response_to_json` wrote.

    Raises:
        ValueError: the values are not a response.
    """
    try:
        match values:
            case {"kind": "Generated", "text": text, "tokens": tokens, "logprobs": logprobs, "stop_reason": reason}:
                margins = tuple(values.get("margins", ()))  # journals of before margins were kept have none
                return Generated(text, tuple(tokens), tuple(logprobs), reason, margins)
            case {"kind": "Scored", "continuations": rows}:
                return Scored(tuple(_likelihood(row) for row in rows))
            case {"kind": "Failed", "reason": reason, "excess": excess}:
                return Failed(reason, excess)
    except (KeyError, TypeError):  # the same fault, further down
        pass
    message = f"expected a Generated, Scored or Failed response, got {values!r:.80}"
    raise ValueError(message)


def _likelihood(row: Mapping[str, Any]) -> LogLikelihood:
    return LogLikelihood(tuple(row["tokens"]), tuple(row["logprobs"]), row["characters"], row["greedy"])
