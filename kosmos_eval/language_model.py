"""The Model contract: a model answers a stream of requests; batching, caching and devices are its business alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from kosmos_eval.prompt import Image
    from kosmos_eval.request import Failed, Request, Response


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is to be loaded and run.

    Attributes:
        device: `auto` (a GPU when there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `float32`, `bfloat16` or `float16`.
        batch_size: sequences in one forward pass; `None` lets the model choose.
        arguments: the model's own `--model_args`, as text.
    """

    device: str = "auto"
    dtype: str = "float32"
    batch_size: int | None = None
    arguments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Model(Protocol):
    """A loaded model."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ran: parameters, device, dtype; plain JSON values for the run record."""
        ...

    def answer(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Response | Failed]]:
        """Answer every request, in any order, as they finish.

        Args:
            requests: pairs of a caller's own number and a request.

        Yields:
            The same numbers, each with its response: a `Generated` for a `Generate`, a `Scored` for a `Score`; or a
            `Failed` for a request that is too big for the machine or too long for the model's positions.
            Answers do not depend on what else is in the stream, beyond float rounding; and the same stream gives
            the same answers bit for bit, whatever the model answered before and however many threads it has. That
            is what makes results independent of process count and crashes.
        """
        ...


@runtime_checkable
class Anticipating(Protocol):
    """A model that can decode pictures before it is asked about them."""

    def expect(self, images: Iterable[Image]) -> None:
        """Take a guess at the images of the next stream of requests; it may be wrong, and no answer depends on it."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """A model that can say what pictures are alike to it."""

    def embed(self, images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
        """Yield a vector `[D]` of length one for each image, in order; taken in as the vectors are taken out.

        An image's vector depends on its pixels and on what the model's fingerprint covers, and on no other image.

        Raises:
            DataError: a picture cannot be read.
            UsageError: the model reads no pictures.
        """
        ...


@runtime_checkable
class Auditable(Protocol):
    """A model that can compute the same answers in several ways, so that they can be compared."""

    def ways(self) -> Mapping[str, Model]:
        """Return name of a way to the model that goes it, the reference first.

        All share the weights. The reference reads one sequence at a time; the others batch, pad, share and pack.
        """
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """What a stream of requests amounts to, counted without asking the model.

    Attributes:
        images: distinct ones, each of which is encoded once.
        whole_tokens: to be read if every prompt, and every continuation behind its prompt, were a sequence of its own.
        shared_tokens: to be read with common prefixes shared.
        new_tokens: most that may be written.
        memory: bytes, at most, beside the weights.
    """

    images: int
    whole_tokens: int
    shared_tokens: int
    new_tokens: int
    memory: int


@runtime_checkable
class Surveyor(Protocol):
    """A model that can tell what requests amount to."""

    def survey(self, requests: Iterable[Request]) -> Survey:
        """Count what answering the requests as one stream takes; those that cannot be answered count for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that can be loaded: what the `kosmos_eval.models` entry points name.

    Attributes:
        name: what `--model` takes.
        description: one line.
        load: returns the loaded model.
        fingerprint: returns the SHA-256 of everything that decides the model's answers (weights, configuration,
            tokenizer, preprocessing), without loading the weights into a model; raises `DataError` when a file is
            missing or unreadable and `UsageError` for unknown arguments.
        embedded: whether the weights ship with the package; such models run on `mini` data unless told otherwise.
        facts: parameters, size, training data, seed: shown by `ls models`.
        reads_pictures: returns whether prompts may have images, without loading the weights; raises as `fingerprint`.
    """

    name: str
    description: str
    load: Callable[[ModelOptions], Model]
    fingerprint: Callable[[ModelOptions], str]
    embedded: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    reads_pictures: Callable[[ModelOptions], bool] = lambda _options: True
