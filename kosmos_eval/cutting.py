"""Cuts samples into the pieces that units are made of: whole clusters, of about the same length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosmos_eval.request import Generate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kosmos_eval.prompt import Prompt
    from kosmos_eval.request import Request
    from kosmos_eval.task import Sample

UNIT_SAMPLES = 64
UNIT_TOKENS = 32_768
_TOKENS_AN_IMAGE = 24
_CHARACTERS_A_TOKEN = 4


def cut(samples: Iterable[Sample], lengths: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """Yield the keys of samples in pieces: whole clusters, unless one is larger than a piece may be.

    Args:
        samples: those of one cluster side by side.
        lengths: key to the rough length of the sample's request, in tokens.
    """
    held: list[str] = []
    tokens = 0
    for cluster in _clusters(samples):
        weight = sum(lengths[key] for key in cluster)
        if held and (len(held) + len(cluster) > UNIT_SAMPLES or tokens + weight > UNIT_TOKENS):
            yield tuple(held)
            held, tokens = [], 0
        for key in cluster:
            if len(held) == UNIT_SAMPLES:
                yield tuple(held)
                held, tokens = [], 0
            held.append(key)
            tokens += lengths[key]
    if held:
        yield tuple(held)


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


def rough_tokens(request: Request) -> int:
    """Return a request's rough length: what it costs, for cutting units of like size."""
    size = _prompt_tokens(request.prompt)
    if isinstance(request, Generate):
        return size + request.max_new_tokens
    return size + sum(
        _prompt_tokens(each.lead) + len(each.text) // _CHARACTERS_A_TOKEN for each in request.continuations
    )


def _prompt_tokens(prompt: Prompt) -> int:
    return sum(len(part) // _CHARACTERS_A_TOKEN if isinstance(part, str) else _TOKENS_AN_IMAGE for part in prompt.parts)
